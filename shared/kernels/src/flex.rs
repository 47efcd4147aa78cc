//! What the Burn side of every operation needs: which tensors the kernels take, and their values as slices.

use burn::backend::{DispatchDevice, Flex, tensor::FloatTensor};
use burn::tensor::{DType, Device, Shape, Tensor, TensorData};
use pulp::Arch;

/// A tensor of the flex backend.
pub(crate) type Primitive = FloatTensor<Flex>;

/// The instruction set that the kernels use on this processor; `None`: Burn's own operations run.
pub(crate) fn instructions() -> Option<Arch> {
    match Arch::new() {
        #[cfg(target_arch = "x86_64")]
        arch if !matches!(arch, Arch::Scalar) => Some(arch),
        _ => None,
    }
}

/// Whether the kernels take `tensor`: f32 on flex (with autodiff or without), not empty, on a processor with the
/// instructions.
pub(crate) fn takes<const D: usize>(tensor: &Tensor<D>) -> bool {
    instructions().is_some() && tensor.dtype() == DType::F32 && is_flex(&tensor.device()) && !tensor.dims().contains(&0)
}

fn is_flex(device: &Device) -> bool {
    matches!(device.clone().without_autodiff().as_dispatch(), DispatchDevice::Flex(_))
}

/// The tensor's values in row-major order; only a view that isn't contiguous is copied.
pub(crate) fn with_values<R>(tensor: &Primitive, f: impl FnOnce(&[f32]) -> R) -> R {
    debug_assert_eq!(tensor.dtype(), DType::F32);
    match tensor.as_slice::<f32>() {
        Some(values) => f(values),
        None => f(tensor.to_contiguous().as_slice::<f32>().expect("contiguous now")),
    }
}

/// A tensor that takes `values` over without a copy.
pub(crate) fn primitive(values: Vec<f32>, shape: impl Into<Shape>) -> Primitive {
    Primitive::from_data(TensorData::new(values, shape))
}
