use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::effect::Effect;
use crate::data::ImageShape;

/// The blur along a line that ImageMagick calls motion blur, after its Python port.
///
/// out(y, x) = Σᵢ wᵢ · in(y + ⌈i sin a − ½⌉, x + ⌈i cos a − ½⌉) for i from 0 to 2 · radius, y downwards; the weights are
/// one half of a Gaussian, and the edge goes on beyond the image.
#[derive(Debug, Clone)]
pub(super) struct MotionLine {
    weights: Vec<f32>,
    height: usize,
    width: usize,
}

/// Room for a blur along a line.
#[derive(Debug, Clone, Default)]
pub(super) struct MotionScratch {
    offsets: Vec<(isize, isize)>,
    padded: Vec<f32>,
}

impl MotionLine {
    /// Lines of 2 · `radius` + 1 pixels with weights of standard deviation `sigma`.
    pub(super) fn new(radius: usize, sigma: f64, height: usize, width: usize) -> Self {
        let weight = |i: usize| (-((i * i) as f64) / (2.0 * sigma * sigma)).exp();
        let sum: f64 = (0..=2 * radius).map(weight).sum();
        Self { weights: (0..=2 * radius).map(|i| (weight(i) / sum) as f32).collect(), height, width }
    }

    /// Adds the plane `[height, width]` blurred at this angle in radians to `out`.
    pub(super) fn add_blurred(&self, plane: &[f32], angle: f64, out: &mut [f32], scratch: &mut MotionScratch) {
        let Self { height, width, .. } = *self;
        let MotionScratch { offsets, padded } = scratch;
        let (sin, cos) = angle.sin_cos();
        let along = |i: usize, slope: f64| (i as f64 * slope - 0.5).ceil() as isize;
        offsets.clear();
        offsets.extend((0..self.weights.len()).map(|i| (along(i, sin), along(i, cos))));
        // Offsets are 0 at the start and grow one way.
        let &(last_y, last_x) = offsets.last().unwrap_or(&(0, 0));
        let (top, left) = (last_y.min(0), last_x.min(0));
        let (bottom, right) = (height as isize + last_y.max(0), width as isize + last_x.max(0));
        let stride = (right - left) as usize;
        padded.clear();
        for y in top..bottom {
            let row = &plane[y.clamp(0, height as isize - 1) as usize * width..][..width];
            padded.extend(std::iter::repeat_n(row[0], left.unsigned_abs()));
            padded.extend_from_slice(row);
            padded.extend(std::iter::repeat_n(row[width - 1], last_x.max(0) as usize));
        }
        for (y, out) in out.chunks_exact_mut(width).enumerate() {
            for (&(dy, dx), weight) in offsets.iter().zip(&self.weights) {
                let start = (y as isize + dy - top) as usize * stride + (dx - left) as usize;
                for (sum, value) in out.iter_mut().zip(&padded[start..]) {
                    *sum += weight * value;
                }
            }
        }
    }
}

/// The blur along a line at an angle of at most 45 degrees.
pub(super) struct MotionBlur {
    line: MotionLine,
    shape: ImageShape,
}

impl MotionBlur {
    pub(super) fn new(radius: usize, sigma: f64, shape: ImageShape) -> Self {
        Self { line: MotionLine::new(radius, sigma, shape.height, shape.width), shape }
    }
}

impl Effect for MotionBlur {
    type Scratch = (Vec<f32>, Vec<f32>, MotionScratch);

    fn scratch(&self) -> Self::Scratch {
        Default::default()
    }

    fn apply(&self, image: &[u8], out: &mut [u8], rng: &mut ChaCha8Rng, scratch: &mut Self::Scratch) {
        let (plane, blurred, scratch) = scratch;
        let angle = rng.random_range(-45.0..45.0_f64).to_radians();
        let len = self.shape.height * self.shape.width;
        for (out, channel) in out.chunks_exact_mut(len).zip(image.chunks_exact(len)) {
            plane.clear();
            plane.extend(channel.iter().map(|&value| f32::from(value)));
            blurred.clear();
            blurred.resize(len, 0.0);
            self.line.add_blurred(plane, angle, blurred, scratch);
            // ImageMagick hands bytes back, which it rounds.
            out.iter_mut().zip(&*blurred).for_each(|(out, &value)| *out = value.round() as u8);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blurred(plane: &[f32], height: usize, width: usize, radius: usize, degrees: f64) -> Vec<f32> {
        let mut out = vec![0.0; plane.len()];
        let line = MotionLine::new(radius, 1.0, height, width);
        line.add_blurred(plane, degrees.to_radians(), &mut out, &mut MotionScratch::default());
        out
    }

    /// With σ = 1 and radius 1 the weights are 1, e^-½, e⁻² over 1.741866.
    const WEIGHTS: [f32; 3] = [0.574_097, 0.348_208, 0.077_696];

    #[track_caller]
    fn assert_near(found: &[f32], expected: &[f32]) {
        assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-5), "{found:?} for {expected:?}");
    }

    #[test]
    fn values_come_from_along_the_line_and_the_edge_goes_on() {
        let [a, b, c] = WEIGHTS;
        let row = [1.0, 0.0, 0.0, 4.0];
        assert_near(&blurred(&row, 1, 4, 1, 0.0), &[a, 4.0 * c, 4.0 * (b + c), 4.0]);
        // At 180 degrees ⌈-1 - ½⌉ = -1 and ⌈-2 - ½⌉ = -2.
        assert_near(&blurred(&row, 1, 4, 1, 180.0), &[1.0, b + c, c, 4.0 * a]);
        // Downwards, whatever the columns.
        assert_near(&blurred(&row, 4, 1, 1, 90.0), &[a, 4.0 * c, 4.0 * (b + c), 4.0]);
    }

    /// At 30 degrees i (cos, sin) is (0.87, 0.5) and (1.73, 1): offsets ⌈0.37⌉, ⌈0⌉ and ⌈1.23⌉, ⌈0.5⌉.
    #[test]
    fn steps_are_rounded_half_down() {
        let mut plane = [0.0; 12];
        plane[6] = 1.0;
        let out = blurred(&plane, 3, 4, 1, 30.0 - 1e-9);
        let [a, b, c] = WEIGHTS;
        assert_near(&out, &[c, 0.0, 0.0, 0.0, 0.0, b, a, 0.0, 0.0, 0.0, 0.0, 0.0]);
    }

    #[test]
    fn a_line_longer_than_the_image_keeps_its_weight() {
        for degrees in [-130.0, -45.0, 0.0, 44.0, 100.0] {
            let out = blurred(&[3.0; 16 * 17], 16, 17, 14, degrees);
            assert!(out.iter().all(|value| (value - 3.0).abs() < 1e-5));
        }
    }
}
