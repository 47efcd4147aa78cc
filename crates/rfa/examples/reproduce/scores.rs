//! The squared error of scores φ(x)·φ(y) against their kernels, for pairs of unit vectors.

use std::f64::consts::PI;

use burn::tensor::{Device, Tensor};
use rekindle_harness::Results;
use rekindle_harness::worker::{Failure, Outcome};
use rekindle_rfa::{Kernel, Projection, RfaHeadsConfig};
use rekindle_shared::data::{Stream, Streams};
use serde::{Deserialize, Serialize};

use crate::vectors::{normal, of_norm};

const D: usize = 16;
/// Pairs of vectors, of random angles.
const N_PAIRS: usize = 64;
/// Matrices, each the head of its own.
const N_DRAWS: usize = 200;

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Scores {
    pub(crate) kernel: Kernel,
    pub(crate) projection: Projection,
    pub(crate) n_features: usize,
}

impl Scores {
    /// The kernel of unit vectors, and the variance of a single independent direction.
    fn exact(&self, cos: f64) -> (f64, f64) {
        let cos = cos.clamp(-1.0, 1.0);
        match self.kernel {
            Kernel::Gaussian => {
                let square = 2.0 - 2.0 * cos;
                ((-square / 2.0).exp(), (1.0 - (-square).exp()).powi(2) / 2.0)
            }
            Kernel::ArcCos => {
                let (angle, sin) = (cos.acos(), (1.0 - cos * cos).sqrt());
                let kernel = (sin + (PI - angle) * cos) / (2.0 * PI);
                // The kernel of order 2 is the mean of the squares.
                let square = (3.0 * sin * cos + (PI - angle) * (1.0 + 2.0 * cos * cos)) / (2.0 * PI);
                (kernel, square - kernel * kernel)
            }
        }
    }

    pub(crate) fn run(&self, seed: u64, device: &Device) -> Result<Outcome, Failure> {
        let streams = Streams::new(seed);
        let heads = RfaHeadsConfig::new(N_DRAWS, D)
            .with_n_features(self.n_features)
            .with_kernel(self.kernel)
            .with_projection(self.projection)
            .with_norm_eps(0.0)
            .with_pool_size(N_DRAWS)
            .with_seed(streams.seed_of(Stream::Method))
            .init(device)?;
        let vectors = |number| of_norm(1.0, normal(streams, number, [1, 1, N_PAIRS, D], device));
        // Angles from near 0 to near π: y leans towards x or away from it.
        let x = vectors(0);
        let leaning = Tensor::<1>::from_data(leanings().as_slice(), device).reshape([1, 1, N_PAIRS, 1]);
        let y = of_norm(1.0, vectors(1) + x.clone() * leaning);
        let cosines: Vec<f64> = (x.clone() * y.clone()).sum_dim(3).into_data().iter::<f64>().collect();
        let features = |x: Tensor<4>| heads.features(x.expand([1, N_DRAWS, N_PAIRS, D]));
        let estimates: Vec<f64> = (features(x)? * features(y)?).sum_dim(3).into_data().iter::<f64>().collect();

        let (mut bias, mut square, mut expected) = (0.0, 0.0, 0.0);
        for (i, estimate) in estimates.iter().enumerate() {
            let (kernel, variance) = self.exact(cosines[i % N_PAIRS]);
            bias += estimate - kernel;
            square += (estimate - kernel).powi(2);
            expected += variance / self.n_features as f64;
        }
        let n = estimates.len() as f64;
        let metrics = [
            ("mse", square / n),
            ("log_mse", (square / n).log10()),
            ("expected", expected / n),
            ("ratio", square / expected),
            ("bias", bias / n),
        ];
        let metrics = metrics.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Ok(Outcome { results: Results { metrics, ..Results::default() }, ..Outcome::default() })
    }
}

fn leanings() -> Vec<f32> {
    (0..N_PAIRS).map(|i| 6.0 * i as f32 / (N_PAIRS - 1) as f32 - 3.0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closed_forms_are_those_worked_by_hand() {
        let of = |kernel| Scores { kernel, projection: Projection::Iid, n_features: 64 };
        let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-6, "{a} is not {b}");
        for (cos, kernel, variance) in
            [(1.0, 1.0, 0.0), (0.0, 0.367_879_4, 0.373_822_5), (-1.0, 0.135_335_3, 0.481_852_1)]
        {
            let exact = of(Kernel::Gaussian).exact(cos);
            close(exact.0, kernel);
            close(exact.1, variance);
        }
        // E[relu(z)⁴] = 3/2 of a normal z.
        for (cos, kernel, variance) in [(1.0, 0.5, 1.25), (0.5, 0.304_498_9, 0.614_028_8), (-1.0, 0.0, 0.0)] {
            let exact = of(Kernel::ArcCos).exact(cos);
            close(exact.0, kernel);
            close(exact.1, variance);
        }
    }
}
