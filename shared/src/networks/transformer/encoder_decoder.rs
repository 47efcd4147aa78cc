use burn::config::Config;
use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig, Embedding, LayerNorm, Linear};
use burn::tensor::{Bool, Device, Int, Tensor};

use super::block::BlockError;
use super::parts::{Positions, TooLong, check, embed, embedding, layer_norm, xavier};
use super::{AttentionBlock, CrossAttention, CrossBlock, EncoderDecoderError, SelfAttention, StreamingAttention};
use crate::model::{Layer, initialized};
use crate::networks::NetworkError;
use crate::networks::blocks::linear;

/// Configuration of an [`EncoderDecoder`].
#[derive(Config, Debug)]
pub struct EncoderDecoderConfig {
    /// Different tokens of the source.
    pub n_source_tokens: usize,
    /// Different tokens of the target.
    pub n_target_tokens: usize,
    /// Longest source, and longest target.
    pub max_length: usize,
    /// Width. Default 64.
    #[config(default = 64)]
    pub d_model: usize,
    /// Blocks of the encoder. Default 2.
    #[config(default = 2)]
    pub n_encoder_layers: usize,
    /// Blocks of the decoder. Default 2.
    #[config(default = 2)]
    pub n_decoder_layers: usize,
    /// Width between the two linear layers of a block, in units of `d_model`. Default 4.
    #[config(default = 4)]
    pub expansion: usize,
    /// Probability of dropping a value of the embeddings, and of what a part of a block adds, on autodiff devices alone.
    /// Default 0.
    #[config(default = 0.0)]
    pub dropout: f64,
    /// Whether the logits are products with the vectors of the target's tokens, divided by √d_model, in place of a
    /// layer of their own. Default no.
    #[config(default = false)]
    pub tied: bool,
    /// How it tells places apart. Default learned.
    #[config(default = "Positions::Learned")]
    pub positions: Positions,
}

/// An encoder-decoder transformer with attention of any kind in its three places: `E` in the encoder, `S` from the
/// target to itself, `C` from the target to the source. Norms before each part of a block, ReLU.
///
/// It is causal where `S` is. Sources and targets of a batch may differ in length: fill them up at their ends, and say
/// by `mask_pad` what of the sources is padding. That of targets needs no mask: no token before it sees it.
///
/// ```
/// use burn::tensor::{Device, Int, Tensor};
/// use rekindle_shared::networks::{EncoderDecoderConfig, SoftmaxAttentionConfig, SoftmaxCrossAttentionConfig};
///
/// let device = Device::flex();
/// let config = EncoderDecoderConfig::new(10, 12, 32);
/// let model = config.init(
///     |_layer| SoftmaxAttentionConfig::new(64, 4).with_causal(false).init(&device),
///     |_layer| SoftmaxAttentionConfig::new(64, 4).init(&device),
///     |_layer| SoftmaxCrossAttentionConfig::new(64, 4).init(&device),
///     &device,
/// )?;
/// let source = Tensor::<2, Int>::zeros([2, 7], &device);
/// let target = Tensor::<2, Int>::zeros([2, 5], &device);
/// assert_eq!(model.forward(source, None, target)?.dims(), [2, 5, 12]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Module, Debug)]
pub struct EncoderDecoder<E: Module, S: Module, C: Module> {
    /// Of the source's tokens.
    pub source_tokens: Embedding,
    /// Of the source's positions.
    pub source_positions: Embedding,
    /// In order.
    pub encoder: Vec<AttentionBlock<E>>,
    /// Of what the decoder sees.
    pub encoder_norm: LayerNorm,
    /// Of the target's tokens.
    pub target_tokens: Embedding,
    /// Of the target's positions.
    pub target_positions: Embedding,
    /// In order.
    pub decoder: Vec<CrossBlock<S, C>>,
    /// Before the logits.
    pub decoder_norm: LayerNorm,
    /// To the logits; none where they are tied to the vectors of the target's tokens.
    pub head: Option<Linear>,
    /// Of the embeddings.
    pub dropout: Dropout,
}

