use burn::config::Config;
use burn::nn::Initializer;
use burn::tensor::Device;
use rekindle_shared::attention::directions::{Pool, RandomProjection, RowScaling};
use serde::{Deserialize, Serialize};

use crate::{Projection, RfaCausal, RfaCross, RfaError, RfaHeads};

/// The feature map φ, of directions w and scaled inputs x.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kernel {
    /// √(1/D) (sin w·x, cos w·x), two features a direction: φ(x)·φ(y) estimates exp(-|x - y|² / 2), for vectors of one length
    /// a multiple of exp(x·y). Sums may be negative.
    #[default]
    Gaussian,
    /// √(1/D) max(w·x, 0), a feature a direction, none negative: the arc-cosine kernel of order 1, |x| |y| (sin t + (π - t) cos t) / 2π
    /// for an angle t, which is not the kernel of softmax.
    ArcCos,
}

/// Options of [`RfaHeads`]; the defaults are those of the paper where it says.
#[derive(Config, Debug)]
pub struct RfaHeadsConfig {
    /// Heads, each with directions of its own.
    pub n_heads: usize,
    /// Dimensions d of a head's queries and keys.
    pub d_head: usize,
    /// Directions D of a head. Default 64. Gaussian features are twice as many.
    #[config(default = 64)]
    pub n_features: usize,
    /// The feature map. Default Gaussian.
    #[config(default = "Kernel::Gaussian")]
    pub kernel: Kernel,
    /// How directions are drawn. Default orthogonal, a new block for every d directions.
    #[config(default = "Projection::Orthogonal")]
    pub projection: Projection,
    /// Whether every head learns a factor σ for each dimension of its queries and keys, which starts at 1. Default yes.
    #[config(default = true)]
    pub learn_sigma: bool,
    /// The bandwidth τ that queries and keys are divided by. Default 1.
    #[config(default = 1.0)]
    pub tau: f64,
    /// Whether queries and keys are divided by their lengths. Default yes.
    #[config(default = true)]
    pub normalize_qk: bool,
    /// What is added to those lengths. Default 1e-3, as in the authors' code; a vector of zeros stays one, also with 0.
    #[config(default = 1e-3)]
    pub norm_eps: f64,
    /// Denominators of n tokens that are closer to 0 than this times √n, as which the noise of their scores grows, are set to that,
    /// their sign kept; with a gate, this times the sum of the tokens' weights. Default 1e-6.
    #[config(default = 1e-6)]
    pub eps: f64,
    /// Matrices that the heads pick theirs from. Default 200.
    #[config(default = 200)]
    pub pool_size: usize,
    /// Steps between picks of [`resample`](crate::resample). Default 1; 0 for none, and then evaluation has the directions of
    /// training.
    #[config(default = 1)]
    pub resample_every: u64,
    /// Tokens of a chunk of the causal form. Default 64; changes speed and memory, not results.
    #[config(default = 64)]
    pub chunk: usize,
    /// The seed of the directions. Default 0; give every layer its own.
    #[config(default = 0)]
    pub seed: u64,
    /// Whether NaN and infinite inputs are an error, which costs a read-back a call. Default yes.
    #[config(default = true)]
    pub check_finite: bool,
}

impl RfaHeadsConfig {
    /// Attention with directions drawn from the seed.
    ///
    /// # Errors
    ///
    /// A size of 0, a τ that is not above 0, a negative or non-finite ε, a pool that is smaller than the heads, no projection.
    pub fn init(&self, device: &Device) -> Result<RfaHeads, RfaError> {
        for (name, value) in
            [("n_heads", self.n_heads), ("d_head", self.d_head), ("n_features", self.n_features), ("chunk", self.chunk)]
        {
            RfaError::unless_positive(name, value)?;
        }
        RfaError::unless_negative("norm_eps", self.norm_eps)?;
        RfaError::unless_negative("eps", self.eps)?;
        if !(self.tau > 0.0 && self.tau.is_finite()) {
            return Err(RfaError::InvalidTau(self.tau));
        }
        if self.pool_size < self.n_heads {
            return Err(RfaError::SmallPool { pool_size: self.pool_size, n_heads: self.n_heads });
        }
        if self.projection == Projection::None {
            return Err(RfaError::Unprojected);
        }
        let pool = Pool { size: self.pool_size as u64, n_heads: self.n_heads, interval: self.resample_every };
        let shape = [self.n_features, self.d_head];
        let projection = RandomProjection::with_pool(shape, pool, self.projection, RowScaling::Chi, self.seed, device);
        Ok(RfaHeads::new(self.clone(), projection, device))
    }
}

