//! Transformers with attention of any kind.

mod block;
mod classifier;
mod cross;
mod decode;
mod decoder;
mod encoder_decoder;
mod error;
mod parts;
mod softmax;

use std::fmt::Debug;

use burn::module::{Module, ModuleDisplay};
use burn::tensor::{Bool, Device, Tensor};

pub use block::{AttentionBlock, CrossBlock};
pub use classifier::{SequenceClassifier, SequenceClassifierConfig};
pub use cross::{SoftmaxCrossAttention, SoftmaxCrossAttentionConfig, SourceKeyValues};
pub use decode::{DecodingConfig, Hypothesis, beam_search, greedy};
pub use decoder::{Decoder, DecoderConfig, DecoderState};
pub use encoder_decoder::{EncoderDecoder, EncoderDecoderConfig, EncoderDecoderState};
pub use error::{DecoderError, EncoderDecoderError};
pub use parts::{FeedForward, Positions};
pub use softmax::{KeyValues, SoftmaxAttention, SoftmaxAttentionConfig};

/// Attention of a sequence to itself, with layers of its own around it.
pub trait SelfAttention: Module + ModuleDisplay {
    /// Why an input was refused.
    type Error: std::error::Error;

    /// What each token gets from those that it may see.
    ///
    /// # Shapes
    ///
    /// - `tokens`, output: `[batch, length, d_model]`
    /// - `mask_pad`: `[batch, length]`, true at padding, which nobody sees
    ///
    /// # Errors
    ///
    /// As the attention says.
    fn attend(&self, tokens: Tensor<3>, mask_pad: Option<Tensor<2, Bool>>) -> Result<Tensor<3>, Self::Error>;
}

/// Causal attention that goes on where it stopped.
pub trait StreamingAttention: SelfAttention {
    /// What it keeps of the tokens that it saw.
    type State: Clone + Debug;

    /// A state that has seen nothing.
    ///
    /// # Errors
    ///
    /// As the attention says.
    fn init_state(&self, batch: usize, device: &Device) -> Result<Self::State, Self::Error>;

    /// What tokens that follow those of the state get from both: the same as in one call with all of them.
    ///
    /// # Shapes
    ///
    /// - `tokens`, output: `[batch, length, d_model]`, one token or more
    ///
    /// # Errors
    ///
    /// As the attention says.
    fn attend_state(&self, tokens: Tensor<3>, state: &mut Self::State) -> Result<Tensor<3>, Self::Error>;

    /// The same state, through which no gradient goes.
    fn detach_state(&self, state: Self::State) -> Self::State;

    /// The state whose row i is row `indices[i]` of `state`; rows may be left out and be there more than once.
    ///
    /// This is how a beam search goes on from its best hypotheses.
    ///
    /// # Errors
    ///
    /// As the attention says.
    ///
    /// # Panics
    ///
    /// It may, if an index is not below the batch size of the state.
    fn reorder_state(&self, state: Self::State, indices: &[usize]) -> Result<Self::State, Self::Error>;
}

/// Attention of a sequence to another one, the source, with layers of its own around it.
pub trait CrossAttention: Module + ModuleDisplay {
    /// Why an input was refused.
    type Error: std::error::Error;
    /// What it keeps of a source.
    type Source: Clone + Debug;

    /// What queries need of a source, made once for all of them.
    ///
    /// # Shapes
    ///
    /// - `memory`: `[batch, n_source, d_model]`
    /// - `mask_pad`: `[batch, n_source]`, true at padding, which nobody sees
    ///
    /// # Errors
    ///
    /// As the attention says.
    fn encode(&self, memory: Tensor<3>, mask_pad: Option<Tensor<2, Bool>>) -> Result<Self::Source, Self::Error>;

    /// What each token of the query gets from the source.
    ///
    /// # Shapes
    ///
    /// - `query`, output: `[batch, length, d_model]`
    ///
    /// # Errors
    ///
    /// As the attention says.
    fn attend(&self, query: Tensor<3>, source: &Self::Source) -> Result<Tensor<3>, Self::Error>;

    /// The source whose row i is row `indices[i]` of `source`, as [`StreamingAttention::reorder_state`] has it.
    ///
    /// # Errors
    ///
    /// As the attention says.
    ///
    /// # Panics
    ///
    /// It may, if an index is not below the batch size of the source.
    fn reorder_source(&self, source: Self::Source, indices: &[usize]) -> Result<Self::Source, Self::Error>;
}
