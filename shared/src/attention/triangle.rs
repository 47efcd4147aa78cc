//! Weights of earlier tokens: w[t, i] = exp(dₜ - dᵢ) for i ≤ t, and 0 for later ones.

use burn::tensor::{Bool, DType, Device, Tensor};

/// e to this is 0 in every float type.
const NEVER: f32 = -1e4;

/// Weights without decay: ones on and below the diagonal.
///
/// # Shapes
///
/// - output: `[size, size]`
pub(super) fn ones(size: usize, device: &Device, dtype: DType) -> Tensor<2> {
    Tensor::<2>::ones([size, size], (device, dtype)).tril(0)
}

/// Weights by decay.
///
/// # Shapes
///
/// - `total`: `[.., size]`, log-decays summed up to each token, which fall along the last dimension
/// - output: `[.., size, size]`
pub(super) fn decay<const D: usize, const E: usize>(total: Tensor<D>) -> Tensor<E> {
    let size = total.dims()[D - 1];
    // A difference of later tokens is positive and may overflow: it is put out before the exponential.
    let later: Tensor<2, Bool> = Tensor::tril_mask([size, size], 0, &total.device());
    let mut shape = [1; E];
    shape[E - 2..].fill(size);
    let differences = total.clone().unsqueeze_dim::<E>(D) - total.unsqueeze_dim::<E>(D - 1);
    let later = later.reshape(shape).expand(differences.dims());
    differences.mask_fill(later, NEVER).exp()
}
