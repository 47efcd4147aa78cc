use burn::tensor::kind::Numeric;
use burn::tensor::{DType, Tensor};

use crate::error::setting;
use crate::{IdError, Points};

/// Integers up to this size are `f32` exactly.
const EXACT: f64 = 16_777_216.0;

impl Points<'static, f32> {
    /// The rows of a tensor, read from its device: one for each element of the first dimension.
    ///
    /// Half precision becomes `f32` without loss, `f64` is rounded to it. Integers, such as the pixels of images, are
    /// the same numbers as floats.
    ///
    /// # Shapes
    ///
    /// - `tensor`: `[n, ...]`, all dimensions but the first flattened into columns
    ///
    /// # Errors
    ///
    /// [`IdError::InvalidSetting`] for a tensor of rank 1, [`IdError::Empty`] for one without elements,
    /// [`IdError::Device`] if it cannot be read, [`IdError::NotExact`] for an integer above 2²⁴,
    /// [`IdError::NotFinite`] for NaN and infinity.
    ///
    /// ```
    /// use burn::tensor::{Device, Int, Tensor};
    /// use rekindle_intrinsic_dimension::{IdError, Points};
    ///
    /// let device = Device::flex();
    /// let images = Tensor::<4>::ones([10, 3, 8, 8], &device);
    /// assert_eq!(Points::from_tensor(images)?.dim(), 192);
    /// let pixels = Tensor::<2, Int>::from_data([[0, 255], [7, 1]], &device);
    /// assert_eq!(Points::from_tensor(pixels)?.row(1), [7.0, 1.0]);
    /// # Ok::<(), IdError>(())
    /// ```
    pub fn from_tensor<const D: usize, K: Numeric>(tensor: Tensor<D, K>) -> Result<Self, IdError> {
        setting("rank of the tensor", "at least 2", D as f64, D >= 2)?;
        let dims = tensor.dims();
        let (n, dim) = (dims[0], dims[1..].iter().product());
        if n == 0 || dim == 0 {
            return Err(IdError::Empty { n, dim });
        }
        Self::from_vec(read(tensor, dim)?, n, dim)
    }
}

/// The values of a tensor with `dim` columns.
pub(super) fn read<const D: usize, K: Numeric>(tensor: Tensor<D, K>, dim: usize) -> Result<Vec<f32>, IdError> {
    let refused = |error: &dyn std::fmt::Display| IdError::Device(error.to_string());
    let data = tensor.try_into_data().map_err(|error| refused(&error))?;
    let is_float = data.dtype().is_float() || matches!(data.dtype(), DType::QFloat(_));
    if !is_float && let Some((at, value)) = data.iter::<f64>().enumerate().find(|(_, value)| value.abs() > EXACT) {
        return Err(IdError::NotExact { row: at / dim, column: at % dim, value });
    }
    data.try_cast_as::<f32>().and_then(|data| data.try_into_vec()).map_err(|error| refused(&error))
}
