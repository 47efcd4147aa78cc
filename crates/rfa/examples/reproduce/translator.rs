//! What is compared in translation: attention of the decoder to itself and to the source.

use std::convert::Infallible;

use burn::module::Module;
use burn::nn::Initializer;
use burn::tensor::{Bool, Device, Tensor};
use rekindle_rfa::{CrossState, Kernel, RfaCausal, RfaConfig, RfaCross, RfaError, RfaState};
use rekindle_shared::networks::{
    CrossAttention, EncoderDecoder, KeyValues, NetworkError, SelfAttention, SoftmaxAttention, SoftmaxAttentionConfig,
    SoftmaxCrossAttention, SoftmaxCrossAttentionConfig, SourceKeyValues, StreamingAttention,
};
use serde::{Deserialize, Serialize};

use crate::elu::{EluAttention, EluState};

/// The encoder keeps softmax.
pub(crate) type Translator = EncoderDecoder<SoftmaxAttention, Causal, Cross>;

/// A kind of attention in the decoder.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case")]
pub(crate) enum Method {
    Softmax,
    EluPlusOne,
    Rfa {
        kernel: Kernel,
        /// Of causal attention.
        gate: bool,
        /// Directions of causal attention.
        causal_features: usize,
        /// Directions of cross attention.
        cross_features: usize,
    },
}

impl Method {
    /// `carried` is whether a state goes from one training step to the next: it is of its matrices, which then stay.
    pub(crate) fn causal(
        self,
        [d_model, n_heads]: [usize; 2],
        carried: bool,
        seed: u64,
        device: &Device,
    ) -> Result<Causal, Refused> {
        Ok(match self {
            Self::Softmax => Causal::Softmax(SoftmaxAttentionConfig::new(d_model, n_heads).init(device)?),
            Self::EluPlusOne => Causal::Elu(EluAttention::new(d_model, n_heads, device)),
            Self::Rfa { kernel, gate, causal_features, .. } => {
                let config = rfa([d_model, n_heads], kernel, causal_features, seed).with_gate(gate);
                let config = if carried { config.with_resample_every(0) } else { config };
                Causal::Rfa(config.init_causal(device)?)
            }
        })
    }

    pub(crate) fn cross(self, [d_model, n_heads]: [usize; 2], seed: u64, device: &Device) -> Result<Cross, Refused> {
        Ok(match self {
            Self::Softmax => Cross::Softmax(SoftmaxCrossAttentionConfig::new(d_model, n_heads).init(device)?),
            Self::EluPlusOne => Cross::Elu(EluAttention::new(d_model, n_heads, device)),
            Self::Rfa { kernel, cross_features, .. } => {
                Cross::Rfa(rfa([d_model, n_heads], kernel, cross_features, seed).init_cross(device)?)
            }
        })
    }
}

/// Dropout is the transformer's own, as for softmax; whether training diverged is seen by its loss.
fn rfa([d_model, n_heads]: [usize; 2], kernel: Kernel, n_features: usize, seed: u64) -> RfaConfig {
    RfaConfig::new(d_model, n_heads)
        // As those of softmax and of the other layers.
        .with_initializer(Initializer::XavierUniform { gain: 1.0 })
        .with_kernel(kernel)
        .with_n_features(n_features)
        .with_dropout(0.0)
        .with_check_finite(false)
        .with_seed(seed)
}

