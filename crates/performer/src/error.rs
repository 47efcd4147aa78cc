use rekindle_shared::attention::{PrefixSumsError, first_non_finite};
use rekindle_shared::state::StateFileError;
use thiserror::Error;

/// Why a configuration, an input or a state was refused.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum PerformerError {
    /// A size is 0.
    #[error("{0} must be at least 1, got 0")]
    Zero(&'static str),
    /// A kernel that takes its features in pairs, and an odd number of them.
    #[error("{kernel} features come in pairs, got n_features = {n_features}; take {} or {}", .n_features - 1, .n_features + 1)]
    OddFeatures {
        /// The kernel.
        kernel: &'static str,
        /// Features asked for.
        n_features: usize,
    },
    /// Without a projection every coordinate is a feature.
    #[error(
        "without a projection a generalized kernel has as many features as a head has dimensions, {d_head}, got \
         n_features = {n_features}; set it to {d_head}, or choose a projection"
    )]
    UnprojectedFeatures {
        /// Dimensions of a head.
        d_head: usize,
        /// Features asked for.
        n_features: usize,
    },
    /// A kernel that estimates softmax needs random directions.
    #[error("{0} features estimate softmax by random directions; choose a projection, or a generalized kernel")]
    Unprojected(&'static str),
    /// An option that must be a number of at least 0 is not.
    #[error("{name} must be finite and at least 0, got {value}")]
    Negative {
        /// The option.
        name: &'static str,
        /// Its value.
        value: f64,
    },
    /// Dropout is no probability below 1.
    #[error("dropout must be at least 0 and below 1, got {0}")]
    InvalidDropout(f64),
    /// Heads that do not divide the model.
    #[error("n_heads must divide d_model, got {n_heads} heads and d_model = {d_model}")]
    IndivisibleHeads {
        /// Width of the model.
        d_model: usize,
        /// Number of heads.
        n_heads: usize,
    },
    /// Softmax with a 1 in its denominator.
    #[error("quiet softmax has no counterpart in linear attention; train the model with the usual softmax first")]
    QuietSoftmax,
    /// A tensor has another shape than the one beside it.
    #[error("{tensor} must be {expected}, got {actual:?}")]
    Shape {
        /// Which tensor.
        tensor: &'static str,
        /// The shape that fits.
        expected: String,
        /// The shape it has.
        actual: Vec<usize>,
    },
    /// A sequence without tokens has nothing to attend to.
    #[error("the keys have no tokens; attention needs at least one, which may be masked")]
    EmptySequence,
    /// Causal attention of queries that are not the keys' tokens.
    #[error(
        "causal attention is of a sequence with itself, got {queries} queries and {keys} keys; set causal to false"
    )]
    CausalLengths {
        /// Tokens of the queries.
        queries: usize,
        /// Tokens of the keys.
        keys: usize,
    },
    /// Streaming needs causal attention.
    #[error("a state holds what causal attention has seen; set causal to true")]
    NotCausal,
    /// NaN or an infinite value, or one that leads there.
    #[error("{0} are not all finite, or too large for f32; check the batch, and whether training has diverged")]
    NonFinite(&'static str),
    /// A sequence that the state lacks.
    #[error("the state has no sequence {index}: it has {batch}, counted from 0")]
    NoSuchSequence {
        /// What was asked for.
        index: usize,
        /// Sequences of the state.
        batch: usize,
    },
    /// Saved bytes are not a state of this crate, or of other attention.
    #[error("not a saved state: {0}")]
    InvalidState(String),
    /// A state could not be read or written.
    #[error(transparent)]
    File(#[from] StateFileError),
    /// Prefix sums were refused.
    #[error(transparent)]
    PrefixSums(#[from] PrefixSumsError),
}

impl PerformerError {
    pub(crate) fn unless_equal(tensor: &'static str, expected: &[usize], actual: &[usize]) -> Result<(), Self> {
        match expected == actual {
            true => Ok(()),
            false => Err(Self::Shape { tensor, expected: format!("{expected:?}"), actual: actual.to_vec() }),
        }
    }

    pub(crate) fn unless_positive(name: &'static str, value: usize) -> Result<(), Self> {
        if value == 0 { Err(Self::Zero(name)) } else { Ok(()) }
    }

    pub(crate) fn unless_negative(name: &'static str, value: f64) -> Result<(), Self> {
        if value >= 0.0 && value.is_finite() { Ok(()) } else { Err(Self::Negative { name, value }) }
    }

    /// By sums, in which NaN and infinities stay.
    pub(crate) fn unless_finite(names: &[&'static str], sums: &[f64]) -> Result<(), Self> {
        first_non_finite(names, sums).map_or(Ok(()), |name| Err(Self::NonFinite(name)))
    }
}
