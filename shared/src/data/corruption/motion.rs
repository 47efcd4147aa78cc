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
