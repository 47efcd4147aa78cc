use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

use super::effect::{Effect, byte, unit};
use super::motion::{MotionLine, MotionScratch};
use super::plasma;
use super::zoom::ZoomAxis;
use crate::data::ImageShape;

/// The gray value of a pixel, from values in `[0, 1]`.
pub(super) fn gray(red: f64, green: f64, blue: f64) -> f64 {
    0.299 * red + 0.587 * green + 0.114 * blue
}

/// Clouds over the image, scaled back to its brightest value.
pub(super) struct Fog {
    amount: f64,
    decay: f64,
    shape: ImageShape,
}

impl Fog {
    pub(super) fn new(amount: f64, decay: f64, shape: ImageShape) -> Self {
        Self { amount, decay, shape }
    }
}

impl Effect for Fog {
    type Scratch = Vec<f64>;

    fn scratch(&self) -> Self::Scratch {
        Vec::new()
    }

    fn apply(&self, image: &[u8], out: &mut [u8], rng: &mut ChaCha8Rng, clouds: &mut Self::Scratch) {
        let ImageShape { height, width, .. } = self.shape;
        let side = height.max(width).next_power_of_two();
        plasma::fill(clouds, side, self.decay, rng);
        let brightest = unit(image.iter().copied().max().unwrap_or(0));
        for (i, (out, image)) in out.chunks_exact_mut(width).zip(image.chunks_exact(width)).enumerate() {
            let clouds = &clouds[i % height * side..][..width];
            for ((out, &value), cloud) in out.iter_mut().zip(image).zip(clouds) {
                *out = byte((unit(value) + self.amount * cloud) * brightest / (brightest + self.amount));
            }
        }
    }
}

/// Flakes drawn out by the wind, over a brighter scene, and once more turned by 180 degrees.
pub(super) struct Snow {
    mean: f64,
    sd: f64,
    threshold: f64,
    mix: f64,
    rows: ZoomAxis,
    columns: ZoomAxis,
    wind: MotionLine,
    shape: ImageShape,
}

impl Snow {
    /// Parameters in the original's order: mean and standard deviation of the flakes' noise, its zoom, the threshold
    /// below which there is no flake, radius and standard deviation of the wind, and the share of the scene that stays.
    pub(super) fn new(parameters: (f64, f64, f64, f64, usize, f64, f64), shape: ImageShape) -> Self {
        let (mean, sd, zoom, threshold, radius, sigma, mix) = parameters;
        let ImageShape { height, width, .. } = shape;
        let (rows, columns) = (ZoomAxis::new(height, zoom), ZoomAxis::new(width, zoom));
        Self { mean, sd, threshold, mix, rows, columns, wind: MotionLine::new(radius, sigma, height, width), shape }
    }

    /// Flakes before the wind, `[height, width]`, in whole steps of 255.
    fn flakes(&self, noise: &mut Vec<f64>, flakes: &mut Vec<f32>, rng: &mut ChaCha8Rng) {
        let width = self.shape.width;
        noise.clear();
        noise
            .extend((0..self.shape.height * width).map(|_| self.mean + self.sd * rng.sample::<f64, _>(StandardNormal)));
        flakes.clear();
        for &(y, down) in &self.rows.from {
            flakes.extend(self.columns.from.iter().map(|&(x, right)| {
                let mix = |a: f64, b: f64, t: f32| a + (b - a) * f64::from(t);
                let row = |y: usize| mix(noise[y * width + x], noise[y * width + x + 1], right);
                let value = mix(row(y), row(y + 1), down);
                f32::from(if value < self.threshold { 0 } else { byte(value) })
            }));
        }
    }
}

/// Room for the flakes' noise, the flakes and the flakes in the wind.
#[derive(Default)]
pub(super) struct SnowScratch {
    noise: Vec<f64>,
    flakes: Vec<f32>,
    blown: Vec<f32>,
    motion: MotionScratch,
}

impl Effect for Snow {
    type Scratch = SnowScratch;

    fn scratch(&self) -> Self::Scratch {
        SnowScratch::default()
    }

    fn apply(&self, image: &[u8], out: &mut [u8], rng: &mut ChaCha8Rng, scratch: &mut Self::Scratch) {
        let SnowScratch { noise, flakes, blown, motion } = scratch;
        self.flakes(noise, flakes, rng);
        let angle = rng.random_range(-135.0..-45.0_f64).to_radians();
        let len = self.shape.height * self.shape.width;
        blown.clear();
        blown.resize(len, 0.0);
        self.wind.add_blurred(flakes, angle, blown, motion);
        let snow = |i: usize| f64::from(blown[i].round()) / 255.0;
        for i in 0..len {
            let value = |channel: usize| unit(image[channel * len + i]);
            let gray = if self.shape.channels == 1 { value(0) } else { gray(value(0), value(1), value(2)) };
            let layer = snow(i) + snow(len - 1 - i);
            for channel in 0..self.shape.channels {
                let x = value(channel);
                out[channel * len + i] = byte(self.mix * x + (1.0 - self.mix) * x.max(1.5 * gray + 0.5) + layer);
            }
        }
    }
}
