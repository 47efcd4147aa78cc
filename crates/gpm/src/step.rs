//! A training step with a memory: the projection of the optimizer's update, or of the gradients before it.

use std::any::Any;
use std::collections::HashMap;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::optim::lr_scheduler::module_lr_scheduler::ModuleLearningRate;
use burn::optim::{GradientsParams, ModuleOptimizer};
use burn::tensor::Tensor;
use rekindle_shared::model::lifted;

use crate::projector::Projector;
use crate::{GpmMemory, Others, Project};

impl GpmMemory {
    /// A step of `optimizer` that leaves what earlier tasks need as it is.
    ///
    /// By [`Project::Update`] (default) the change of the weights that the optimizer makes is projected, so that it may be
    /// of any kind, with momentum and weight decay; by [`Project::Gradient`] the gradient is. Parameters that the memory
    /// freezes get no step; those it excludes move freely.
    pub fn step<M: Module>(
        &self,
        lr: impl Into<ModuleLearningRate>,
        model: M,
        grads: GradientsParams,
        optimizer: &mut ModuleOptimizer,
    ) -> M {
        let lr = lr.into();
        match self.config.project {
            Project::Gradient => {
                let grads = self.project_gradients(&model, grads);
                optimizer.step(lr, model, grads)
            }
            Project::Update if self.protects() => {
                let grads = self.without_frozen(&model, grads);
                let after = optimizer.step(lr, model.clone(), grads);
                self.project_update(&model, after)
            }
            Project::Update => {
                let grads = self.without_frozen(&model, grads);
                optimizer.step(lr, model, grads)
            }
        }
    }

    /// `after` with the changes since `before` projected, and with the frozen parameters of `before`.
    ///
    /// Both are the same model, before and after one step or many. To hold on to `before`, a `clone()` is enough.
    pub fn project_update<M: Module>(&self, before: &M, after: M) -> M {
        struct Save<'a> {
            memory: &'a GpmMemory,
            values: HashMap<ParamId, Box<dyn Any>>,
        }
        impl ModuleVisitor for Save<'_> {
            fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
                if self.memory.projector(param.id).is_some() || self.memory.is_frozen(param.id) {
                    self.values.insert(param.id, Box::new(param.val()));
                }
            }
        }
        struct Apply<'a>(Save<'a>);
        impl ModuleMapper for Apply<'_> {
            fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
                let before = self.0.values.get(&param.id).and_then(|value| value.downcast_ref::<Tensor<D>>());
                let Some(before) = before.cloned() else { return param };
                let id = param.id;
                param.map(|after| match self.0.memory.projector(id) {
                    None => before,
                    Some(projector) => lifted(&after, |after| {
                        let before = before.inner();
                        let change = projector.apply(after - before.clone());
                        before + change
                    }),
                })
            }
        }
        let mut save = Save { memory: self, values: HashMap::new() };
        before.visit(&mut save);
        after.map(&mut Apply(save))
    }

    /// Whether any direction of any layer is protected.
    pub(crate) fn protects(&self) -> bool {
        self.layers.iter().any(|layer| !matches!(layer.projector, Projector::Free))
    }

    /// What takes protected directions out of the changes of a weight, if it has any.
    pub(crate) fn projector(&self, id: ParamId) -> Option<&Projector> {
        let projector = self.roles.layers.get(&id).map(|&layer| &self.layers[layer].projector);
        projector.filter(|projector| !matches!(projector, Projector::Free))
    }

    /// Whether a parameter may not move in the task at hand.
    fn is_frozen(&self, id: ParamId) -> bool {
        match self.roles.frozen.get(&id) {
            Some(Others::Freeze) => true,
            Some(Others::FreezeAfterFirstTask) => self.n_tasks > 0,
            Some(Others::Free) | None => false,
        }
    }

    pub(crate) fn without_frozen<M: Module>(&self, model: &M, grads: GradientsParams) -> GradientsParams {
        struct Remove<'a> {
            memory: &'a GpmMemory,
            grads: GradientsParams,
        }
        impl ModuleVisitor for Remove<'_> {
            fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
                if self.memory.is_frozen(param.id) {
                    self.grads.remove::<D>(param.id);
                }
            }
        }
        if !self.roles.frozen.keys().any(|id| self.is_frozen(*id)) {
            return grads;
        }
        let mut remove = Remove { memory: self, grads };
        model.visit(&mut remove);
        remove.grads
    }
}
