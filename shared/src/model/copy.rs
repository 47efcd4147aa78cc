use std::any::Any;
use std::collections::HashMap;

use burn::module::{Flag, Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::tensor::{Bool, DType, Int, Tensor};

/// A copy of `module` that shares nothing with it which training can change.
///
/// Burn's `clone()` shares the running statistics of batch norm: a forward pass of either in training mode updates
/// both, and so do `map` and `load_record` on the clone. The copy returned here has running statistics of its own,
/// and parameters that are leaves of their own, so that the gradients of original and copy stay apart even within one
/// loss. Everything else is as in the original:
///
/// - parameter identifiers (optimizer states and gradients fit both), load and save mappings, adapters;
/// - what requires gradients and what is frozen, now and after `train()`;
/// - training flags, those switched off by hand included;
/// - device, autodiff and gradient-checkpointing strategy, parameter by parameter;
/// - weights that are tied (one identifier in two places) stay tied.
///
/// No tensor is copied: values are shared until one side replaces its own. The original keeps its values to the bit.
/// Two things that it had only planned take place: parameters that it would draw at first use are drawn now, and the
/// update of running statistics that Burn keeps back until the next forward pass is carried out, in the original and
/// therefore in the copy.
///
/// Fields marked `#[module(skip)]` are cloned with the module: one that holds shared state (an `Arc`) stays shared.
///
/// ```
/// use burn::{module::Module, nn::BatchNormConfig, tensor::{Device, Distribution, Tensor}};
/// use rekindle_shared::model::deep_copy;
///
/// let device = Device::flex().autodiff();
/// let norm = BatchNormConfig::new(2).init(&device);
/// let copy = deep_copy(&norm);
/// copy.forward(Tensor::<2>::random([8, 2], Distribution::Default, &device));
/// assert_eq!(norm.running_mean.value_sync().into_data().try_to_vec::<f32>().unwrap(), [0.0, 0.0]);
/// ```
pub fn deep_copy<M: Module>(module: &M) -> M {
    // `valid` is the one operation that makes new cells for running states; it also carries out their pending update.
    let fresh = module.valid();
    let mut originals = Originals::default();
    module.visit(&mut originals);
    fresh.map(&mut originals)
}

/// The values of a module by identifier, to put into a copy of it.
#[derive(Default)]
struct Originals {
    tensors: HashMap<ParamId, Box<dyn Any>>,
    flags: HashMap<ParamId, Param<Flag>>,
}

impl Originals {
    fn keep<T: Any>(&mut self, id: ParamId, value: T) {
        self.tensors.entry(id).or_insert_with(|| Box::new(value));
    }

    fn get<T: Any + Clone>(&self, id: ParamId) -> Option<T> {
        self.tensors.get(&id)?.downcast_ref::<T>().cloned()
    }
}

impl ModuleVisitor for Originals {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.keep(param.id, param.clone().map(own_leaf));
    }

    fn visit_int<const D: usize>(&mut self, param: &Param<Tensor<D, Int>>) {
        self.keep(param.id, param.clone());
    }

    fn visit_bool<const D: usize>(&mut self, param: &Param<Tensor<D, Bool>>) {
        self.keep(param.id, param.clone());
    }

    fn visit_flag(&mut self, flag: &Param<Flag>) {
        self.flags.insert(flag.id, flag.clone());
    }
}

impl ModuleMapper for Originals {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        self.get(param.id).unwrap_or(param)
    }

    fn map_int<const D: usize>(&mut self, param: Param<Tensor<D, Int>>) -> Param<Tensor<D, Int>> {
        self.get(param.id).unwrap_or(param)
    }

    fn map_bool<const D: usize>(&mut self, param: Param<Tensor<D, Bool>>) -> Param<Tensor<D, Bool>> {
        self.get(param.id).unwrap_or(param)
    }

    fn map_flag(&mut self, flag: Param<Flag>) -> Param<Flag> {
        self.flags.get(&flag.id).cloned().unwrap_or(flag)
    }
}

/// The same value as a leaf of a graph of its own, with the autodiff context and gradient requirement that it had.
fn own_leaf<const D: usize>(value: Tensor<D>) -> Tensor<D> {
    // Detaching would unpack a quantized tensor, which has no graph to be detached from.
    if matches!(value.dtype(), DType::QFloat(_)) { value } else { value.detach() }
}
