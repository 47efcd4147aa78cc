use burn::module::Module;
use burn::tensor::{Bool, Device, Tensor};
use rekindle_shared::attention::sum_of;

use crate::kernel::{CustomFunction, Function};
use crate::quotient::Quotient;
use crate::state::FavorState;
use crate::{FavorConfig, Kernel, PerformerError, RandomProjection, causal, full, redraw};

/// Attention in linear time by random features, FAVOR+ (Algorithm 1).
///
/// Where a [`FavorConfig`] says causal, the output of a token depends on it and those before it alone: what comes later
/// changes it by rounding at most. Inputs of 16 bits are computed with in f32, as sums and denominators have to be.
///
/// ```
/// use burn::tensor::{Device, Distribution, Tensor};
/// use rekindle_performer::FavorConfig;
///
/// let device = Device::flex();
/// let attention = FavorConfig::new(16).with_n_features(32).with_causal(true).init(&device)?;
/// let random = |width| Tensor::<4>::random([2, 4, 50, width], Distribution::Default, &device);
/// let output = attention.attend(random(16), random(16), random(8), None)?;
/// assert_eq!(output.dims(), [2, 4, 50, 8]);
/// # Ok::<(), rekindle_performer::PerformerError>(())
/// ```
#[derive(Module, Debug)]
pub struct Favor {
    projection: RandomProjection,
    #[module(skip)]
    config: FavorConfig,
    /// Of a generalized kernel.
    #[module(skip)]
    function: Option<Function>,
}

impl Favor {
    pub(crate) fn new(config: FavorConfig, projection: RandomProjection, function: Option<Function>) -> Self {
        Self { projection, config, function }
    }

    /// The same attention with a function of your own as f of a generalized kernel, applied to ω·x.
    ///
    /// It is not part of the record. Of the other kernels this makes generalized ones, which have as many features as
    /// directions.
    #[must_use]
    pub fn with_function(mut self, function: CustomFunction) -> Self {
        let m = self.directions().dims()[0];
        self.config = self.config.with_kernel(Kernel::Generalized(crate::FeatureFunction::Identity)).with_n_features(m);
        self.function = Some(Function::Custom(function));
        self
    }

