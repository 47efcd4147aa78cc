use std::collections::HashSet;

use burn::module::{Module, ModuleVisitor, Param, ParamId};
use burn::optim::GradientsParams;
use burn::tensor::{FloatDType, Tensor};

use super::ContinualError;
use crate::model::{flat, read, sum, total};

/// Gradients after [`agem`], and what they were measured by.
#[derive(Debug)]
pub struct AGemStep {
    /// For the optimizer.
    pub grads: GradientsParams,
    /// g · g_ref before the projection.
    pub dot: f64,
    /// ‖g_ref‖².
    pub reference_squared: f64,
}

impl AGemStep {
    /// Whether the two gradients were in conflict, and g was projected.
    pub fn projected(&self) -> bool {
        self.dot < 0.0 && self.reference_squared > 0.0
    }
}

/// The step of Averaged GEM (Chaudhry et al., 2019, Eq. 11): gradients that don't raise the loss on the memory.
///
/// g is what comes in, g_ref the gradient of the loss on samples from a [`ReplayBuffer`](super::ReplayBuffer) at the same
/// weights. If g · g_ref < 0, the result is g - (g · g_ref / g_ref · g_ref) g_ref, which is orthogonal to g_ref; else it
/// is g, to the bit. Both are taken over all parameters of `model` together. A parameter without a gradient in one of the
/// two, such as the head of another task, has 0 there; the result has one wherever it can differ from 0.
///
/// The device is read once.
///
/// # Errors
///
/// [`ContinualError::NonFinite`] if g · g_ref or ‖g_ref‖² is not finite: leave the step out then.
/// [`ContinualError::NoGradients`] if no parameter has a gradient in `reference`.
pub fn agem<M: Module>(
    model: &M,
    grads: GradientsParams,
    reference: &GradientsParams,
) -> Result<AGemStep, ContinualError> {
    let mut measure = Measure { grads: &grads, reference, seen: HashSet::new(), dots: vec![], squares: vec![] };
    model.visit(&mut measure);
    let Measure { dots, squares, .. } = measure;
    if squares.is_empty() {
        return Err(ContinualError::NoGradients);
    }
    let mut terms = vec![total(squares)];
    if !dots.is_empty() {
        terms.push(total(dots));
    }
    let measured = read(terms);
    let (reference_squared, dot) = (measured[0], measured.get(1).copied().unwrap_or(0.0));
    if !dot.is_finite() || !reference_squared.is_finite() {
        return Err(ContinualError::NonFinite("a gradient of A-GEM"));
    }
    let mut step = AGemStep { grads, dot, reference_squared };
    if step.projected() {
        let share = dot / reference_squared;
        model.visit(&mut Project { grads: &mut step.grads, reference, share, seen: HashSet::new() });
    }
    Ok(step)
}

/// The terms of g · g_ref and ‖g_ref‖², parameter by parameter.
struct Measure<'a> {
    grads: &'a GradientsParams,
    reference: &'a GradientsParams,
    seen: HashSet<ParamId>,
    dots: Vec<Tensor<1>>,
    squares: Vec<Tensor<1>>,
}

impl ModuleVisitor for Measure<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let Some(reference) = self.reference.get::<D>(param.id).filter(|_| self.seen.insert(param.id)) else { return };
        let reference = flat(reference);
        if let Some(grad) = self.grads.get::<D>(param.id) {
            self.dots.push(sum(flat(grad) * reference.clone()));
        }
        self.squares.push(sum(reference.clone() * reference));
    }
}

/// g - share · g_ref.
struct Project<'a> {
    grads: &'a mut GradientsParams,
    reference: &'a GradientsParams,
    share: f64,
    seen: HashSet<ParamId>,
}

