//! The squared error of one direction's estimate of exp(x·y), against Lemma 2.

use burn::tensor::{Device, Tensor};
use rekindle_harness::Results;
use rekindle_harness::worker::{Failure, Outcome};
use rekindle_performer::{FavorConfig, Kernel, Projection};
use rekindle_shared::data::{Stream, Streams};
use serde::{Deserialize, Serialize};

/// Directions, each an estimate of its own.
const N: usize = 100_000;

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Scores {
    pub(crate) kernel: Kernel,
    pub(crate) x: [f32; 4],
    pub(crate) y: [f32; 4],
}

impl Scores {
    /// Lemma 2 for m = 1.
    fn expected(&self) -> f64 {
        let pairs = || self.x.iter().zip(&self.y).map(|(x, y)| (f64::from(*x), f64::from(*y)));
        let softmax = pairs().map(|(x, y)| x * y).sum::<f64>().exp();
        let sum: f64 = pairs().map(|(x, y)| (x + y).powi(2)).sum();
        let difference: f64 = pairs().map(|(x, y)| (x - y).powi(2)).sum();
        let positive = sum.exp() * softmax.powi(2) * (1.0 - (-sum).exp());
        match self.kernel {
            Kernel::Trig => sum.exp() / softmax.powi(2) * (1.0 - (-difference).exp()).powi(2) / 2.0,
            Kernel::Hyperbolic => positive * (1.0 - (-sum).exp()) / 2.0,
            Kernel::Positive | Kernel::Generalized(_) => positive,
        }
    }

    pub(crate) fn run(&self, seed: u64, device: &Device) -> Result<Outcome, Failure> {
        let per_direction = if self.kernel == Kernel::Positive { 1 } else { 2 };
        let favor = FavorConfig::new(4)
            .with_n_features(N * per_direction)
            .with_kernel(self.kernel)
            .with_projection(Projection::Iid)
            .with_normalize_inputs(false)
            .with_seed(Streams::new(seed).seed_of(Stream::Method))
            .init(device)?;
        let features = |x: [f32; 4]| favor.features(Tensor::<1>::from_floats(x, device).reshape([1, 1, 1, 4]));
        let products = (features(self.x)? * features(self.y)?).reshape([per_direction, N]);
        let softmax: f64 = self.x.iter().zip(&self.y).map(|(x, y)| f64::from(x * y)).sum::<f64>().exp();
        let estimates = products.sum_dim(0).mul_scalar(N as f64).into_data();
        let errors = estimates.iter::<f64>().map(|estimate| estimate - softmax);
        let (bias, square) = errors.fold((0.0, 0.0), |(bias, square), error| (bias + error, square + error * error));
        let (mse, expected) = (square / N as f64, self.expected());
        // Where the estimate is exact the ratio is one of two roundings.
        let ratio = (expected > 1e-9).then_some(("ratio", mse / expected));
        let metrics = [("bias", bias / N as f64), ("mse", mse), ("expected", expected)].into_iter().chain(ratio);
        let metrics = metrics.map(|(name, value)| (name.to_owned(), value)).collect();
        Ok(Outcome { results: Results { metrics, ..Results::default() }, ..Outcome::default() })
    }
}
