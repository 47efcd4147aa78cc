use burn::module::{Flag, Module, Param};
use burn::tensor::{Bool, Device, Int, Tensor};
use rekindle_shared::attention::sum_of;

use crate::check::squares;
use crate::{CrossState, Kernel, RandomProjection, RfaError, RfaHeadsConfig, RfaState, causal, cross, redraw};

/// Random feature attention of heads, without layers around them.
///
/// While training, which is on an autodiff device and not frozen, as Burn's dropout has it, directions are those picked for
/// the step of the last [`resample`](crate::resample) or [`redraw`]; in evaluation the first ones of the pool. Where
/// [`resample_every`](RfaHeadsConfig::resample_every) is 0, evaluation has those of training.
/// Inputs of 16 bits are computed with in f32.
///
/// ```
/// use burn::tensor::{Device, Distribution, Tensor};
/// use rekindle_rfa::{CausalInput, RfaHeadsConfig};
///
/// let device = Device::flex();
/// let heads = RfaHeadsConfig::new(4, 16).init(&device)?;
/// let random = |width| Tensor::<4>::random([2, 4, 50, width], Distribution::Default, &device);
/// let output = heads.attend(random(16), random(16), random(8), None)?;
/// assert_eq!(output.dims(), [2, 4, 50, 8]);
/// let (output, state) = heads.causal(CausalInput::new(random(16), random(16), random(8)), None)?;
/// assert_eq!((output.dims(), state.n_tokens()), ([2, 4, 50, 8], 50));
/// # Ok::<(), rekindle_rfa::RfaError>(())
/// ```
#[derive(Module, Debug)]
pub struct RfaHeads {
    projection: RandomProjection,
    /// Factors of the dimensions of queries and keys, `[n_heads, d_head]`; none if they are not learned.
    pub sigma: Option<Param<Tensor<2>>>,
    /// Whether directions are those of training, on an autodiff device.
    pub training: Param<Flag>,
    #[module(skip)]
    config: RfaHeadsConfig,
}

/// Tokens of causal attention.
#[derive(Debug, Clone)]
pub struct CausalInput {
    pub(crate) query: Tensor<4>,
    pub(crate) key: Tensor<4>,
    pub(crate) value: Tensor<4>,
    pub(crate) gate: Option<Tensor<3>>,
    pub(crate) mask_pad: Option<Tensor<2, Bool>>,
}

impl CausalInput {
    /// # Shapes
    ///
    /// - `query`, `key`: `[batch, n_heads, length, d_head]`
    /// - `value`: `[batch, n_heads, length, d_value]`
    pub fn new(query: Tensor<4>, key: Tensor<4>, value: Tensor<4>) -> Self {
        Self { query, key, value, gate: None, mask_pad: None }
    }

    /// With gates g = sigmoid(`logits`): g is what a token leaves of the state, 1 - g its own weight.
    ///
    /// # Shapes
    ///
    /// - `logits`: `[batch, n_heads, length]`
    #[must_use]
    pub fn gate(mut self, logits: Tensor<3>) -> Self {
        self.gate = Some(logits);
        self
    }

    /// With tokens that are padding, which add nothing to the state and take nothing from it.
    ///
    /// # Shapes
    ///
    /// - `mask_pad`: `[batch, length]`, true at padding
    #[must_use]
    pub fn mask_pad(mut self, mask_pad: Tensor<2, Bool>) -> Self {
        self.mask_pad = Some(mask_pad);
        self
    }
}

impl RfaHeads {
    pub(crate) fn new(config: RfaHeadsConfig, projection: RandomProjection, device: &Device) -> Self {
        let ones = || Param::from_tensor(Tensor::ones([config.n_heads, config.d_head], device));
        let sigma = config.learn_sigma.then(ones);
        Self { projection, sigma, training: Param::from_bool(true), config }
    }

