use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{FloatDType, Tensor};

use crate::ball::{Ball, Steepest};
use crate::config::validate_rho;
use crate::vector::{ParameterVector, displaced};
use crate::{Norm, SamError};

/// The worst-case step ε̂(w) = ρ · ∇L(w) / ‖∇L(w)‖₂ (Eq. 2 with p = 2), from gradients of your own.
///
/// The norm is taken over all the parameters of the module together, not layer by layer, on the device: nothing is read
/// back. A gradient of 0 gives ε̂ = 0. Other norms, scalings and selections: [`Ascent::perturbation`](crate::Ascent::perturbation).
///
/// ```
/// use burn::{nn::LinearConfig, optim::GradientsParams, tensor::{Device, Tensor}};
/// use rekindle_sam::Perturbation;
///
/// let device = Device::flex().autodiff();
/// let model = LinearConfig::new(2, 1).init(&device);
/// let input = Tensor::<2>::from_data([[1.0, -2.0]], &device);
///
/// let loss = model.forward(input.clone()).powi_scalar(2).mean();
/// let grads = GradientsParams::from_grads(loss.backward(), &model);
/// let worst = Perturbation::new(0.05, &model, &grads)?.apply(model.clone());
/// let loss_at_worst = worst.forward(input).powi_scalar(2).mean();
/// assert!(loss_at_worst.into_scalar::<f32>() >= loss.into_scalar::<f32>());
/// # Ok::<(), rekindle_sam::SamError>(())
/// ```
#[derive(Debug)]
pub struct Perturbation {
    ball: Ball,
    steepest: Steepest,
}

impl Perturbation {
    /// The perturbation of length `rho` along `grads`, the gradients of the loss at `model`.
    ///
    /// # Errors
    ///
    /// [`SamError::InvalidRho`] if `rho` is negative or not finite, [`SamError::NothingToPerturb`] if no parameter of
    /// `model` has a gradient in `grads`.
    pub fn new<M: Module>(rho: f64, model: &M, grads: &GradientsParams) -> Result<Self, SamError> {
        validate_rho(rho)?;
        Self::within(Ball::uniform(Norm::L2, rho), model, grads)
    }

    pub(crate) fn within<M: Module>(ball: Ball, model: &M, grads: &GradientsParams) -> Result<Self, SamError> {
        let steepest = ball.steepest(model, grads)?;
        Ok(Self { ball, steepest })
    }

    pub(crate) fn unit(&self) -> ParameterVector {
        self.steepest.unit()
    }

    /// `model` at w + ε̂, ready for the second pass.
    ///
    /// Parameters without a gradient, excluded ones and running statistics stay as they are to the bit. A plain `clone()`
    /// shares its running statistics with the original: give a
    /// [deep copy](rekindle_shared::model::deep_copy) where the second pass must not touch them.
    pub fn apply<M: Module>(&self, model: M) -> M {
        displaced(model, self.ball.perturbation(&self.steepest))
    }

    /// ε̂ by parameter, in the shapes of `model`, which is the one the gradients are of.
    ///
    /// Parameters that are not moved are left out.
    pub fn epsilon<M: Module>(&self, model: &M) -> GradientsParams {
        struct Shape<'a> {
            epsilon: &'a ParameterVector,
            shaped: GradientsParams,
        }
        impl ModuleVisitor for Shape<'_> {
            fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
                if let Some(part) = self.epsilon.get(param.id) {
                    let part = part.clone().reshape(param.lazy_shape()).cast(FloatDType::from(param.dtype()));
                    self.shaped.register::<D>(param.id, part);
                }
            }
        }
        let epsilon = self.ball.perturbation(&self.steepest);
        let mut shape = Shape { epsilon: &epsilon, shaped: GradientsParams::new() };
        model.visit(&mut shape);
        shape.shaped
    }

    /// How fast the loss rises in the ball, `[1]`, not read back: the dual norm, so that ε̂ · g = ρ × this.
    ///
    /// ‖g‖₂ for p = 2, ‖g‖₁ for p = ∞, and the same of T g under an adaptive scaling. Not finite if any gradient that
    /// counts is not.
    pub fn gradient_norm(&self) -> Tensor<1> {
        self.steepest.norm.clone()
    }
}
