//! Tensors of any rank as one vector, and sums of them.

use burn::tensor::{DType, FloatDType, Tensor};

/// `values` in one dimension, widened to `f32` from half precision, where squares overflow.
pub fn flat<const D: usize>(values: Tensor<D>) -> Tensor<1> {
    let n_elements = values.shape().num_elements();
    let values = values.reshape([n_elements]);
    match values.dtype() {
        DType::F16 | DType::BF16 => values.cast(FloatDType::F32),
        _ => values,
    }
}

/// The sum of `values`, `[1]`, the same to the bit whatever the number of threads.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use rekindle_shared::model::{flat, sum, total};
///
/// let matrix = Tensor::<2>::from_floats([[1.0, 2.0], [3.0, 4.0]], &Device::flex());
/// let parts = [flat(matrix.clone()), flat(matrix)];
/// assert_eq!(total(parts.map(sum).into()).into_scalar::<f32>(), 20.0);
/// ```
pub fn sum(values: Tensor<1>) -> Tensor<1> {
    // Flex sums 4,194,304 or more elements by threads, in an order that depends on timing.
    const CHUNK: usize = 1 << 21;
    let n_elements = values.shape().num_elements();
    if n_elements <= CHUNK {
        return values.sum();
    }
    let chunk = |start: usize| values.clone().narrow(0, start, CHUNK.min(n_elements - start)).sum();
    total((0..n_elements).step_by(CHUNK).map(chunk).collect())
}

/// The sum of terms `[1]` that may lie on several devices and differ in precision, on the device of the first.
///
/// # Panics
///
/// If there is no term.
pub fn total(terms: Vec<Tensor<1>>) -> Tensor<1> {
    let widest = if terms.iter().any(|term| term.dtype() == DType::F64) { FloatDType::F64 } else { FloatDType::F32 };
    let device = terms[0].device();
    Tensor::cat(terms.into_iter().map(|term| term.to_device(&device).cast(widest)).collect(), 0).sum()
}
