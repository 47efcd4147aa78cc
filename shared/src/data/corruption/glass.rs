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

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    /// With σ = 0.05 the filters do nothing, and each pixel comes from its place or from above or left of it.
    #[test]
    fn pixels_are_copied_over_their_neighbors() {
        let shape = ImageShape { channels: 3, height: 16, width: 20 };
        let (height, width) = (shape.height, shape.width);
        // Values that survive the casts to and from [0, 1], each different from its neighbors'.
        let place = |i: usize| ((i % (height * width) / width % 4) * 4 + i % width % 4) as u8 * 17;
        let image: Vec<_> = (0..shape.len()).map(place).collect();
        let effect = GlassBlur::new(0.05, 1, shape);
        let mut out = vec![0; shape.len()];
        effect.apply(&image, &mut out, &mut ChaCha8Rng::seed_from_u64(1), &mut effect.scratch());
        let mut moved = [0; 4];
        for (y, x) in (0..height).flat_map(|y| (0..width).map(move |x| (y, x))) {
            let i = y * width + x;
            assert!(out[i] == out[height * width + i] && out[i] == out[2 * height * width + i]);
            let inside = (2..height).contains(&y) && (2..width).contains(&x);
            let offsets: &[(usize, usize)] = if inside { &[(0, 0), (0, 1), (1, 0), (1, 1)] } else { &[(0, 0)] };
            let from = offsets.iter().position(|(dy, dx)| out[i] == image[i - dy * width - dx]);
            moved[from.expect("a near pixel")] += 1;
        }
        // A quarter of the inner 14 x 18 each.
        assert!(moved[1..].iter().all(|&count| (40..90).contains(&count)), "{moved:?}");
    }
}