impl ModuleVisitor for Project<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let Some(reference) = self.reference.get::<D>(param.id).filter(|_| self.seen.insert(param.id)) else { return };
        let dtype = FloatDType::from(reference.dtype());
        let shape = reference.shape();
        let away = flat(reference).mul_scalar(-self.share);
        let moved = match self.grads.remove::<D>(param.id) {
            Some(grad) => flat(grad) + away,
            None => away,
        };
        self.grads.register::<D>(param.id, moved.cast(dtype).reshape(shape));
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::continual::testing::{Two, two as fixture};

    fn two() -> Two {
        fixture([0.0, 0.0], 0.0, &Device::flex())
    }

    fn grads(model: &Two, matrix: Option<[f32; 2]>, vector: Option<f32>) -> GradientsParams {
        let (mut grads, device) = (GradientsParams::new(), Device::flex());
        if let Some(matrix) = matrix {
            grads.register(model.matrix.id, Tensor::<2>::from_floats([matrix], &device));
        }
        if let Some(vector) = vector {
            grads.register(model.vector.id, Tensor::<1>::from_floats([vector], &device));
        }
        grads
    }

    fn values(model: &Two, grads: &GradientsParams) -> (Option<Vec<f32>>, Option<Vec<f32>>) {
        let matrix = grads.get::<2>(model.matrix.id).map(|grad| grad.into_data().try_to_vec().unwrap());
        (matrix, grads.get::<1>(model.vector.id).map(|grad| grad.into_data().try_to_vec().unwrap()))
    }

    #[test]
    fn a_conflict_is_projected_over_all_parameters_together() {
        let model = two();
        // g = (2, 1, 1), g_ref = (-1, 1, -2): g · g_ref = -3, g_ref · g_ref = 6, so that g + ½ g_ref.
        let reference = grads(&model, Some([-1.0, 1.0]), Some(-2.0));
        let step = agem(&model, grads(&model, Some([2.0, 1.0]), Some(1.0)), &reference).unwrap();
        assert_eq!((step.dot, step.reference_squared, step.projected()), (-3.0, 6.0, true));
        assert_eq!(values(&model, &step.grads), (Some(vec![1.5, 1.5]), Some(vec![0.0])));
    }

    #[test]
    fn without_a_conflict_nothing_changes() {
        let model = two();
        for reference in [grads(&model, Some([1.0, 1.0]), Some(3.0)), grads(&model, Some([0.0, 0.0]), None)] {
            let step = agem(&model, grads(&model, Some([2.0, 1.0]), Some(-1.0)), &reference).unwrap();
            assert!(!step.projected());
            assert_eq!(values(&model, &step.grads), (Some(vec![2.0, 1.0]), Some(vec![-1.0])));
        }
    }

    #[test]
    fn an_absent_gradient_is_zero() {
        let model = two();
        // g = (2, 1, 0), g_ref = (-1, 0, 1): g · g_ref = -2, ‖g_ref‖² = 2, so that g + g_ref.
        let reference = grads(&model, Some([-1.0, 0.0]), Some(1.0));
        let step = agem(&model, grads(&model, Some([2.0, 1.0]), None), &reference).unwrap();
        assert_eq!(values(&model, &step.grads), (Some(vec![1.0, 1.0]), Some(vec![1.0])));
        // g = (2, 1, 5), g_ref = (-1, 0, 0).
        let step =
            agem(&model, grads(&model, Some([2.0, 1.0]), Some(5.0)), &grads(&model, Some([-1.0, 0.0]), None)).unwrap();
        assert_eq!(values(&model, &step.grads), (Some(vec![0.0, 1.0]), Some(vec![5.0])));
    }

    #[test]
    fn what_is_not_finite_or_missing_is_refused() {
        let model = two();
        let good = || grads(&model, Some([2.0, 1.0]), Some(1.0));
        let bad = || grads(&model, Some([f32::NAN, 1.0]), Some(1.0));
        let non_finite = Some(ContinualError::NonFinite("a gradient of A-GEM"));
        assert_eq!(agem(&model, bad(), &good()).err(), non_finite);
        assert_eq!(agem(&model, good(), &bad()).err(), non_finite);
        assert_eq!(agem(&model, good(), &GradientsParams::new()).err(), Some(ContinualError::NoGradients));
    }
}