/// Why a transformer was not built.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    #[error(transparent)]
    Network(#[from] NetworkError),
    #[error(transparent)]
    Rfa(#[from] RfaError),
}

/// Attention of the target to itself.
#[expect(clippy::large_enum_variant, reason = "one value a layer")]
#[derive(Module, Debug)]
pub(crate) enum Causal {
    Softmax(SoftmaxAttention),
    Elu(EluAttention),
    Rfa(RfaCausal),
}

/// What it keeps.
#[expect(clippy::large_enum_variant, reason = "one value a layer")]
#[derive(Debug, Clone)]
pub(crate) enum CausalState {
    Softmax(KeyValues),
    Elu(Option<EluState>),
    Rfa(Option<RfaState>),
}

/// Attention of the target to the source.
#[expect(clippy::large_enum_variant, reason = "one value a layer")]
#[derive(Module, Debug)]
pub(crate) enum Cross {
    Softmax(SoftmaxCrossAttention),
    Elu(EluAttention),
    Rfa(RfaCross),
}

/// What it keeps of a source.
#[expect(clippy::large_enum_variant, reason = "one value a layer")]
#[derive(Debug, Clone)]
pub(crate) enum Source {
    Softmax(SourceKeyValues),
    Elu(EluState),
    Rfa(CrossState),
}

fn other_kind() -> RfaError {
    RfaError::InvalidState("it is of another kind of attention".into())
}

fn never<T>(result: Result<T, Infallible>) -> Result<T, RfaError> {
    result.map_err(|never| match never {})
}

impl SelfAttention for Causal {
    type Error = RfaError;

    fn attend(&self, tokens: Tensor<3>, mask_pad: Option<Tensor<2, Bool>>) -> Result<Tensor<3>, RfaError> {
        match self {
            Self::Softmax(attention) => never(attention.attend(tokens, mask_pad)),
            Self::Elu(attention) => Ok(attention.causal(tokens, mask_pad, None)?.0),
            Self::Rfa(attention) => Ok(match mask_pad {
                Some(mask_pad) => attention.forward_masked(tokens, mask_pad, None)?.0,
                None => attention.forward(tokens, None)?.0,
            }),
        }
    }
}

impl StreamingAttention for Causal {
    type State = CausalState;

    fn init_state(&self, batch: usize, device: &Device) -> Result<CausalState, RfaError> {
        Ok(match self {
            Self::Softmax(attention) => CausalState::Softmax(never(attention.init_state(batch, device))?),
            Self::Elu(_) => CausalState::Elu(None),
            Self::Rfa(_) => CausalState::Rfa(None),
        })
    }

    fn attend_state(&self, tokens: Tensor<3>, state: &mut CausalState) -> Result<Tensor<3>, RfaError> {
        match (self, state) {
            (Self::Softmax(attention), CausalState::Softmax(state)) => never(attention.attend_state(tokens, state)),
            (Self::Elu(attention), CausalState::Elu(state)) => {
                let (output, next) = attention.causal(tokens, None, state.take())?;
                *state = Some(next);
                Ok(output)
            }
            (Self::Rfa(attention), CausalState::Rfa(state)) => {
                let (output, next) = attention.forward(tokens, state.take())?;
                *state = Some(next);
                Ok(output)
            }
            _ => Err(other_kind()),
        }
    }

    fn detach_state(&self, state: CausalState) -> CausalState {
        match state {
            CausalState::Softmax(state) => match self {
                Self::Softmax(attention) => CausalState::Softmax(attention.detach_state(state)),
                Self::Elu(_) | Self::Rfa(_) => CausalState::Softmax(state),
            },
            CausalState::Elu(state) => CausalState::Elu(state.map(EluState::detach)),
            CausalState::Rfa(state) => CausalState::Rfa(state.map(RfaState::detach)),
        }
    }

    fn reorder_state(&self, state: CausalState, indices: &[usize]) -> Result<CausalState, RfaError> {
        Ok(match (self, state) {
            (Self::Softmax(attention), CausalState::Softmax(state)) => {
                CausalState::Softmax(never(attention.reorder_state(state, indices))?)
            }
            (Self::Elu(attention), CausalState::Elu(state)) => {
                CausalState::Elu(state.map(|state| attention.reorder(&state, indices)))
            }
            (Self::Rfa(_), CausalState::Rfa(state)) => {
                CausalState::Rfa(state.map(|state| state.reorder(indices)).transpose()?)
            }
            _ => return Err(other_kind()),
        })
    }
}

impl CrossAttention for Cross {
    type Error = RfaError;
    type Source = Source;

    fn encode(&self, memory: Tensor<3>, mask_pad: Option<Tensor<2, Bool>>) -> Result<Source, RfaError> {
        Ok(match self {
            Self::Softmax(attention) => Source::Softmax(never(attention.encode(memory, mask_pad))?),
            Self::Elu(attention) => Source::Elu(attention.encode(memory, mask_pad)),
            Self::Rfa(attention) => Source::Rfa(attention.encode(memory, mask_pad)?),
        })
    }

    fn attend(&self, query: Tensor<3>, source: &Source) -> Result<Tensor<3>, RfaError> {
        match (self, source) {
            (Self::Softmax(attention), Source::Softmax(source)) => never(attention.attend(query, source)),
            (Self::Elu(attention), Source::Elu(source)) => Ok(attention.decode(query, source)),
            (Self::Rfa(attention), Source::Rfa(source)) => attention.decode(query, source),
            _ => Err(other_kind()),
        }
    }

    fn reorder_source(&self, source: Source, indices: &[usize]) -> Result<Source, RfaError> {
        Ok(match (self, source) {
            (Self::Softmax(attention), Source::Softmax(source)) => {
                Source::Softmax(never(attention.reorder_source(source, indices))?)
            }
            (Self::Elu(attention), Source::Elu(source)) => Source::Elu(attention.reorder(&source, indices)),
            (Self::Rfa(_), Source::Rfa(source)) => Source::Rfa(source.reorder(indices)?),
            _ => return Err(other_kind()),
        })
    }
}
