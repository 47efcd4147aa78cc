use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

/// What [`Tent::adapt`](crate::Tent::adapt) returns for a batch.
#[derive(Debug, Clone)]
pub struct Adapted {
    /// `[rows, n_classes]`, as `forward` returned them, below autodiff.
    pub logits: Tensor<2>,
    /// What happened.
    pub report: Report,
}

/// What happened to a batch. Everything in it costs one read of the device a step.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Report {
    /// Whether and why the batch was learned from.
    pub outcome: Outcome,
    /// Samples in the batch.
    pub batch_size: usize,
    /// Mean entropy of the first forward pass, in nats.
    pub entropy: f64,
    /// Share of the rows of the first forward pass that were learned from; 0 without an update.
    pub kept: f64,
    /// L2 norm of the gradient over all adapted parameters in the first step; none without an update.
    pub gradient_norm: Option<f64>,
    /// Diversity of the predictions returned, with those before, in `[0, 1]`: see [`Collapse`](crate::Collapse).
    pub diversity: f64,
}

/// Whether a batch was learned from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// Parameters were updated.
    Updated,
    /// Fewer samples than `min_batch`: predicted as [`SmallBatch`](crate::SmallBatch) says.
    SmallBatch,
    /// No sample passed the filter: predicted without an update.
    Filtered,
    /// The predictions had collapsed: the [`Fallback`](crate::Fallback) was taken.
    Collapsed,
    /// After a collapse with [`Fallback::Stop`](crate::Fallback::Stop): predicted without an update.
    Stopped,
}

/// Counts since the beginning. A reset does not set them back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Totals {
    /// Batches.
    pub batches: u64,
    /// Samples in them.
    pub samples: u64,
    /// Steps of the optimizer.
    pub updates: u64,
    /// Batches below `min_batch`.
    pub small_batches: u64,
    /// Samples in those.
    pub small_batch_samples: u64,
    /// Batches of which no sample passed the filter.
    pub filtered_batches: u64,
    /// Collapses.
    pub collapses: u64,
    /// Returns to the source model, those after a collapse and those of episodes included.
    pub resets: u64,
}
