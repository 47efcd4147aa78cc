//! Whether inputs are finite, by their sums: NaN and infinities stay in a sum.

use burn::tensor::{DType, Tensor};

/// The sum of `x` without its gradient, for [`read_back`].
pub fn sum_of<const D: usize>(x: &Tensor<D>) -> Tensor<1> {
    x.clone().inner().sum()
}

/// Numbers of the device, in one go.
///
/// # Shapes
///
/// - `numbers`: `[n]` each, of any float type
pub fn read_back(numbers: Vec<Tensor<1>>) -> Vec<f64> {
    if numbers.is_empty() {
        return Vec::new();
    }
    let numbers = numbers.into_iter().map(|number| number.cast(DType::F32)).collect();
    Tensor::cat(numbers, 0).into_data().iter::<f64>().collect()
}

/// The name of the first sum that is not finite.
pub fn first_non_finite(names: &[&'static str], sums: &[f64]) -> Option<&'static str> {
    names.iter().zip(sums).find(|(_, sum)| !sum.is_finite()).map(|(name, _)| *name)
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    #[test]
    fn the_first_tensor_with_nan_or_infinity_is_named() {
        let device = Device::flex();
        let [fine, nan, infinite] = [[1.0, -2.0], [0.0, f32::NAN], [f32::NEG_INFINITY, 0.0]]
            .map(|values| Tensor::<1>::from_floats(values, &device));
        let named = |tensors: &[&Tensor<1>]| {
            let names = ["a", "b", "c"];
            first_non_finite(&names, &read_back(tensors.iter().map(|x| sum_of(x)).collect()))
        };
        assert_eq!(named(&[&fine, &fine]), None);
        assert_eq!(named(&[&fine, &nan, &infinite]), Some("b"));
        assert_eq!(named(&[&fine, &fine, &infinite]), Some("c"));
        assert_eq!(named(&[]), None);
    }
}
