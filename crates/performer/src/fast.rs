//! Exponentials: Burn's, or with the feature `kernels` those of `rekindle-kernels`, which are equal up to rounding.

use burn::tensor::Tensor;

#[cfg(feature = "kernels")]
pub(crate) use rekindle_kernels::activation::exp;

#[cfg(not(feature = "kernels"))]
pub(crate) fn exp(x: Tensor<3>) -> Tensor<3> {
    x.exp()
}

/// exp(x) up to a factor for each row along the last dimension, such that none overflows and not all underflow.
#[cfg(feature = "kernels")]
pub(crate) fn exp_by_row(x: Tensor<3>) -> Tensor<3> {
    // The sum that it divides by is such a factor.
    rekindle_kernels::activation::softmax(x, 2)
}

#[cfg(not(feature = "kernels"))]
pub(crate) use ordinary_by_row as exp_by_row;

#[cfg(any(test, not(feature = "kernels")))]
pub(crate) fn ordinary_by_row(x: Tensor<3>) -> Tensor<3> {
    if x.is_autodiff() {
        // Softmax would record the division by the sum, which is of no use here.
        let largest = x.clone().inner().max_dim(2);
        return (x - largest).exp();
    }
    burn::tensor::activation::softmax(x, 2)
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Distribution, Tolerance};

    use super::*;

    /// Rows divided by their sums: what attention makes of them.
    fn normalized(rows: Tensor<3>) -> Tensor<3> {
        rows.clone() / rows.sum_dim(2)
    }

    #[test]
    fn every_form_gives_the_same_rows_and_gradients() {
        let plain = Device::flex();
        let x = Tensor::<3>::random([2, 9, 70], Distribution::Normal(0.0, 20.0), &plain);
        let weights = Tensor::<3>::random([2, 9, 70], Distribution::Default, &plain);
        let same = |a: Tensor<3>, b: &Tensor<3>| {
            a.into_data().assert_approx_eq::<f32>(&b.to_data(), Tolerance::absolute(1e-5));
        };
        let expected = normalized(exp_by_row(x.clone()));
        same(normalized(ordinary_by_row(x.clone())), &expected);

        let gradients = [exp_by_row, ordinary_by_row].map(|form| {
            let x = x.clone().autodiff().require_grad();
            let y = normalized(form(x.clone()));
            same(y.clone().inner(), &expected);
            x.grad(&(y * weights.clone().autodiff()).sum().backward()).unwrap()
        });
        same(gradients[0].clone(), &gradients[1]);
        let x = x.clamp(-80.0, 80.0);
        exp(x.clone()).into_data().assert_approx_eq::<f32>(&x.exp().into_data(), Tolerance::relative(1e-5));
    }
}
