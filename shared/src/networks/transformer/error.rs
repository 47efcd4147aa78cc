use thiserror::Error;

/// Why a transformer refused its input.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DecoderError<E> {
    /// Its attention did.
    #[error(transparent)]
    Attention(#[from] E),
    /// It has no position for the last token.
    #[error(
        "the sequence would be {length} tokens long, but there are positions for {max_length}: use a larger max_length"
    )]
    TooLong {
        /// With the tokens of the state.
        length: usize,
        /// Of the configuration.
        max_length: usize,
    },
    /// A state of another number of layers.
    #[error("the state is of {actual} layers, the transformer has {expected}: use its own init_state")]
    Layers {
        /// Of the transformer.
        expected: usize,
        /// Of the state.
        actual: usize,
    },
}
