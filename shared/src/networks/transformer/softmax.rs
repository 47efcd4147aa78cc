use std::convert::Infallible;

use burn::config::Config;
use burn::module::Module;
use burn::nn::{Initializer, Linear};
use burn::tensor::module::attention;
use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{Bool, Device, Tensor};

use super::{AttentionState, SelfAttention, StreamingAttention};
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
    /// Whether token t sees the tokens up to t alone. Default yes.
    #[config(default = true)]
    pub causal: bool,
}

/// Softmax attention with several heads, by Burn's own operation.
#[derive(Module, Debug)]
pub struct SoftmaxAttention {
    /// From the input to queries, keys and values.
    pub projections: [Linear; 3],
    /// From what the heads give to the output.
    pub output: Linear,
    n_heads: usize,
    causal: bool,
}

/// Keys and values of the tokens seen: `[batch, n_heads, n_tokens, d_head]` each, none before the first token.
#[derive(Debug, Clone, Default)]
pub struct KeyValues(Option<[Tensor<4>; 2]>);

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
            causal: self.causal,
        }))
    }
}

impl SoftmaxAttention {
    /// Queries, keys and values: `[batch, n_heads, length, d_head]`.
    fn project(&self, tokens: Tensor<3>) -> [Tensor<4>; 3] {
        let [batch, length, d_model] = tokens.dims();
        self.projections.each_ref().map(|layer| {
            let heads = [batch, length, self.n_heads, d_model / self.n_heads];
            layer.run(tokens.clone()).reshape(heads).swap_dims(1, 2)
        })
    }

    fn combine(&self, heads: Tensor<4>) -> Tensor<3> {
        let [batch, n_heads, length, width] = heads.dims();
        self.output.run(heads.swap_dims(1, 2).reshape([batch, length, n_heads * width]))
    }

    fn options(&self) -> AttentionModuleOptions {
        AttentionModuleOptions { is_causal: self.causal, ..Default::default() }
    }
}

impl SelfAttention for SoftmaxAttention {
    type Error = Infallible;

    fn attend(&self, tokens: Tensor<3>, mask_pad: Option<Tensor<2, Bool>>) -> Result<Tensor<3>, Infallible> {
        let [batch, length, _] = tokens.dims();
        let [query, key, value] = self.project(tokens);
        let mask =
            mask_pad.map(|mask| mask.reshape([batch, 1, 1, length]).expand([batch, self.n_heads, length, length]));
        Ok(self.combine(attention(query, key, value, mask, None, self.options())))
    }
}

impl AttentionState for KeyValues {
    fn detach(self) -> Self {
        Self(self.0.map(|keys_values| keys_values.map(Tensor::detach)))
    }
}

/// For causal attention; without, a token sees those that came later in its own call.
impl StreamingAttention for SoftmaxAttention {
    type State = KeyValues;

    fn init_state(&self, _batch: usize, _device: &Device) -> Result<KeyValues, Infallible> {
        Ok(KeyValues::default())
    }

    fn attend_state(&self, tokens: Tensor<3>, state: &mut KeyValues) -> Result<Tensor<3>, Infallible> {
        let [query, key, value] = self.project(tokens);
        let [keys, values] = match state.0.take() {
            None => [key, value],
            Some([keys, values]) => [Tensor::cat(vec![keys, key], 2), Tensor::cat(vec![values, value], 2)],
        };
        state.0 = Some([keys.clone(), values.clone()]);
        // The causal mask is that of the last queries.
        Ok(self.combine(attention(query, keys, values, None, None, self.options())))
    }
}
