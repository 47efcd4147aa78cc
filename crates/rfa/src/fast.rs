//! Sines and cosines beside each other.

use burn::tensor::Tensor;

/// `scale` (sin u, cos u) along the last dimension: `[rows, length, m]` to `[rows, length, 2 m]`.
pub(crate) fn waves(u: Tensor<3>, scale: f64) -> Tensor<3> {
    Tensor::cat(vec![u.clone().sin(), u.cos()], 2).mul_scalar(scale)
}
