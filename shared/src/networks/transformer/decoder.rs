use burn::config::Config;
use burn::module::Module;
use burn::nn::{DropoutConfig, Embedding, LayerNorm, Linear};
use burn::tensor::{Device, Int, Tensor};

use super::parts::{Positions, TooLong, check, embed, embedding, layer_norm, xavier};
use super::{AttentionBlock, DecoderError, SelfAttention, StreamingAttention};
use crate::model::{Layer, initialized};
use crate::networks::NetworkError;
use crate::networks::blocks::linear;

/// Configuration of a [`Decoder`].
#[derive(Config, Debug)]
pub struct DecoderConfig {
    /// Different tokens.
    pub n_tokens: usize,
    /// Longest sequence.
    pub max_length: usize,
    /// Width. Default 64.
    #[config(default = 64)]
    pub d_model: usize,
    /// Blocks. Default 2.
    #[config(default = 2)]
    pub n_layers: usize,
    /// Width between the two linear layers of a block, in units of `d_model`. Default 4.
    #[config(default = 4)]
    pub expansion: usize,
    /// Probability with which what a block adds is put out, element by element, while gradients are recorded. Default 0.
    #[config(default = 0.0)]
    pub dropout: f64,
    /// How it tells places apart. Default learned.
    #[config(default = "Positions::Learned")]
    pub positions: Positions,
}

/// A decoder-only transformer with attention of any kind: norms before each part of a block, ReLU.
///
/// Whether it is causal is up to its attention.
///
/// ```
/// use burn::tensor::{Device, Int, Tensor};
/// use rekindle_shared::networks::{DecoderConfig, SoftmaxAttentionConfig};
///
/// let device = Device::flex();
/// let config = DecoderConfig::new(10, 32);
/// let decoder = config.init(|_layer| SoftmaxAttentionConfig::new(64, 4).init(&device), &device)?;
/// let tokens = Tensor::<2, Int>::zeros([2, 32], &device);
/// assert_eq!(decoder.forward(tokens)?.dims(), [2, 32, 10]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Module, Debug)]
pub struct Decoder<A: Module> {
    /// Of tokens.
    pub tokens: Embedding,
    /// Of positions.
    pub positions: Embedding,
    /// In order.
    pub blocks: Vec<AttentionBlock<A>>,
    /// Before the logits.
    pub norm: LayerNorm,
    /// To the logits.
    pub head: Linear,
}

impl DecoderConfig {
    /// Builds the network, with the attention that `attention` makes for each layer, and draws its weights.
    ///
    /// # Errors
    ///
    /// Those of `attention`, and [`NetworkError`] for a size of 0 or a dropout outside of [0, 1).
    pub fn init<A: SelfAttention, E: From<NetworkError>>(
        &self,
        mut attention: impl FnMut(usize) -> Result<A, E>,
        device: &Device,
    ) -> Result<Decoder<A>, E> {
        let sizes = [
            ("n_tokens", self.n_tokens),
            ("max_length", self.max_length),
            ("d_model", self.d_model),
            ("n_layers", self.n_layers),
            ("expansion", self.expansion),
        ];
        check(&sizes, self.dropout)?;
        let (d_model, dropout) = (self.d_model, DropoutConfig::new(self.dropout));
        let block = |layer| Ok(AttentionBlock::new(attention(layer)?, d_model, self.expansion, &dropout, device));
        Ok(initialized(Decoder {
            tokens: embedding(self.n_tokens, d_model, device),
            positions: self.positions.init(self.max_length, d_model, device),
            blocks: (0..self.n_layers).map(block).collect::<Result<_, E>>()?,
            norm: layer_norm(d_model, device),
            head: linear([d_model, self.n_tokens], true, &xavier(), device),
        }))
    }
}

/// What a [`Decoder`] keeps of the tokens that it saw.
#[derive(Debug, Clone)]
pub struct DecoderState<S> {
    /// Of each layer.
    pub layers: Vec<S>,
    n_tokens: usize,
}

impl<S> DecoderState<S> {
    /// Tokens since the first position.
    pub fn n_tokens(&self) -> usize {
        self.n_tokens
    }
}

impl<A: SelfAttention> Decoder<A> {
    /// Logits of the token that each position predicts.
    ///
    /// # Shapes
    ///
    /// - `tokens`: `[batch, length]`, at most `max_length` long
    /// - output: `[batch, length, n_tokens]`
    ///
    /// # Errors
    ///
    /// [`DecoderError`] for a sequence that is too long, and those of the attention.
    pub fn forward(&self, tokens: Tensor<2, Int>) -> Result<Tensor<3>, DecoderError<A::Error>> {
        let mut x = self.embed(tokens, 0)?;
        for block in &self.blocks {
            x = block.forward(x, None)?;
        }
        Ok(self.read_out(x))
    }

    fn embed(&self, tokens: Tensor<2, Int>, from: usize) -> Result<Tensor<3>, DecoderError<A::Error>> {
        embed([&self.tokens, &self.positions], tokens, from)
            .map_err(|TooLong { length, max_length }| DecoderError::TooLong { length, max_length })
    }

    fn read_out(&self, x: Tensor<3>) -> Tensor<3> {
        self.head.run(self.norm.forward(x))
    }
}

impl<A: StreamingAttention> Decoder<A> {
    /// A state that has seen nothing.
    ///
    /// # Errors
    ///
    /// Those of the attention.
    pub fn init_state(&self, batch: usize, device: &Device) -> Result<DecoderState<A::State>, A::Error> {
        let layers = self.blocks.iter().map(|block| block.attention.init_state(batch, device));
        Ok(DecoderState { layers: layers.collect::<Result<_, _>>()?, n_tokens: 0 })
    }

    /// The state for the next segment of a text: what the tokens so far left, through which no gradient goes, with the first
    /// position for the next one.
    pub fn next_segment(&self, state: DecoderState<A::State>) -> DecoderState<A::State> {
        let layers = self.blocks.iter().zip(state.layers).map(|(block, layer)| block.attention.detach_state(layer));
        DecoderState { layers: layers.collect(), n_tokens: 0 }
    }

    /// Logits of tokens that follow those of `state`, as [`forward`](Self::forward) gives them for all together.
    ///
    /// # Shapes
    ///
    /// - `tokens`: `[batch, length]`, one or more
    /// - output: `[batch, length, n_tokens]`
    ///
    /// # Errors
    ///
    /// [`DecoderError`] for a sequence that is too long or a state of another decoder, and those of the attention. The
    /// state may then be that of some layers only: go on with a copy.
    pub fn forward_state(
        &self,
        tokens: Tensor<2, Int>,
        state: &mut DecoderState<A::State>,
    ) -> Result<Tensor<3>, DecoderError<A::Error>> {
        let (expected, actual) = (self.blocks.len(), state.layers.len());
        if actual != expected {
            return Err(DecoderError::Layers { expected, actual });
        }
        let length = tokens.dims()[1];
        let mut x = self.embed(tokens, state.n_tokens)?;
        for (block, layer) in self.blocks.iter().zip(&mut state.layers) {
            x = block.forward_state(x, layer)?;
        }
        state.n_tokens += length;
        Ok(self.read_out(x))
    }
}
