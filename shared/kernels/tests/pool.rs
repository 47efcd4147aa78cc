//! Pooling against Burn's own, through the public interface.

use burn::nn::PaddingConfig2d;
use burn::nn::pool::{AdaptiveAvgPool2dConfig, AvgPool2dConfig, MaxPool2dConfig};
use burn::tensor::ops::{AvgPoolOptions, MaxPoolOptions};
use burn::tensor::{DType, Device, Distribution, Tensor, TensorData, module as stock};
use rekindle_kernels::{ForwardFast, module};

fn devices() -> [Device; 3] {
    [Device::flex(), Device::flex().autodiff(), Device::flex().autodiff().gradient_checkpointing()]
}

/// Whole numbers, so that there are ties.
fn random(shape: [usize; 4], device: &Device) -> Tensor<4> {
    Tensor::random(shape, Distribution::Uniform(-9.0, 9.0), device).round()
}

/// Output and the gradient of a weighted sum of it, if the input is tracked.
fn run(x: &Tensor<4>, f: impl Fn(Tensor<4>) -> Tensor<4>) -> (Tensor<4>, Option<Tensor<4>>) {
    // The input comes out of an operation, so that checkpointing has something to compute again.
    let y = f(x.clone().mul_scalar(0.5));
    if !y.is_tracked() {
        return (y, None);
    }
    let count = y.dims().iter().product::<usize>() as i64;
    let weights = Tensor::<1, burn::tensor::Int>::arange(0..count, &y.device()).float().sin().reshape(y.dims());
    let grads = (y.clone() * weights.cast(y.dtype())).sum().backward();
    (y, x.grad(&grads))
}

#[track_caller]
fn compare(x: &Tensor<4>, ours: impl Fn(Tensor<4>) -> Tensor<4>, stock: impl Fn(Tensor<4>) -> Tensor<4>) {
    let (ours, stock) = (run(x, ours), run(x, stock));
    let pairs = [(Some(ours.0), Some(stock.0)), (ours.1, stock.1)];
    for (ours, stock) in pairs {
        assert_eq!(ours.is_some(), stock.is_some());
        let (Some(ours), Some(stock)) = (ours, stock) else { continue };
        assert_eq!((ours.dims(), ours.dtype()), (stock.dims(), stock.dtype()));
        let values = |tensor: Tensor<4>| -> Vec<f32> { tensor.into_data().convert::<f32>().try_into_vec().unwrap() };
        for (i, (ours, stock)) in values(ours).into_iter().zip(values(stock)).enumerate() {
            let same = ours == stock || (ours.is_nan() && stock.is_nan());
            assert!(same || (ours - stock).abs() <= 1e-5, "{i}: {ours} != {stock}");
        }
    }
}

fn compare_options(x: &Tensor<4>, max: MaxPoolOptions<2>, avg: AvgPoolOptions<2>) {
    compare(x, |x| module::max_pool2d(x, max.clone()), |x| stock::max_pool2d(x, max.clone()));
    for include in [true, false] {
        let avg = avg.clone().with_count_include_pad(include);
        compare(x, |x| module::avg_pool2d(x, avg.clone()), |x| stock::avg_pool2d(x, avg.clone()));
    }
}

fn compare_window(x: &Tensor<4>, kernel: [usize; 2], stride: [usize; 2], padding: [usize; 2]) {
    let max = MaxPoolOptions::new(kernel).with_stride(stride).with_padding(padding);
    let avg = AvgPoolOptions::new(kernel).with_stride(stride).with_padding(padding);
    compare_options(x, max, avg);
}

/// Some windows of each kind.
fn compare_windows(x: &Tensor<4>) {
    let [_, _, height, width] = x.dims();
    compare_window(x, [2, 2], [2, 2], [0, 0]);
    compare_window(x, [3, 3], [2, 2], [1, 1]);
    compare_window(x, [3, 2], [1, 3], [1, 0]);
    compare_window(x, [2, 2], [3, 3], [0, 0]);
    compare_window(x, [height, width], [1, 1], [0, 0]);
    compare_window(x, [5, 5], [1, 1], [2, 2]);
    compare_window(x, [1, 2], [1, usize::MAX >> 8], [0, 0]);
}

#[test]
fn every_window_is_that_of_burn() {
    for device in devices() {
        for shape in [[2, 3, 2, 2], [2, 3, 8, 8], [3, 2, 7, 9], [1, 5, 21, 34]] {
            compare_windows(&random(shape, &device).set_require_grad(device.is_autodiff()));
        }
        compare_windows(&random([2, 3, 8, 8], &device));
    }
}

