use burn::Tensor;
use rekindle_shared::model::read;

/// What one step saw. Everything in it costs one read of the device together.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct StepReport {
    /// Whether the step counts.
    pub outcome: Outcome,
    /// The loss of the first pass: at w; with [`Direction::Random`](crate::Direction::Random) at w + ε, the only pass.
    pub loss: f64,
    /// The loss at w + ε̂; `None` where one pass was enough.
    pub loss_perturbed: Option<f64>,
    /// The dual norm of the gradient at w over what is perturbed, as
    /// [`Perturbation::gradient_norm`](crate::Perturbation::gradient_norm); `None` with a random direction.
    ///
    /// With micro-batches it is the mean over the groups, weighted by their size, and so are the losses.
    pub gradient_norm: Option<f64>,
    /// The radius of this step, groups of parameters aside; `0` in a plain step.
    pub rho: f64,
    /// Forward and backward passes over the batch: 1 or 2.
    pub passes: usize,
}

impl StepReport {
    /// L(w + ε̂) - L(w), the quantity that SAM adds to the loss; `None` where one pass was enough.
    pub fn sharpness(&self) -> Option<f64> {
        Some(self.loss_perturbed? - self.loss)
    }

    /// Whether the step left model, running statistics and optimizer as they were.
    pub fn is_skipped(&self) -> bool {
        self.outcome != Outcome::Finite
    }
}

/// Whether a step counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Losses and gradients were finite.
    Finite,
    /// One of them was not: the whole step leaves no trace.
    Skipped(NonFinite),
}

/// The first thing in a step that was infinite or NaN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NonFinite {
    /// The loss of the first pass.
    Loss,
    /// A gradient of the first pass, or the norm of all.
    Gradient,
    /// The loss at w + ε̂.
    PerturbedLoss,
    /// A gradient at w + ε̂.
    PerturbedGradient,
}

/// The figures of a step, still on the device, each `[1]`.
#[derive(Debug)]
pub(crate) struct Figures {
    pub(crate) loss: Tensor<1>,
    pub(crate) gradient_norm: Option<Tensor<1>>,
    pub(crate) loss_perturbed: Option<Tensor<1>>,
    /// Not finite if a gradient that goes to the optimizer is not.
    pub(crate) check: Tensor<1>,
}

impl Figures {
    /// Reads all figures at once.
    pub(crate) fn read(self, rho: f64) -> StepReport {
        let two_passes = self.loss_perturbed.is_some();
        let has_norm = self.gradient_norm.is_some();
        let tensors = [Some(self.loss), self.gradient_norm, self.loss_perturbed, Some(self.check)];
        let mut values = read(tensors.into_iter().flatten().collect()).into_iter();
        let mut next = |present: bool| if present { values.next() } else { None };
        let loss = next(true).unwrap_or(f64::NAN);
        let gradient_norm = next(has_norm);
        let loss_perturbed = next(two_passes);
        let check = next(true).unwrap_or(f64::NAN);
        let last = if two_passes { NonFinite::PerturbedGradient } else { NonFinite::Gradient };
        let figures = [
            (Some(loss), NonFinite::Loss),
            (gradient_norm, NonFinite::Gradient),
            (loss_perturbed, NonFinite::PerturbedLoss),
            (Some(check), last),
        ];
        let outcome = figures
            .into_iter()
            .find(|(value, _)| value.is_some_and(|value| !value.is_finite()))
            .map_or(Outcome::Finite, |(_, what)| Outcome::Skipped(what));
        StepReport { outcome, loss, loss_perturbed, gradient_norm, rho, passes: 1 + usize::from(two_passes) }
    }
}
