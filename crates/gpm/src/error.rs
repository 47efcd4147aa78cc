use rekindle_shared::state::StateFileError;
use thiserror::Error;

/// Why a configuration, a model, inputs or a saved state were refused. The memory is as it was before.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum GpmError {
    /// A threshold is 0, negative, above 1 or NaN.
    #[error("a threshold must be above 0 and at most 1, got {0}; 1 keeps every direction that was seen")]
    InvalidThreshold(f64),
    /// The increment of the threshold is negative, infinite or NaN.
    #[error("threshold_increment must be finite and at least 0, got {0}")]
    InvalidIncrement(f64),
    /// The α of the scaled projection is negative, infinite or NaN.
    #[error("scale must be finite and at least 0, got {0}; leave it out for GPM, which is the limit of large values")]
    InvalidScale(f64),
    /// A cap leaves no room for one direction.
    #[error("{cap} is {value}, and one direction needs {least}; raise it, or leave it out for no limit")]
    CapTooSmall {
        /// Name of the setting.
        cap: &'static str,
        /// Its value.
        value: usize,
        /// The least that works.
        least: usize,
    },
    /// The model has no layer that a memory can protect.
    #[error(
        "the model has no linear layer or convolution to protect: all are excluded or frozen, or there is none; its \
         parameters are of {}", list(.0)
    )]
    NothingToProtect(Vec<String>),
    /// Weights of a kind whose inputs span no fixed space.
    #[error(
        "a memory protects linear layers and convolutions of one or two dimensions, and can't protect {}; set \
         `unprotected` to say whether such weights are frozen or free, or exclude them", list(.0)
    )]
    UnsupportedWeights(Vec<String>),
    /// Layers whose inputs were not seen.
    #[error(
        "no input was seen of {}; call these layers by `Layer::run` instead of `forward`, or exclude their weights from \
         the memory: heads of other tasks, layers that are not used", list(.0)
    )]
    Unseen(Vec<String>),
    /// The memory has no layer of this name.
    #[error("the memory has no layer {path}; it has {}", list(.known))]
    UnknownLayer {
        /// The name that was asked for.
        path: String,
        /// What there is.
        known: Vec<String>,
    },
    /// Inputs or gradients do not fit a layer.
    #[error("layer {path} has {expected} inputs for each group, got {actual}; the memory belongs to another model")]
    WrongWidth {
        /// The layer.
        path: String,
        /// Inputs of the layer by the shape of its weight.
        expected: usize,
        /// What came.
        actual: usize,
    },
    /// A layer got NaN or an infinite value.
    #[error("layer {0} got an input that is not finite; check the batch, and whether training has diverged")]
    NonFinite(String),
    /// The inputs of a layer could not be decomposed.
    #[error("the inputs of layer {0} could not be decomposed; their values are too far apart for double precision")]
    NoConvergence(String),
    /// A task was to be closed without a sample.
    #[error("a task needs at least one batch of its inputs, got none")]
    NoSamples,
    /// Saved bytes are not a state of this crate, or of another model.
    #[error("not a saved memory for this model: {0}")]
    InvalidState(String),
    /// A state could not be read or written.
    #[error(transparent)]
    File(#[from] StateFileError),
}

/// The first few names, and how many more there are.
fn list(names: &[String]) -> String {
    const SHOWN: usize = 8;
    let shown = names.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
