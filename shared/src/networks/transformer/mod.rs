//! Transformers with attention of any kind.

mod decoder;
mod softmax;

use burn::module::{Module, ModuleDisplay};
use burn::tensor::Tensor;

pub use decoder::{Decoder, DecoderBlock, DecoderConfig};
pub use softmax::{SoftmaxAttention, SoftmaxAttentionConfig};

/// Attention of a sequence to itself, with layers of its own around it.
pub trait SelfAttention: Module + ModuleDisplay {
    /// Why an input was refused.
    type Error: std::error::Error;

    /// What each token gets from those that it may see.
    ///
    /// # Shapes
    ///
    /// - `tokens`, output: `[batch, length, d_model]`
    ///
    /// # Errors
    ///
    /// As the attention says.
    fn attend(&self, tokens: Tensor<3>) -> Result<Tensor<3>, Self::Error>;
}
