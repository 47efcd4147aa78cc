//! The parameters of a module seen as one flat vector (§2: w ∈ ℝᵏ), kept part by part on the device.

use std::collections::{HashMap, HashSet};

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::optim::GradientsParams;
use burn::tensor::{FloatDType, Tensor};
use rekindle_shared::model::{flat, lifted, sum, total};

/// Flat tensors in the order of the module's fields, tied parameters once, half precision widened to `f32`.
#[derive(Debug, Clone)]
pub(crate) struct ParameterVector {
    pub(crate) parts: Vec<(ParamId, Tensor<1>)>,
}

impl ParameterVector {
    /// The gradients of the parameters that have one and that `keep` accepts.
    pub(crate) fn gradients<M: Module>(
        model: &M,
        grads: &GradientsParams,
        keep: impl Fn(ParamId) -> bool,
    ) -> ParameterVector {
        struct Gather<'a, F> {
            grads: &'a GradientsParams,
            keep: F,
            seen: HashSet<ParamId>,
            parts: Vec<(ParamId, Tensor<1>)>,
        }
        impl<F: Fn(ParamId) -> bool> ModuleVisitor for Gather<'_, F> {
            fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
                let id = param.id;
                if (self.keep)(id)
                    && let Some(grad) = self.grads.get::<D>(id)
                    && self.seen.insert(id)
                {
                    self.parts.push((id, flat(grad.inner())));
                }
            }
        }
        let mut gather = Gather { grads, keep, seen: HashSet::new(), parts: Vec::new() };
        model.visit(&mut gather);
        Self { parts: gather.parts }
    }

    /// The part of `id`.
    pub(crate) fn get(&self, id: ParamId) -> Option<&Tensor<1>> {
        self.parts.iter().find_map(|(part, values)| (*part == id).then_some(values))
    }

    /// Each part through `f`.
    pub(crate) fn map(self, mut f: impl FnMut(Tensor<1>) -> Tensor<1>) -> Self {
        Self { parts: self.parts.into_iter().map(|(id, part)| (id, f(part))).collect() }
    }

    /// Each part with its counterpart in `other` through `f`; what `other` lacks counts as 0.
    pub(crate) fn zip(&self, other: &Self, f: impl Fn(Tensor<1>, Tensor<1>) -> Tensor<1>) -> Self {
        let others: HashMap<_, _> = other.parts.iter().map(|(id, part)| (*id, part)).collect();
        let pair = |(id, part): &(ParamId, Tensor<1>)| {
            let counterpart = others.get(id).map_or_else(|| part.zeros_like(), |part| (*part).clone());
            (*id, f(part.clone(), counterpart))
        };
        Self { parts: self.parts.iter().map(pair).collect() }
    }

    /// The dot product with `other`, `[1]`, not read back.
    pub(crate) fn dot(&self, other: &Self) -> Tensor<1> {
        total(self.zip(other, |a, b| a * b).parts.into_iter().map(|(_, product)| sum(product)).collect())
    }

    /// ‖v‖₂, `[1]`, not read back.
    pub(crate) fn norm(&self) -> Tensor<1> {
        total(self.parts.iter().map(|(_, part)| sum(part.clone() * part.clone())).collect()).sqrt()
    }

    /// The sum of all elements, `[1]`: not finite when any of them is not.
    pub(crate) fn sum(&self) -> Tensor<1> {
        total(self.parts.iter().map(|(_, part)| sum(part.clone())).collect())
    }
}

/// `model` with `vector` added to its parameters, which become leaves of a new graph.
///
/// Identifiers, frozen flags and gradient-checkpointing strategies stay; what `vector` lacks stays to the bit.
pub(crate) fn displaced<M: Module>(model: M, vector: ParameterVector) -> M {
    struct Displace(HashMap<ParamId, Tensor<1>>);
    impl ModuleMapper for Displace {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let Some(by) = self.0.get(&param.id) else { return param };
            param.map(|value| {
                let by = by.clone();
                lifted(&value, |inner| {
                    let by = by.to_device(&inner.device()).cast(FloatDType::from(inner.dtype()));
                    by.reshape(inner.shape()) + inner
                })
            })
        }
    }
    model.map(&mut Displace(vector.parts.into_iter().collect()))
}

/// A number `[1]` on the device and with the precision of `part`.
pub(crate) fn fitted(number: &Tensor<1>, part: &Tensor<1>) -> Tensor<1> {
    number.clone().to_device(&part.device()).cast(FloatDType::from(part.dtype()))
}
