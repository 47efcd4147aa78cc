//! The squared error of attention's output against softmax (Fig. 4).

use burn::tensor::Device;
use rekindle_harness::Results;
use rekindle_harness::worker::{Failure, Outcome};
use rekindle_performer::{FavorConfig, Kernel, Projection};
use rekindle_shared::data::{Stream, Streams};
use serde::{Deserialize, Serialize};

use crate::attention::softmax;
use crate::vectors::inputs;

/// Inputs, each with directions of its own, of which a cell gives the median: means of trigonometric features have heavy tails.
const N_DRAWS: u64 = 15;

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Estimate {
    pub(crate) kernel: Kernel,
    pub(crate) projection: Projection,
    /// Directions.
    pub(crate) m: usize,
    /// Standard deviation of queries and keys.
    pub(crate) deviation: f32,
    pub(crate) length: usize,
    pub(crate) d: usize,
}

impl Estimate {
    pub(crate) fn run(&self, seed: u64, device: &Device) -> Result<Outcome, Failure> {
        let streams = Streams::new(seed);
        let per_direction = if self.kernel == Kernel::Positive { 1 } else { 2 };
        let mut errors = Vec::new();
        for draw in 0..N_DRAWS {
            let [query, key, value] = inputs(streams, draw, [self.length, self.d], self.deviation, device);
            let favor = FavorConfig::new(self.d)
                .with_n_features(self.m * per_direction)
                .with_kernel(self.kernel)
                .with_projection(self.projection)
                .with_eps(0.0)
                .with_seed(streams.seed_of(Stream::Method))
                .init(device)?
                .redraw(draw);
            let exact = softmax(query.clone(), key.clone(), value.clone(), false);
            let output = favor.attend(query, key, value, None)?;
            errors.push((output - exact).powi_scalar(2).mean().into_scalar::<f64>());
        }
        errors.sort_by(f64::total_cmp);
        let quantile = |share: f64| errors[((errors.len() - 1) as f64 * share).round() as usize];
        let median = quantile(0.5);
        let metrics =
            [("log_mse", median.log10()), ("mse", median), ("mse_q1", quantile(0.25)), ("mse_q3", quantile(0.75))];
        let metrics = metrics.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Ok(Outcome { results: Results { metrics, ..Results::default() }, ..Outcome::default() })
    }
}
