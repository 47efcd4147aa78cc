use std::ops::Range;

use burn::Tensor;
use burn::module::Module;
use burn::optim::{GradientsAccumulator, GradientsParams};
use rekindle_shared::model::{deep_copy, restore_running_statistics, running_statistics};

use crate::ball::Ball;
use crate::config::validate_rho;
use crate::noise::{gaussian, seed_of};
use crate::pass::{Pass, add, groups, require_trainable};
use crate::report::Figures;
use crate::vector::ParameterVector;
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

    fn perturbation_of_group<M: Module>(
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
        let mut step = Step { ascent: self, model, first: &first, loss, totals: Totals::default() };
        for (group, (range, share)) in groups.into_iter().enumerate() {
            match (self.perturbs(), self.config.direction) {
                (false, _) => step.plain(range)?,
                (true, Direction::Gradient) => step.worst(group as u64, range, share)?,
                (true, Direction::Random { .. }) => step.random(group as u64, range, share)?,
            }
        }
        let (figures, grads) = step.totals.finish(model).ok_or(SamError::EmptyBatch)?;
        let report = figures.read(if self.perturbs() { self.rho() } else { 0.0 });
        if report.is_skipped() {
            return Ok(SamGradients { model: model.clone(), grads: GradientsParams::new(), report });
        }
        // Burn holds the last update of running statistics back; carried out, the model can be saved as it is.
        let _ = first.valid();
        Ok(SamGradients { model: first, grads, report })
    }
}

/// The passes of one step.
struct Step<'a, M, F> {
    ascent: &'a Ascent,
    model: &'a M,
    /// The copy that takes the first passes, and keeps their running statistics.
    first: &'a M,
    loss: F,
    totals: Totals,
}

/// What the groups add up to.
#[derive(Default)]
struct Totals {
    loss: Option<Tensor<1>>,
    gradient_norm: Option<Tensor<1>>,
    loss_perturbed: Option<Tensor<1>>,
    grads: Option<GradientsParams>,
}

impl<M: Module, F: FnMut(&M, Range<usize>) -> Tensor<1>> Step<'_, M, F> {
    fn plain(&mut self, range: Range<usize>) -> Result<(), SamError> {
        let pass = self.pass(self.first, 0, range, 1.0)?;
        if self.ascent.config.direction == Direction::Gradient {
            let perturbation = self.ascent.perturbation(self.first, &pass.grads)?;
            self.totals.gradient_norm = Some(perturbation.gradient_norm());
        }
        self.totals.loss = Some(pass.loss);
        self.totals.grads = Some(pass.grads);
        Ok(())
    }

    fn worst(&mut self, group: u64, range: Range<usize>, share: f64) -> Result<(), SamError> {
        let pass = self.pass(self.first, group, range.clone(), share)?;
        let perturbation = self.ascent.perturbation_of_group(self.first, &pass.grads, group)?;
        self.totals.loss = add(self.totals.loss.take(), pass.loss);
        // The pass was scaled by the group's share of the batch, and its gradient's norm with it.
        self.totals.gradient_norm = add(self.totals.gradient_norm.take(), perturbation.gradient_norm());
        drop(pass.grads);

        let worst = perturbation.apply(deep_copy(self.model));
        drop(perturbation);
        let pass = self.pass(&worst, group, range, share)?;
        self.totals.loss_perturbed = add(self.totals.loss_perturbed.take(), pass.loss);
        self.totals.add_grads(self.model, pass.grads);
        Ok(())
    }

    fn random(&mut self, group: u64, range: Range<usize>, share: f64) -> Result<(), SamError> {
        let perturbation = self.ascent.perturbation_of_group(self.first, &GradientsParams::new(), group)?;
        // A clone shares its running statistics: this one pass is the first.
        let moved = perturbation.apply(self.first.clone());
        drop(perturbation);
        let pass = self.pass(&moved, group, range, share)?;
        self.totals.loss = add(self.totals.loss.take(), pass.loss);
        self.totals.add_grads(self.model, pass.grads);
        Ok(())
    }

    fn pass(&mut self, model: &M, group: u64, range: Range<usize>, share: f64) -> Result<Pass, SamError> {
        if let Some(seed) = self.ascent.config.same_masks {
            let seed = seed_of(seed, self.ascent.step, group);
            model.devices().iter().for_each(|device| device.seed(seed));
        }
        let loss = (self.loss)(model, range);
        Pass::backward(model, loss, share)
    }
}

impl Totals {
    fn add_grads<M: Module>(&mut self, model: &M, grads: GradientsParams) {
        self.grads = Some(match self.grads.take() {
            None => grads,
            Some(sum) => {
                let mut accumulator = GradientsAccumulator::new();
                accumulator.accumulate(model, sum);
                accumulator.accumulate(model, grads);
                accumulator.grads()
            }
        });
    }

    /// The figures of the step and its gradients; `None` if there was no group.
    fn finish<M: Module>(self, model: &M) -> Option<(Figures, GradientsParams)> {
        let grads = self.grads?;
        let check = ParameterVector::gradients(model, &grads, |_| true).sum();
        let (gradient_norm, loss_perturbed) = (self.gradient_norm, self.loss_perturbed);
        Some((Figures { loss: self.loss?, gradient_norm, loss_perturbed, check }, grads))
    }
}
