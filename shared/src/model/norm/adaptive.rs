use burn::module::{Flag, Module, Param, RunningState};
use burn::nn::BatchNorm;
use burn::tensor::Tensor;

use crate::model::Layer;

/// Burn's batch norm, with statistics that a scope can choose even where it is called by `forward`.
///
/// Inside [`normalize_with`](super::normalize_with) it normalizes by the statistics given there, with gradients; outside
/// it is Burn's batch norm. Networks that call their layers through [`Layer::run`] don't need it, their stock batch norms
/// do the same; others change the type of the field. Its fields are those of [`BatchNorm`], so that a record of the
/// stock layer loads into it, and one of it into the stock layer.
///
/// ```
/// use burn::{module::Module, nn::BatchNormConfig, tensor::Device};
/// use rekindle_shared::model::AdaptiveBatchNorm;
///
/// let device = Device::flex();
/// let stock = BatchNormConfig::new(3).init(&device);
/// let adaptive = AdaptiveBatchNorm::from(BatchNormConfig::new(3).init(&device));
/// let adaptive = adaptive.try_load_record(stock.clone().into_record())?;
/// assert_eq!(adaptive.gamma.id, stock.gamma.id);
/// # Ok::<(), burn::store::RecordError>(())
/// ```
#[derive(Module, Debug)]
pub struct AdaptiveBatchNorm {
    /// The scale γ, `[channels]`.
    pub gamma: Param<Tensor<1>>,
    /// The shift β, `[channels]`.
    pub beta: Param<Tensor<1>>,
    /// Whether it normalizes by the batch on an autodiff device, outside of a scope.
    pub training: Param<Flag>,
    /// The running mean, `[channels]`.
    pub running_mean: RunningState<Tensor<1>>,
    /// The running variance, `[channels]`.
    pub running_var: RunningState<Tensor<1>>,
    /// Share of the newest batch in the running statistics, outside of a scope.
    pub momentum: f64,
    /// Added to the variance.
    pub epsilon: f64,
}

impl AdaptiveBatchNorm {
    /// The normalized input.
    ///
    /// # Shapes
    ///
    /// - `input`: `[batch, channels, ..]`
    /// - output: the same
    ///
    /// # Panics
    ///
    /// As Burn's batch norm, if the input has another number of channels.
    pub fn forward<const D: usize>(&self, input: Tensor<D>) -> Tensor<D> {
        self.run(input)
    }

    /// The stock layer with the same parameters and running statistics, which it shares.
    fn stock(&self) -> BatchNorm {
        BatchNorm {
            gamma: self.gamma.clone(),
            beta: self.beta.clone(),
            training: self.training.clone(),
            running_mean: self.running_mean.clone(),
            running_var: self.running_var.clone(),
            momentum: self.momentum,
            epsilon: self.epsilon,
        }
    }
}

impl<const D: usize> Layer<D> for AdaptiveBatchNorm {
    fn run(&self, input: Tensor<D>) -> Tensor<D> {
        self.stock().run(input)
    }
}

impl From<BatchNorm> for AdaptiveBatchNorm {
    fn from(stock: BatchNorm) -> Self {
        let BatchNorm { gamma, beta, training, running_mean, running_var, momentum, epsilon } = stock;
        Self { gamma, beta, training, running_mean, running_var, momentum, epsilon }
    }
}