/// Options of [`RfaCausal`] and [`RfaCross`], with the names of Burn's `MultiHeadAttentionConfig` where it has them.
///
/// ```
/// use burn::tensor::Device;
/// use rekindle_rfa::{Kernel, RfaConfig};
///
/// let device = Device::flex();
/// assert!(RfaConfig::new(64, 4).with_gate(true).init_causal(&device).is_ok());
/// assert!(RfaConfig::new(64, 4).with_kernel(Kernel::ArcCos).init_cross(&device).is_ok());
/// ```
#[derive(Config, Debug)]
pub struct RfaConfig {
    /// Width of the model.
    pub d_model: usize,
    /// Heads, of d_model / n_heads dimensions each.
    pub n_heads: usize,
    /// Dropout of what the heads give, before the output layer; there are no weights of attention to drop. Default 0.1.
    #[config(default = 0.1)]
    pub dropout: f64,
    /// How weights start. Default Xavier's uniform ones times 1/√2, as in the authors' code.
    #[config(default = "Initializer::XavierUniform{gain: 0.5f64.sqrt()}")]
    pub initializer: Initializer,
    /// Whether the layers of queries, keys and values and that of the output have biases. Default yes.
    #[config(default = true)]
    pub bias: bool,
    /// Whether causal attention forgets by a learned gate, one number a head and token. Default no.
    #[config(default = false)]
    pub gate: bool,
    /// Where the gate's bias starts. Default 2, of which a state of g = 0.88 is left a token; the paper does not say.
    #[config(default = 2.0)]
    pub gate_bias_init: f64,
    /// [`RfaHeadsConfig::n_features`]. Default 64.
    #[config(default = 64)]
    pub n_features: usize,
    /// [`RfaHeadsConfig::kernel`]. Default Gaussian.
    #[config(default = "Kernel::Gaussian")]
    pub kernel: Kernel,
    /// [`RfaHeadsConfig::projection`]. Default orthogonal.
    #[config(default = "Projection::Orthogonal")]
    pub projection: Projection,
    /// [`RfaHeadsConfig::learn_sigma`]. Default yes.
    #[config(default = true)]
    pub learn_sigma: bool,
    /// [`RfaHeadsConfig::tau`]. Default 1.
    #[config(default = 1.0)]
    pub tau: f64,
    /// [`RfaHeadsConfig::normalize_qk`]. Default yes.
    #[config(default = true)]
    pub normalize_qk: bool,
    /// [`RfaHeadsConfig::norm_eps`]. Default 1e-3.
    #[config(default = 1e-3)]
    pub norm_eps: f64,
    /// [`RfaHeadsConfig::eps`]. Default 0.1 for Gaussian features, about the noise of one score of 64 directions, and 0.01 for
    /// arc-cosine ones, which are not negative: denominators near 0 make outputs, and gradients, of any size. Less is closer to the estimate.
    #[config(default = "None")]
    pub eps: Option<f64>,
    /// [`RfaHeadsConfig::pool_size`]. Default 200.
    #[config(default = 200)]
    pub pool_size: usize,
    /// [`RfaHeadsConfig::resample_every`]. Default 1.
    #[config(default = 1)]
    pub resample_every: u64,
    /// [`RfaHeadsConfig::chunk`]. Default 64.
    #[config(default = 64)]
    pub chunk: usize,
    /// [`RfaHeadsConfig::seed`]. Default 0; give every layer its own.
    #[config(default = 0)]
    pub seed: u64,
    /// [`RfaHeadsConfig::check_finite`]. Default yes.
    #[config(default = true)]
    pub check_finite: bool,
}

impl RfaConfig {
    /// Attention of tokens to those before them and themselves.
    ///
    /// # Errors
    ///
    /// Heads that do not divide the model, dropout outside of [0, 1), a non-finite bias of the gate, and those of
    /// [`RfaHeadsConfig::init`].
    pub fn init_causal(&self, device: &Device) -> Result<RfaCausal, RfaError> {
        RfaCausal::new(self, self.heads()?.init(device)?, device)
    }

    /// Attention to a source, or of a sequence to all of itself.
    ///
    /// # Errors
    ///
    /// A gate, and those of [`init_causal`](Self::init_causal).
    pub fn init_cross(&self, device: &Device) -> Result<RfaCross, RfaError> {
        if self.gate {
            return Err(RfaError::GatedCross);
        }
        Ok(RfaCross::new(self, self.heads()?.init(device)?, device))
    }

    fn heads(&self) -> Result<RfaHeadsConfig, RfaError> {
        let (d_model, n_heads) = (self.d_model, self.n_heads);
        RfaError::unless_positive("d_model", d_model)?;
        RfaError::unless_positive("n_heads", n_heads)?;
        if d_model % n_heads != 0 {
            return Err(RfaError::IndivisibleHeads { d_model, n_heads });
        }
        if !(0.0..1.0).contains(&self.dropout) {
            return Err(RfaError::InvalidDropout(self.dropout));
        }
        if !self.gate_bias_init.is_finite() {
            return Err(RfaError::InvalidGateBias(self.gate_bias_init));
        }
        let steady = match self.kernel {
            Kernel::Gaussian => 0.1,
            Kernel::ArcCos => 0.01,
        };
        Ok(RfaHeadsConfig::new(n_heads, d_model / n_heads)
            .with_n_features(self.n_features)
            .with_kernel(self.kernel)
            .with_projection(self.projection)
            .with_learn_sigma(self.learn_sigma)
            .with_tau(self.tau)
            .with_normalize_qk(self.normalize_qk)
            .with_norm_eps(self.norm_eps)
            .with_eps(self.eps.unwrap_or(steady))
            .with_pool_size(self.pool_size)
            .with_resample_every(self.resample_every)
            .with_chunk(self.chunk)
            .with_seed(self.seed)
            .with_check_finite(self.check_finite))
    }
}
