use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig, LayerNorm};
use burn::tensor::{Bool, Device, Tensor};

use super::parts::{FeedForward, layer_norm};
use super::{CrossAttention, SelfAttention, StreamingAttention};

/// x + attention(norm(x)), then the linear layers: a block of a decoder alone, and of an encoder.
#[derive(Module, Debug)]
pub struct AttentionBlock<A: Module> {
    /// Before attention.
    pub attention_norm: LayerNorm,
    /// Attention with layers of its own.
    pub attention: A,
    /// Of what attention adds.
    pub dropout: Dropout,
    /// The linear layers.
    pub feed_forward: FeedForward,
}

/// x + attention(norm(x)), then x + cross attention(norm(x)), then the linear layers: a block of a decoder that sees a source.
#[derive(Module, Debug)]
pub struct CrossBlock<S: Module, C: Module> {
    /// Before attention.
    pub attention_norm: LayerNorm,
    /// Attention of the target to itself.
    pub attention: S,
    /// Before cross attention.
    pub cross_norm: LayerNorm,
    /// Attention to the source.
    pub cross: C,
    /// Of what either attention adds.
    pub dropout: Dropout,
    /// The linear layers.
    pub feed_forward: FeedForward,
}

impl<A: Module> AttentionBlock<A> {
    pub(super) fn new(
        attention: A,
        d_model: usize,
        expansion: usize,
        dropout: &DropoutConfig,
        device: &Device,
    ) -> Self {
        Self {
            attention_norm: layer_norm(d_model, device),
            attention,
            dropout: dropout.init(),
            feed_forward: FeedForward::new(d_model, expansion, dropout, device),
        }
    }

    fn add(&self, x: Tensor<3>, attended: Tensor<3>) -> Tensor<3> {
        self.feed_forward.forward(x + self.dropout.forward(attended))
    }
}

impl<A: SelfAttention> AttentionBlock<A> {
    /// # Shapes
    ///
    /// - `x`, output: `[batch, length, d_model]`
    /// - `mask_pad`: `[batch, length]`, true at padding
    ///
    /// # Errors
    ///
    /// Those of the attention.
    pub fn forward(&self, x: Tensor<3>, mask_pad: Option<Tensor<2, Bool>>) -> Result<Tensor<3>, A::Error> {
        let attended = self.attention.attend(self.attention_norm.forward(x.clone()), mask_pad)?;
        Ok(self.add(x, attended))
    }
}

impl<A: StreamingAttention> AttentionBlock<A> {
    /// Of tokens that follow those of `state`: `[batch, length, d_model]`.
    ///
    /// # Errors
    ///
    /// Those of the attention.
    pub fn forward_state(&self, x: Tensor<3>, state: &mut A::State) -> Result<Tensor<3>, A::Error> {
        let attended = self.attention.attend_state(self.attention_norm.forward(x.clone()), state)?;
        Ok(self.add(x, attended))
    }
}

impl<S: Module, C: Module> CrossBlock<S, C> {
    pub(super) fn new(
        (attention, cross): (S, C),
        d_model: usize,
        expansion: usize,
        dropout: &DropoutConfig,
        device: &Device,
    ) -> Self {
        Self {
            attention_norm: layer_norm(d_model, device),
            attention,
            cross_norm: layer_norm(d_model, device),
            cross,
            dropout: dropout.init(),
            feed_forward: FeedForward::new(d_model, expansion, dropout, device),
        }
    }
}

/// Why a block of a decoder that sees a source refused its input.
pub(super) enum BlockError<S, C> {
    Decoder(S),
    Cross(C),
}

impl<S: SelfAttention, C: CrossAttention> CrossBlock<S, C> {
    /// `x` and output: `[batch, length, d_model]`.
    pub(super) fn forward(
        &self,
        x: Tensor<3>,
        source: &C::Source,
    ) -> Result<Tensor<3>, BlockError<S::Error, C::Error>> {
        self.with_source(x, source, |x| self.attention.attend(x, None))
    }

    fn with_source(
        &self,
        x: Tensor<3>,
        source: &C::Source,
        attend: impl FnOnce(Tensor<3>) -> Result<Tensor<3>, S::Error>,
    ) -> Result<Tensor<3>, BlockError<S::Error, C::Error>> {
        let attended = attend(self.attention_norm.forward(x.clone())).map_err(BlockError::Decoder)?;
        let x = x + self.dropout.forward(attended);
        let seen = self.cross.attend(self.cross_norm.forward(x.clone()), source).map_err(BlockError::Cross)?;
        Ok(self.feed_forward.forward(x + self.dropout.forward(seen)))
    }
}

impl<S: StreamingAttention, C: CrossAttention> CrossBlock<S, C> {
    /// Of tokens that follow those of `state`: `[batch, length, d_model]`.
    pub(super) fn forward_state(
        &self,
        x: Tensor<3>,
        source: &C::Source,
        state: &mut S::State,
    ) -> Result<Tensor<3>, BlockError<S::Error, C::Error>> {
        self.with_source(x, source, |x| self.attention.attend_state(x, state))
    }
}
