use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

use super::effect::Effect;
use super::motion::{MotionLine, MotionScratch};
use super::plasma;
use crate::data::ImageShape;

/// A frost texture over the image: a · x + b · texture, on values up to 255.
///
/// The benchmark's texture is cut out of photographs. This one has their mean colors, contrast and mixture of fine
/// needles and soft clouds, but none of their pixels.
pub(super) struct FrostLike {
    image: f32,
    texture: f32,
    needles: MotionLine,
    shape: ImageShape,
}

/// A pane of frost: its mean red, green and blue, and its standard deviation, as measured over the benchmark's five
/// photographs at the scale at which it uses them.
const PANES: [([f32; 3], f32); 5] = [
    ([77.0, 148.0, 165.0], 14.0),
    ([201.0, 206.0, 215.0], 18.0),
    ([201.0, 206.0, 215.0], 18.0),
    ([143.0, 158.0, 170.0], 26.0),
    ([105.0, 117.0, 128.0], 34.0),
];
/// Standard deviation of a cut-out's mean between places of one photograph.
const PLACE_SD: f32 = 11.0;
/// How the variance is split: needles, then clouds.
const SHARES: [f32; 2] = [0.75, 0.25];

impl FrostLike {
    pub(super) fn new(image: f32, texture: f32, shape: ImageShape) -> Self {
        Self { image, texture, needles: MotionLine::new(1, 0.8, shape.height, shape.width), shape }
    }
}

/// Room for noise, needles and clouds.
#[derive(Default)]
pub(super) struct FrostScratch {
    noise: Vec<f32>,
    needles: Vec<f32>,
    clouds: Vec<f64>,
    motion: MotionScratch,
}

impl Effect for FrostLike {
    type Scratch = FrostScratch;

    fn scratch(&self) -> Self::Scratch {
        FrostScratch::default()
    }

    fn apply(&self, image: &[u8], out: &mut [u8], rng: &mut ChaCha8Rng, scratch: &mut Self::Scratch) {
        let FrostScratch { noise, needles, clouds, motion } = scratch;
        let ImageShape { channels, height, width } = self.shape;
        let len = height * width;
        let (mean, sd) = PANES[rng.random_range(0..PANES.len())];
        let place = PLACE_SD * rng.sample::<f32, _>(StandardNormal);
        noise.clear();
        noise.extend((0..len).map(|_| rng.sample::<f32, _>(StandardNormal)));
        needles.clear();
        needles.resize(len, 0.0);
        // Needles that cross.
        for _ in 0..2 {
            self.needles.add_blurred(noise, rng.random_range(-180.0..180.0_f64).to_radians(), needles, motion);
        }
        let side = height.max(width).next_power_of_two();
        plasma::fill(clouds, side, 2.0, rng);
        let cloud = |i: usize| clouds[i / width * side + i % width] as f32;
        let (needle_mean, needle_sd) = moments(len, |i| needles[i]);
        let (cloud_mean, cloud_sd) = moments(len, cloud);
        for i in 0..len {
            let needle = (needles[i] - needle_mean) / needle_sd;
            let cloud = (cloud(i) - cloud_mean) / cloud_sd;
            let texture = place + sd * (SHARES[0].sqrt() * needle + SHARES[1].sqrt() * cloud);
            for channel in 0..channels {
                let mean =
                    if channels == 1 { 0.299 * mean[0] + 0.587 * mean[1] + 0.114 * mean[2] } else { mean[channel] };
                let frost = (mean + texture).clamp(0.0, 255.0);
                let value = f32::from(image[channel * len + i]);
                out[channel * len + i] = (self.image * value + self.texture * frost).clamp(0.0, 255.0) as u8;
            }
        }
    }
}

/// Mean and standard deviation of `len` numbers.
fn moments(len: usize, value: impl Fn(usize) -> f32) -> (f32, f32) {
    let mean = (0..len).map(&value).sum::<f32>() / len as f32;
    let variance = (0..len).map(|i| (value(i) - mean).powi(2)).sum::<f32>() / len as f32;
    (mean, variance.sqrt().max(f32::MIN_POSITIVE))
}
