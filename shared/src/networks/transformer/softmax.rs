use std::convert::Infallible;

use burn::config::Config;
use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::module::attention;
use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{Bool, Device, Tensor};

use super::parts::{integers, xavier};
use super::{SelfAttention, StreamingAttention};
use crate::attention::{join_heads, split_heads};
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

impl KeyValues {
    /// Bytes of the tensors.
    pub fn n_bytes(&self) -> usize {
        let pair = self.0.iter().flatten();
        pair.map(|tensor| tensor.shape().num_elements() * tensor.dtype().size()).sum()
    }
}

impl SoftmaxAttentionConfig {
    /// Builds the layers and draws their weights, Xavier's uniform ones.
    ///
    /// # Errors
    ///
    /// [`NetworkError`] for a size of 0 and heads that do not divide the model.
    pub fn init(&self, device: &Device) -> Result<SoftmaxAttention, NetworkError> {
        check_heads(self.d_model, self.n_heads)?;
        let layer = || linear([self.d_model; 2], true, &xavier(), device);
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
        self.projections.each_ref().map(|layer| split_heads(layer.run(tokens.clone()), self.n_heads))
    }

    fn combine(&self, heads: Tensor<4>) -> Tensor<3> {
        self.output.run(join_heads(heads))
    }

    fn options(&self) -> AttentionModuleOptions {
        AttentionModuleOptions { is_causal: self.causal, ..Default::default() }
    }
}

impl SelfAttention for SoftmaxAttention {
    type Error = Infallible;

    fn attend(&self, tokens: Tensor<3>, mask_pad: Option<Tensor<2, Bool>>) -> Result<Tensor<3>, Infallible> {
        let length = tokens.dims()[1];
        let [query, key, value] = self.project(tokens);
        let mask = mask_pad.map(|mask| of_scores(mask, self.n_heads, length));
        Ok(self.combine(attention(query, key, value, mask, None, self.options())))
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

    fn detach_state(&self, state: KeyValues) -> KeyValues {
        KeyValues(state.0.map(|pair| pair.map(Tensor::detach)))
    }

    fn reorder_state(&self, state: KeyValues, indices: &[usize]) -> Result<KeyValues, Infallible> {
        Ok(KeyValues(state.0.map(|pair| {
            let indices = integers(indices, &pair[0].device());
            pair.map(|tensor| tensor.select(0, indices.clone()))
        })))
    }
}

pub(super) fn check_heads(d_model: usize, n_heads: usize) -> Result<(), NetworkError> {
    positive("d_model", d_model)?;
    positive("n_heads", n_heads)?;
    match d_model.is_multiple_of(n_heads) {
        true => Ok(()),
        false => Err(NetworkError::IndivisibleHeads { d_model, n_heads }),
    }
}

/// A mask of keys, `[batch, n_keys]`, as one of scores: `[batch, n_heads, n_queries, n_keys]`.
pub(super) fn of_scores(mask: Tensor<2, Bool>, n_heads: usize, n_queries: usize) -> Tensor<4, Bool> {
    let [batch, n_keys] = mask.dims();
    mask.reshape([batch, 1, 1, n_keys]).expand([batch, n_heads, n_queries, n_keys])
}
