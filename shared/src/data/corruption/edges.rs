/// Room for the edge detector.
#[derive(Debug, Clone, Default)]
pub(super) struct EdgeScratch {
    /// Gradients along x and y, and the sum of their sizes, with a border of zeros around it.
    gradients: Vec<(i32, i32)>,
    sizes: Vec<i32>,
    strong: Vec<usize>,
}

/// Where gradients are thick enough to count: what is above `LOW` and connected to something above `HIGH`.
const LOW: i32 = 50;
const HIGH: i32 = 150;
/// tan 22.5° in steps of 2⁻¹⁵.
const TANGENT: i32 = 13573;

/// Canny's edge detector as OpenCV has it, with thresholds 50 and 150, 3 x 3 Sobel filters and |dx| + |dy| as a
/// gradient's size. Sets `edges`, `[height, width]`, to whether a pixel is on an edge.
pub(super) fn canny(image: &[u8], width: usize, edges: &mut Vec<bool>, scratch: &mut EdgeScratch) {
    let height = image.len() / width;
    let EdgeScratch { gradients, sizes, strong } = scratch;
    let pixel = |y: usize, x: usize, dy: isize, dx: isize| {
        let (y, x) = (y.saturating_add_signed(dy).min(height - 1), x.saturating_add_signed(dx).min(width - 1));
        i32::from(image[y * width + x])
    };
    let stride = width + 2;
    sizes.clear();
    sizes.resize((height + 2) * stride, 0);
    gradients.clear();
    for y in 0..height {
        for x in 0..width {
            let at = |dy, dx| pixel(y, x, dy, dx);
            let across = at(-1, 1) + 2 * at(0, 1) + at(1, 1) - at(-1, -1) - 2 * at(0, -1) - at(1, -1);
            let down = at(1, -1) + 2 * at(1, 0) + at(1, 1) - at(-1, -1) - 2 * at(-1, 0) - at(-1, 1);
            gradients.push((across, down));
            sizes[(y + 1) * stride + x + 1] = across.abs() + down.abs();
        }
    }
    // A pixel that is no maximum across its edge is left out by a size of 0.
    let maximum = |i: usize| {
        let place = (i / width + 1) * stride + i % width + 1;
        let ((across, down), size) = (gradients[i], sizes[place]);
        let (flat, steep) = (across.abs() * TANGENT, down.abs() << 15);
        let is_maximum = size > LOW
            && if steep < flat {
                size > sizes[place - 1] && size >= sizes[place + 1]
            } else if steep > flat + (across.abs() << 16) {
                size > sizes[place - stride] && size >= sizes[place + stride]
            } else if (across ^ down) < 0 {
                size > sizes[place - stride + 1] && size > sizes[place + stride - 1]
            } else {
                size > sizes[place - stride - 1] && size > sizes[place + stride + 1]
            };
        if is_maximum { size } else { 0 }
    };
    edges.clear();
    edges.resize(height * width, false);
    strong.clear();
    strong.extend((0..height * width).filter(|&i| maximum(i) > HIGH));
    strong.iter().for_each(|&i| edges[i] = true);
    while let Some(i) = strong.pop() {
        let (y, x) = (i / width, i % width);
        for near_y in y.saturating_sub(1)..=(y + 1).min(height - 1) {
            for near_x in x.saturating_sub(1)..=(x + 1).min(width - 1) {
                let near = near_y * width + near_x;
                if !edges[near] && maximum(near) > 0 {
                    edges[near] = true;
                    strong.push(near);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edges(image: &[u8], width: usize) -> Vec<bool> {
        let mut found = Vec::new();
        canny(image, width, &mut found, &mut EdgeScratch::default());
        found
    }

    /// A step of 40 has a gradient of 160 on both of its sides; the first of two equal ones is the edge.
    #[test]
    fn a_step_is_one_pixel_wide() {
        let step = |height: u8| (0..36).map(|i| if i % 6 < 3 { 0 } else { height }).collect::<Vec<_>>();
        let column = (0..36).map(|i| i % 6 == 2).collect::<Vec<_>>();
        assert_eq!(edges(&step(40), 6), column);
        // 37 · 4 = 148 is not above the high threshold.
        assert_eq!(edges(&step(37), 6), [false; 36]);
    }

    /// A step that falls from 40 to 19 (gradients from 160 to 76) is one edge; one that starts at 30 is none.
    #[test]
    fn a_faint_edge_counts_where_it_continues_a_strong_one() {
        let falling =
            |from: u8| (0..64).map(|i| if i % 8 < 4 { 0 } else { from - 3 * (i / 8) as u8 }).collect::<Vec<_>>();
        let found = edges(&falling(40), 8);
        let in_row = |y: usize| (0..8).filter(|x| found[y * 8 + x]).collect::<Vec<_>>();
        assert!((0..8).all(|y| in_row(y) == [3] || in_row(y) == [4]), "{found:?}");
        assert_eq!(edges(&falling(30), 8), [false; 64]);
    }
}
