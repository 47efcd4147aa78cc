//! Numerator by denominator.

use burn::tensor::{Int, Tensor};

/// The first columns by the last, which is kept `least` away from 0, on its side; and how many were kept from it.
///
/// Where the last column is exactly 0 nothing was seen, or nothing with a feature in common: the output is 0, and it is not
/// counted. Where a denominator was set, gradients go to `least` and not to what it was.
///
/// # Shapes
///
/// - `sums`: `[rows, length, width + 1]`
/// - `least`: `[rows, length, 1]` or `[rows, 1, 1]`
/// - output: `[rows, length, width]` and `[1]`
pub(crate) fn divide(sums: Tensor<3>, least: Tensor<3>) -> (Tensor<3>, Tensor<1, Int>) {
    let width = sums.dims()[2] - 1;
    let denominator = sums.clone().narrow(2, width, 1);
    let seen = denominator.clone().inner();
    let nothing = seen.clone().equal_elem(0.0);
    let least = least.expand(seen.dims());
    let small = seen.clone().abs().lower(least.clone().inner()).bool_and(nothing.clone().bool_not());
    let set = (seen.sign() * least).mask_fill(small.clone().bool_not(), 0.0).mask_fill(nothing.clone(), 1.0);
    let denominator = denominator.mask_fill(small.clone().bool_or(nothing), 0.0) + set;
    (sums.narrow(2, 0, width) / denominator, small.int().sum())
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    #[test]
    fn a_small_denominator_keeps_its_sign_and_is_counted() {
        let device = Device::flex();
        let sums = [[6.0, 2.0], [6.0, 0.1], [6.0, -0.1], [0.0, 0.0], [6.0, -0.5], [6.0, -3.0]];
        let (output, n) =
            divide(Tensor::<2>::from_floats(sums, &device).unsqueeze(), Tensor::full([1, 1, 1], 0.5, &device));
        let values: Vec<f32> = output.into_data().iter().collect();
        assert_eq!(values, [3.0, 12.0, -12.0, 0.0, -12.0, -2.0]);
        assert_eq!(n.into_scalar::<i64>(), 2);
    }

    #[test]
    fn gradients_go_to_what_the_denominator_was_set_to() {
        let device = Device::flex().autodiff();
        let sums = [[6.0, 2.0], [6.0, 0.1], [6.0, -0.1], [0.0, 0.0]];
        let sums = Tensor::<2>::from_floats(sums, &device).require_grad();
        let least = Tensor::<3>::full([1, 4, 1], 0.5, &device).require_grad();
        let (output, _) = divide(sums.clone().unsqueeze(), least.clone());
        let gradients = output.sum().backward();
        let host = |gradient: Tensor<1>| -> Vec<f32> { gradient.into_data().iter().collect() };
        let of_sums = host(sums.grad(&gradients).unwrap().reshape([-1]));
        assert_eq!(of_sums, [0.5, -1.5, 2.0, 0.0, -2.0, 0.0, 1.0, 0.0]);
        assert_eq!(host(least.grad(&gradients).unwrap().reshape([-1])), [0.0, -24.0, 24.0, 0.0]);
    }
}
