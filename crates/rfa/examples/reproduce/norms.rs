//! Why queries and keys get length one: the variance of the estimate of exp(x·y) grows like exp(2|x|²) with their length.

use burn::tensor::module::attention;
use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{Device, Tensor};
use rekindle_harness::Results;
use rekindle_harness::worker::{Failure, Outcome};
use rekindle_rfa::{Projection, RfaHeads, RfaHeadsConfig};
use rekindle_shared::data::{Stream, Streams};
use serde::{Deserialize, Serialize};

use crate::vectors::{inputs, of_norm};

const D: usize = 16;
const LENGTH: usize = 128;
/// Matrices, each the head of its own.
const N_DRAWS: usize = 50;
const N_FEATURES: usize = 64;

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Norms {
    /// |x| of queries and keys as they come.
    pub(crate) norm: f64,
    pub(crate) normalize: bool,
}

impl Norms {
    pub(crate) fn run(&self, seed: u64, device: &Device) -> Result<Outcome, Failure> {
        let streams = Streams::new(seed);
        let heads = RfaHeadsConfig::new(N_DRAWS, D)
            .with_n_features(N_FEATURES)
            .with_projection(Projection::Iid)
            .with_normalize_qk(self.normalize)
            .with_norm_eps(0.0)
            .with_pool_size(N_DRAWS)
            .with_seed(streams.seed_of(Stream::Method))
            .init(device)?;
        // The norm that features see.
        let seen = if self.normalize { 1.0 } else { self.norm };
        let variance = self.variance(&heads, seen, device)?;
        let expected = (2.0 * seen * seen).exp() * (1.0 - (-2.0 * seen * seen).exp()).powi(2) / (2 * N_FEATURES) as f64;

        let [query, key, value] = inputs(streams, [1, LENGTH, D], device);
        let (query, key) = (of_norm(self.norm, query), of_norm(self.norm, key));
        let in_heads = |x: &Tensor<4>| x.clone().expand([1, N_DRAWS, LENGTH, D]);
        let output = heads.attend(in_heads(&query), in_heads(&key), in_heads(&value), None)?;
        let options = AttentionModuleOptions { scale: Some(1.0), ..Default::default() };
        let exact = attention(of_norm(seen, query), of_norm(seen, key), value, None, None, options);
        let mse = (output - in_heads(&exact)).powi_scalar(2).mean_dim(2).mean_dim(3);
        let mut errors: Vec<f64> = mse.into_data().iter::<f64>().collect();
        errors.sort_by(f64::total_cmp);
        let metrics = [
            ("log_variance", variance.log10()),
            ("log_expected", expected.log10()),
            ("log_ratio", (variance / expected).log10()),
            // Means have heavy tails, as denominators cross zero.
            ("output_mse", errors[N_DRAWS / 2]),
            ("log_output_mse", errors[N_DRAWS / 2].log10()),
        ];
        let metrics = metrics.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Ok(Outcome { results: Results { metrics, ..Results::default() }, ..Outcome::default() })
    }

    /// Of the estimate of exp(x·y) for orthogonal x and y: exp(|x|²) φ(x)·φ(y).
    fn variance(&self, heads: &RfaHeads, seen: f64, device: &Device) -> Result<f64, Failure> {
        // All pairs of different axes, each an estimate of its own for every head.
        let axes = Tensor::<2>::eye(D, device).unsqueeze::<4>().mul_scalar(self.norm);
        let features = heads.features(axes.expand([1, N_DRAWS, D, D]))?;
        let scores = features.clone().matmul(features.transpose()).mul_scalar((seen * seen).exp());
        let scores: Vec<f64> = scores.into_data().iter::<f64>().collect();
        let off_diagonal = |i: &usize| i % (D * D) / D != i % D;
        let errors = (0..scores.len()).filter(off_diagonal).map(|i| (scores[i] - 1.0).powi(2));
        Ok(errors.sum::<f64>() / (N_DRAWS * D * (D - 1)) as f64)
    }
}
