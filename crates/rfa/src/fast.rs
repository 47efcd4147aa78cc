//! Sines and cosines beside each other: Burn's, or with the feature `kernels` those of `rekindle-kernels`, which are equal up to
//! rounding.

#[cfg(any(test, not(feature = "kernels")))]
use burn::tensor::Tensor;

/// `scale` (sin u, cos u) along the last dimension: `[rows, length, m]` to `[rows, length, 2 m]`.
#[cfg(feature = "kernels")]
pub(crate) use rekindle_kernels::waves::sin_cos as waves;

#[cfg(not(feature = "kernels"))]
pub(crate) use ordinary as waves;

#[cfg(any(test, not(feature = "kernels")))]
pub(crate) fn ordinary(u: Tensor<3>, scale: f64) -> Tensor<3> {
    Tensor::cat(vec![u.clone().sin(), u.cos()], 2).mul_scalar(scale)
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Distribution, Tolerance};

    use super::*;

    #[test]
    fn every_form_gives_the_same_features_and_gradients() {
        let device = Device::flex().autodiff();
        let u = Tensor::<3>::random([2, 9, 70], Distribution::Normal(0.0, 20.0), &device).require_grad();
        let weights = Tensor::<3>::random([2, 9, 140], Distribution::Default, &device);
        let [a, b] = [waves, ordinary].map(|form| {
            let y = form(u.clone(), 0.25);
            let gradient = u.grad(&(y.clone() * weights.clone()).sum().backward()).unwrap();
            [y.inner().reshape([-1]), gradient.reshape([-1])]
        });
        for (a, b) in a.into_iter().zip(b) {
            let a: Tensor<1> = a;
            a.into_data().assert_approx_eq::<f32>(&b.into_data(), Tolerance::absolute(1e-5));
        }
    }
}
