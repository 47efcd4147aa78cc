use std::any::Any;
use std::collections::{HashMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

use burn::backend::ir::{BatchNormOpIr, HandleKind, ModuleOperationIr, OperationIr, TensorId, TensorIr, TensorStatus};
use burn::backend::ops::FloatTensorOps;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Capture, Flex};
use burn::module::{Module, ModuleVisitor, Param, ParamId};
use burn::tensor::{CapturedGraph, Device, Tensor, TensorData};
use burn_router::TensorInterpreter;
use thiserror::Error;

use super::statistics::{mixture, moments};
use super::{BatchStatistics, StatisticsError};
use crate::model::snapshot::Snapshot;

/// Why a forward pass could not be recorded and carried out again. The model is as before.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// Statistics with a number out of its range.
    #[error(transparent)]
    Statistics(#[from] StatisticsError),
    /// The forward pass panicked, or holds an operation that can't be carried out again.
    #[error(
        "the forward pass can't be recorded and replayed: {0}; nothing is computed while it is recorded, so that it may \
         neither read tensors back (`into_data`, `into_scalar`) nor seed its device nor mix in tensors of others: change \
         that, or call its batch norms by `Layer::run` and use `normalize_with`"
    )]
    Refused(String),
    /// The output was not recorded.
    #[error(
        "the output does not come from the model and the input that `forward` is given: use those, not captured ones"
    )]
    NotRecorded,
    /// A batch norm of something else than float tensors.
    #[error("the {tensor} of a batch norm is of type {dtype}, and statistics are mixed of float tensors alone")]
    NotFloat {
        /// Which of its tensors.
        tensor: &'static str,
        /// Its element type.
        dtype: String,
    },
}

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
    // What a panic leaves behind is the recorded copy of the model, which nobody sees again.
    let replayed = catch_unwind(AssertUnwindSafe(|| {
        let recording = Recording::of(model, input, forward)?;
        let mut replay = Replay::new(statistics, recording.parameters);
        let output = replay.carry_out::<R>(recording.graph, &recording.output)?;
        Ok((output, replay.seen, replay.moved))
    }));
    let (output, seen, moved) = replayed.unwrap_or_else(|panic| Err(ReplayError::Refused(message(&*panic))))?;
    if !moved.is_empty() {
        // A clone shares its running statistics with the model.
        Snapshot::from_values(moved).restore(model.clone());
    }
    let dtype = output.dtype();
    Ok((Tensor::from_data(output, (&device, dtype)), seen))
}

/// What a panic says, in one line.
fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("a panic without a message").split_whitespace().collect::<Vec<_>>().join(" ")
}

thread_local! {
    /// One a thread, since a process can make 65,536 of them.
    static RECORDER: Device = Device::capture();
}

/// A forward pass as a list of operations.
struct Recording {
    graph: CapturedGraph,
    /// Which recorded tensors are parameters and running statistics of the model.
    parameters: HashMap<TensorId, ParamId>,
    output: TensorIr,
}

impl Recording {
    fn of<M: Module, const D: usize, const R: usize>(
        model: &M,
        input: Tensor<D>,
        forward: impl FnOnce(&M, Tensor<D>) -> Tensor<R>,
    ) -> Result<Self, ReplayError> {
        #[derive(Default)]
        struct Parameters(HashMap<TensorId, ParamId>);
        impl ModuleVisitor for Parameters {
            fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
                if let Ok(recorded) = param.val().try_into_primitive::<Capture>() {
                    self.0.insert(recorded.id(), param.id);
                }
            }
        }
        // Nothing moves to a recorder from an autodiff device, and running statistics would move with those of clones.
        let (model, input) = (model.valid(), input.inner());
        let (mut parameters, mut output) = (Parameters::default(), None);
        let recorder = RECORDER.with(Device::clone);
        let graph = recorder.capture_scope(|scope| {
            let model = model.to_device(&recorder);
            model.visit(&mut parameters);
            match forward(&model, input.to_device(&recorder)).try_into_primitive::<Capture>() {
                Ok(recorded) => {
                    let id = recorded.id();
                    output = Some(recorded.into_ir());
                    scope.complete([], [id])
                }
                Err(_) => scope.complete([], []),
            }
        });
        let graph = graph.map_err(|error| ReplayError::Refused(error.to_string()))?;
        let mut output = output.ok_or(ReplayError::NotRecorded)?;
        output.id = *graph.graph.outputs.first().ok_or(ReplayError::NotRecorded)?;
        Ok(Self { graph, parameters: parameters.0, output })
    }
}

/// Recorded operations being carried out.
struct Replay {
    interpreter: TensorInterpreter<Flex>,
    statistics: BatchStatistics,
    parameters: HashMap<TensorId, ParamId>,
    seen: HashSet<ParamId>,
    /// Running statistics that a moving average has changed.
    moved: HashMap<ParamId, Tensor<1>>,
    /// Identifier of the last tensor that was added to the recorded ones; those count from 0 upwards.
    added: u64,
}

impl Replay {
    fn new(statistics: BatchStatistics, parameters: HashMap<TensorId, ParamId>) -> Self {
        let interpreter = TensorInterpreter::new(Default::default());
        Self { interpreter, statistics, parameters, seen: HashSet::new(), moved: HashMap::new(), added: u64::MAX }
    }

    fn carry_out<const R: usize>(
        &mut self,
        graph: CapturedGraph,
        output: &TensorIr,
    ) -> Result<TensorData, ReplayError> {
        for (id, value) in graph.values {
            self.interpreter.register_tensor_data_id(id, value);
        }
        for mut operation in graph.graph.operations {
            if let OperationIr::Module(ModuleOperationIr::BatchNorm(norm)) = &mut operation {
                self.choose(norm)?;
            }
            self.interpreter.register_op(operation);
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
        if !recorded.dtype.is_float() {
            return Err(not_float());
        }
        // A recorded operation may be the last one to need it, this look at it is not.
        let recorded = TensorIr { status: TensorStatus::ReadOnly, ..recorded.clone() };
        match self.interpreter.get_tensor(&recorded) {
            HandleKind::Float(tensor) => Ok(tensor),
            _ => Err(not_float()),
        }
    }

    fn vector(&mut self, name: &'static str, recorded: &TensorIr) -> Result<Tensor<1>, ReplayError> {
        self.tensor(name, recorded).map(Tensor::from_primitive::<Flex>)
    }

    /// Adds `values` to the recorded tensors, to be used once in place of `replaced`.
    fn add(&mut self, values: Tensor<1>, replaced: &TensorIr) -> Result<TensorIr, ReplayError> {
        let values = values.try_into_primitive::<Flex>();
        let values = values.map_err(|error| ReplayError::Refused(format!("{error:?}")))?;
        self.added -= 1;
        let id = TensorId::new(self.added);
        self.interpreter.register_tensor_to_device(id, HandleKind::Float(values));
        Ok(TensorIr { id, status: TensorStatus::ReadWrite, ..replaced.clone() })
    }
}
