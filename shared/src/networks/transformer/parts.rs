//! What the transformers are made of: embeddings with positions, and linear layers behind a norm.

use burn::module::{Module, Param};
use burn::nn::{Dropout, DropoutConfig, Embedding, EmbeddingConfig, Initializer, LayerNorm, LayerNormConfig, Linear};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Int, Tensor, TensorData};
use serde::{Deserialize, Serialize};

use crate::model::Layer;
use crate::networks::NetworkError;
use crate::networks::blocks::linear;
use crate::networks::error::positive;

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

/// Refuses a size of 0, and a dropout outside of [0, 1).
pub(super) fn check(sizes: &[(&'static str, usize)], dropout: f64) -> Result<(), NetworkError> {
    sizes.iter().try_for_each(|(what, value)| positive(what, *value))?;
    if (0.0..1.0).contains(&dropout) { Ok(()) } else { Err(NetworkError::Dropout(dropout)) }
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

/// How a transformer tells places apart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Positions {
    /// A vector for each place, which is trained.
    #[default]
    Learned,
    /// Sines and cosines of the place, of wavelengths from 2π to 20,000π (Vaswani et al. 2017, §3.5), which are not trained: what a
    /// distance does is the same everywhere, and so learned sooner.
    Sinusoidal,
}

impl Positions {
    pub(super) fn init(self, max_length: usize, d_model: usize, device: &Device) -> Embedding {
        match self {
            Self::Learned => embedding(max_length, d_model, device),
            Self::Sinusoidal => {
                Embedding { weight: Param::from_tensor(sinusoids(max_length, d_model, device)).no_grad() }
            }
        }
    }
}

/// sin(t / 10000^(2i / d)) at 2i and the cosine at 2i + 1: `[length, d_model]`.
fn sinusoids(length: usize, d_model: usize, device: &Device) -> Tensor<2> {
    let value = |place: usize, at: usize| {
        let angle = place as f64 / 10_000_f64.powf((at / 2 * 2) as f64 / d_model as f64);
        if at.is_multiple_of(2) { angle.sin() } else { angle.cos() }
    };
    let values: Vec<f32> = (0..length).flat_map(|place| (0..d_model).map(move |at| value(place, at) as f32)).collect();
    Tensor::from_data(TensorData::new(values, [length, d_model]), device)
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
