//! One forward and backward pass, and what has to hold for it.

use std::ops::Range;

use burn::Tensor;
use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;

use crate::SamError;

/// What a pass over a share of the batch leaves: both scaled by that share.
#[derive(Debug)]
pub(crate) struct Pass {
    /// The loss, `[1]`, below autodiff.
    pub(crate) loss: Tensor<1>,
    pub(crate) grads: GradientsParams,
}

impl Pass {
    /// Backward from `loss`, which was computed with `model`, as `share` of the whole.
    pub(crate) fn backward<M: Module>(model: &M, loss: Tensor<1>, share: f64) -> Result<Self, SamError> {
        let loss = scalar(loss)?;
        if !loss.is_tracked() {
            return Err(SamError::LossWithoutGraph);
        }
        let loss = if share == 1.0 { loss } else { loss.mul_scalar(share) };
        let grads = GradientsParams::from_grads(loss.backward(), model);
        if grads.is_empty() {
            return Err(SamError::LossWithoutGraph);
        }
        Ok(Self { loss: loss.inner(), grads })
    }
}

/// `loss` if it is one number.
pub(crate) fn scalar(loss: Tensor<1>) -> Result<Tensor<1>, SamError> {
    match loss.shape().num_elements() {
        1 => Ok(loss),
        n_elements => Err(SamError::LossNotScalar(n_elements)),
    }
}

/// Fails unless some parameter of `model` requires gradients.
pub(crate) fn require_trainable<M: Module>(model: &M) -> Result<(), SamError> {
    struct Any(bool);
    impl ModuleVisitor for Any {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.0 |= param.is_require_grad();
        }
    }
    let mut any = Any(false);
    model.visit(&mut any);
    if any.0 { Ok(()) } else { Err(SamError::NothingToTrain) }
}

/// `0..n_samples` in groups of `m`, the last one smaller where `m` does not divide, with each group's share of the whole.
pub(crate) fn groups(n_samples: usize, m: Option<usize>) -> Result<Vec<(Range<usize>, f64)>, SamError> {
    if n_samples == 0 {
        return Err(SamError::EmptyBatch);
    }
    let m = m.unwrap_or(n_samples).min(n_samples);
    if m == 0 {
        return Err(SamError::EmptyMicroBatch);
    }
    let group = |start: usize| {
        let end = (start + m).min(n_samples);
        (start..end, (end - start) as f64 / n_samples as f64)
    };
    Ok((0..n_samples).step_by(m).map(group).collect())
}

/// Adds `term`, `[1]`, to `sum`.
pub(crate) fn add(sum: Option<Tensor<1>>, term: Tensor<1>) -> Option<Tensor<1>> {
    Some(match sum {
        Some(sum) => sum + term,
        None => term,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_cover_the_batch_once_and_their_shares_add_up() {
        assert_eq!(groups(5, Some(2)).unwrap(), [(0..2, 0.4), (2..4, 0.4), (4..5, 0.2)]);
        assert_eq!(groups(3, Some(8)).unwrap(), [(0..3, 1.0)]);
        assert_eq!(groups(3, None).unwrap(), [(0..3, 1.0)]);
        assert_eq!(groups(0, None).err(), Some(SamError::EmptyBatch));
        assert_eq!(groups(3, Some(0)).err(), Some(SamError::EmptyMicroBatch));
    }
}
