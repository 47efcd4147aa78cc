//! Inputs that have no answer.

use burn::tensor::{Bool, DType, Tensor};
use rekindle_shared::attention::sum_of;

use crate::{RfaError, RfaHeads, RfaHeadsConfig};

impl RfaHeads {
    pub(crate) fn check_heads(&self, tensor: &'static str, x: &Tensor<4>) -> Result<(), RfaError> {
        let &RfaHeadsConfig { n_heads, d_head, .. } = self.config();
        let [batch, heads, _, d] = x.dims();
        if [heads, d] != [n_heads, d_head] {
            let expected = format!("[batch, {n_heads}, length, {d_head}], as n_heads and d_head say");
            return Err(RfaError::Shape { tensor, expected, actual: x.dims().to_vec() });
        }
        RfaError::unless_positive("batch", batch)
    }

    pub(crate) fn check_keys(
        &self,
        key: &Tensor<4>,
        value: &Tensor<4>,
        mask_pad: Option<&Tensor<2, Bool>>,
    ) -> Result<(), RfaError> {
        let ([batch, heads, n_keys, _], d_value) = (key.dims(), value.dims()[3]);
        RfaError::unless_equal("value", &[batch, heads, n_keys, d_value], &value.dims())?;
        if let Some(mask) = mask_pad {
            RfaError::unless_equal("mask_pad", &[batch, n_keys], &mask.dims())?;
        }
        if n_keys == 0 {
            return Err(RfaError::EmptySequence);
        }
        RfaError::unless_positive("d_value", d_value)
    }

    pub(crate) fn check_finite<const N: usize>(
        &self,
        vectors: [(&'static str, &Tensor<4>); N],
        value: &Tensor<4>,
    ) -> Result<(), RfaError> {
        if !self.config().check_finite {
            return Ok(());
        }
        let mut sums: Vec<_> = vectors.into_iter().map(|(name, x)| (name, squares(x))).collect();
        sums.push(("values", sum_of(value)));
        RfaError::unless_finite(sums)
    }
}

/// |x|² of all together: vectors whose squares overflow have no direction.
pub(crate) fn squares(x: &Tensor<4>) -> Tensor<1> {
    let x = x.clone().inner();
    let x = if x.dtype().size() < 4 { x.cast(DType::F32) } else { x };
    sum_of(&(x.clone() * x))
}
