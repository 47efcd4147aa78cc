use burn::nn::BatchNorm;
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::model::fast;

/// By which mean μ and variance σ² a batch norm normalizes.
///
/// "Source" statistics are the layer's running ones, those of its training; "batch" statistics those of its input, with
/// the biased variance. Mixtures take the convex combination of the means and that of the variances. Where a gradient is taken, it flows through the
/// share of the batch.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum BatchStatistics {
    /// The running statistics, as in evaluation mode.
    Source,
    /// Those of the batch, as in training mode, but without an update of the running ones.
    Batch,
    /// (1 - α) source + α batch, α in `[0, 1]`.
    Mixture {
        /// The share of the batch.
        alpha: f64,
    },
    /// The mixture with α = B / (B + N) for a batch of B samples: the source statistics count as much as N samples
    /// (Schneider et al., NeurIPS 2020).
    Prior {
        /// N, in samples, at least 0.
        n: f64,
    },
    /// A moving average: each forward pass first sets the running statistics to (1 - m) running + m batch, then
    /// normalizes by them. It starts at the source statistics, and a layer that is called twice moves twice.
    Ema {
        /// m in `[0, 1]`, the share of the newest batch.
        momentum: f64,
    },
}

/// Why a [`BatchStatistics`] was refused.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum StatisticsError {
    /// A share outside of `[0, 1]`.
    #[error("{name} is a share and has to be from 0 to 1, got {value}")]
    Share {
        /// `alpha` or `momentum`.
        name: &'static str,
        /// What it was.
        value: f64,
    },
    /// A prior of a negative number of samples.
    #[error("a prior counts as a number of samples, finite and at least 0, got {0}")]
    Prior(f64),
}

impl BatchStatistics {
    /// The same, if its number is in range.
    ///
    /// # Errors
    ///
    /// [`StatisticsError`] for `alpha` or `momentum` outside of `[0, 1]`, or an `n` that is negative or not finite.
    pub fn validate(self) -> Result<Self, StatisticsError> {
        let share = |name, value: f64| match (0.0..=1.0).contains(&value) {
            true => Ok(self),
            false => Err(StatisticsError::Share { name, value }),
        };
        match self {
            Self::Source | Self::Batch => Ok(self),
            Self::Mixture { alpha } => share("alpha", alpha),
            Self::Ema { momentum } => share("momentum", momentum),
            Self::Prior { n } if n.is_finite() && n >= 0.0 => Ok(self),
            Self::Prior { n } => Err(StatisticsError::Prior(n)),
        }
    }

    /// Whether it is a mixture, which Burn's own `forward` of a batch norm has no mode for.
    pub fn is_mixture(self) -> bool {
        !matches!(self, Self::Source | Self::Batch)
    }

    /// The share of the batch's statistics for a batch of that many samples.
    pub(super) fn share(self, samples: usize) -> f64 {
        match self {
            Self::Source => 0.0,
            Self::Batch | Self::Prior { n: 0.0 } => 1.0,
            Self::Mixture { alpha } => alpha,
            Self::Prior { n } => samples as f64 / (samples as f64 + n),
            Self::Ema { momentum } => momentum,
        }
    }

    /// The output of `norm` for `input`, `[batch, channels, ..]`, normalized by these statistics whatever the layer's mode.
    pub(crate) fn normalize<const D: usize>(self, norm: &BatchNorm, input: Tensor<D>) -> Tensor<D> {
        let (gamma, beta, epsilon) = (norm.gamma.val(), norm.beta.val(), norm.epsilon);
        if self == Self::Batch {
            return fast::batch_norm_train(input, gamma, beta, epsilon).output;
        }
        let device = input.device();
        let running = || {
            let [mean, variance] = [norm.running_mean.value_sync(), norm.running_var.value_sync()];
            [mean.to_device(&device), variance.to_device(&device)]
        };
        let share = self.share(input.dims()[0]);
        let batch = || moments(&input, gamma.clone(), beta.clone(), epsilon);
        let [mean, variance] = mixture(share, running, batch);
        if let Self::Ema { .. } = self {
            norm.running_mean.update(mean.clone().detach());
            norm.running_var.update(variance.clone().detach());
        }
        fast::batch_norm(input, gamma, beta, mean, variance, epsilon)
    }
}

/// Mean and variance with this share of the batch's; what has no share in them is not computed.
pub(super) fn mixture(
    share: f64,
    source: impl FnOnce() -> [Tensor<1>; 2],
    batch: impl FnOnce() -> [Tensor<1>; 2],
) -> [Tensor<1>; 2] {
    let mix = |source: Tensor<1>, batch: Tensor<1>| source.mul_scalar(1.0 - share) + batch.mul_scalar(share);
    match share {
        0.0 => source(),
        1.0 => batch(),
        _ => {
            let [mean, variance] = batch();
            let [source_mean, source_variance] = source();
            [mix(source_mean, mean), mix(source_variance, variance)]
        }
    }
}

/// Mean and biased variance of each channel, `[channels]`, differentiable where `input` is part of a graph.
///
/// The rest is what a kernel asks for that computes them on the way to its output.
pub(super) fn moments<const D: usize>(
    input: &Tensor<D>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    epsilon: f64,
) -> [Tensor<1>; 2] {
    if !fast::is_tracked(input) {
        let result = fast::batch_norm_train(input.clone(), gamma.detach(), beta.detach(), epsilon);
        return [result.mean, result.variance];
    }
    let channels = input.dims()[1];
    let rows: Tensor<2> = input.clone().swap_dims(0, 1).reshape([channels as i32, -1]);
    let mean = rows.clone().mean_dim(1);
    let variance = (rows - mean.clone()).powi_scalar(2).mean_dim(1);
    [mean.reshape([channels]), variance.reshape([channels])]
}
