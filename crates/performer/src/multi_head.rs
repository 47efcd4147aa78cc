use burn::config::Config;
use burn::module::Module;
use burn::nn::attention::MultiHeadAttention;
use burn::nn::{Dropout, DropoutConfig, Initializer, Linear, LinearConfig};
use burn::tensor::{Bool, Device, Tensor};
use rekindle_shared::attention::{join_heads, split_heads};

use crate::{Favor, FavorConfig, FavorState, Kernel, PerformerError, Projection, RowScaling};

/// Options of [`PerformerAttention`], with the names of Burn's `MultiHeadAttentionConfig` where it has them.
#[derive(Config, Debug)]
pub struct PerformerAttentionConfig {
    /// Width of the model.
    pub d_model: usize,
    /// Heads, of d_model / n_heads dimensions each.
    pub n_heads: usize,
    /// Dropout of what the heads give, before the output layer; there are no weights of attention to drop. Default 0.1.
    #[config(default = 0.1)]
    pub dropout: f64,
    /// How weights start. Default as in Burn's attention.
    #[config(default = "Initializer::KaimingUniform{gain:1.0/3f64.sqrt(), fan_out_only:false}")]
    pub initializer: Initializer,
    /// Whether the layers of queries, keys and values and that of the output have biases. Default yes.
    #[config(default = true)]
    pub bias: bool,
    /// [`FavorConfig::causal`]. Default no.
    #[config(default = false)]
    pub causal: bool,
    /// [`FavorConfig::n_features`]. Default 256.
    #[config(default = 256)]
    pub n_features: usize,
    /// [`FavorConfig::kernel`]. Default positive.
    #[config(default = "Kernel::Positive")]
    pub kernel: Kernel,
    /// [`FavorConfig::projection`]. Default orthogonal.
    #[config(default = "Projection::Orthogonal")]
    pub projection: Projection,
    /// [`FavorConfig::row_scaling`]. Default chi.
    #[config(default = "RowScaling::Chi")]
    pub row_scaling: RowScaling,
    /// [`FavorConfig::normalize_inputs`]. Default yes.
    #[config(default = true)]
    pub normalize_inputs: bool,
    /// [`FavorConfig::eps`]. Default 1e-6.
    #[config(default = 1e-6)]
    pub eps: f64,
    /// [`FavorConfig::kernel_eps`]. Default 1e-3.
    #[config(default = 1e-3)]
    pub kernel_eps: f64,
    /// [`FavorConfig::stabilizer`]. Default 1e-6.
    #[config(default = 1e-6)]
    pub stabilizer: f64,
    /// [`FavorConfig::chunk`]. Default 64.
    #[config(default = 64)]
    pub chunk: usize,
    /// [`FavorConfig::seed`]. Default 0; give every layer its own.
    #[config(default = 0)]
    pub seed: u64,
    /// [`FavorConfig::check_finite`]. Default yes.
    #[config(default = true)]
    pub check_finite: bool,
}

/// Multi-head attention in linear time, in the place of Burn's `MultiHeadAttention`.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use rekindle_performer::{AttentionInput, PerformerAttentionConfig};
///
/// let device = Device::flex();
/// let attention = PerformerAttentionConfig::new(32, 4).with_causal(true).init(&device)?;
/// let x = Tensor::ones([2, 10, 32], &device);
/// assert_eq!(attention.forward(AttentionInput::self_attn(x))?.dims(), [2, 10, 32]);
/// # Ok::<(), rekindle_performer::PerformerError>(())
/// ```
#[derive(Module, Debug)]
pub struct PerformerAttention {
    /// From the input to the queries.
    pub query: Linear,
    /// From the input to the keys.
    pub key: Linear,
    /// From the input to the values.
    pub value: Linear,
    /// From what the heads give to the output.
    pub output: Linear,
    /// Before the output layer.
    pub dropout: Dropout,
    /// Attention of the heads; they share its directions.
    pub favor: Favor,
    n_heads: usize,
}

/// Input of [`PerformerAttention::forward`], made as Burn's `MhaInput` is.
#[derive(Debug, Clone)]
pub struct AttentionInput {
    query: Tensor<3>,
    key: Tensor<3>,
    value: Tensor<3>,
    mask_pad: Option<Tensor<2, Bool>>,
}

impl AttentionInput {
    /// Of a sequence to itself: `[batch, length, d_model]`.
    pub fn self_attn(tensor: Tensor<3>) -> Self {
        Self::new(tensor.clone(), tensor.clone(), tensor)
    }

    /// Of queries `[batch, n_queries, d_model]` to keys and values `[batch, n_keys, d_model]`.
    pub fn new(query: Tensor<3>, key: Tensor<3>, value: Tensor<3>) -> Self {
        Self { query, key, value, mask_pad: None }
    }

    /// With keys that nobody sees: `[batch, n_keys]`, true at padding.
    #[must_use]
    pub fn mask_pad(mut self, mask_pad: Tensor<2, Bool>) -> Self {
        self.mask_pad = Some(mask_pad);
        self
    }
}