/// What an [`EncoderDecoder`] keeps while it decodes: `S` of the target's tokens, and `C` of the source, of each layer.
#[derive(Debug, Clone)]
pub struct EncoderDecoderState<S, C> {
    layers: Vec<(S, C)>,
    batch: usize,
    n_tokens: usize,
}

impl<S, C> EncoderDecoderState<S, C> {
    /// Tokens of the target that were seen.
    pub fn n_tokens(&self) -> usize {
        self.n_tokens
    }

    /// Rows.
    pub fn batch(&self) -> usize {
        self.batch
    }
}

/// The errors of an [`EncoderDecoder`] with these attentions.
pub(super) type ErrorOf<E, S, C> =
    EncoderDecoderError<<E as SelfAttention>::Error, <S as SelfAttention>::Error, <C as CrossAttention>::Error>;
/// The state of an [`EncoderDecoder`] with these attentions.
pub(super) type StateOf<S, C> = EncoderDecoderState<<S as StreamingAttention>::State, <C as CrossAttention>::Source>;

impl EncoderDecoderConfig {
    /// Builds the network, with the attentions that `encoder`, `decoder` and `cross` make for each layer, and draws its
    /// weights.
    ///
    /// # Errors
    ///
    /// Those of the attentions, and [`NetworkError`] for a size of 0 or a dropout outside of [0, 1).
    pub fn init<E: SelfAttention, S: SelfAttention, C: CrossAttention, X: From<NetworkError>>(
        &self,
        mut encoder: impl FnMut(usize) -> Result<E, X>,
        mut decoder: impl FnMut(usize) -> Result<S, X>,
        mut cross: impl FnMut(usize) -> Result<C, X>,
        device: &Device,
    ) -> Result<EncoderDecoder<E, S, C>, X> {
        let sizes = [
            ("n_source_tokens", self.n_source_tokens),
            ("n_target_tokens", self.n_target_tokens),
            ("max_length", self.max_length),
            ("d_model", self.d_model),
            ("n_encoder_layers", self.n_encoder_layers),
            ("n_decoder_layers", self.n_decoder_layers),
            ("expansion", self.expansion),
        ];
        check(&sizes, self.dropout)?;
        let (d_model, dropout) = (self.d_model, DropoutConfig::new(self.dropout));
        let encoder = (0..self.n_encoder_layers)
            .map(|layer| Ok(AttentionBlock::new(encoder(layer)?, d_model, self.expansion, &dropout, device)));
        let decoder = (0..self.n_decoder_layers).map(|layer| {
            let attentions = (decoder(layer)?, cross(layer)?);
            Ok(CrossBlock::new(attentions, d_model, self.expansion, &dropout, device))
        });
        let head = || linear([d_model, self.n_target_tokens], true, &xavier(), device);
        Ok(initialized(EncoderDecoder {
            source_tokens: embedding(self.n_source_tokens, d_model, device),
            source_positions: self.positions.init(self.max_length, d_model, device),
            encoder: encoder.collect::<Result<_, X>>()?,
            encoder_norm: layer_norm(d_model, device),
            target_tokens: embedding(self.n_target_tokens, d_model, device),
            target_positions: self.positions.init(self.max_length, d_model, device),
            decoder: decoder.collect::<Result<_, X>>()?,
            decoder_norm: layer_norm(d_model, device),
            head: (!self.tied).then(head),
            dropout: dropout.init(),
        }))
    }
}