    /// Attention of every query to all keys.
    ///
    /// A query that may see no key has output 0.
    ///
    /// # Shapes
    ///
    /// - `query`: `[batch, n_heads, n_queries, d_head]`
    /// - `key`: `[batch, n_heads, n_keys, d_head]`
    /// - `value`: `[batch, n_heads, n_keys, d_value]`
    /// - `mask_pad`: `[batch, n_keys]`, true at keys that nobody sees, as in Burn's attention
    /// - output: `[batch, n_heads, n_queries, d_value]`
    ///
    /// # Errors
    ///
    /// Shapes that do not fit, no key, NaN or infinite inputs.
    pub fn attend(
        &self,
        query: Tensor<4>,
        key: Tensor<4>,
        value: Tensor<4>,
        mask_pad: Option<Tensor<2, Bool>>,
    ) -> Result<Tensor<4>, RfaError> {
        self.decode(query, &self.encode(key, value, mask_pad)?)
    }

    /// Keys and values as the sums that [`decode`](Self::decode) needs, for any number of queries to come.
    ///
    /// # Shapes
    ///
    /// - as in [`attend`](Self::attend)
    ///
    /// # Errors
    ///
    /// Those of [`attend`](Self::attend).
    pub fn encode(
        &self,
        key: Tensor<4>,
        value: Tensor<4>,
        mask_pad: Option<Tensor<2, Bool>>,
    ) -> Result<CrossState, RfaError> {
        self.check_heads("key", &key)?;
        self.check_keys(&key, &value, mask_pad.as_ref())?;
        self.check_finite([("keys", &key)], &value)?;
        Ok(cross::encode(self, key, value, mask_pad))
    }

    /// Attention of queries to what was [encoded](Self::encode).
    ///
    /// # Shapes
    ///
    /// - as in [`attend`](Self::attend)
    ///
    /// # Errors
    ///
    /// A state of other sizes, no query, NaN or infinite queries.
    pub fn decode(&self, query: Tensor<4>, state: &CrossState) -> Result<Tensor<4>, RfaError> {
        Ok(self.decoded(query, state)?.0)
    }

    /// [`decode`](Self::decode), and how many denominators were kept away from 0 by [`eps`](RfaHeadsConfig::eps); they are read back.
    ///
    /// Many mean that the estimate is no good: more directions, or [`Kernel::ArcCos`].
    ///
    /// # Errors
    ///
    /// Those of [`decode`](Self::decode).
    pub fn decode_counted(&self, query: Tensor<4>, state: &CrossState) -> Result<(Tensor<4>, usize), RfaError> {
        let (output, n_clamped) = self.decoded(query, state)?;
        Ok((output, n_clamped.into_scalar::<i64>() as usize))
    }

    fn decoded(&self, query: Tensor<4>, state: &CrossState) -> Result<(Tensor<4>, Tensor<1, Int>), RfaError> {
        self.check_heads("query", &query)?;
        let [batch, heads, n_queries, _] = query.dims();
        RfaError::unless_positive("n_queries", n_queries)?;
        state.sums.check([batch, heads, self.n_features(), state.sums.d_value()])?;
        if self.config.check_finite {
            RfaError::unless_finite(vec![("queries", squares(&query))])?;
        }
        Ok(cross::decode(self, query, state))
    }

    /// Attention of every token to itself and those before it; `state` is what went before the first.
    ///
    /// The state counts tokens and denominators that were kept away from 0. It belongs to the directions that it was made
    /// with: after new ones, start another.
    ///
    /// # Shapes
    ///
    /// - output: `[batch, n_heads, length, d_value]`
    ///
    /// # Errors
    ///
    /// Shapes that do not fit, no tokens, NaN or infinite inputs, a state of other sizes.
    pub fn causal(&self, input: CausalInput, state: Option<RfaState>) -> Result<(Tensor<4>, RfaState), RfaError> {
        let CausalInput { query, key, value, gate, mask_pad } = &input;
        self.check_heads("query", query)?;
        self.check_keys(key, value, mask_pad.as_ref())?;
        let [batch, heads, length, _] = key.dims();
        RfaError::unless_equal("key", &query.dims(), &key.dims())?;
        if let Some(gate) = gate {
            RfaError::unless_equal("gate", &[batch, heads, length], &gate.dims())?;
        }
        if let Some(state) = &state {
            state.sums.check([batch, heads, self.n_features(), value.dims()[3]])?;
        }
        if self.config.check_finite {
            let mut sums = vec![("queries", squares(query)), ("keys", squares(key)), ("values", sum_of(value))];
            sums.extend(gate.as_ref().map(|gate| ("logits of the gate", sum_of(gate))));
            RfaError::unless_finite(sums)?;
        }
        causal::attend(self, input, state)
    }

