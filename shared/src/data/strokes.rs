use std::f32::consts::PI;

/// A point with x to the right and y down; glyphs live in `[-1, 1]²`.
pub(super) type Point = [f32; 2];

/// A line through points, drawn with a round pen.
pub(super) type Stroke = Vec<Point>;

/// Straight lines from point to point.
pub(super) fn lines(points: &[Point]) -> Stroke {
    points.to_vec()
}

/// A part of an ellipse, from one angle to another in degrees, clockwise from the right.
pub(super) fn arc(center: Point, radii: Point, from: f32, to: f32) -> Stroke {
    let steps = ((to - from).abs() / 20.0).ceil().max(1.0) as usize;
    let point = |i| {
        let (sin, cos) = ((from + (to - from) * i as f32 / steps as f32) * PI / 180.0).sin_cos();
        [center[0] + radii[0] * cos, center[1] + radii[1] * sin]
    };
    (0..=steps).map(point).collect()
}

/// A canvas on which strokes leave ink from 0 to 1, with soft edges one pixel wide.
#[derive(Debug, Clone)]
pub(super) struct Canvas {
    size: usize,
    ink: Vec<f32>,
}

impl Canvas {
    pub(super) fn new(size: usize) -> Self {
        Self { size, ink: vec![0.0; size * size] }
    }

    /// Draws a stroke of this half width, all in pixels; pixel `(i, j)` has its center at `(j + 0.5, i + 0.5)`.
    pub(super) fn draw(&mut self, stroke: &[Point], half_width: f32) {
        for segment in stroke.windows(2) {
            let (a, b) = (segment[0], segment[1]);
            let reach = half_width + 0.5;
            let range = |axis: usize| {
                let (low, high) = (a[axis].min(b[axis]) - reach, a[axis].max(b[axis]) + reach);
                low.floor().max(0.0) as usize..(high.ceil().max(0.0) as usize).min(self.size)
            };
            for y in range(1) {
                for x in range(0) {
                    let distance = distance([x as f32 + 0.5, y as f32 + 0.5], a, b);
                    let ink = &mut self.ink[y * self.size + x];
                    // The greater of the two, so that the joints of a stroke are no darker than its lines.
                    *ink = ink.max((reach - distance).clamp(0.0, 1.0));
                }
            }
        }
    }

    /// `[size, size]`.
    pub(super) fn ink(&self) -> &[f32] {
        &self.ink
    }
}

/// From a point to the nearest point of a segment.
fn distance(p: Point, a: Point, b: Point) -> f32 {
    let (along, to) = ([b[0] - a[0], b[1] - a[1]], [p[0] - a[0], p[1] - a[1]]);
    let length = along[0] * along[0] + along[1] * along[1];
    let t = if length > 0.0 { ((to[0] * along[0] + to[1] * along[1]) / length).clamp(0.0, 1.0) } else { 0.0 };
    (to[0] - t * along[0]).hypot(to[1] - t * along[1])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ink_covers_the_stroke_and_fades_over_a_pixel() {
        let mut canvas = Canvas::new(5);
        canvas.draw(&[[0.5, 2.25], [4.5, 2.25]], 1.0);
        let column: Vec<_> = (0..5).map(|y| canvas.ink()[y * 5 + 2]).collect();
        // Centers at 0.5, 1.5, ... lie 1.75, 0.75, 0.25, 1.25, 2.25 from the line.
        assert_eq!(column, [0.0, 0.75, 1.0, 0.25, 0.0]);
    }

    #[test]
    fn strokes_off_the_canvas_are_clipped() {
        let mut canvas = Canvas::new(4);
        canvas.draw(&[[-9.0, -9.0], [-5.0, -9.0], [-5.0, 30.0], [f32::MAX / 4.0, 30.0]], 1.0);
        assert_eq!(canvas.ink(), [0.0; 16]);
        canvas.draw(&[[2.0, 2.0], [2.0, 2.0]], 0.5);
        assert!(canvas.ink().iter().sum::<f32>() > 0.0, "a point is a dot");
    }

    #[test]
    fn an_arc_lies_on_its_ellipse() {
        let arc = arc([1.0, 2.0], [3.0, 4.0], 0.0, 90.0);
        for point in &arc {
            let radius = ((point[0] - 1.0) / 3.0).hypot((point[1] - 2.0) / 4.0);
            assert!((radius - 1.0).abs() < 1e-6);
        }
        assert!((arc[0][0] - 4.0).abs() < 1e-6 && (arc[arc.len() - 1][1] - 6.0).abs() < 1e-6);
    }
}
