use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

use super::effect::{Effect, byte, unit};
use super::filter::{Border, FilterScratch, Gaussian};
use super::water::{WaterScratch, sheen};
use super::weather::gray;
use crate::data::ImageShape;

/// Splashes on the lens.
pub(super) struct Spatter {
    mean: f64,
    sd: f64,
    smoothing: Gaussian,
    threshold: f64,
    liquid: Liquid,
    shape: ImageShape,
}

/// What the splashes are.
enum Liquid {
    /// Drops that add light, at most this much.
    Water(f64),
    /// Opaque patches with soft edges.
    Mud(Gaussian),
}

const WATER: [f64; 3] = [175.0 / 255.0, 238.0 / 255.0, 238.0 / 255.0];
const MUD: [f64; 3] = [63.0 / 255.0, 42.0 / 255.0, 20.0 / 255.0];

impl Spatter {
    /// Parameters in the original's order: mean and standard deviation of the liquid's noise, its smoothing, the threshold
    /// below which there is none, water's strength or the smoothing of mud's edges, and whether it is mud.
    pub(super) fn new(parameters: (f64, f64, f64, f64, f64, bool), shape: ImageShape) -> Self {
        let (mean, sd, sigma, threshold, strength, mud) = parameters;
        let gaussian = |sigma| Gaussian::new(sigma, 4.0, Border::Nearest);
        let liquid = if mud { Liquid::Mud(gaussian(strength)) } else { Liquid::Water(strength) };
        Self { mean, sd, smoothing: gaussian(sigma), threshold, liquid, shape }
    }
}

/// Room for the liquid's layer and what is made of it.
#[derive(Default)]
pub(super) struct SpatterScratch {
    layer: Vec<f64>,
    drops: Vec<u8>,
    filter: FilterScratch,
    water: WaterScratch,
}

impl Effect for Spatter {
    type Scratch = SpatterScratch;

    fn scratch(&self) -> Self::Scratch {
        SpatterScratch::default()
    }

    fn apply(&self, image: &[u8], out: &mut [u8], rng: &mut ChaCha8Rng, scratch: &mut Self::Scratch) {
        let SpatterScratch { layer, drops, filter, water } = scratch;
        let ImageShape { channels, height, width } = self.shape;
        layer.clear();
        layer.extend((0..height * width).map(|_| self.mean + self.sd * rng.sample::<f64, _>(StandardNormal)));
        self.smoothing.blur(layer, width, filter);
        // How much liquid covers each pixel, the share of the image that shines through, and the liquid's color.
        let (kept, color) = match &self.liquid {
            Liquid::Mud(edges) => {
                layer.iter_mut().for_each(|value| *value = f64::from(u8::from(*value > self.threshold)));
                edges.blur(layer, width, filter);
                layer.iter_mut().filter(|value| **value < 0.8).for_each(|value| *value = 0.0);
                (0.0, MUD)
            }
            Liquid::Water(strength) => {
                // The original's cast wraps around above 255.
                let drop = |&value: &f64| if value < self.threshold { 0 } else { (value * 255.0) as i32 as u8 };
                drops.clear();
                drops.extend(layer.iter().map(drop));
                let sheen = sheen(drops, width, water);
                let light = || drops.iter().zip(sheen).map(|(&drop, &sheen)| f64::from(drop) * f64::from(sheen));
                let brightest = light().fold(0.0, f64::max).max(1.0);
                layer.iter_mut().zip(light()).for_each(|(value, light)| *value = light / brightest * strength);
                (1.0, WATER)
            }
        };
        for channel in 0..channels {
            let color = if channels == 1 { gray(color[0], color[1], color[2]) } else { color[channel] };
            let start = channel * height * width;
            let pixels = out[start..].iter_mut().zip(&image[start..]).zip(&*layer);
            for ((out, &value), &liquid) in pixels {
                *out = byte(unit(value) * (1.0 - liquid * (1.0 - kept)) + liquid * color);
            }
        }
    }
}
