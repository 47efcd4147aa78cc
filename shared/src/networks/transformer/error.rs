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

/// Why an encoder-decoder refused its input: `E`, `S` and `C` are the errors of its attentions.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum EncoderDecoderError<E, S, C> {
    /// The encoder's attention did.
    #[error("attention of the encoder: {0}")]
    Encoder(E),
    /// The decoder's attention to itself did.
    #[error("attention of the decoder: {0}")]
    Decoder(S),
    /// The decoder's attention to the source did.
    #[error("cross attention: {0}")]
    Cross(C),
    /// There is no position for the last token.
    #[error(
        "the {what} would be {length} tokens long, but there are positions for {max_length}: use a larger max_length"
    )]
    TooLong {
        /// Source or target.
        what: &'static str,
        /// With the tokens of the state.
        length: usize,
        /// Of the configuration.
        max_length: usize,
    },
    /// Sources, targets or masks that do not go together.
    #[error("{what} is of shape {actual:?}, expected {expected:?}")]
    Shape {
        /// What does not fit.
        what: &'static str,
        /// What it has to be.
        expected: [usize; 2],
        /// What it is.
        actual: [usize; 2],
    },
    /// A state of another number of layers.
    #[error("the state is of {actual} layers, the decoder has {expected}: use its own init_state")]
    Layers {
        /// Of the decoder.
        expected: usize,
        /// Of the state.
        actual: usize,
    },
    /// A row that the state lacks.
    #[error("the state has no row {row}: it has {batch}, counted from 0")]
    NoSuchRow {
        /// What was asked for.
        row: usize,
        /// Rows of the state.
        batch: usize,
    },
    /// A setting of the search out of its range.
    #[error("{name} has to be {rule}, got {value}")]
    Decoding {
        /// The field.
        name: &'static str,
        /// Its range.
        rule: String,
        /// What it was.
        value: f64,
    },
}
