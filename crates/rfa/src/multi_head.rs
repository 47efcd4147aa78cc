use burn::module::Module;
use burn::nn::{Initializer, Linear, LinearConfig};
use burn::tensor::{Bool, Device, Tensor};

use crate::projections::Projections;
use crate::{CausalInput, CrossState, RfaConfig, RfaError, RfaHeads, RfaState};

/// Multi-head attention of tokens to those before them and themselves, with a gate or without.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use rekindle_rfa::RfaConfig;
///
/// let device = Device::flex();
/// let attention = RfaConfig::new(32, 4).with_gate(true).init_causal(&device)?;
/// let (output, state) = attention.forward(Tensor::ones([2, 10, 32], &device), None)?;
/// assert_eq!(output.dims(), [2, 10, 32]);
/// let (token, state) = attention.step(Tensor::ones([2, 32], &device), Some(state))?;
/// assert_eq!((token.dims(), state.n_tokens()), ([2, 32], 11));
/// # Ok::<(), rekindle_rfa::RfaError>(())
/// ```
#[derive(Module, Debug)]
pub struct RfaCausal {
    /// The layers around the heads.
    pub layers: Projections,
    /// From the input to the logits of the gate, one a head; none without a gate.
    pub gate: Option<Linear>,
    /// Attention of the heads.
    pub heads: RfaHeads,
}

/// Multi-head attention to a source, or of a sequence to all of itself.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use rekindle_rfa::RfaConfig;
///
/// let device = Device::flex();
/// let attention = RfaConfig::new(32, 4).init_cross(&device)?;
/// // Once for a source, whatever number of tokens is decoded.
/// let source = attention.encode(Tensor::ones([2, 50, 32], &device), None)?;
/// let output = attention.decode(Tensor::ones([2, 1, 32], &device), &source)?;
/// assert_eq!(output.dims(), [2, 1, 32]);
/// # Ok::<(), rekindle_rfa::RfaError>(())
/// ```
#[derive(Module, Debug)]
pub struct RfaCross {
    /// The layers around the heads.
    pub layers: Projections,
    /// Attention of the heads.
    pub heads: RfaHeads,
}

impl RfaCausal {
    pub(crate) fn new(config: &RfaConfig, heads: RfaHeads, device: &Device) -> Result<Self, RfaError> {
        let gate = config.gate.then(|| {
            let linear = LinearConfig::new(config.d_model, config.n_heads).with_initializer(config.initializer.clone());
            let mut gate = linear.init(device);
            let start = Initializer::Constant { value: config.gate_bias_init };
            gate.bias = Some(start.init([config.n_heads], device));
            gate
        });
        Ok(Self { layers: Projections::new(config, device), gate, heads })
    }

    /// Tokens that follow those of `state`, or the first ones, and the state behind them.
    ///
    /// # Shapes
    ///
    /// - `x`, output: `[batch, length, d_model]`
    ///
    /// # Errors
    ///
    /// Another width than `d_model`, and those of [`RfaHeads::causal`].
    pub fn forward(&self, x: Tensor<3>, state: Option<RfaState>) -> Result<(Tensor<3>, RfaState), RfaError> {
        self.attend(x, None, state)
    }

    /// [`forward`](Self::forward) of sequences with padding, which neither adds to the state nor takes from it.
    ///
    /// # Shapes
    ///
    /// - `mask_pad`: `[batch, length]`, true at padding
    ///
    /// # Errors
    ///
    /// Those of [`forward`](Self::forward).
    pub fn forward_masked(
        &self,
        x: Tensor<3>,
        mask_pad: Tensor<2, Bool>,
        state: Option<RfaState>,
    ) -> Result<(Tensor<3>, RfaState), RfaError> {
        self.attend(x, Some(mask_pad), state)
    }

    /// One token after those of `state`, in time and memory that do not depend on how many there were.
    ///
    /// # Shapes
    ///
    /// - `x`, output: `[batch, d_model]`
    ///
    /// # Errors
    ///
    /// Those of [`forward`](Self::forward).
    pub fn step(&self, x: Tensor<2>, state: Option<RfaState>) -> Result<(Tensor<2>, RfaState), RfaError> {
        let (output, state) = self.forward(x.unsqueeze_dim(1), state)?;
        Ok((output.squeeze_dim(1), state))
    }

    fn attend(
        &self,
        x: Tensor<3>,
        mask_pad: Option<Tensor<2, Bool>>,
        state: Option<RfaState>,
    ) -> Result<(Tensor<3>, RfaState), RfaError> {
        let layers = &self.layers;
        layers.check("x", &x)?;
        let of = |linear| layers.heads(x.clone(), linear);
        let mut input = CausalInput::new(of(&layers.query), of(&layers.key), of(&layers.value));
        if let Some(gate) = &self.gate {
            input = input.gate(gate.forward(x.clone()).swap_dims(1, 2));
        }
        if let Some(mask_pad) = mask_pad {
            input = input.mask_pad(mask_pad);
        }
        let (heads, state) = self.heads.causal(input, state)?;
        Ok((layers.combine(heads), state))
    }
}

impl RfaCross {
    pub(crate) fn new(config: &RfaConfig, heads: RfaHeads, device: &Device) -> Self {
        Self { layers: Projections::new(config, device), heads }
    }

    /// Sums of a source, which do not grow with it.
    ///
    /// # Shapes
    ///
    /// - `memory`: `[batch, n_keys, d_model]`
    /// - `mask_pad`: `[batch, n_keys]`, true at padding
    ///
    /// # Errors
    ///
    /// Another width than `d_model`, and those of [`RfaHeads::encode`].
    pub fn encode(&self, memory: Tensor<3>, mask_pad: Option<Tensor<2, Bool>>) -> Result<CrossState, RfaError> {
        let layers = &self.layers;
        layers.check("memory", &memory)?;
        let (key, value) = (layers.heads(memory.clone(), &layers.key), layers.heads(memory, &layers.value));
        self.heads.encode(key, value, mask_pad)
    }

    /// Attention of tokens to a source.
    ///
    /// # Shapes
    ///
    /// - `query`, output: `[batch, n_queries, d_model]`
    ///
    /// # Errors
    ///
    /// Another width than `d_model`, and those of [`RfaHeads::decode`].
    pub fn decode(&self, query: Tensor<3>, source: &CrossState) -> Result<Tensor<3>, RfaError> {
        self.layers.check("query", &query)?;
        let heads = self.heads.decode(self.layers.heads(query, &self.layers.query), source)?;
        Ok(self.layers.combine(heads))
    }

    /// [`decode`](Self::decode) of `query` to `memory` as it is [encoded](Self::encode); the same twice is attention of a sequence to all
    /// of itself.
    ///
    /// # Errors
    ///
    /// Those of both.
    pub fn forward(
        &self,
        query: Tensor<3>,
        memory: Tensor<3>,
        mask_pad: Option<Tensor<2, Bool>>,
    ) -> Result<Tensor<3>, RfaError> {
        self.decode(query, &self.encode(memory, mask_pad)?)
    }
}
