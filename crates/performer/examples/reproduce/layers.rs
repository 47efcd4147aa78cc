//! Attention of a layer, of the kinds that are compared, for the transformers of `shared`.

use std::convert::Infallible;

use burn::module::Module;
use burn::nn::Initializer;
use burn::tensor::{Bool, Device, Tensor};
use rekindle_harness::worker::Failure;
use rekindle_performer::{
    AttentionInput, FavorState, FeatureFunction, Kernel, PerformerAttention, PerformerAttentionConfig, PerformerError,
    Projection,
};
use rekindle_shared::data::{Stream, Streams};
use rekindle_shared::networks::{
    KeyValues, SelfAttention, SoftmaxAttention, SoftmaxAttentionConfig, StreamingAttention,
};
use serde::{Deserialize, Serialize};

/// A kind of attention.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case")]
pub(crate) enum Layers {
    Softmax,
    /// FAVOR+ of a kernel with orthogonal directions.
    Performer {
        kernel: Kernel,
        n_features: usize,
        /// Steps between new directions; 0 for none.
        redraw: u64,
    },
    /// The Linear Transformer.
    EluPlusOne,
}

impl Layers {
    pub(crate) fn redraw(self) -> u64 {
        match self {
            Self::Performer { redraw, .. } => redraw,
            Self::Softmax | Self::EluPlusOne => 0,
        }
    }

    /// Attention of layer `layer`.
    pub(crate) fn init(
        self,
        layer: usize,
        [d_model, n_heads]: [usize; 2],
        causal: bool,
        streams: Streams,
        device: &Device,
    ) -> Result<Attention, Failure> {
        let config = self.config(layer, [d_model, n_heads], causal, streams);
        Ok(match config {
            None => Attention::Softmax(SoftmaxAttentionConfig::new(d_model, n_heads).with_causal(causal).init(device)?),
            Some(config) => Attention::Performer(config.init(device)?),
        })
    }

    /// None for softmax.
    pub(crate) fn config(
        self,
        layer: usize,
        [d_model, n_heads]: [usize; 2],
        causal: bool,
        streams: Streams,
    ) -> Option<PerformerAttentionConfig> {
        // Weights start as those of softmax.
        let config = PerformerAttentionConfig::new(d_model, n_heads)
            .with_initializer(Initializer::XavierUniform { gain: 1.0 })
            .with_causal(causal)
            .with_dropout(0.0)
            .with_seed(streams.seed_of(Stream::Method).wrapping_add(layer as u64));
        match self {
            Self::Softmax => None,
            Self::Performer { kernel, n_features, .. } => Some(config.with_kernel(kernel).with_n_features(n_features)),
            Self::EluPlusOne => Some(
                config
                    .with_kernel(Kernel::Generalized(FeatureFunction::EluPlusOne))
                    .with_projection(Projection::None)
                    .with_n_features(d_model / n_heads)
                    .with_normalize_inputs(false)
                    .with_kernel_eps(0.0),
            ),
        }
    }
}

/// Attention of a layer.
#[expect(clippy::large_enum_variant, reason = "one value a layer")]
#[derive(Module, Debug)]
pub(crate) enum Attention {
    Softmax(SoftmaxAttention),
    Performer(PerformerAttention),
}

/// What attention of a layer keeps of the tokens that it saw.
#[derive(Debug, Clone)]
pub(crate) enum State {
    Softmax(KeyValues),
    Performer(FavorState),
}

impl SelfAttention for Attention {
    type Error = PerformerError;

    fn attend(&self, tokens: Tensor<3>, mask_pad: Option<Tensor<2, Bool>>) -> Result<Tensor<3>, PerformerError> {
        match self {
            Self::Softmax(attention) => attention.attend(tokens, mask_pad).map_err(never),
            Self::Performer(attention) => {
                let input = AttentionInput::self_attn(tokens);
                attention.forward(match mask_pad {
                    Some(mask_pad) => input.mask_pad(mask_pad),
                    None => input,
                })
            }
        }
    }
}

impl StreamingAttention for Attention {
    type State = State;

    fn init_state(&self, batch: usize, device: &Device) -> Result<State, PerformerError> {
        match self {
            Self::Softmax(attention) => attention.init_state(batch, device).map(State::Softmax).map_err(never),
            Self::Performer(attention) => attention.init_state(batch, device).map(State::Performer),
        }
    }

    fn attend_state(&self, tokens: Tensor<3>, state: &mut State) -> Result<Tensor<3>, PerformerError> {
        match (self, state) {
            (Self::Softmax(attention), State::Softmax(state)) => attention.attend_state(tokens, state).map_err(never),
            (Self::Performer(attention), State::Performer(state)) => attention.forward_state(tokens, state),
            _ => Err(PerformerError::InvalidState("it is of another kind of attention".into())),
        }
    }

    fn detach_state(&self, state: State) -> State {
        match (self, state) {
            (Self::Softmax(attention), State::Softmax(state)) => State::Softmax(attention.detach_state(state)),
            (_, State::Performer(state)) => State::Performer(state.detach()),
            (_, other) => other,
        }
    }

    fn reorder_state(&self, state: State, indices: &[usize]) -> Result<State, PerformerError> {
        match (self, state) {
            (Self::Softmax(attention), State::Softmax(state)) => {
                attention.reorder_state(state, indices).map(State::Softmax).map_err(never)
            }
            (_, State::Performer(state)) => state.reorder(indices).map(State::Performer),
            _ => Err(PerformerError::InvalidState("it is of another kind of attention".into())),
        }
    }
}

fn never<T>(never: Infallible) -> T {
    match never {}
}
