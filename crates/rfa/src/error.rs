use rekindle_shared::attention::{PrefixSumsError, first_non_finite, read_back};
use rekindle_shared::state::StateFileError;
use thiserror::Error;

use burn::tensor::Tensor;

/// Why a configuration, an input or a state was refused.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum RfaError {
    /// A size is 0.
    #[error("{0} must be at least 1, got 0")]
    Zero(&'static str),
    /// An option that must be a number of at least 0 is not.
    #[error("{name} must be finite and at least 0, got {value}")]
    Negative {
        /// The option.
        name: &'static str,
        /// Its value.
        value: f64,
    },
    /// The bandwidth divides.
    #[error("tau must be finite and above 0, got {0}")]
    InvalidTau(f64),
    /// A gate has to start somewhere.
    #[error("gate_bias_init must be finite, got {0}; 2 keeps 88 % of the state")]
    InvalidGateBias(f64),
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
    /// Every head picks a matrix of its own.
    #[error("pool_size must be at least the number of heads, {n_heads}, got {pool_size}")]
    SmallPool {
        /// Matrices asked for.
        pool_size: usize,
        /// Number of heads.
        n_heads: usize,
    },
    /// Features of no random directions.
    #[error("random features need random directions; choose another projection than none")]
    Unprojected,
    /// A gate has an order of tokens to go by.
    #[error("only causal attention has a gate; set gate to false, or build the causal module")]
    GatedCross,
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
    /// NaN or an infinite value, or one that leads there.
    #[error("{0} are not all finite, or too large for f32; check the batch, and whether training has diverged")]
    NonFinite(&'static str),
    /// A beam that is none.
    #[error("a state of {batch} sequences has no number {index}; indices are below {batch}")]
    NoSuchSequence {
        /// What was asked for.
        index: usize,
        /// Sequences of the state.
        batch: usize,
    },
    /// Saved bytes are not a state of this crate.
    #[error("not a saved state: {0}")]
    InvalidState(String),
    /// A state could not be read or written.
    #[error(transparent)]
    File(#[from] StateFileError),
    /// Prefix sums were refused.
    #[error(transparent)]
    PrefixSums(#[from] PrefixSumsError),
}

impl RfaError {
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

    /// By sums, which are read back together.
    pub(crate) fn unless_finite(named: Vec<(&'static str, Tensor<1>)>) -> Result<(), Self> {
        let (names, sums): (Vec<_>, Vec<_>) = named.into_iter().unzip();
        first_non_finite(&names, &read_back(sums)).map_or(Ok(()), |name| Err(Self::NonFinite(name)))
    }
}
