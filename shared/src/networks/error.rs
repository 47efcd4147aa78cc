use thiserror::Error;

/// Why a network's configuration was refused.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum NetworkError {
    /// A count or size that must be positive is zero.
    #[error("{what} must be at least 1, got 0")]
    Zero {
        /// The field.
        what: &'static str,
    },
    /// An MLP needs an input and an output width.
    #[error("an MLP needs at least 2 widths (input and output), got {0}")]
    TooFewWidths(usize),
    /// The depth does not fit the family's pattern.
    #[error("depth must be {pattern} with n at least 1, got {depth}")]
    Depth {
        /// What was asked for.
        depth: usize,
        /// Such as `6n + 2`.
        pattern: &'static str,
    },
    /// Pooling would leave nothing of the image.
    #[error(
        "images of {size:?} are too small for {n_blocks} blocks, each of which halves them: at least {least} pixels a side"
    )]
    ImageTooSmall {
        /// Height and width in pixels.
        size: [usize; 2],
        /// Number of halvings.
        n_blocks: usize,
        /// The smallest side that works.
        least: usize,
    },
    /// Heads that do not divide the model.
    #[error("n_heads must divide d_model, got {n_heads} heads and d_model = {d_model}")]
    IndivisibleHeads {
        /// Width of the model.
        d_model: usize,
        /// Number of heads.
        n_heads: usize,
    },
    /// A dropout probability outside of [0, 1).
    #[error("dropout must be at least 0 and below 1, got {0}")]
    Dropout(f64),
}

/// Refuses zero.
pub(super) fn positive(what: &'static str, value: usize) -> Result<(), NetworkError> {
    if value == 0 { Err(NetworkError::Zero { what }) } else { Ok(()) }
}
