use std::ops::Range;

use burn::Tensor;
use burn::module::Module;
use burn::optim::{GradientsAccumulator, GradientsParams};
use rekindle_shared::model::deep_copy;

use crate::noise::seed_of;
use crate::pass::{Pass, add};
use crate::report::Figures;
use crate::vector::ParameterVector;
use crate::{Ascent, Direction, SamError};

/// Algorithm 1 up to its outer step, group by group.
pub(crate) struct Algorithm<'a, M, F> {
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

impl<'a, M: Module, F: FnMut(&M, Range<usize>) -> Tensor<1>> Algorithm<'a, M, F> {
    pub(crate) fn new(ascent: &'a Ascent, model: &'a M, first: &'a M, loss: F) -> Self {
        Self { ascent, model, first, loss, totals: Totals::default() }
    }

    /// The figures of the step, and the gradients for the optimizer.
    pub(crate) fn run(mut self, groups: Vec<(Range<usize>, f64)>) -> Result<(Figures, GradientsParams), SamError> {
        let direction = self.ascent.config().direction;
        for (group, (range, share)) in groups.into_iter().enumerate() {
            match (self.ascent.perturbs(), direction) {
                (false, _) => self.plain(range)?,
                (true, Direction::Gradient) => self.worst(group as u64, range, share)?,
                (true, Direction::Random { .. }) => self.random(group as u64, range, share)?,
            }
        }
        self.totals.finish(self.model).ok_or(SamError::EmptyBatch)
    }

    fn plain(&mut self, range: Range<usize>) -> Result<(), SamError> {
        let pass = self.pass(self.first, 0, range, 1.0)?;
        if self.ascent.config().direction == Direction::Gradient {
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
        if let Some(seed) = self.ascent.config().same_masks {
            let seed = seed_of(seed, self.ascent.step(), group);
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
