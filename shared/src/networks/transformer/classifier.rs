use burn::config::Config;
use burn::module::Module;
use burn::nn::{DropoutConfig, Embedding, LayerNorm, Linear};
use burn::tensor::{Bool, Device, Int, Tensor};

use super::parts::{Positions, TooLong, check, embed, embedding, layer_norm, xavier};
use super::{AttentionBlock, DecoderError, SelfAttention};
use crate::model::{Layer, initialized};
use crate::networks::NetworkError;
use crate::networks::blocks::linear;

/// Configuration of a [`SequenceClassifier`].
#[derive(Config, Debug)]
pub struct SequenceClassifierConfig {
    /// Different tokens.
    pub n_tokens: usize,
    /// Longest sequence.
    pub max_length: usize,
    /// Classes.
    pub n_classes: usize,
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

/// A transformer that sees a whole sequence and tells its class by the mean of its tokens, with attention of any kind: norms
/// before each part of a block, ReLU.
///
/// ```
/// use burn::tensor::{Device, Int, Tensor};
/// use rekindle_shared::networks::{SequenceClassifierConfig, SoftmaxAttentionConfig};
///
/// let device = Device::flex();
/// let attention = |_layer| SoftmaxAttentionConfig::new(64, 4).with_causal(false).init(&device);
/// let classifier = SequenceClassifierConfig::new(256, 32, 10).init(attention, &device)?;
/// let bytes = Tensor::<2, Int>::zeros([2, 32], &device);
/// assert_eq!(classifier.forward(bytes, None)?.dims(), [2, 10]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Module, Debug)]
pub struct SequenceClassifier<A: Module> {
    /// Of tokens.
    pub tokens: Embedding,
    /// Of positions.
    pub positions: Embedding,
    /// In order.
    pub blocks: Vec<AttentionBlock<A>>,
    /// Before the mean.
    pub norm: LayerNorm,
    /// To the logits.
    pub head: Linear,
}

impl SequenceClassifierConfig {
    /// Builds the network, with the attention that `attention` makes for each layer, and draws its weights.
    ///
    /// # Errors
    ///
    /// Those of `attention`, and [`NetworkError`] for a size of 0 or a dropout outside of [0, 1).
    pub fn init<A: SelfAttention, E: From<NetworkError>>(
        &self,
        mut attention: impl FnMut(usize) -> Result<A, E>,
        device: &Device,
    ) -> Result<SequenceClassifier<A>, E> {
        let sizes = [
            ("n_tokens", self.n_tokens),
            ("max_length", self.max_length),
            ("n_classes", self.n_classes),
            ("d_model", self.d_model),
            ("n_layers", self.n_layers),
            ("expansion", self.expansion),
        ];
        check(&sizes, self.dropout)?;
        let (d_model, dropout) = (self.d_model, DropoutConfig::new(self.dropout));
        let block = |layer| Ok(AttentionBlock::new(attention(layer)?, d_model, self.expansion, &dropout, device));
        Ok(initialized(SequenceClassifier {
            tokens: embedding(self.n_tokens, d_model, device),
            positions: self.positions.init(self.max_length, d_model, device),
            blocks: (0..self.n_layers).map(block).collect::<Result<_, E>>()?,
            norm: layer_norm(d_model, device),
            head: linear([d_model, self.n_classes], true, &xavier(), device),
        }))
    }
}

impl<A: SelfAttention> SequenceClassifier<A> {
    /// Logits of the classes.
    ///
    /// # Shapes
    ///
    /// - `tokens`: `[batch, length]`, at most `max_length` long
    /// - `mask_pad`: `[batch, length]`, true at padding, which counts for nothing; a sequence of padding alone is a mean of zeros
    /// - output: `[batch, n_classes]`
    ///
    /// # Errors
    ///
    /// [`DecoderError`] for a sequence that is too long, and those of the attention.
    pub fn forward(
        &self,
        tokens: Tensor<2, Int>,
        mask_pad: Option<Tensor<2, Bool>>,
    ) -> Result<Tensor<2>, DecoderError<A::Error>> {
        let mut x = embed([&self.tokens, &self.positions], tokens, 0)
            .map_err(|TooLong { length, max_length }| DecoderError::TooLong { length, max_length })?;
        for block in &self.blocks {
            x = block.forward(x, mask_pad.clone())?;
        }
        let x = self.norm.forward(x);
        let mean = match mask_pad {
            None => x.mean_dim(1),
            Some(mask) => {
                let there: Tensor<3> = mask.bool_not().float().cast(x.dtype()).unsqueeze_dim(2);
                (x * there.clone()).sum_dim(1) / there.sum_dim(1).clamp_min(1.0)
            }
        };
        Ok(self.head.run(mean.squeeze_dim::<2>(1)))
    }
}
