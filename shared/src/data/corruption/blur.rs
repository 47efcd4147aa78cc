use rand_chacha::ChaCha8Rng;

use super::effect::{Effect, byte, unit};
use super::filter::{Border, FilterScratch, Gaussian};
use crate::data::ImageShape;

/// A Gaussian filter of each channel.
pub(super) struct GaussianBlur {
    filter: Gaussian,
    shape: ImageShape,
}

impl GaussianBlur {
    pub(super) fn new(sigma: f64, shape: ImageShape) -> Self {
        Self { filter: Gaussian::new(sigma, 4.0, Border::Nearest), shape }
    }

    /// Filters an image from bytes to bytes.
    pub(super) fn blur(&self, image: &[u8], out: &mut [u8], (plane, scratch): &mut (Vec<f64>, FilterScratch)) {
        let ImageShape { height, width, .. } = self.shape;
        for (out, channel) in out.chunks_exact_mut(height * width).zip(image.chunks_exact(height * width)) {
            plane.clear();
            plane.extend(channel.iter().map(|&value| unit(value)));
            self.filter.blur(plane, width, scratch);
            out.iter_mut().zip(&*plane).for_each(|(out, &value)| *out = byte(value));
        }
    }
}

impl Effect for GaussianBlur {
    type Scratch = (Vec<f64>, FilterScratch);

    fn scratch(&self) -> Self::Scratch {
        Default::default()
    }

    fn apply(&self, image: &[u8], out: &mut [u8], _: &mut ChaCha8Rng, scratch: &mut Self::Scratch) {
        self.blur(image, out, scratch);
    }
}

/// The mean over a disk with soft edges; pixels beyond the edge are mirrored at its center.
pub(super) struct DefocusBlur {
    /// Row and column relative to the pixel, and weight.
    taps: Vec<(isize, isize, f64)>,
    reach: usize,
    shape: ImageShape,
}

impl DefocusBlur {
    /// A disk of this radius in pixels after a 3 x 3 Gaussian filter of standard deviation `alias`.
    pub(super) fn new(radius: f64, alias: f64, shape: ImageShape) -> Self {
        let reach = radius as isize + 1;
        let inside = |y: isize, x: isize| ((y * y + x * x) as f64 <= radius * radius) as u8 as f32;
        let area: f32 = (-reach..=reach).flat_map(|y| (-reach..=reach).map(move |x| inside(y, x))).sum();
        let side = (-0.5 / (alias * alias)).exp();
        let soft = [side, 1.0, side].map(|weight| (weight / (1.0 + 2.0 * side)) as f32);
        // In single precision, as the original's kernel is: truncated to bytes, even a sum of weights just below 1 shows.
        let column =
            |y: isize, x: isize| (-1..=1).map(|d| soft[(d + 1) as usize] * (inside(y, x + d) / area)).sum::<f32>();
        let weight = |y: isize, x: isize| (-1..=1).map(|d| soft[(d + 1) as usize] * column(y + d, x)).sum::<f32>();
        let taps = (-reach..=reach)
            .flat_map(|y| (-reach..=reach).map(move |x| (y, x)))
            .map(|(y, x)| (y, x, f64::from(weight(y, x))))
            .filter(|&(_, _, weight)| weight > 0.0)
            .collect();
        Self { taps, reach: reach as usize, shape }
    }
}

impl Effect for DefocusBlur {
    /// A channel with its border, and a row of sums.
    type Scratch = (Vec<f64>, Vec<f64>);

    fn scratch(&self) -> Self::Scratch {
        (Vec::new(), vec![0.0; self.shape.width])
    }

    fn apply(&self, image: &[u8], out: &mut [u8], _: &mut ChaCha8Rng, (padded, sums): &mut Self::Scratch) {
        let ImageShape { height, width, .. } = self.shape;
        let (reach, stride) = (self.reach as isize, width + 2 * self.reach);
        for (out, channel) in out.chunks_exact_mut(height * width).zip(image.chunks_exact(height * width)) {
            padded.clear();
            for y in -reach..height as isize + reach {
                let row = &channel[Border::Reflect101.index(y, height) * width..][..width];
                let columns = -reach..width as isize + reach;
                padded.extend(columns.map(|x| unit(row[Border::Reflect101.index(x, width)])));
            }
            for (y, out) in out.chunks_exact_mut(width).enumerate() {
                sums.fill(0.0);
                for &(dy, dx, weight) in &self.taps {
                    let start = (y as isize + reach + dy) as usize * stride + (reach + dx) as usize;
                    for (sum, value) in sums.iter_mut().zip(&padded[start..]) {
                        *sum += weight * value;
                    }
                }
                out.iter_mut().zip(&*sums).for_each(|(out, &value)| *out = byte(value));
            }
        }
    }
}