    /// One token after those of `state`, in time and memory that do not depend on how many there were.
    ///
    /// # Shapes
    ///
    /// - `query`, `key`: `[batch, n_heads, d_head]`
    /// - `value`: `[batch, n_heads, d_value]`
    /// - `gate`: `[batch, n_heads]`, the logits
    /// - output: `[batch, n_heads, d_value]`
    ///
    /// # Errors
    ///
    /// Those of [`causal`](Self::causal).
    pub fn step(
        &self,
        query: Tensor<3>,
        key: Tensor<3>,
        value: Tensor<3>,
        gate: Option<Tensor<2>>,
        state: Option<RfaState>,
    ) -> Result<(Tensor<3>, RfaState), RfaError> {
        let token = |x: Tensor<3>| x.unsqueeze_dim::<4>(2);
        let input = CausalInput::new(token(query), token(key), token(value));
        let input = match gate {
            Some(gate) => input.gate(gate.unsqueeze_dim(2)),
            None => input,
        };
        let (output, state) = self.causal(input, state)?;
        Ok((output.squeeze_dim(2), state))
    }

    /// The matrix that [`attend`](Self::attend) multiplies the values with and never makes; for inspection.
    ///
    /// # Shapes
    ///
    /// - output: `[batch, n_heads, n_queries, n_keys]`
    ///
    /// # Errors
    ///
    /// Those of [`attend`](Self::attend).
    pub fn attention_matrix(
        &self,
        query: Tensor<4>,
        key: Tensor<4>,
        mask_pad: Option<Tensor<2, Bool>>,
    ) -> Result<Tensor<4>, RfaError> {
        let values = one_hot(&key);
        self.attend(query, key, values, mask_pad)
    }

    /// The matrix of [`causal`](Self::causal) attention, from queries and keys, and gates and padding if there are; values are not used.
    ///
    /// # Shapes
    ///
    /// - output: `[batch, n_heads, length, length]`
    ///
    /// # Errors
    ///
    /// Those of [`causal`](Self::causal).
    pub fn causal_matrix(&self, input: CausalInput) -> Result<Tensor<4>, RfaError> {
        let value = one_hot(&input.key);
        Ok(self.causal(CausalInput { value, ..input }, None)?.0)
    }

    /// Directions of another step, which it and the seed decide; see [`redraw`](crate::redraw) for a whole model.
    #[must_use]
    pub fn redraw(self, step: u64) -> Self {
        redraw(self, step)
    }

    /// The step of the last draw; 0 before the first. Read back from the device.
    pub fn last_redraw(&self) -> u64 {
        self.projection.last_redraw()
    }

    /// The seed of the directions, which is part of the record. Read back from the device.
    pub fn seed(&self) -> u64 {
        self.projection.seed()
    }

    /// The directions w̃ of training, without gradient, and without σ and τ.
    ///
    /// # Shapes
    ///
    /// - output: `[n_heads * n_features, d_head]`, one head below the other
    pub fn directions(&self) -> Tensor<2> {
        self.projection.directions()
    }

    /// The directions w̃ of evaluation, as [`directions`](Self::directions).
    pub fn fixed_directions(&self) -> Tensor<2> {
        self.projection.fixed()
    }

    /// The options.
    pub fn config(&self) -> &RfaHeadsConfig {
        &self.config
    }

    /// Features of a query or key: the directions, or twice as many.
    pub fn n_features(&self) -> usize {
        match self.config.kernel {
            Kernel::Gaussian => 2 * self.config.n_features,
            Kernel::ArcCos => self.config.n_features,
        }
    }

    pub(crate) fn directions_in_use(&self, on_tape: bool) -> Tensor<2> {
        // Directions that are never picked anew are those that were trained with.
        let trained = self.config.resample_every == 0 || (on_tape && self.training.is_enabled());
        if trained { self.directions() } else { self.fixed_directions() }
    }
}

/// `[batch, heads, n_keys, n_keys]`
fn one_hot(key: &Tensor<4>) -> Tensor<4> {
    let [batch, heads, n_keys, _] = key.dims();
    let one_hot = Tensor::<2>::eye(n_keys, &key.device()).cast(key.dtype());
    one_hot.unsqueeze::<4>().expand([batch, heads, n_keys, n_keys])
}
