//! What the transformers are made of: embeddings with positions, and linear layers behind a norm.

use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig, Embedding, EmbeddingConfig, Initializer, LayerNorm, LayerNormConfig, Linear};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Int, Tensor, TensorData};

use crate::model::Layer;
use crate::networks::blocks::linear;

/// x + linear(relu(linear(norm(x)))).
#[derive(Module, Debug)]
pub struct FeedForward {
    /// Before the linear layers.
    pub norm: LayerNorm,
    /// To the wide layer, and back.
    pub linears: [Linear; 2],
    /// Of what is added to x.
    pub dropout: Dropout,
}

impl FeedForward {
    pub(super) fn new(d_model: usize, expansion: usize, dropout: &DropoutConfig, device: &Device) -> Self {
        let wide = expansion * d_model;
        let layer = |widths| linear(widths, true, &xavier(), device);
        Self {
            norm: layer_norm(d_model, device),
            linears: [[d_model, wide], [wide, d_model]].map(layer),
            dropout: dropout.init(),
        }
    }

    /// # Shapes
    ///
    /// - `x`, output: `[batch, length, d_model]`
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let hidden = relu(self.linears[0].run(self.norm.forward(x.clone())));
        x + self.dropout.forward(self.linears[1].run(hidden))
    }
}

/// A sequence that has more tokens than there are positions.
pub(super) struct TooLong {
    pub(super) length: usize,
    pub(super) max_length: usize,
}

/// The vectors of tokens and those of their positions, of which the first is `from`: `[batch, length, d_model]`.
pub(super) fn embed(
    [of_tokens, of_positions]: [&Embedding; 2],
    tokens: Tensor<2, Int>,
    from: usize,
) -> Result<Tensor<3>, TooLong> {
    let (length, max_length) = (from + tokens.dims()[1], of_positions.weight.dims()[0]);
    if length > max_length {
        return Err(TooLong { length, max_length });
    }
    let places = Tensor::<1, Int>::arange(from as i64..length as i64, &tokens.device()).unsqueeze::<2>();
    Ok(of_tokens.forward(tokens) + of_positions.forward(places))
}

pub(super) fn embedding(n: usize, d_model: usize, device: &Device) -> Embedding {
    let normal = Initializer::Normal { mean: 0.0, std: 0.5 };
    EmbeddingConfig::new(n, d_model).with_initializer(normal).init(device)
}

pub(super) fn layer_norm(d_model: usize, device: &Device) -> LayerNorm {
    LayerNormConfig::new(d_model).init(device)
}

pub(super) fn xavier() -> Initializer {
    Initializer::XavierUniform { gain: 1.0 }
}

pub(super) fn integers(values: &[usize], device: &Device) -> Tensor<1, Int> {
    let values: Vec<i64> = values.iter().map(|&value| value as i64).collect();
    let n = values.len();
    Tensor::from_data(TensorData::new(values, [n]), device)
}
