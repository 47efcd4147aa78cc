use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::blur::GaussianBlur;
use super::effect::Effect;
use super::filter::FilterScratch;
use crate::data::ImageShape;

/// Pixels copied over their neighbors, between two Gaussian filters.
///
/// The original swaps two pixels, but on NumPy views, so that the neighbor keeps its value: it is a copy, and the order
/// (from the lower right, row by row) matters.
pub(super) struct GlassBlur {
    blur: GaussianBlur,
    iterations: usize,
    shape: ImageShape,
}

/// How far a pixel comes from at most; the original's value at every severity for images of this size.
const DELTA: usize = 1;

impl GlassBlur {
    pub(super) fn new(sigma: f64, iterations: usize, shape: ImageShape) -> Self {
        Self { blur: GaussianBlur::new(sigma, shape), iterations, shape }
    }
}

impl Effect for GlassBlur {
    type Scratch = (Vec<u8>, (Vec<f64>, FilterScratch));

    fn scratch(&self) -> Self::Scratch {
        (vec![0; self.shape.len()], self.blur.scratch())
    }

    fn apply(&self, image: &[u8], out: &mut [u8], rng: &mut ChaCha8Rng, (shuffled, scratch): &mut Self::Scratch) {
        let ImageShape { channels, height, width } = self.shape;
        self.blur.blur(image, shuffled, scratch);
        for _ in 0..self.iterations {
            for y in (DELTA + 1..=height - DELTA).rev() {
                // Two bits a pixel, so that one draw serves a row: sides are at most 64.
                let mut bits = u128::from(rng.next_u64()) << 64 | u128::from(rng.next_u64());
                for x in (DELTA + 1..=width - DELTA).rev() {
                    let from = (y - (bits & 1) as usize) * width + x - (bits >> 1 & 1) as usize;
                    bits >>= 2;
                    for plane in (0..channels).map(|channel| channel * height * width) {
                        shuffled[plane + y * width + x] = shuffled[plane + from];
                    }
                }
            }
        }
        self.blur.blur(shuffled, out, scratch);
    }
}
