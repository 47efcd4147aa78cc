use std::convert::Infallible;

use burn::config::Config;
use burn::module::Module;
use burn::nn::{Initializer, Linear};
use burn::tensor::module::attention;
use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{Device, Tensor};

use super::SelfAttention;
use crate::model::{Layer, initialized};
use crate::networks::NetworkError;
use crate::networks::blocks::linear;
use crate::networks::error::positive;

/// Configuration of a [`SoftmaxAttention`].
#[derive(Config, Debug)]
pub struct SoftmaxAttentionConfig {
    /// Width of the model.
    pub d_model: usize,
    /// Heads, of d_model / n_heads dimensions each.
    pub n_heads: usize,
}

/// Causal softmax attention with several heads, by Burn's own operation.
#[derive(Module, Debug)]
pub struct SoftmaxAttention {
    /// From the input to queries, keys and values.
    pub projections: [Linear; 3],
    /// From what the heads give to the output.
    pub output: Linear,
    n_heads: usize,
}

impl SoftmaxAttentionConfig {
    /// Builds the layers and draws their weights, Xavier's uniform ones.
    ///
    /// # Errors
    ///
    /// [`NetworkError`] for a size of 0 and heads that do not divide the model.
    pub fn init(&self, device: &Device) -> Result<SoftmaxAttention, NetworkError> {
        positive("d_model", self.d_model)?;
        positive("n_heads", self.n_heads)?;
        if !self.d_model.is_multiple_of(self.n_heads) {
            return Err(NetworkError::IndivisibleHeads { d_model: self.d_model, n_heads: self.n_heads });
        }
        let xavier = Initializer::XavierUniform { gain: 1.0 };
        let layer = || linear([self.d_model; 2], true, &xavier, device);
        Ok(initialized(SoftmaxAttention {
            projections: [layer(), layer(), layer()],
            output: layer(),
            n_heads: self.n_heads,
        }))
    }
}

impl SelfAttention for SoftmaxAttention {
    type Error = Infallible;

    fn attend(&self, tokens: Tensor<3>) -> Result<Tensor<3>, Infallible> {
        let [batch, length, d_model] = tokens.dims();
        let [query, key, value] = self.projections.each_ref().map(|layer| {
            let heads = [batch, length, self.n_heads, d_model / self.n_heads];
            layer.run(tokens.clone()).reshape(heads).swap_dims(1, 2)
        });
        let causal = AttentionModuleOptions { is_causal: true, ..Default::default() };
        let heads = attention(query, key, value, None, None, causal);
        Ok(self.output.run(heads.swap_dims(1, 2).reshape([batch, length, d_model])))
    }
}
