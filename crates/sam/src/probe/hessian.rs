use burn::Tensor;
use burn::config::Config;
use burn::module::Module;
use rekindle_shared::model::deep_copy;

use crate::SamError;
use crate::noise::{gaussian, seed_of};
use crate::pass::{Pass, require_trainable};
use crate::vector::{ParameterVector, displaced, fitted};
use rekindle_shared::model::read;

/// Settings of the power iteration for the largest eigenvalue of the loss's Hessian (Figure 3's λ_max).
///
/// ```
/// use burn::{module::Param, prelude::*};
/// use rekindle_sam::probe::HessianConfig;
///
/// #[derive(Module, Debug)]
/// struct Point {
///     at: Param<Tensor<1>>,
/// }
///
/// let device = Device::flex().autodiff();
/// let point = Point { at: Param::from_data([1.0, 1.0], &device) };
/// let curvature = Tensor::<1>::from_data([4.0, 1.0], &device);
/// let loss = |point: &Point| (point.at.val().powi_scalar(2) * curvature.clone()).sum() * 0.5;
/// let top = HessianConfig::new().top_eigenvalue(&point, loss)?;
/// assert!((top.value - 4.0).abs() < 0.01 && top.converged);
/// # Ok::<(), rekindle_sam::SamError>(())
/// ```
#[derive(Config, Debug, PartialEq)]
pub struct HessianConfig {
    /// Length of the displacement along a unit vector in the central difference
    /// H v = (g(w + h v) - g(w - h v)) / 2h, in units of the weights. Default 0.001.
    ///
    /// In `f32` too small a value drowns in rounding. A network of more than some ten million parameters wants a larger
    /// one, as the displacement is spread over all of them.
    #[config(default = 1e-3)]
    pub h: f64,
    /// Products with the Hessian at most, two gradients each, for each of the two stages. Default 100.
    #[config(default = 100)]
    pub max_iterations: usize,
    /// Relative change of the estimate from one iteration to the next at which it stops. Default 0.001.
    #[config(default = 1e-3)]
    pub tolerance: f64,
    /// Seed of the first vector. Default 0.
    #[config(default = 0)]
    pub seed: u64,
}

/// The largest eigenvalue of the Hessian, and how well it is known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TopEigenvalue {
    /// λ_max. NaN if a gradient was not finite.
    pub value: f64,
    /// Products with the Hessian, two gradients each.
    pub iterations: usize,
    /// ‖H v - λ v‖₂ for the unit vector v at the end: an eigenvalue lies within this distance of `value`.
    pub residual: f64,
    /// Whether the tolerance was met, rather than the iterations used up.
    pub converged: bool,
}

impl HessianConfig {
    /// The largest (most positive) eigenvalue of the Hessian of `loss` at `model`, over the parameters with gradients.
    ///
    /// Power iteration finds the eigenvalue of largest size; where that one is negative, a second stage on H - λ I finds
    /// the largest. One read an iteration. `loss` has to be the same function at every call.
    ///
    /// # Shapes
    ///
    /// - `loss` returns `[1]`
    ///
    /// # Errors
    ///
    /// [`SamError::InvalidProbe`] if `h` or `tolerance` is not positive and finite or `max_iterations` is 0;
    /// [`SamError::NothingToTrain`], [`SamError::LossWithoutGraph`] or [`SamError::LossNotScalar`] if there is nothing to
    /// differentiate.
    pub fn top_eigenvalue<M: Module>(
        &self,
        model: &M,
        mut loss: impl FnMut(&M) -> Tensor<1>,
    ) -> Result<TopEigenvalue, SamError> {
        self.validate()?;
        require_trainable(model)?;
        let largest = self.iterate(model, &mut loss, 0.0, 0)?;
        if largest.value >= 0.0 || !largest.value.is_finite() {
            return Ok(largest);
        }
        let shift = -largest.value;
        let shifted = self.iterate(model, &mut loss, shift, 1)?;
        Ok(TopEigenvalue {
            value: shifted.value - shift,
            iterations: largest.iterations + shifted.iterations,
            ..shifted
        })
    }

    /// The eigenvalue of H + `shift` I that is largest in size.
    fn iterate<M: Module>(
        &self,
        model: &M,
        loss: &mut impl FnMut(&M) -> Tensor<1>,
        shift: f64,
        stage: u64,
    ) -> Result<TopEigenvalue, SamError> {
        let noise = gaussian(model, seed_of(self.seed, stage, 0));
        let mut direction = ParameterVector::gradients(model, &noise, |_| true);
        let mut found = TopEigenvalue { value: f64::NAN, iterations: 0, residual: f64::NAN, converged: false };
        while found.iterations < self.max_iterations && !found.converged {
            let unit = normalized(direction);
            let mut product = self.hessian_vector_product(model, loss, &unit)?;
            if shift != 0.0 {
                product = product.zip(&unit, |product, unit| product + unit.mul_scalar(shift));
            }
            let value = unit.dot(&product);
            let along = unit.map(|part| part.clone() * fitted(&value, &part));
            let residual = product.zip(&along, |product, along| product - along).norm();
            let figures = read(vec![value, residual]);
            let change = (figures[0] - found.value).abs();
            found = TopEigenvalue {
                value: figures[0],
                iterations: found.iterations + 1,
                residual: figures[1],
                // Relative to the Hessian's own eigenvalue: next to the shift any vector's looks settled.
                // The loss may have no curvature at all: then there is nothing left to turn to.
                converged: change <= self.tolerance * (figures[0] - shift).abs() || figures[1] == 0.0,
            };
            if !found.value.is_finite() {
                break;
            }
            direction = product;
        }
        Ok(found)
    }

    /// (g(w + h v) - g(w - h v)) / 2h for a unit vector v; parameters that the loss does not use give 0.
    fn hessian_vector_product<M: Module>(
        &self,
        model: &M,
        loss: &mut impl FnMut(&M) -> Tensor<1>,
        unit: &ParameterVector,
    ) -> Result<ParameterVector, SamError> {
        let mut gradient_at = |distance: f64| {
            let moved = displaced(deep_copy(model), unit.clone().map(|part| part.mul_scalar(distance)));
            let value = loss(&moved);
            let pass = Pass::backward(&moved, value, 1.0)?;
            Ok::<_, SamError>(ParameterVector::gradients(model, &pass.grads, |_| true))
        };
        let (ahead, behind) = (gradient_at(self.h)?, gradient_at(-self.h)?);
        let zeros = unit.clone().map(|part| part.zeros_like());
        let difference = zeros.zip(&ahead, |_, ahead| ahead).zip(&behind, |ahead, behind| ahead - behind);
        Ok(difference.map(|part| part.div_scalar(2.0 * self.h)))
    }

    fn validate(&self) -> Result<(), SamError> {
        for (name, value) in [("h", self.h), ("tolerance", self.tolerance)] {
            if !(value.is_finite() && value > 0.0) {
                return Err(SamError::InvalidProbe { name, rule: "positive and finite", value });
            }
        }
        if self.max_iterations == 0 {
            return Err(SamError::InvalidProbe { name: "max_iterations", rule: "at least 1", value: 0.0 });
        }
        Ok(())
    }
}

/// `vector` divided by its length.
fn normalized(vector: ParameterVector) -> ParameterVector {
    let inverse = vector.norm().recip();
    vector.map(|part| part.clone() * fitted(&inverse, &part))
}