impl<E: SelfAttention, S: SelfAttention, C: CrossAttention> EncoderDecoder<E, S, C> {
    /// Logits of the token that follows each of the target's, all of which are known (teacher forcing).
    ///
    /// # Shapes
    ///
    /// - `source`: `[batch, n_source]`; `target`: `[batch, length]`: each at most `max_length` long
    /// - `mask_pad`: `[batch, n_source]`, true at the source's padding
    /// - output: `[batch, length, n_target_tokens]`
    ///
    /// # Errors
    ///
    /// [`EncoderDecoderError`] for a sequence that is too long or shapes that do not fit, and those of the attentions.
    pub fn forward(
        &self,
        source: Tensor<2, Int>,
        mask_pad: Option<Tensor<2, Bool>>,
        target: Tensor<2, Int>,
    ) -> Result<Tensor<3>, ErrorOf<E, S, C>> {
        let memory = self.encode(source, mask_pad.clone())?;
        let [batch, length] = target.dims();
        fits("the target", [memory.dims()[0], length], [batch, length])?;
        let mut x = self.embed_target(target, 0)?;
        for block in &self.decoder {
            let source = block.cross.encode(memory.clone(), mask_pad.clone()).map_err(EncoderDecoderError::Cross)?;
            x = block.forward(x, &source)?;
        }
        Ok(self.read_out(x))
    }

    /// What the decoder sees of sources.
    ///
    /// # Shapes
    ///
    /// - `source`, `mask_pad`: `[batch, n_source]`, true at padding
    /// - output: `[batch, n_source, d_model]`
    ///
    /// # Errors
    ///
    /// As [`forward`](Self::forward).
    pub fn encode(
        &self,
        source: Tensor<2, Int>,
        mask_pad: Option<Tensor<2, Bool>>,
    ) -> Result<Tensor<3>, ErrorOf<E, S, C>> {
        if let Some(mask) = &mask_pad {
            fits("mask_pad", source.dims(), mask.dims())?;
        }
        let embedded = embed([&self.source_tokens, &self.source_positions], source, 0).map_err(too_long("source"))?;
        let mut x = self.dropout.forward(embedded);
        for block in &self.encoder {
            x = block.forward(x, mask_pad.clone()).map_err(EncoderDecoderError::Encoder)?;
        }
        Ok(self.encoder_norm.forward(x))
    }

    /// Different tokens of the target.
    pub fn n_target_tokens(&self) -> usize {
        self.target_tokens.weight.dims()[0]
    }

    /// Longest target.
    pub fn max_length(&self) -> usize {
        self.target_positions.weight.dims()[0]
    }

    fn embed_target(&self, target: Tensor<2, Int>, from: usize) -> Result<Tensor<3>, ErrorOf<E, S, C>> {
        let embedded = embed([&self.target_tokens, &self.target_positions], target, from);
        Ok(self.dropout.forward(embedded.map_err(too_long("target"))?))
    }

    fn read_out(&self, x: Tensor<3>) -> Tensor<3> {
        let x = self.decoder_norm.forward(x);
        let Some(head) = &self.head else {
            let [batch, length, d_model] = x.dims();
            let vectors = self.target_tokens.weight.val().transpose();
            let logits = x.reshape([batch * length, d_model]).div_scalar((d_model as f64).sqrt()).matmul(vectors);
            return logits.reshape([batch, length, self.n_target_tokens()]);
        };
        head.run(x)
    }
}

impl<E: SelfAttention, S: StreamingAttention, C: CrossAttention> EncoderDecoder<E, S, C> {
    /// A state for these sources that has seen no token of a target.
    ///
    /// # Shapes
    ///
    /// - `memory`: `[batch, n_source, d_model]`, from [`encode`](Self::encode)
    /// - `mask_pad`: `[batch, n_source]`, true at padding
    ///
    /// # Errors
    ///
    /// [`EncoderDecoderError::Shape`] for a mask that does not fit, and those of the attentions.
    pub fn init_state(
        &self,
        memory: Tensor<3>,
        mask_pad: Option<Tensor<2, Bool>>,
    ) -> Result<StateOf<S, C>, ErrorOf<E, S, C>> {
        let [batch, n_source, _] = memory.dims();
        if let Some(mask) = &mask_pad {
            fits("mask_pad", [batch, n_source], mask.dims())?;
        }
        let layer = |block: &CrossBlock<S, C>| {
            let state = block.attention.init_state(batch, &memory.device()).map_err(EncoderDecoderError::Decoder)?;
            let source = block.cross.encode(memory.clone(), mask_pad.clone()).map_err(EncoderDecoderError::Cross)?;
            Ok::<_, ErrorOf<E, S, C>>((state, source))
        };
        Ok(EncoderDecoderState {
            layers: self.decoder.iter().map(layer).collect::<Result<_, _>>()?,
            batch,
            n_tokens: 0,
        })
    }

