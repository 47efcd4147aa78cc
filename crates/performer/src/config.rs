use burn::config::Config;
use burn::tensor::Device;
use rekindle_shared::attention::directions::{Projection, RandomProjection, RowScaling};

use crate::kernel::Function;
use crate::{Favor, Kernel, PerformerError};

/// Options of [`Favor`]; the defaults are the paper's (App. A.3).
///
/// ```
/// use burn::tensor::Device;
/// use rekindle_performer::{FavorConfig, Kernel, RowScaling};
///
/// let device = Device::flex();
/// assert!(FavorConfig::new(64).with_causal(true).init(&device).is_ok());
/// // The regularized softmax kernel SMREG: rows of length √d.
/// let smreg = FavorConfig::new(64).with_kernel(Kernel::Hyperbolic).with_row_scaling(RowScaling::SqrtDim);
/// assert!(smreg.init(&device).is_ok());
/// ```
#[derive(Config, Debug)]
pub struct FavorConfig {
    /// Dimensions d of a head's queries and keys.
    pub d_head: usize,
    /// Features r. Default 256. Hyperbolic and trigonometric features come in pairs of one direction.
    #[config(default = 256)]
    pub n_features: usize,
    /// The feature map. Default positive.
    #[config(default = "Kernel::Positive")]
    pub kernel: Kernel,
    /// How directions are drawn. Default orthogonal.
    #[config(default = "Projection::Orthogonal")]
    pub projection: Projection,
    /// Lengths of the directions. Default those of normal vectors, without bias.
    #[config(default = "RowScaling::Chi")]
    pub row_scaling: RowScaling,
    /// Whether token t sees the tokens up to t alone. Default no.
    #[config(default = false)]
    pub causal: bool,
    /// Whether queries and keys are scaled by d^(-1/4), as softmax attention does. Default yes.
    #[config(default = true)]
    pub normalize_inputs: bool,
    /// What is added to positive and hyperbolic features where attention is not causal, in units of each query's largest
    /// feature and of the largest of all keys. Default 1e-6; 0 is the estimator itself.
    ///
    /// Causal attention adds nothing: the largest key may be one that comes later.
    #[config(default = 1e-6)]
    pub eps: f64,
    /// What is added to the features of a generalized kernel. Default 1e-3.
    #[config(default = 1e-3)]
    pub kernel_eps: f64,
    /// Denominators that are no larger get twice as much added, where features may be negative: trigonometric ones and those of a
    /// generalized kernel. Default 1e-6.
    #[config(default = 1e-6)]
    pub stabilizer: f64,
    /// Tokens of a chunk of the causal form. Default 64; changes speed and memory, not results.
    #[config(default = 64)]
    pub chunk: usize,
    /// The seed of the directions. Default 0; give every layer its own.
    #[config(default = 0)]
    pub seed: u64,
    /// Whether NaN and infinite inputs are an error, which costs a read-back a call. Default yes.
    ///
    /// Without it they spread to the outputs of their sequence. Causal attention of several tokens reads back anyway.
    #[config(default = true)]
    pub check_finite: bool,
}

impl FavorConfig {
    /// Attention with directions drawn from the seed.
    ///
    /// # Errors
    ///
    /// A size of 0, an odd number of paired features, a negative or non-finite ε or stabilizer; no projection for a kernel
    /// that needs one, or with another number of features than a head has dimensions.
    pub fn init(&self, device: &Device) -> Result<Favor, PerformerError> {
        PerformerError::unless_positive("d_head", self.d_head)?;
        PerformerError::unless_positive("n_features", self.n_features)?;
        PerformerError::unless_positive("chunk", self.chunk)?;
        for (name, value) in [("eps", self.eps), ("kernel_eps", self.kernel_eps), ("stabilizer", self.stabilizer)] {
            PerformerError::unless_negative(name, value)?;
        }
        let (kernel, n_features) = (self.kernel.name(), self.n_features);
        let per_direction = self.kernel.features_per_direction();
        if n_features % per_direction != 0 {
            return Err(PerformerError::OddFeatures { kernel, n_features });
        }
        let function = match self.kernel {
            Kernel::Generalized(function) => Some(Function::Named(function)),
            Kernel::Positive | Kernel::Hyperbolic | Kernel::Trig => None,
        };
        if self.projection == Projection::None {
            if function.is_none() {
                return Err(PerformerError::Unprojected(kernel));
            }
            if n_features != self.d_head {
                return Err(PerformerError::UnprojectedFeatures { d_head: self.d_head, n_features });
            }
        }
        let projection = RandomProjection::new(
            [n_features / per_direction, self.d_head],
            self.projection,
            self.row_scaling,
            self.seed,
            device,
        );
        Ok(Favor::new(self.clone(), projection, function))
    }
}
