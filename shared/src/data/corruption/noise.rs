use rand::{Rng, RngExt};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Poisson, StandardNormal};

use super::effect::{Effect, byte, unit};

/// x + N(0, sd) for every value.
pub(super) struct GaussianNoise {
    pub(super) sd: f64,
}

/// x + x · N(0, sd) for every value.
pub(super) struct SpeckleNoise {
    pub(super) sd: f64,
}

/// Every value black or white with probability `amount`, half each.
pub(super) struct ImpulseNoise {
    pub(super) amount: f64,
}

/// Poisson(x · c) / c for every value.
pub(super) struct ShotNoise {
    photons: f64,
    /// The count's distribution for each of the 256 values; none for black, which stays black.
    counts: [Option<Poisson<f64>>; 256],
}

impl ShotNoise {
    /// Noise of white as bright as `photons` photons.
    pub(super) fn new(photons: f64) -> Self {
        let counts = std::array::from_fn(|value| Poisson::new(unit(value as u8) * photons).ok());
        Self { photons, counts }
    }
}

impl Effect for GaussianNoise {
    type Scratch = ();

    fn scratch(&self) {}

    fn apply(&self, image: &[u8], out: &mut [u8], rng: &mut ChaCha8Rng, (): &mut ()) {
        for (out, &value) in out.iter_mut().zip(image) {
            *out = byte(unit(value) + self.sd * rng.sample::<f64, _>(StandardNormal));
        }
    }
}

impl Effect for SpeckleNoise {
    type Scratch = ();

    fn scratch(&self) {}

    fn apply(&self, image: &[u8], out: &mut [u8], rng: &mut ChaCha8Rng, (): &mut ()) {
        for (out, &value) in out.iter_mut().zip(image) {
            let value = unit(value);
            *out = byte(value + value * self.sd * rng.sample::<f64, _>(StandardNormal));
        }
    }
}

impl Effect for ShotNoise {
    type Scratch = ();

    fn scratch(&self) {}

    fn apply(&self, image: &[u8], out: &mut [u8], rng: &mut ChaCha8Rng, (): &mut ()) {
        for (out, &value) in out.iter_mut().zip(image) {
            let count = self.counts[usize::from(value)].as_ref().map_or(0.0, |counts| counts.sample(rng));
            *out = byte(count / self.photons);
        }
    }
}

impl Effect for ImpulseNoise {
    type Scratch = ();

    fn scratch(&self) {}

    fn apply(&self, image: &[u8], out: &mut [u8], rng: &mut ChaCha8Rng, (): &mut ()) {
        let hit = (self.amount * 2_f64.powi(32)) as u32;
        for (out, &value) in out.iter_mut().zip(image) {
            *out = match rng.next_u32() < hit {
                true if rng.random() => 255,
                true => 0,
                false => byte(unit(value)),
            };
        }
    }
}
