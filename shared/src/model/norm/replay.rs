use std::collections::{HashMap, HashSet};

use burn::backend::Flex;
use burn::backend::ir::{BatchNormOpIr, ModuleOperationIr, OperationIr, TensorId, TensorIr};
use burn::backend::ops::FloatTensorOps;
use burn::backend::tensor::FloatTensor;
use burn::module::{Module, ParamId};
use burn::tensor::{Tensor, TensorData};

use super::BatchStatistics;
use super::statistics::{mixture, moments};
use crate::model::ReplayError;
use crate::model::capture::{Recording, Replay, without_panic};
use crate::model::snapshot::Snapshot;

/// The output of `forward` with every batch norm normalizing by `statistics`, also where it is called by Burn's own
/// `forward`, in any module, and beside it the identifiers of the scales γ of the layers that did.
///
/// It records the operations of the forward pass without computing them, then carries them out with the statistics in
/// place of the running ones that each batch norm holds. [`normalize_with`](super::normalize_with) does the same with
/// gradients and at the speed of the device, for networks that call their batch norms by
/// [`Layer::run`](crate::model::Layer::run): use it where you can change the network, and this where you can't.
///
/// - The output is on the device of `input`, without a gradient.
/// - Each call passes all weights through the host and computes on the CPU with `flex` and Burn's own operations,
///   whatever the model's device.
/// - The network is in evaluation mode: dropout is off. Running statistics stay as they are, but for
///   [`BatchStatistics::Ema`], whose average lives in them, and in those of clones, which share them.
/// - A `forward` that reads tensors back can't be recorded. It panics inside of this function, which catches that; the
///   panic hook still reports it on standard error, and a program built with `panic = "abort"` ends.
/// - A batch norm that a network writes out in elementary operations doesn't take part:
///   [`batch_norms_outside`](super::batch_norms_outside) finds it.
///
/// # Errors
///
/// [`ReplayError`], by the reason.
///
/// ```
/// use burn::{nn::BatchNormConfig, tensor::{Device, Tensor}};
/// use rekindle_shared::model::{BatchStatistics, batch_norms_outside, replay_with};
///
/// let device = Device::flex();
/// let norm = BatchNormConfig::new(1).init(&device); // mean 0, variance 1
/// let input = Tensor::<2>::from_floats([[1.0], [3.0]], &device); // mean 2, variance 1
/// let half = BatchStatistics::Mixture { alpha: 0.5 };
/// let (output, seen) = replay_with(half, &norm, input, |norm, input| norm.forward(input))?;
/// output.into_data().assert_approx_eq::<f32>(&[[0.0], [2.0]].into(), Default::default());
/// assert!(batch_norms_outside(&norm, &seen).is_empty());
/// # Ok::<(), rekindle_shared::model::ReplayError>(())
/// ```
pub fn replay_with<M: Module, const D: usize, const R: usize>(
    statistics: BatchStatistics,
    model: &M,
    input: Tensor<D>,
    forward: impl FnOnce(&M, Tensor<D>) -> Tensor<R>,
) -> Result<(Tensor<R>, HashSet<ParamId>), ReplayError> {
    let statistics = statistics.validate()?;
    let device = input.device();
    let (output, seen, moved) = without_panic(|| {
        let Recording { graph, parameters, output } = Recording::of(model, input, forward)?;
        let mut mixing = Mixing::new(statistics, parameters, Replay::from_values(graph.values));
        let output = mixing.carry_out::<R>(graph.graph.operations, &output)?;
        Ok((output, mixing.seen, mixing.moved))
    })?;
    if !moved.is_empty() {
        // A clone shares its running statistics with the model.
        Snapshot::from_values(moved).restore(model.clone());
    }
    let dtype = output.dtype();
    Ok((Tensor::from_data(output, (&device, dtype)), seen))
}

/// Recorded operations being carried out with other statistics.
struct Mixing {
    statistics: BatchStatistics,
    parameters: HashMap<TensorId, ParamId>,
    replay: Replay,
    seen: HashSet<ParamId>,
    /// Running statistics that a moving average has changed.
    moved: HashMap<ParamId, Tensor<1>>,
}

impl Mixing {
    fn new(statistics: BatchStatistics, parameters: HashMap<TensorId, ParamId>, replay: Replay) -> Self {
        Self { statistics, parameters, replay, seen: HashSet::new(), moved: HashMap::new() }
    }

    fn carry_out<const R: usize>(
        &mut self,
        operations: Vec<OperationIr>,
        output: &TensorIr,
    ) -> Result<TensorData, ReplayError> {
        for mut operation in operations {
            if let OperationIr::Module(ModuleOperationIr::BatchNorm(norm)) = &mut operation {
                self.choose(norm)?;
            }
            self.replay.carry_out(operation);
        }
        Ok(Tensor::<R>::from_primitive::<Flex>(self.tensor("output", output)?).into_data())
    }

    /// Puts the chosen statistics in place of the running ones.
    fn choose(&mut self, norm: &mut BatchNormOpIr) -> Result<(), ReplayError> {
        let ids = [&norm.gamma, &norm.mean, &norm.variance].map(|tensor| self.parameters.get(&tensor.id).copied());
        let [Some(scale), Some(mean_id), Some(variance_id)] = ids else { return Ok(()) };
        self.seen.insert(scale);
        let (samples, channels) = (norm.x.shape[0], norm.x.shape[1]);
        let share = self.statistics.share(samples);
        if share == 0.0 {
            return Ok(());
        }
        let rest = norm.x.shape.num_elements() / (samples * channels).max(1);
        let input = Flex::float_reshape(self.tensor("input", &norm.x)?, [samples, channels, rest].into());
        let input = Tensor::<3>::from_primitive::<Flex>(input);
        let [gamma, beta] = [self.vector("scale", &norm.gamma)?, self.vector("shift", &norm.beta)?];
        let [source_mean, source_variance] =
            [self.vector("mean", &norm.mean)?, self.vector("variance", &norm.variance)?];
        let source_mean = self.moved.get(&mean_id).cloned().unwrap_or(source_mean);
        let source_variance = self.moved.get(&variance_id).cloned().unwrap_or(source_variance);
        let batch = || moments(&input, gamma, beta, norm.epsilon.elem());
        let [mean, variance] = mixture(share, || [source_mean, source_variance], batch);
        if let BatchStatistics::Ema { .. } = self.statistics {
            self.moved.insert(mean_id, mean.clone());
            self.moved.insert(variance_id, variance.clone());
        }
        norm.mean = self.add(mean, &norm.mean)?;
        norm.variance = self.add(variance, &norm.variance)?;
        Ok(())
    }

    fn tensor(&mut self, name: &'static str, recorded: &TensorIr) -> Result<FloatTensor<Flex>, ReplayError> {
        let not_float = || ReplayError::NotFloat { tensor: name, dtype: format!("{:?}", recorded.dtype) };
        self.replay.float(recorded).ok_or_else(not_float)
    }

    fn vector(&mut self, name: &'static str, recorded: &TensorIr) -> Result<Tensor<1>, ReplayError> {
        self.tensor(name, recorded).map(Tensor::from_primitive::<Flex>)
    }

    /// Adds `values` to the recorded tensors, to be used once in place of `replaced`.
    fn add(&mut self, values: Tensor<1>, replaced: &TensorIr) -> Result<TensorIr, ReplayError> {
        let values = values.try_into_primitive::<Flex>();
        let values = values.map_err(|error| ReplayError::Refused(format!("{error:?}")))?;
        Ok(self.replay.add(values, replaced))
    }
}
