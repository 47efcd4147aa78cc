use std::ops::Range;

use burn::Tensor;
use burn::module::Module;
use burn::optim::GradientsParams;
use rekindle_shared::model::{deep_copy, restore_running_statistics, running_statistics};

use crate::algorithm::Algorithm;
use crate::ball::Ball;
use crate::config::validate_rho;
use crate::noise::{gaussian, seed_of};
use crate::pass::{groups, require_trainable};
use crate::{Direction, Perturbation, SamConfig, SamError, StepReport};

/// SAM without its outer step: perturbations, and the gradient at the perturbed weights, for any optimizer.
///
/// It holds the checked configuration and the number of the step, on which the schedule, `every` and random directions
/// depend. [`Sam`](crate::Sam) advances that number by itself; in a loop of your own call [`set_step`](Self::set_step).
#[derive(Debug, Clone)]
pub struct Ascent {
    config: SamConfig,
    step: u64,
    rho: Option<f64>,
}

/// The gradient at w + ε̂(w), for any optimizer, accumulation, clipping or projection to use (Algorithm 1).
#[derive(Debug)]
#[non_exhaustive]
pub struct SamGradients<M> {
    /// The model at w with the running statistics of the first pass; after a skipped step the model that was given.
    pub model: M,
    /// The gradients, by the identifiers of `model`; empty after a skipped step, so that an optimizer changes nothing.
    pub grads: GradientsParams,
    /// What the step saw.
    pub report: StepReport,
}

impl<M: Module> SamGradients<M> {
    /// Writes the running statistics of the first pass into `model` and all its clones.
    ///
    /// For callers that keep the model they gave and take only the gradients, such as Burn's `TrainStep`.
    pub fn share_statistics(&self, model: &M) {
        if !self.report.is_skipped() {
            // Statistics are cells that clones share: writing into a clone writes into `model`. A copy of the same model
            // has the same statistics, so that there is nothing to refuse.
            let written = restore_running_statistics(model.clone(), &running_statistics(&self.model));
            debug_assert!(written.is_ok(), "{written:?}");
        }
    }
}

impl Ascent {
    pub(crate) fn new(config: SamConfig) -> Self {
        Self { config, step: 0, rho: None }
    }

    /// The configuration.
    pub fn config(&self) -> &SamConfig {
        &self.config
    }

    /// The number of the step to come, from 0.
    pub fn step(&self) -> u64 {
        self.step
    }

    /// Makes `step` the number of the step to come.
    pub fn set_step(&mut self, step: u64) {
        self.step = step;
    }

    /// The radius ρ of the step to come, the schedule's factor included, groups aside.
    pub fn rho(&self) -> f64 {
        self.base_rho() * self.config.schedule.factor(self.step)
    }

    /// Replaces the configured ρ from the step to come on: a schedule of your own. The schedule's factor still applies.
    ///
    /// # Errors
    ///
    /// [`SamError::InvalidRho`] if `rho` is negative or not finite.
    pub fn set_rho(&mut self, rho: f64) -> Result<(), SamError> {
        validate_rho(rho)?;
        self.rho = Some(rho);
        Ok(())
    }

    /// Whether the step to come perturbs: not between every k-th step, nor where all radii are 0.
    pub fn perturbs(&self) -> bool {
        let factor = self.config.schedule.factor(self.step);
        let widest = self.config.groups.iter().map(|group| group.rho).fold(self.base_rho(), f64::max);
        self.step.is_multiple_of(self.config.every) && widest * factor > 0.0
    }

    pub(crate) fn rho_override(&self) -> Option<f64> {
        self.rho
    }

    pub(crate) fn resume(&mut self, step: u64, rho: Option<f64>) {
        (self.step, self.rho) = (step, rho);
    }

    fn base_rho(&self) -> f64 {
        self.rho.unwrap_or(self.config.rho)
    }

