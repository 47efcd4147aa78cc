//! Transformers with attention of any kind.

mod decoder;
mod error;
mod softmax;

use std::fmt::Debug;

use burn::module::{Module, ModuleDisplay};
use burn::tensor::{Bool, Device, Tensor};

pub use decoder::{Decoder, DecoderBlock, DecoderConfig, DecoderState};
pub use error::DecoderError;
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
    type State: AttentionState;

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
}

/// What attention keeps of the tokens that it saw.
pub trait AttentionState: Clone + Debug {
    /// The same state, through which no gradient goes.
    #[must_use]
    fn detach(self) -> Self;
}
