//! A forward pass recorded as a list of operations, and these being carried out.

use std::any::Any;
use std::collections::{BTreeMap, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};

use burn::backend::ir::{HandleKind, OperationIr, TensorId, TensorIr, TensorStatus};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Capture, Flex};
use burn::module::{Module, ModuleVisitor, Param, ParamId};
use burn::tensor::kind::Autodiff;
use burn::tensor::{CapturedGraph, DType, Device, Tensor, TensorData};
use burn_router::TensorInterpreter;

use super::ReplayError;
use crate::model::observe::unreported;

thread_local! {
    /// One a thread, since a process can make 65,536 of them.
    static RECORDER: Device = Device::capture();
}

/// A forward pass as a list of operations.
pub(crate) struct Recording {
    pub(crate) graph: CapturedGraph,
    /// Which recorded tensors are parameters and running statistics of the model.
    pub(crate) parameters: HashMap<TensorId, ParamId>,
    pub(crate) output: TensorIr,
}

impl Recording {
    /// Records `forward` in evaluation mode.
    pub(crate) fn of<M: Module, const D: usize, K: Autodiff, const R: usize>(
        model: &M,
        input: Tensor<D, K>,
        forward: impl FnOnce(&M, Tensor<D, K>) -> Tensor<R>,
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
        if is_quantized(model) {
            return Err(ReplayError::Refused("Burn does not record quantized weights".into()));
        }
        // Nothing moves to a recorder from an autodiff device, and running statistics would move with those of clones.
        let (model, input) = (model.valid(), input.inner());
        let (mut parameters, mut output) = (Parameters::default(), None);
        let recorder = RECORDER.with(Device::clone);
        let graph = recorder.capture_scope(|scope| {
            let model = model.to_device(&recorder);
            model.visit(&mut parameters);
            // A scope that observes would get inputs without values.
            let recorded = unreported(|| forward(&model, input.to_device(&recorder)));
            match recorded.try_into_primitive::<Capture>() {
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

fn is_quantized<M: Module>(model: &M) -> bool {
    struct Quantized(bool);
    impl ModuleVisitor for Quantized {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.0 |= matches!(param.val().dtype(), DType::QFloat(_));
        }
    }
    let mut quantized = Quantized(false);
    model.visit(&mut quantized);
    quantized.0
}

/// Recorded operations being carried out.
pub(crate) struct Replay {
    interpreter: TensorInterpreter<Flex>,
    /// Identifier of the last tensor that was added to the recorded ones; those count from 0 upwards.
    added: u64,
}

impl Replay {
    /// At the start, with the values that were there before any operation.
    pub(crate) fn from_values(values: BTreeMap<TensorId, TensorData>) -> Self {
        let mut interpreter = TensorInterpreter::new(Default::default());
        for (id, value) in values {
            interpreter.register_tensor_data_id(id, value);
        }
        Self { interpreter, added: u64::MAX }
    }

    pub(crate) fn carry_out(&mut self, operation: OperationIr) {
        self.interpreter.register_op(operation);
    }

    /// The value that a recorded tensor has by now; none if it is no float tensor.
    pub(crate) fn float(&mut self, recorded: &TensorIr) -> Option<FloatTensor<Flex>> {
        if !recorded.dtype.is_float() {
            return None;
        }
        // A recorded operation may be the last one to need it, this look at it is not.
        let recorded = TensorIr { status: TensorStatus::ReadOnly, ..recorded.clone() };
        match self.interpreter.get_tensor(&recorded) {
            HandleKind::Float(tensor) => Some(tensor),
            _ => None,
        }
    }

    /// Adds a value to the recorded tensors, to be used once in place of `replaced`.
    pub(crate) fn add(&mut self, value: FloatTensor<Flex>, replaced: &TensorIr) -> TensorIr {
        self.added -= 1;
        let id = TensorId::new(self.added);
        self.interpreter.register_tensor_to_device(id, HandleKind::Float(value));
        TensorIr { id, status: TensorStatus::ReadWrite, ..replaced.clone() }
    }
}

/// The result of `replay`, which records and carries out a forward pass, with a panic turned into an error.
pub(crate) fn without_panic<T>(replay: impl FnOnce() -> Result<T, ReplayError>) -> Result<T, ReplayError> {
    // What a panic leaves behind is the recorded copy of the model, which nobody sees again.
    catch_unwind(AssertUnwindSafe(replay)).unwrap_or_else(|panic| Err(ReplayError::Refused(message(&*panic))))
}

/// What a panic says, in one line.
fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("a panic without a message").split_whitespace().collect::<Vec<_>>().join(" ")
}
