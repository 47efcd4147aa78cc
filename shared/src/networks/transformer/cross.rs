use std::convert::Infallible;

use burn::config::Config;
use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::module::attention;
use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{Bool, Device, Tensor};

use super::CrossAttention;
use super::parts::{integers, xavier};
use super::softmax::{check_heads, of_scores};
use crate::attention::{join_heads, split_heads};
use crate::model::{Layer, initialized};
use crate::networks::NetworkError;
use crate::networks::blocks::linear;

/// Configuration of a [`SoftmaxCrossAttention`].
#[derive(Config, Debug)]
pub struct SoftmaxCrossAttentionConfig {
    /// Width of the model.
    pub d_model: usize,
    /// Heads, of d_model / n_heads dimensions each.
    pub n_heads: usize,
}

/// Softmax attention to a source with several heads, by Burn's own operation.
///
/// Where all of a source is padding, its queries get the bias of `output`.
#[derive(Module, Debug)]
pub struct SoftmaxCrossAttention {
    /// From the target to queries.
    pub query: Linear,
    /// From the source to keys and values.
    pub key_value: [Linear; 2],
    /// From what the heads give to the output.
    pub output: Linear,
    n_heads: usize,
}

/// Keys and values of a source, `[batch, n_heads, n_source, d_head]` each, with what of it is padding.
#[derive(Debug, Clone)]
pub struct SourceKeyValues {
    pair: [Tensor<4>; 2],
    mask_pad: Option<Tensor<2, Bool>>,
}

impl SoftmaxCrossAttentionConfig {
    /// Builds the layers and draws their weights, Xavier's uniform ones.
    ///
    /// # Errors
    ///
    /// [`NetworkError`] for a size of 0 and heads that do not divide the model.
    pub fn init(&self, device: &Device) -> Result<SoftmaxCrossAttention, NetworkError> {
        check_heads(self.d_model, self.n_heads)?;
        let layer = || linear([self.d_model; 2], true, &xavier(), device);
        Ok(initialized(SoftmaxCrossAttention {
            query: layer(),
            key_value: [layer(), layer()],
            output: layer(),
            n_heads: self.n_heads,
        }))
    }
}

impl CrossAttention for SoftmaxCrossAttention {
    type Error = Infallible;
    type Source = SourceKeyValues;

    fn encode(&self, memory: Tensor<3>, mask_pad: Option<Tensor<2, Bool>>) -> Result<SourceKeyValues, Infallible> {
        let pair = self.key_value.each_ref().map(|layer| split_heads(layer.run(memory.clone()), self.n_heads));
        Ok(SourceKeyValues { pair, mask_pad })
    }

    fn attend(&self, query: Tensor<3>, source: &SourceKeyValues) -> Result<Tensor<3>, Infallible> {
        let length = query.dims()[1];
        let query = split_heads(self.query.run(query), self.n_heads);
        let [key, value] = source.pair.clone();
        let mask = source.mask_pad.clone().map(|mask| of_scores(mask, self.n_heads, length));
        let heads = attention(query, key, value, mask, None, AttentionModuleOptions::default());
        Ok(self.output.run(join_heads(heads)))
    }

    fn reorder_source(&self, source: SourceKeyValues, indices: &[usize]) -> Result<SourceKeyValues, Infallible> {
        let indices = integers(indices, &source.pair[0].device());
        Ok(SourceKeyValues {
            pair: source.pair.map(|tensor| tensor.select(0, indices.clone())),
            mask_pad: source.mask_pad.map(|mask| mask.select(0, indices)),
        })
    }
}
