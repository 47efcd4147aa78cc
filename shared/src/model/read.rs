use burn::tensor::{DType, FloatDType, Tensor};

/// The values of tensors `[n]`, one after the other, in one read of the device.
///
/// Half precision is read as `f32`. The first tensor's device does it; others are moved there.
///
/// # Panics
///
/// Without tensors.
pub fn read(tensors: Vec<Tensor<1>>) -> Vec<f64> {
    let device = tensors[0].device();
    let widest = tensors.iter().any(|tensor| tensor.dtype() == DType::F64);
    let dtype = if widest { FloatDType::F64 } else { FloatDType::F32 };
    let together = tensors.into_iter().map(|tensor| tensor.to_device(&device).cast(dtype)).collect();
    Tensor::cat(together, 0).into_data().iter::<f64>().collect()
}
