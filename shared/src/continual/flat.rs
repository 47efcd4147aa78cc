//! Parameters and gradients of a module as flat tensors.

use std::collections::HashSet;

use burn::module::{Module, ModuleVisitor, Param, ParamId};
use burn::tensor::{DType, FloatDType, Tensor};

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

/// `values` in one dimension, widened to `f32` from half precision, where squares overflow.
pub(super) fn flat<const D: usize>(values: Tensor<D>) -> Tensor<1> {
    let n_elements = values.shape().num_elements();
    let values = values.reshape([n_elements]);
    match values.dtype() {
        DType::F16 | DType::BF16 => values.cast(FloatDType::F32),
        _ => values,
    }
}

/// The sum of `values`, `[1]`, the same to the bit whatever the number of threads.
pub(super) fn sum(values: Tensor<1>) -> Tensor<1> {
    // Flex sums 4,194,304 or more elements by threads, in an order that depends on timing.
    const CHUNK: usize = 1 << 21;
    let n_elements = values.shape().num_elements();
    if n_elements <= CHUNK {
        return values.sum();
    }
    let chunk = |start: usize| values.clone().narrow(0, start, CHUNK.min(n_elements - start)).sum();
    total((0..n_elements).step_by(CHUNK).map(chunk).collect())
}

/// The sum of terms `[1]` that may lie on several devices and differ in precision.
///
/// # Panics
///
/// If there is no term.
pub(super) fn total(terms: Vec<Tensor<1>>) -> Tensor<1> {
    let widest = if terms.iter().any(|term| term.dtype() == DType::F64) { FloatDType::F64 } else { FloatDType::F32 };
    let device = terms[0].device();
    Tensor::cat(terms.into_iter().map(|term| term.to_device(&device).cast(widest)).collect(), 0).sum()
}

/// A constant on the device, with the precision and in the autodiff context of `value`, so that the two can meet.
pub(super) fn beside(constant: &Tensor<1>, value: &Tensor<1>) -> Tensor<1> {
    let constant = constant.clone().to_device(&value.device().inner()).cast(FloatDType::from(value.dtype()));
    match value.gradient_checkpointing_strategy() {
        Some(strategy) => constant.autodiff().with_gradient_checkpointing_strategy(strategy),
        None => constant,
    }
}
