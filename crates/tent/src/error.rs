use rekindle_shared::model::StatisticsError;
use rekindle_shared::state::StateFileError;
use thiserror::Error;

/// Why a model, an option or a batch was refused. What was there before is unchanged.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum TentError {
    /// An option out of its range.
    #[error("{name} has to be {rule}, got {value}")]
    Option {
        /// The option.
        name: &'static str,
        /// Its range.
        rule: &'static str,
        /// What it was.
        value: f64,
    },
    /// Statistics with a number out of its range.
    #[error(transparent)]
    Statistics(#[from] StatisticsError),
    /// A model without norm layers.
    #[error(
        "the model has no norm layer (batch, layer, group, instance or RMS norm) to adapt, only {}: Tent changes nothing else",
        listed(layers)
    )]
    NoNormLayers {
        /// Types of the layers that it has instead, each with the path of the first.
        layers: Vec<String>,
    },
    /// A model whose norm layers have no scale or shift, or none that is not excluded.
    #[error("no norm layer has a scale or shift to adapt: {} have none or are excluded", listed(layers))]
    NothingToAdapt {
        /// Paths of the norm layers.
        layers: Vec<String>,
    },
    /// Statistics were asked of a model without batch norm.
    #[error("the model has no batch norm, whose statistics could be chosen; its norm layers are: {}", listed(layers))]
    NoBatchNorm {
        /// Paths of the norm layers that it has.
        layers: Vec<String>,
    },
    /// Mixed statistics were asked of batch norms that are called by Burn's `forward`.
    #[error(
        "batch norm {} did not take the statistics {statistics}: call it by `Layer::run`, make it an `AdaptiveBatchNorm`, \
         use source or batch statistics, or, without gradients, `NormAdaptation` with the feature `capture`",
        listed(layers)
    )]
    OutsideOfScope {
        /// Paths of the batch norms.
        layers: Vec<String>,
        /// The statistics that were asked for.
        statistics: String,
    },
    /// Mixed statistics were asked of batch norms that are called by Burn's `forward`, in a network that can't be replayed.
    #[cfg(feature = "capture")]
    #[error(transparent)]
    Replay(#[from] rekindle_shared::model::ReplayError),
    /// A batch without samples.
    #[error("a batch has to have at least one sample")]
    EmptyBatch,
    /// Logits of one class, or of none.
    #[error(
        "logits have {0} column(s): entropy needs at least 2 classes; for a sigmoid output z pass the two columns 0 and z"
    )]
    TooFewClasses(usize),
    /// Another number of classes than in the batches before.
    #[error("logits have {found} columns, those before had {expected}")]
    Classes {
        /// Columns of the first batch.
        expected: usize,
        /// Columns of this one.
        found: usize,
    },
    /// Inputs that are NaN or infinite.
    #[error("{count} value(s) of the input are NaN or infinite, the first in sample {sample}: leave such samples out")]
    NonFiniteInput {
        /// How many values.
        count: usize,
        /// The first sample that has one.
        sample: usize,
    },
    /// Logits or gradients that are NaN or infinite although the input is finite.
    #[error("{what} are NaN or infinite for a finite input: the model or the learning rate is to blame")]
    NonFinite {
        /// `logits` or `gradients`.
        what: &'static str,
    },
    /// The forward pass did not use the model that it was given.
    #[error(
        "the logits do not depend on the norm layers of the model that `forward` is given: use that model, not a captured one"
    )]
    LogitsWithoutGraph,
    /// A buffer that holds no batch.
    #[error("a buffer has to hold at least 1 sample, got 0")]
    EmptyBuffer,
    /// Bytes that are no state, or the state of another model.
    #[error("invalid Tent state: {0}")]
    InvalidState(String),
    /// A state could not be read or written.
    #[error(transparent)]
    File(#[from] StateFileError),
}

/// The first few names.
fn listed(names: &[String]) -> String {
    const SHOWN: usize = 8;
    let shown = names.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    match names.len() {
        0 => "nothing".into(),
        n if n > SHOWN => format!("{shown} and {} more", n - SHOWN),
        _ => shown,
    }
}
