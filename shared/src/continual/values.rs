//! Parameters of a module as vectors, and constants that can meet them.

use std::collections::HashSet;

use burn::module::{Module, ModuleVisitor, Param, ParamId};
use burn::tensor::{FloatDType, Tensor};

use crate::model::flat;

/// Calls `f` with each float parameter whose identifier is in `keep`, a tied one once.
///
/// `f` gets the value as `[n_elements]`, whatever its rank: part of the graph where the model is on an autodiff device, and
/// widened from half precision.
pub(super) fn for_each_value<M: Module>(model: &M, keep: &HashSet<ParamId>, f: impl FnMut(ParamId, Tensor<1>)) {
    struct Values<'a, F> {
        keep: &'a HashSet<ParamId>,
        seen: HashSet<ParamId>,
        f: F,
    }
    impl<F: FnMut(ParamId, Tensor<1>)> ModuleVisitor for Values<'_, F> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if self.keep.contains(&param.id) && self.seen.insert(param.id) {
                (self.f)(param.id, flat(param.val()));
            }
        }
    }
    model.visit(&mut Values { keep, seen: HashSet::new(), f });
}

/// A constant on the device, with the precision and in the autodiff context of `value`, so that the two can meet.
pub(super) fn beside(constant: &Tensor<1>, value: &Tensor<1>) -> Tensor<1> {
    let constant = constant.clone().to_device(&value.device().inner()).cast(FloatDType::from(value.dtype()));
    match value.gradient_checkpointing_strategy() {
        Some(strategy) => constant.autodiff().with_gradient_checkpointing_strategy(strategy),
        None => constant,
    }
}