    /// Attention of every query to the keys that it may see.
    ///
    /// A query that may see no key has output 0.
    ///
    /// # Shapes
    ///
    /// - `query`: `[batch, heads, n_queries, d_head]`
    /// - `key`: `[batch, heads, n_keys, d_head]`, as many as queries where attention is causal
    /// - `value`: `[batch, heads, n_keys, d_value]`
    /// - `mask_pad`: `[batch, n_keys]`, true at keys that nobody sees, as in Burn's attention
    /// - output: `[batch, heads, n_queries, d_value]`
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
    ) -> Result<Tensor<4>, PerformerError> {
        self.attended(query, key, value, mask_pad, &mut Quotient::new(self.stabilizer()))
    }

    /// [`attend`](Self::attend), and how many denominators the stabilizer changed; they are read back.
    ///
    /// Above 0 only for trigonometric and generalized features. Many mean that the estimate is no good here: more features,
    /// or positive ones.
    ///
    /// # Errors
    ///
    /// Those of [`attend`](Self::attend).
    pub fn attend_counted(
        &self,
        query: Tensor<4>,
        key: Tensor<4>,
        value: Tensor<4>,
        mask_pad: Option<Tensor<2, Bool>>,
    ) -> Result<(Tensor<4>, usize), PerformerError> {
        let mut quotient = Quotient::new(self.stabilizer()).counting();
        let output = self.attended(query, key, value, mask_pad, &mut quotient)?;
        Ok((output, quotient.n_changed()))
    }

    /// The matrix of attention that [`attend`](Self::attend) multiplies the values with and never makes; for inspection.
    ///
    /// # Shapes
    ///
    /// - `query`, `key`, `mask_pad`: as in [`attend`](Self::attend)
    /// - output: `[batch, heads, n_queries, n_keys]`
    ///
    /// # Errors
    ///
    /// Those of [`attend`](Self::attend).
    pub fn attention_matrix(
        &self,
        query: Tensor<4>,
        key: Tensor<4>,
        mask_pad: Option<Tensor<2, Bool>>,
    ) -> Result<Tensor<4>, PerformerError> {
        let [batch, heads, n_keys, _] = key.dims();
        let one_hot = Tensor::<2>::eye(n_keys, &key.device()).cast(key.dtype());
        let one_hot = one_hot.unsqueeze::<4>().expand([batch, heads, n_keys, n_keys]);
        self.attend(query, key, one_hot, mask_pad)
    }

    /// Tokens that follow those of `state`, or the first ones; causal attention in pieces of any length.
    ///
    /// # Shapes
    ///
    /// - `query`, `key`, `value`, `mask_pad`, output: as in [`attend`](Self::attend), with one length
    ///
    /// # Errors
    ///
    /// Those of [`attend`](Self::attend), attention that is not causal, a state of other attention; the state is as it was.
    pub fn prefill(
        &self,
        query: Tensor<4>,
        key: Tensor<4>,
        value: Tensor<4>,
        mask_pad: Option<Tensor<2, Bool>>,
        state: &mut FavorState,
    ) -> Result<Tensor<4>, PerformerError> {
        if !self.config.causal {
            return Err(PerformerError::NotCausal);
        }
        self.check(&query, &key, &value, mask_pad.as_ref())?;
        let [batch, heads, _, d_value] = value.dims();
        state.check([batch, heads, self.config.n_features, d_value], self.scale_width())?;
        let mut quotient = Quotient::new(self.stabilizer());
        let (output, next) = causal::attend(self, query, key, value, mask_pad, Some(state.clone()), &mut quotient)?;
        *state = next;
        Ok(output)
    }

    /// One token after those of `state`, in time and memory that do not depend on how many there were.
    ///
    /// # Shapes
    ///
    /// - `query`, `key`: `[batch, heads, d_head]`
    /// - `value`: `[batch, heads, d_value]`
    /// - output: `[batch, heads, d_value]`
    ///
    /// # Errors
    ///
    /// Those of [`prefill`](Self::prefill).
    pub fn step(
        &self,
        query: Tensor<3>,
        key: Tensor<3>,
        value: Tensor<3>,
        state: &mut FavorState,
    ) -> Result<Tensor<3>, PerformerError> {
        let token = |x: Tensor<3>| x.unsqueeze_dim::<4>(2);
        Ok(self.prefill(token(query), token(key), token(value), None, state)?.squeeze_dim(2))
    }

    /// A state that has seen nothing.
    ///
    /// # Errors
    ///
    /// Attention that is not causal, sizes of 0.
    pub fn init_state(
        &self,
        batch: usize,
        heads: usize,
        d_value: usize,
        device: &Device,
    ) -> Result<FavorState, PerformerError> {
        if !self.config.causal {
            return Err(PerformerError::NotCausal);
        }
        for (name, value) in [("batch", batch), ("heads", heads), ("d_value", d_value)] {
            PerformerError::unless_positive(name, value)?;
        }
        Ok(FavorState::unseen([batch, heads, self.config.n_features, d_value], self.scale_width(), device))
    }

    /// New directions, which the seed and `step` decide; see [`redraw`](crate::redraw) for a whole model.
    #[must_use]
    pub fn redraw(self, step: u64) -> Self {
        redraw(self, step)
    }

    /// The step of the last [`redraw`](Self::redraw); 0 before the first. Read back from the device.
    pub fn last_redraw(&self) -> u64 {
        self.projection.last_redraw()
    }

    /// The seed of the directions, which is part of the record. Read back from the device.
    pub fn seed(&self) -> u64 {
        self.projection.seed()
    }

    /// The directions ω, without gradient.
    ///
    /// # Shapes
    ///
    /// - output: `[m, d_head]`
    pub fn directions(&self) -> Tensor<2> {
        self.projection.directions()
    }

    /// The options.
    pub fn config(&self) -> &FavorConfig {
        &self.config
    }

    pub(crate) fn function(&self) -> Option<Function> {
        self.function
    }

    /// A scale for each feature, or one for all.
    pub(crate) fn scale_width(&self) -> usize {
        match self.config.kernel {
            Kernel::Positive | Kernel::Hyperbolic => self.config.n_features,
            Kernel::Trig | Kernel::Generalized(_) => 1,
        }
    }

    /// Where features may be negative.
    fn stabilizer(&self) -> Option<f64> {
        match self.config.kernel {
            Kernel::Positive | Kernel::Hyperbolic => None,
            Kernel::Trig | Kernel::Generalized(_) => Some(self.config.stabilizer),
        }
    }

    fn attended(
        &self,
        query: Tensor<4>,
        key: Tensor<4>,
        value: Tensor<4>,
        mask_pad: Option<Tensor<2, Bool>>,
        quotient: &mut Quotient,
    ) -> Result<Tensor<4>, PerformerError> {
        self.check(&query, &key, &value, mask_pad.as_ref())?;
        if self.config.causal {
            Ok(causal::attend(self, query, key, value, mask_pad, None, quotient)?.0)
        } else {
            full::attend(self, query, key, value, mask_pad, quotient)
        }
    }

    fn check(
        &self,
        query: &Tensor<4>,
        key: &Tensor<4>,
        value: &Tensor<4>,
        mask_pad: Option<&Tensor<2, Bool>>,
    ) -> Result<(), PerformerError> {
        self.check_width("query", query)?;
        self.check_width("key", key)?;
        let ([batch, heads, n_queries, _], n_keys) = (query.dims(), key.dims()[2]);
        PerformerError::unless_equal("key", &[batch, heads, n_keys, self.config.d_head], &key.dims())?;
        PerformerError::unless_equal("value", &[batch, heads, n_keys, value.dims()[3]], &value.dims())?;
        if let Some(mask) = mask_pad {
            PerformerError::unless_equal("mask_pad", &[batch, n_keys], &mask.dims())?;
        }
        if n_keys == 0 {
            return Err(PerformerError::EmptySequence);
        }
        if self.config.causal && n_queries != n_keys {
            return Err(PerformerError::CausalLengths { queries: n_queries, keys: n_keys });
        }
        [("batch", batch), ("heads", heads), ("n_queries", n_queries), ("d_value", value.dims()[3])]
            .into_iter()
            .try_for_each(|(name, value)| PerformerError::unless_positive(name, value))
    }

    pub(crate) fn check_width(&self, tensor: &'static str, x: &Tensor<4>) -> Result<(), PerformerError> {
        let d_head = self.config.d_head;
        if x.dims()[3] == d_head {
            return Ok(());
        }
        let expected = format!("[batch, heads, length, {d_head}], as d_head says");
        Err(PerformerError::Shape { tensor, expected, actual: x.dims().to_vec() })
    }

    /// What has to be finite, where that is checked: NaN and infinities stay in a sum.
    pub(crate) fn sums(&self, query: &Tensor<3>, key: &Tensor<3>, value: &Tensor<3>) -> Vec<(&'static str, Tensor<1>)> {
        if !self.config.check_finite {
            return Vec::new();
        }
        [("queries", query), ("keys", key), ("values", value)].map(|(name, x)| (name, sum_of(x))).into()
    }
}