    /// The perturbation of the step to come, from the gradients of the loss at `model`.
    ///
    /// With a random direction the gradients are not looked at. No value is read back.
    ///
    /// # Errors
    ///
    /// [`SamError::NothingToPerturb`] if no parameter that is not excluded has a gradient.
    pub fn perturbation<M: Module>(&self, model: &M, grads: &GradientsParams) -> Result<Perturbation, SamError> {
        self.perturbation_of_group(model, grads, 0)
    }

    pub(crate) fn perturbation_of_group<M: Module>(
        &self,
        model: &M,
        grads: &GradientsParams,
        group: u64,
    ) -> Result<Perturbation, SamError> {
        match self.config.direction {
            Direction::Gradient => Perturbation::within(self.ball(model), model, grads),
            Direction::Random { seed } => {
                let noise = gaussian(model, seed_of(seed, self.step, group));
                Perturbation::within(self.ball(model), model, &noise)
            }
        }
    }

    pub(crate) fn ball<M: Module>(&self, model: &M) -> Ball {
        Ball::new(&self.config, self.base_rho(), self.config.schedule.factor(self.step), model)
    }

    /// The gradient at w + ε̂(w) of the step to come.
    ///
    /// `loss` gets a copy of `model` twice, at w and at w + ε̂, and returns the mean loss over the **same** batch. Each copy
    /// has running statistics of its own: the model returned has those of the first pass, `model` keeps its own. Between
    /// every k-th step and with ρ = 0 there is one pass, and the result is the plain gradient.
    ///
    /// One value is read from the device, to report and to find out whether everything was finite. If not, the model
    /// returned is `model` and there are no gradients.
    ///
    /// # Shapes
    ///
    /// - `loss` returns `[1]`
    ///
    /// # Errors
    ///
    /// [`SamError::NothingToTrain`], [`SamError::LossWithoutGraph`], [`SamError::LossNotScalar`] or
    /// [`SamError::NothingToPerturb`] if there is nothing to differentiate; [`SamError::BatchSizeUnknown`] if
    /// micro-batches are configured.
    pub fn gradients<M: Module>(
        &self,
        model: &M,
        mut loss: impl FnMut(&M) -> Tensor<1>,
    ) -> Result<SamGradients<M>, SamError> {
        match self.config.micro_batch {
            Some(m) => Err(SamError::BatchSizeUnknown(m)),
            None => self.compute(model, vec![(0..1, 1.0)], |model, _| loss(model)),
        }
    }

    /// The same with micro-batches (m-sharpness, §4.1): the mean of the groups' gradients, each at its own w + ε̂ⱼ.
    ///
    /// `loss` returns the mean loss over a range of the batch's `batch_size` samples. Group j counts |Bⱼ|/|B|; a batch
    /// below m is one group, and the last group may be smaller. Running statistics see the first passes of all groups
    /// in order, and no second one. Between every k-th step and with ρ = 0 the range is the whole batch.
    ///
    /// # Errors
    ///
    /// As [`gradients`](Self::gradients), and [`SamError::EmptyBatch`] if `batch_size` is 0.
    pub fn gradients_by_range<M: Module>(
        &self,
        model: &M,
        batch_size: usize,
        loss: impl FnMut(&M, Range<usize>) -> Tensor<1>,
    ) -> Result<SamGradients<M>, SamError> {
        let m = self.config.micro_batch.filter(|_| self.perturbs());
        self.compute(model, groups(batch_size, m)?, loss)
    }

    fn compute<M: Module>(
        &self,
        model: &M,
        groups: Vec<(Range<usize>, f64)>,
        loss: impl FnMut(&M, Range<usize>) -> Tensor<1>,
    ) -> Result<SamGradients<M>, SamError> {
        require_trainable(model)?;
        let first = deep_copy(model);
        let (figures, grads) = Algorithm::new(self, model, &first, loss).run(groups)?;
        let report = figures.read(if self.perturbs() { self.rho() } else { 0.0 });
        if report.is_skipped() {
            return Ok(SamGradients { model: model.clone(), grads: GradientsParams::new(), report });
        }
        // Burn holds the last update of running statistics back; carried out, the model can be saved as it is.
        let _ = first.valid();
        Ok(SamGradients { model: first, grads, report })
    }
}
