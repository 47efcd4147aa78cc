//! Images of no thing: points near a random subspace, for tasks whose inputs span few directions.

use rand::Rng;
use rand::seq::SliceRandom;
use rand_distr::{Distribution, StandardNormal};
use rekindle_harness::worker::Failure;
use rekindle_shared::data::{ImageShape, LabeledImages, Normalization};
use serde::{Deserialize, Serialize};

pub(crate) const N_CLASSES: usize = 10;

/// x = gain · B z + noise · N(0, I), B an orthonormal basis of `rank` directions of the `side`² pixels,
/// z = m_class + 0.8 N(0, I), m_class ~ N(0, 4 I).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Latent {
    pub(crate) side: usize,
    pub(crate) rank: usize,
    pub(crate) gain: f64,
    pub(crate) noise: f64,
}

impl Latent {
    /// Pixels are bytes; this many units to either side of 0.
    fn reach(self) -> f64 {
        let dim = (self.side * self.side) as f64;
        let deviation = self.gain * (4.64 * self.rank as f64 / dim).sqrt();
        5.0 * deviation.hypot(self.noise)
    }

    /// That gives bytes back their units.
    pub(crate) fn normalization(self) -> Result<Normalization, Failure> {
        Ok(Normalization::new(vec![0.5], vec![(0.5 / self.reach()) as f32])?)
    }

    /// Two sets from one distribution, with as many images of each class.
    pub(crate) fn sample(self, sizes: [usize; 2], rng: &mut impl Rng) -> Result<[LabeledImages; 2], Failure> {
        let dim = self.side * self.side;
        let basis = orthonormal(dim, self.rank, rng);
        let means: Vec<Vec<f64>> =
            (0..N_CLASSES).map(|_| normal(self.rank, rng).into_iter().map(|value| 2.0 * value).collect()).collect();
        let reach = self.reach();
        let mut draw = |n: usize| {
            let mut labels: Vec<_> = (0..n).map(|i| i % N_CLASSES).collect();
            labels.shuffle(rng);
            let mut pixels = Vec::with_capacity(n * dim);
            for &label in &labels {
                let z: Vec<_> =
                    means[label].iter().zip(normal(self.rank, rng)).map(|(mean, e)| mean + 0.8 * e).collect();
                let noise = normal(dim, rng);
                pixels.extend((0..dim).map(|i| {
                    let inside: f64 = basis.iter().zip(&z).map(|(direction, z)| direction[i] * z).sum();
                    let value = self.gain * inside + self.noise * noise[i];
                    ((value / reach + 1.0) * 127.5).round().clamp(0.0, 255.0) as u8
                }));
            }
            let shape = ImageShape { channels: 1, height: self.side, width: self.side };
            LabeledImages::new("latent", shape, pixels, labels, N_CLASSES)
        };
        Ok([draw(sizes[0])?, draw(sizes[1])?])
    }
}

fn normal(n: usize, rng: &mut impl Rng) -> Vec<f64> {
    (0..n).map(|_| StandardNormal.sample(rng)).collect()
}

/// Gram-Schmidt on random directions.
fn orthonormal(dim: usize, rank: usize, rng: &mut impl Rng) -> Vec<Vec<f64>> {
    let mut basis: Vec<Vec<f64>> = Vec::with_capacity(rank);
    for _ in 0..rank {
        let mut direction = normal(dim, rng);
        for held in &basis {
            let dot: f64 = held.iter().zip(&direction).map(|(a, b)| a * b).sum();
            direction.iter_mut().zip(held).for_each(|(value, held)| *value -= dot * held);
        }
        let length = direction.iter().map(|value| value * value).sum::<f64>().sqrt();
        direction.iter_mut().for_each(|value| *value /= length);
        basis.push(direction);
    }
    basis
}

#[cfg(test)]
mod tests {
    use rekindle_shared::data::{Stream, Streams};

    use super::*;

    #[test]
    fn images_lie_near_a_subspace_and_keep_their_units() {
        let latent = Latent { side: 10, rank: 12, gain: 3.0, noise: 0.3 };
        let [train, test] = latent.sample([600, 300], &mut Streams::new(0).stream(Stream::Data)).unwrap();
        assert_eq!((train.len(), test.len()), (600, 300));
        assert!(train.label_counts().iter().all(|count| *count == 60));
        let outermost = train.pixels().iter().filter(|&&pixel| pixel == 0 || pixel == 255).count();
        assert!(outermost < train.pixels().len() / 1000, "{outermost} pixels are cut off");
        // E‖x‖² = gain² (4 + 0.64) rank + noise² dim, a tenth of it from the draw of the means.
        let [mean, std] = {
            let normalization = latent.normalization().unwrap();
            [normalization.mean()[0], normalization.std()[0]]
        };
        let energy: f64 =
            train.pixels().iter().map(|&pixel| f64::from((f32::from(pixel) / 255.0 - mean) / std).powi(2)).sum();
        let expected = 9.0 * 4.64 * 12.0 + 0.09 * 100.0;
        assert!((energy / 600.0 / expected - 1.0).abs() < 0.35, "{} {expected}", energy / 600.0);
    }
}
