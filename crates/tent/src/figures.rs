//! What is read from the device after a forward pass, and what has to be finite.

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;
use rekindle_shared::model::read;

use crate::TentError;
use crate::objective::Loss;

/// Figures of a forward pass.
pub(crate) struct Figures {
    /// Mean entropy, in nats.
    pub(crate) entropy: f64,
    /// Share of the rows that are learned from.
    pub(crate) kept: f64,
    /// Σ g² over all gradients; none without a backward pass.
    pub(crate) squared_gradient: Option<f64>,
    /// Mean probabilities, `[n_classes]`.
    pub(crate) probabilities: Vec<f64>,
}

impl Figures {
    /// Reads everything at once; `input` is the [`finite_check`] of the batch.
    pub(crate) fn read(loss: Loss, input: Tensor<1>, squared_gradient: Option<Tensor<1>>) -> Result<Self, TentError> {
        let has_gradient = squared_gradient.is_some();
        let heads = [Some(loss.loss.inner()), Some(loss.entropy), Some(loss.kept), Some(input), squared_gradient];
        let mut values = read(heads.into_iter().flatten().chain([loss.probabilities]).collect());
        let probabilities = values.split_off(if has_gradient { 5 } else { 4 });
        let squared_gradient = has_gradient.then(|| values[4]);
        let finite = |value: f64, what| if value.is_finite() { Ok(()) } else { Err(TentError::NonFinite { what }) };
        finite(values[3], "inputs")?;
        finite(values[1], "logits")?;
        finite(values[0], "logits")?;
        finite(squared_gradient.unwrap_or(0.0), "gradients")?;
        Ok(Self { entropy: values[1], kept: values[2], squared_gradient, probabilities })
    }
}

/// Σ g² over all gradients, `[1]`.
pub(crate) fn squared_norm<M: Module>(model: &M, grads: &GradientsParams) -> Tensor<1> {
    struct Squares<'a> {
        grads: &'a GradientsParams,
        sums: Vec<Tensor<1>>,
    }
    impl ModuleVisitor for Squares<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if param.is_require_grad()
                && let Some(grad) = self.grads.get::<D>(param.id)
            {
                self.sums.push((grad.clone() * grad).sum());
            }
        }
    }
    let mut squares = Squares { grads, sums: Vec::new() };
    model.visit(&mut squares);
    Tensor::cat(squares.sums, 0).sum()
}

/// 0 for a finite input, NaN for another, `[1]`: a network may swallow an infinity without a trace in its logits.
pub(crate) fn finite_check<const D: usize>(input: &Tensor<D>) -> Tensor<1> {
    input.clone().inner().mul_scalar(0.0).sum()
}

/// Where the input is not finite, if it is not.
pub(crate) fn non_finite_input<const D: usize>(input: Tensor<D>) -> Option<TentError> {
    let batch_size = input.dims()[0];
    let per_sample: Tensor<2> = input.inner().reshape([batch_size as i32, -1]);
    let counts = per_sample.is_finite().bool_not().int().sum_dim(1);
    let counts: Vec<i64> = counts.into_data().iter::<i64>().collect();
    let sample = counts.iter().position(|count| *count > 0)?;
    Some(TentError::NonFiniteInput { count: counts.iter().sum::<i64>() as usize, sample })
}