#[test]
fn views_are_read_in_their_order() {
    let device = Device::flex().autodiff();
    let x = random([3, 4, 6, 7], &device).require_grad();
    let max = MaxPoolOptions::new([2, 2]);
    let avg = AvgPoolOptions::new([3, 3]).with_stride([2, 2]).with_padding([1, 1]);
    let views: [fn(Tensor<4>) -> Tensor<4>; 3] =
        [|x| x.swap_dims(2, 3), |x| x.swap_dims(0, 1), |x| x.narrow(3, 0, 1).expand([3, 4, 6, 7])];
    for view in views {
        compare(&x, |x| module::max_pool2d(view(x), max.clone()), |x| stock::max_pool2d(view(x), max.clone()));
        compare(&x, |x| module::avg_pool2d(view(x), avg.clone()), |x| stock::avg_pool2d(view(x), avg.clone()));
        // A gradient that isn't contiguous.
        let turned = |y: Tensor<4>| y.swap_dims(2, 3).swap_dims(0, 1);
        compare(&x, |x| turned(module::max_pool2d(x, max.clone())), |x| turned(stock::max_pool2d(x, max.clone())));
    }
    let sum = |y: Tensor<4>| y.sum().reshape([1, 1, 1, 1]);
    compare(&x, |x| sum(module::avg_pool2d(x, avg.clone())), |x| sum(stock::avg_pool2d(x, avg.clone())));
}

#[test]
fn non_finite_values_reach_what_they_reach_in_burn() {
    let device = Device::flex().autodiff();
    for (special, step) in [(f32::NAN, 13), (f32::INFINITY, 7), (f32::NEG_INFINITY, 3), (f32::NEG_INFINITY, 1)] {
        let values: Vec<f32> =
            (0..2 * 64).map(|i| if i % step == 0 { special } else { ((i * 7) % 11) as f32 }).collect();
        let x = Tensor::<4>::from_data(TensorData::new(values, [1, 2, 8, 8]), &device).require_grad();
        compare_windows(&x);
        // Upstream gradients that aren't finite.
        let finite = random([1, 2, 8, 8], &device).require_grad();
        let spoil = |y: Tensor<4>| y * x.clone().detach().abs().narrow(2, 0, 4).narrow(3, 0, 4);
        for (kernel, padding) in [([2, 2], [0, 0]), ([3, 3], [1, 1])] {
            let max = MaxPoolOptions::new(kernel).with_stride([2, 2]).with_padding(padding);
            let avg = AvgPoolOptions::new(kernel).with_stride([2, 2]).with_padding(padding);
            compare(
                &finite,
                |x| spoil(module::max_pool2d(x, max.clone())),
                |x| spoil(stock::max_pool2d(x, max.clone())),
            );
            compare(
                &finite,
                |x| spoil(module::avg_pool2d(x, avg.clone())),
                |x| spoil(stock::avg_pool2d(x, avg.clone())),
            );
        }
    }
}

#[test]
fn what_the_kernels_do_not_take_is_left_to_burn() {
    let device = Device::flex().autodiff();
    let x = random([2, 3, 9, 10], &device).require_grad();
    let max = MaxPoolOptions::new([3, 3]).with_stride([2, 2]);
    let avg = AvgPoolOptions::new([3, 3]).with_stride([2, 2]);
    compare_options(&x, max.clone().with_dilation([2, 1]), avg.clone());
    compare_options(&x, max.clone().with_ceil_mode(true), avg.clone().with_ceil_mode(true));
    let pairs = [(0, 1), (2, 1)];
    compare_options(&x, max.clone().with_padding_pairs(pairs), avg.clone().with_padding_pairs(pairs));
    compare_options(&x, max.clone().with_padding([4, 4]), avg.clone().with_padding([4, 4]));
    assert_eq!(module::max_pool2d(x.clone(), MaxPoolOptions::new([11, 3])).dims(), [2, 3, 0, 3]);
    assert_eq!(module::avg_pool2d(x, AvgPoolOptions::new([11, 3])).dims(), [2, 3, 0, 3]);
    compare_windows(&random([2, 3, 9, 10], &device).cast(DType::F64).require_grad());
    let empty = Tensor::<4>::zeros([0, 3, 9, 10], &device);
    assert_eq!(module::max_pool2d(empty.clone(), max).dims(), [0, 3, 4, 4]);
    assert_eq!(module::avg_pool2d(empty, avg).dims(), [0, 3, 4, 4]);
}

#[test]
fn layers_resolve_their_padding_as_burn_does() {
    let device = Device::flex().autodiff();
    let x = random([2, 3, 9, 10], &device).require_grad();
    let paddings = [
        PaddingConfig2d::Valid,
        PaddingConfig2d::Same,
        PaddingConfig2d::Explicit(1, 0, 1, 0),
        PaddingConfig2d::Explicit(1, 2, 0, 1),
    ];
    for padding in paddings {
        for (kernel, stride) in [([3, 3], [1, 1]), ([3, 3], [2, 2]), ([2, 4], [1, 3])] {
            let max = MaxPool2dConfig::new(kernel).with_strides(stride).with_padding(padding.clone());
            for max in [max.init(), max.clone().with_ceil_mode(true).init(), max.with_dilation([1, 2]).init()] {
                compare(&x, |x| max.forward_fast(x), |x| max.forward(x));
            }
            let avg = AvgPool2dConfig::new(kernel).with_strides(stride).with_padding(padding.clone());
            for avg in [avg.init(), avg.clone().with_ceil_mode(true).init(), avg.with_count_include_pad(false).init()] {
                compare(&x, |x| avg.forward_fast(x), |x| avg.forward(x));
            }
        }
    }
    for size in [[1, 1], [2, 3], [9, 10]] {
        let adaptive = AdaptiveAvgPool2dConfig::new(size).init();
        compare(&x, |x| adaptive.forward_fast(x), |x| adaptive.forward(x));
    }
}
