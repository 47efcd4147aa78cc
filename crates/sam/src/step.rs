use std::ops::Range;

use burn::Tensor;
use burn::module::Module;
use burn::optim::lr_scheduler::module_lr_scheduler::ModuleLearningRate;
use burn::optim::{GradientsParams, ModuleOptimizer};
use rekindle_shared::model::deep_copy;

use crate::{Ascent, SamError, SamGradients, StepReport};

/// Sharpness-aware minimization around any optimizer (Algorithm 1).
///
/// Two forms: [`step`](Self::step) with a closure for the loss, and [`first_step`](Self::first_step) with
/// [`second_step`](Self::second_step) for gradients of your own, accumulated ones for example. Learning rates and
/// their schedulers go in with each step, as for a [`ModuleOptimizer`]; momentum, weight decay and clipping are the
/// optimizer's and act on the gradient at w + ε̂, at w.
#[derive(Clone)]
pub struct Sam {
    ascent: Ascent,
    optimizer: ModuleOptimizer,
}

/// What [`Sam::first_step`] keeps for [`Sam::second_step`]: the model at w.
///
/// Nothing is subtracted afterwards, so that the weights come back to the bit.
#[derive(Debug)]
#[must_use = "the step is only taken by `second_step`"]
pub struct Perturbed<M> {
    model: M,
}

impl<M> Perturbed<M> {
    /// The model at w.
    pub fn model(&self) -> &M {
        &self.model
    }

    /// The model at w, to give the step up: after a non-finite loss, for example.
    pub fn into_model(self) -> M {
        self.model
    }
}

impl Sam {
    pub(crate) fn new(ascent: Ascent, optimizer: ModuleOptimizer) -> Self {
        Self { ascent, optimizer }
    }

    /// One step: the gradient at w + ε̂(w) by [`Ascent::gradients`], then the optimizer's step from w with it.
    ///
    /// Returns the new model and what the step saw. If a loss or a gradient was not finite, the model returned is the
    /// one given, its running statistics and the optimizer's state are untouched, and the report says so.
    ///
    /// # Shapes
    ///
    /// - `loss` returns `[1]`
    ///
    /// # Errors
    ///
    /// As [`Ascent::gradients`]; the optimizer has not moved then.
    pub fn step<M: Module>(
        &mut self,
        lr: impl Into<ModuleLearningRate>,
        model: M,
        loss: impl FnMut(&M) -> Tensor<1>,
    ) -> Result<(M, StepReport), SamError> {
        let gradients = self.ascent.gradients(&model, loss)?;
        drop(model);
        Ok(self.apply(lr.into(), gradients))
    }

    /// The same with a loss by ranges of the batch, as micro-batches need it: [`Ascent::gradients_by_range`].
    ///
    /// # Errors
    ///
    /// As [`Ascent::gradients_by_range`]; the optimizer has not moved then.
    pub fn step_by_range<M: Module>(
        &mut self,
        lr: impl Into<ModuleLearningRate>,
        model: M,
        batch_size: usize,
        loss: impl FnMut(&M, Range<usize>) -> Tensor<1>,
    ) -> Result<(M, StepReport), SamError> {
        let gradients = self.ascent.gradients_by_range(&model, batch_size, loss)?;
        drop(model);
        Ok(self.apply(lr.into(), gradients))
    }

    fn apply<M: Module>(&mut self, lr: ModuleLearningRate, gradients: SamGradients<M>) -> (M, StepReport) {
        let SamGradients { model, grads, report } = gradients;
        self.advance();
        if report.is_skipped() {
            return (model, report);
        }
        (self.optimizer.step(lr, model, grads), report)
    }

    /// First half of a step: the model at w + ε̂, from the gradients of the loss at `model`.
    ///
    /// The model returned has running statistics of its own, so that the second pass leaves no trace in those of `model`.
    /// In a step that does not [perturb](Ascent::perturbs) it is `model` itself, and `grads` serve for the second half.
    /// Nothing is read back; whether the gradients are finite is for the caller to see to.
    ///
    /// # Errors
    ///
    /// As [`Ascent::perturbation`].
    pub fn first_step<M: Module>(&self, model: M, grads: &GradientsParams) -> Result<(M, Perturbed<M>), SamError> {
        let moved = match self.ascent.perturbs() {
            true => self.ascent.perturbation(&model, grads)?.apply(deep_copy(&model)),
            false => deep_copy(&model),
        };
        Ok((moved, Perturbed { model }))
    }

    /// Second half of a step: the optimizer's step from w with `grads`, the gradients at w + ε̂.
    pub fn second_step<M: Module>(
        &mut self,
        lr: impl Into<ModuleLearningRate>,
        perturbed: Perturbed<M>,
        grads: GradientsParams,
    ) -> M {
        self.advance();
        self.optimizer.step(lr, perturbed.model, grads)
    }

    fn advance(&mut self) {
        self.ascent.set_step(self.ascent.step() + 1);
    }

    /// What comes before the outer step: perturbations, gradients, the radius of the step to come.
    pub fn ascent(&self) -> &Ascent {
        &self.ascent
    }

    /// The same, to set the radius or the number of the step.
    pub fn ascent_mut(&mut self) -> &mut Ascent {
        &mut self.ascent
    }

    /// The optimizer that takes the outer step.
    pub fn optimizer(&self) -> &ModuleOptimizer {
        &self.optimizer
    }

    /// The same, to load a state of its own or to be stepped by hand.
    pub fn optimizer_mut(&mut self) -> &mut ModuleOptimizer {
        &mut self.optimizer
    }
}

impl std::fmt::Debug for Sam {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sam").field("ascent", &self.ascent).finish_non_exhaustive()
    }
}