    /// Logits of the tokens that follow `target`, which itself follows the tokens of `state`, as
    /// [`forward`](Self::forward) gives them for all together.
    ///
    /// # Shapes
    ///
    /// - `target`: `[batch, length]`, one or more
    /// - output: `[batch, length, n_target_tokens]`
    ///
    /// # Errors
    ///
    /// As [`forward`](Self::forward), and [`EncoderDecoderError::Layers`] for a state of another decoder. The state may
    /// then be that of some layers only: go on with a copy.
    pub fn forward_state(
        &self,
        target: Tensor<2, Int>,
        state: &mut StateOf<S, C>,
    ) -> Result<Tensor<3>, ErrorOf<E, S, C>> {
        self.check_layers(state)?;
        let [batch, length] = target.dims();
        fits("the target", [state.batch, length], [batch, length])?;
        let mut x = self.embed_target(target, state.n_tokens)?;
        for (block, (layer, source)) in self.decoder.iter().zip(&mut state.layers) {
            x = block.forward_state(x, source, layer)?;
        }
        state.n_tokens += length;
        Ok(self.read_out(x))
    }

    /// The state whose row i is row `indices[i]` of `state`; rows may be left out and be there more than once.
    ///
    /// # Errors
    ///
    /// [`EncoderDecoderError::NoSuchRow`] for an index that is not below the batch size of the state,
    /// [`EncoderDecoderError::Layers`] for a state of another decoder, and those of the attentions.
    pub fn reorder_state(&self, state: StateOf<S, C>, indices: &[usize]) -> Result<StateOf<S, C>, ErrorOf<E, S, C>> {
        self.check_layers(&state)?;
        if let Some(&row) = indices.iter().find(|&&row| row >= state.batch) {
            return Err(EncoderDecoderError::NoSuchRow { row, batch: state.batch });
        }
        let layer = |(block, (layer, source)): (&CrossBlock<S, C>, _)| {
            let layer = block.attention.reorder_state(layer, indices).map_err(EncoderDecoderError::Decoder)?;
            let source = block.cross.reorder_source(source, indices).map_err(EncoderDecoderError::Cross)?;
            Ok::<_, ErrorOf<E, S, C>>((layer, source))
        };
        let layers = self.decoder.iter().zip(state.layers).map(layer).collect::<Result<_, _>>()?;
        Ok(EncoderDecoderState { layers, batch: indices.len(), n_tokens: state.n_tokens })
    }

    fn check_layers(&self, state: &StateOf<S, C>) -> Result<(), ErrorOf<E, S, C>> {
        let (expected, actual) = (self.decoder.len(), state.layers.len());
        match actual == expected {
            true => Ok(()),
            false => Err(EncoderDecoderError::Layers { expected, actual }),
        }
    }
}

impl<E, S, C> From<BlockError<S, C>> for EncoderDecoderError<E, S, C> {
    fn from(error: BlockError<S, C>) -> Self {
        match error {
            BlockError::Decoder(error) => Self::Decoder(error),
            BlockError::Cross(error) => Self::Cross(error),
        }
    }
}

fn too_long<E, S, C>(what: &'static str) -> impl Fn(TooLong) -> EncoderDecoderError<E, S, C> {
    move |TooLong { length, max_length }| EncoderDecoderError::TooLong { what, length, max_length }
}

fn fits<E, S, C>(
    what: &'static str,
    expected: [usize; 2],
    actual: [usize; 2],
) -> Result<(), EncoderDecoderError<E, S, C>> {
    match actual == expected {
        true => Ok(()),
        false => Err(EncoderDecoderError::Shape { what, expected, actual }),
    }
}
