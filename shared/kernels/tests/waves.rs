//! Sines and cosines against Burn's own: outputs, gradients, views, and what is passed to Burn.

use burn::tensor::{DType, Device, Distribution, Tensor, Tolerance};
use rekindle_kernels::waves::sin_cos;

fn stock<const D: usize>(x: Tensor<D>, scale: f64) -> Tensor<D> {
    Tensor::cat(vec![x.clone().sin(), x.cos()], D - 1).mul_scalar(scale)
}

#[test]
fn outputs_and_gradients_are_those_of_burn_also_of_views() {
    let device = Device::flex().autodiff();
    for shape in [[1, 1, 1], [2, 3, 5], [3, 40, 64], [2, 400, 100]] {
        let x = Tensor::<3>::random(shape, Distribution::Normal(0.0, 30.0), &device).require_grad();
        let views: [fn(Tensor<3>) -> Tensor<3>; 3] = [|x| x, |x| x.swap_dims(1, 2), |x| x.flip([2])];
        for view in views {
            let run = |f: fn(Tensor<3>, f64) -> Tensor<3>| {
                let y = f(view(x.clone()), 0.3);
                let weights = Tensor::<1, burn::tensor::Int>::arange(0..y.shape().num_elements() as i64, &device);
                let grads = (y.clone() * weights.float().sin().reshape(y.dims())).sum().backward();
                (y.inner(), x.grad(&grads).unwrap())
            };
            let ((y, dx), (expected, expected_dx)) = (run(sin_cos), run(stock));
            assert_eq!(y.dims(), expected.dims());
            y.into_data().assert_approx_eq::<f32>(&expected.into_data(), Tolerance::absolute(1e-6));
            dx.into_data().assert_approx_eq::<f32>(&expected_dx.into_data(), Tolerance::absolute(1e-6));
        }
    }
}

#[test]
fn other_types_and_empty_tensors_go_to_burn() {
    let device = Device::flex();
    for dtype in [DType::F64, DType::F16] {
        let x = Tensor::<2>::random([3, 4], Distribution::Default, &device).cast(dtype);
        let y = sin_cos(x.clone(), 0.5);
        assert_eq!(y.dtype(), dtype);
        y.into_data().assert_eq(&stock(x, 0.5).into_data(), true);
    }
    assert_eq!(sin_cos(Tensor::<2>::zeros([0, 4], &device), 1.0).dims(), [0, 8]);
}
