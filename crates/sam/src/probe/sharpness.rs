use std::ops::Range;

use burn::Tensor;
use burn::module::Module;
use rekindle_shared::model::deep_copy;

use crate::pass::{Pass, add, groups, require_trainable, scalar};
use crate::vector::displaced;
use crate::{Ascent, SamError};
use rekindle_shared::model::read;

/// The loss at the weights and the worst one found in the ball around them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sharpness {
    /// L(w).
    pub loss: f64,
    /// The largest of the losses found at w + ε.
    pub loss_perturbed: f64,
}

impl Sharpness {
    /// max L(w + ε) - L(w).
    pub fn value(&self) -> f64 {
        self.loss_perturbed - self.loss
    }
}

/// L(w + ε̂(w)) - L(w) with the perturbation of `ascent`: ball, direction and step number.
///
/// Three forward passes at most, one backward, one read.
///
/// # Errors
///
/// As [`Ascent::gradients`].
pub fn sharpness<M: Module>(
    ascent: &Ascent,
    model: &M,
    loss: impl FnMut(&M) -> Tensor<1>,
) -> Result<Sharpness, SamError> {
    sharpness_by_ascent(ascent, model, 1, loss)
}

/// The worst loss in the ball that `n_steps` steps of projected ascent find (appendix C.6), less L(w).
///
/// The first step leads to ε̂(w); each of the others goes half a radius along the gradient found there and back to the
/// ball. The largest loss on the way counts, so more steps never find less. `n_steps` backward passes, one read.
///
/// # Errors
///
/// As [`Ascent::gradients`], and [`SamError::InvalidProbe`] if `n_steps` is 0.
pub fn sharpness_by_ascent<M: Module>(
    ascent: &Ascent,
    model: &M,
    n_steps: usize,
    mut loss: impl FnMut(&M) -> Tensor<1>,
) -> Result<Sharpness, SamError> {
    // Half a radius turns far enough in a few steps, and settles where the worst point is inside.
    const STEP: f64 = 0.5;
    if n_steps == 0 {
        return Err(SamError::InvalidProbe { name: "n_steps", rule: "at least 1", value: 0.0 });
    }
    require_trainable(model)?;
    let at = |model: M, loss: &mut dyn FnMut(&M) -> Tensor<1>| {
        let value = loss(&model);
        Pass::backward(&model, value, 1.0)
    };
    let pass = at(deep_copy(model), &mut loss)?;
    let mut losses = vec![pass.loss];
    let ball = ascent.ball(model);
    let perturbation = ascent.perturbation(model, &pass.grads)?;
    let mut unit = perturbation.unit();
    let mut worst = perturbation.apply(deep_copy(model));
    for _ in 1..n_steps {
        let pass = at(worst, &mut loss)?;
        losses.push(pass.loss);
        let uphill = ball.steepest(model, &pass.grads)?.unit();
        unit = ball.projected(unit.zip(&uphill, |unit, uphill| unit + uphill.mul_scalar(STEP)));
        worst = displaced(deep_copy(model), ball.perturbation_to(&unit));
    }
    losses.push(scalar(loss(&worst))?.inner());
    let losses = read(losses);
    let perturbed = losses[1..].iter().copied();
    // `f64::max` would pass over a NaN.
    let loss_perturbed =
        perturbed.fold(f64::NEG_INFINITY, |max, loss| if loss.is_nan() { loss } else { max.max(loss) });
    Ok(Sharpness { loss: losses[0], loss_perturbed })
}

/// m-sharpness (§4.1): the mean over groups of `m` samples of L_B(w + ε̂_B) - L_B(w), each with its own perturbation.
///
/// `loss` returns the mean loss over a range of `n_samples` samples; a last, smaller group counts by its size. One
/// backward pass over all the samples, two forward, one read.
///
/// # Errors
///
/// As [`Ascent::gradients`]; [`SamError::EmptyMicroBatch`] if `m` is 0, [`SamError::EmptyBatch`] if there is no sample.
pub fn m_sharpness<M: Module>(
    ascent: &Ascent,
    model: &M,
    n_samples: usize,
    m: usize,
    mut loss: impl FnMut(&M, Range<usize>) -> Tensor<1>,
) -> Result<Sharpness, SamError> {
    require_trainable(model)?;
    let (mut at_w, mut at_worst) = (None, None);
    for (range, share) in groups(n_samples, Some(m))? {
        let copy = deep_copy(model);
        let pass = Pass::backward(&copy, loss(&copy, range.clone()), share)?;
        let worst = ascent.perturbation(model, &pass.grads)?.apply(deep_copy(model));
        at_w = add(at_w, pass.loss);
        at_worst = add(at_worst, scalar(loss(&worst, range))?.inner().mul_scalar(share));
    }
    let losses = read(at_w.into_iter().chain(at_worst).collect());
    Ok(Sharpness { loss: losses[0], loss_perturbed: losses[1] })
}