impl PerformerAttentionConfig {
    /// The module, its directions drawn from the seed.
    ///
    /// # Errors
    ///
    /// Heads that do not divide the model, dropout outside of [0, 1), and those of [`FavorConfig::init`].
    pub fn init(&self, device: &Device) -> Result<PerformerAttention, PerformerError> {
        let favor = self.favor()?.init(device)?;
        let linear = LinearConfig::new(self.d_model, self.d_model)
            .with_initializer(self.initializer.clone())
            .with_bias(self.bias);
        Ok(PerformerAttention {
            query: linear.init(device),
            key: linear.init(device),
            value: linear.init(device),
            output: linear.init(device),
            dropout: DropoutConfig::new(self.dropout).init(),
            favor,
            n_heads: self.n_heads,
        })
    }

    /// The module with the weights of softmax attention, whose sizes, biases and dropout count instead of the configuration's.
    ///
    /// Outputs are close to those of softmax as far as the estimate is; fine-tuning closes the rest (Fig. 5).
    ///
    /// # Errors
    ///
    /// Quiet softmax, which has no counterpart here, and those of [`init`](Self::init).
    pub fn init_from(
        &self,
        softmax: MultiHeadAttention,
        device: &Device,
    ) -> Result<PerformerAttention, PerformerError> {
        if softmax.quiet_softmax {
            return Err(PerformerError::QuietSoftmax);
        }
        let sizes = Self { d_model: softmax.d_model, n_heads: softmax.n_heads, ..self.clone() };
        let favor = sizes.favor()?.init(device)?;
        let MultiHeadAttention { query, key, value, output, dropout, n_heads, .. } = softmax;
        Ok(PerformerAttention { query, key, value, output, dropout, favor, n_heads })
    }

    fn favor(&self) -> Result<FavorConfig, PerformerError> {
        let (d_model, n_heads) = (self.d_model, self.n_heads);
        PerformerError::unless_positive("d_model", d_model)?;
        PerformerError::unless_positive("n_heads", n_heads)?;
        if d_model % n_heads != 0 {
            return Err(PerformerError::IndivisibleHeads { d_model, n_heads });
        }
        if !(0.0..1.0).contains(&self.dropout) {
            return Err(PerformerError::InvalidDropout(self.dropout));
        }
        Ok(FavorConfig {
            d_head: d_model / n_heads,
            n_features: self.n_features,
            kernel: self.kernel,
            projection: self.projection,
            row_scaling: self.row_scaling,
            causal: self.causal,
            normalize_inputs: self.normalize_inputs,
            eps: self.eps,
            kernel_eps: self.kernel_eps,
            stabilizer: self.stabilizer,
            chunk: self.chunk,
            seed: self.seed,
            check_finite: self.check_finite,
        })
    }
}

impl PerformerAttention {
    /// Attention of the queries to the keys.
    ///
    /// # Shapes
    ///
    /// - output: `[batch, n_queries, d_model]`
    ///
    /// # Errors
    ///
    /// Another width than `d_model`, and those of [`Favor::attend`].
    pub fn forward(&self, input: AttentionInput) -> Result<Tensor<3>, PerformerError> {
        let [query, key, value] = self.project(input.query, input.key, input.value)?;
        Ok(self.combine(self.favor.attend(query, key, value, input.mask_pad)?))
    }

    /// Tokens that follow those of `state`, to themselves and what was seen: `[batch, length, d_model]`, one token or more.
    ///
    /// # Errors
    ///
    /// Those of [`Favor::prefill`].
    pub fn forward_state(&self, tokens: Tensor<3>, state: &mut FavorState) -> Result<Tensor<3>, PerformerError> {
        let [query, key, value] = self.project(tokens.clone(), tokens.clone(), tokens)?;
        Ok(self.combine(self.favor.prefill(query, key, value, None, state)?))
    }

    /// A state that has seen nothing.
    ///
    /// # Errors
    ///
    /// Those of [`Favor::init_state`].
    pub fn init_state(&self, batch: usize, device: &Device) -> Result<FavorState, PerformerError> {
        let d_value = self.value.weight.dims()[1] / self.n_heads;
        self.favor.init_state(batch, self.n_heads, d_value, device)
    }

    fn project(&self, query: Tensor<3>, key: Tensor<3>, value: Tensor<3>) -> Result<[Tensor<4>; 3], PerformerError> {
        let d_model = self.query.weight.dims()[0];
        for (tensor, x) in [("query", &query), ("key", &key), ("value", &value)] {
            if x.dims()[2] != d_model {
                let expected = format!("[batch, length, {d_model}], as d_model says");
                return Err(PerformerError::Shape { tensor, expected, actual: x.dims().to_vec() });
            }
        }
        let heads = |x: Tensor<3>, linear: &Linear| split_heads(linear.forward(x), self.n_heads);
        Ok([heads(query, &self.query), heads(key, &self.key), heads(value, &self.value)])
    }

    fn combine(&self, heads: Tensor<4>) -> Tensor<3> {
        self.output.forward(self.dropout.forward(join_heads(heads)))
    }
}
