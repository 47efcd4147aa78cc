use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::effect::{Effect, byte, unit};
use super::filter::{Border, FilterScratch, Gaussian};
use crate::data::ImageShape;

/// A random affine map, then smooth displacements.
pub(super) struct Elastic {
    /// How far a control point of the affine map moves at most along each axis, in pixels.
    jitter: f64,
    /// What displacements in `[-1, 1]` are multiplied by after smoothing, in pixels.
    alpha: f64,
    smoothing: Gaussian,
    shape: ImageShape,
}

impl Elastic {
    /// Parameters relative to the image's shorter side: the displacements' factor, the standard deviation of their
    /// smoothing, and how far control points move.
    pub(super) fn new((alpha, sigma, jitter): (f64, f64, f64), shape: ImageShape) -> Self {
        let side = shape.height.min(shape.width) as f64;
        let smoothing = Gaussian::new(sigma * side, 3.0, Border::Reflect);
        Self { jitter: jitter * side, alpha: alpha * side, smoothing, shape }
    }

    /// The map from a pixel of the result to where its value comes from: x' = m₀x + m₁y + m₂, y' = m₃x + m₄y + m₅.
    fn affine(&self, rng: &mut ChaCha8Rng) -> [f64; 6] {
        let ImageShape { height, width, .. } = self.shape;
        let (x, y) = ((width / 2) as f64, (height / 2) as f64);
        let s = (height.min(width) / 3) as f64;
        let points = [(x + s, y + s), (x + s, y - s), (x - s, y - s)];
        let mut moved = |(x, y): (f64, f64)| {
            let mut jitter = || rng.random_range(-self.jitter..=self.jitter);
            (x + jitter(), y + jitter())
        };
        // The result has at the moved points what the image has at the points: the inverse of the map between them.
        affine_between(points.map(&mut moved), points)
    }
}

/// The affine map that takes three points, not in a line, to three others.
fn affine_between(from: [(f64, f64); 3], to: [(f64, f64); 3]) -> [f64; 6] {
    let [(x0, y0), (x1, y1), (x2, y2)] = from;
    let (ax, ay, bx, by) = (x1 - x0, y1 - y0, x2 - x0, y2 - y0);
    let area = ax * by - bx * ay;
    let row = |[t0, t1, t2]: [f64; 3]| {
        let along_x = ((t1 - t0) * by - (t2 - t0) * ay) / area;
        let along_y = ((t2 - t0) * ax - (t1 - t0) * bx) / area;
        [along_x, along_y, t0 - along_x * x0 - along_y * y0]
    };
    let ([a, b, c], [d, e, f]) = (row(to.map(|point| point.0)), row(to.map(|point| point.1)));
    [a, b, c, d, e, f]
}

/// Where a pixel's value comes from: four pixels and how far it lies from the first towards the others.
#[derive(Debug, Clone, Copy)]
struct Source {
    corners: [usize; 4],
    right: f64,
    down: f64,
}

impl Source {
    fn new(y: f64, x: f64, height: usize, width: usize, border: Border) -> Self {
        let (top, left) = (y.floor(), x.floor());
        let rows = [0, 1].map(|i| border.index(top as isize + i, height) * width);
        let columns = [0, 1].map(|i| border.index(left as isize + i, width));
        let corners = [rows[0] + columns[0], rows[0] + columns[1], rows[1] + columns[0], rows[1] + columns[1]];
        Self { corners, right: x - left, down: y - top }
    }

    fn sample(&self, plane: &[f64]) -> f64 {
        let [a, b, c, d] = self.corners.map(|corner| plane[corner]);
        let (upper, lower) = (a + (b - a) * self.right, c + (d - c) * self.right);
        upper + (lower - upper) * self.down
    }
}

/// Room for the displacements and the two passes.
#[derive(Default)]
pub(super) struct ElasticScratch {
    right: Vec<f64>,
    down: Vec<f64>,
    plane: Vec<f64>,
    warped: Vec<f64>,
    affine: Vec<Source>,
    elastic: Vec<Source>,
    filter: FilterScratch,
}

impl Effect for Elastic {
    type Scratch = ElasticScratch;

    fn scratch(&self) -> Self::Scratch {
        ElasticScratch::default()
    }

    fn apply(&self, image: &[u8], out: &mut [u8], rng: &mut ChaCha8Rng, scratch: &mut Self::Scratch) {
        let ElasticScratch { right, down, plane, warped, affine, elastic, filter } = scratch;
        let ImageShape { height, width, .. } = self.shape;
        let len = height * width;
        let pixels = || (0..len).map(|i| ((i / width) as f64, (i % width) as f64));
        let [a, b, c, d, e, f] = self.affine(rng);
        let source = |y, x, border| Source::new(y, x, height, width, border);
        affine.clear();
        affine.extend(pixels().map(|(y, x)| source(d * x + e * y + f, a * x + b * y + c, Border::Reflect101)));
        elastic.clear();
        if self.alpha > 0.0 {
            for displacements in [&mut *right, &mut *down] {
                displacements.clear();
                displacements.extend((0..len).map(|_| rng.random_range(-1.0..=1.0)));
                self.smoothing.blur(displacements, width, filter);
            }
            let moved = pixels()
                .zip(&*right)
                .zip(&*down)
                .map(|(((y, x), right), down)| source(y + self.alpha * down, x + self.alpha * right, Border::Reflect));
            elastic.extend(moved);
        }
        for (out, channel) in out.chunks_exact_mut(len).zip(image.chunks_exact(len)) {
            plane.clear();
            plane.extend(channel.iter().map(|&value| unit(value)));
            warped.clear();
            warped.extend(affine.iter().map(|source| source.sample(plane)));
            if elastic.is_empty() {
                out.iter_mut().zip(&*warped).for_each(|(out, &value)| *out = byte(value));
            } else {
                out.iter_mut().zip(&*elastic).for_each(|(out, source)| *out = byte(source.sample(warped)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_affine_map_takes_the_points_where_they_should_go() {
        let (from, to) = ([(26.0, 26.0), (26.0, 6.0), (6.0, 6.0)], [(25.0, 28.0), (27.5, 5.0), (7.0, 8.0)]);
        let [a, b, c, d, e, f] = affine_between(from, to);
        for ((x, y), expected) in from.into_iter().zip(to) {
            let found = (a * x + b * y + c, d * x + e * y + f);
            assert!((found.0 - expected.0).abs() < 1e-12 && (found.1 - expected.1).abs() < 1e-12, "{found:?}");
        }
    }

    #[test]
    fn a_value_between_pixels_is_interpolated() {
        let plane = [0.0, 1.0, 10.0, 11.0, 20.0, 21.0];
        let at = |y, x, border| Source::new(y, x, 3, 2, border).sample(&plane);
        assert_eq!(at(0.5, 0.25, Border::Reflect), 5.25);
        assert_eq!(at(2.0, 1.0, Border::Reflect), 21.0);
        // Half a pixel above the first row lies that row (edge repeated), or halfway to the second (mirrored at it).
        assert_eq!(at(-0.5, 0.0, Border::Reflect), 0.0);
        assert_eq!(at(-0.5, 0.0, Border::Reflect101), 5.0);
    }
}
