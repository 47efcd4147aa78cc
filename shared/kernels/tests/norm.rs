//! Batch norm against Burn's own, through the public interface.

use burn::module::{Module, Param};
use burn::nn::{BatchNorm, BatchNormConfig};
use burn::tensor::{DType, Device, Distribution, Tensor, TensorData, module as stock};
use rekindle_kernels::{ForwardFast, module};

fn devices() -> [Device; 3] {
    [Device::flex(), Device::flex().autodiff(), Device::flex().autodiff().gradient_checkpointing()]
}

fn random<const D: usize>(shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::random(shape, Distribution::Normal(0.5, 2.0), device)
}

/// Equal within `tolerance`, and NaN and infinities at the same places.
#[track_caller]
fn assert_close<const D: usize>(ours: &Tensor<D>, stock: &Tensor<D>, tolerance: f32) {
    assert_eq!(ours.dims(), stock.dims());
    assert_eq!(ours.dtype(), stock.dtype());
    let values = |tensor: &Tensor<D>| -> Vec<f32> { tensor.to_data().convert::<f32>().try_into_vec().unwrap() };
    for (i, (ours, stock)) in values(ours).into_iter().zip(values(stock)).enumerate() {
        let same = ours == stock || (ours.is_nan() && stock.is_nan());
        assert!(same || (ours - stock).abs() <= tolerance * (1.0 + stock.abs()), "{i}: {ours} != {stock}");
    }
}

/// What a function of the input, γ and β gives: its output and the gradients of a weighted sum of it.
fn run<const D: usize>(
    inputs: (&Tensor<D>, &Tensor<1>, &Tensor<1>),
    f: impl FnOnce(Tensor<D>, Tensor<1>, Tensor<1>) -> Tensor<D>,
) -> (Tensor<D>, Option<Tensor<D>>, [Option<Tensor<1>>; 2]) {
    let (x, gamma, beta) = inputs;
    // The input comes out of an operation, so that checkpointing has something to compute again.
    let y = f(x.clone().mul_scalar(1.5), gamma.clone(), beta.clone());
    if !y.is_tracked() {
        return (y, None, [None, None]);
    }
    let count = y.dims().iter().product::<usize>() as i64;
    let weights = Tensor::<1, burn::tensor::Int>::arange(0..count, &y.device()).float().sin().reshape(y.dims());
    let grads = (y.clone() * weights.cast(y.dtype())).sum().backward();
    (y, x.grad(&grads), [gamma.grad(&grads), beta.grad(&grads)])
}

fn compare<const D: usize>(
    inputs: (&Tensor<D>, &Tensor<1>, &Tensor<1>),
    ours: impl FnOnce(Tensor<D>, Tensor<1>, Tensor<1>) -> Tensor<D>,
    stock: impl FnOnce(Tensor<D>, Tensor<1>, Tensor<1>) -> Tensor<D>,
) {
    let (ours, stock) = (run(inputs, ours), run(inputs, stock));
    assert_close(&ours.0, &stock.0, 1e-4);
    assert_eq!(ours.1.is_some(), stock.1.is_some());
    if let (Some(ours), Some(stock)) = (ours.1, stock.1) {
        assert_close(&ours, &stock, 1e-4);
    }
    for (ours, stock) in ours.2.into_iter().zip(stock.2) {
        assert_eq!(ours.is_some(), stock.is_some());
        if let (Some(ours), Some(stock)) = (ours, stock) {
            assert_close(&ours, &stock, 1e-3);
        }
    }
}

/// In training and with given statistics.
fn compare_both<const D: usize>(x: &Tensor<D>, gamma: &Tensor<1>, beta: &Tensor<1>) {
    let train = |x, gamma, beta| module::batch_norm_train(x, gamma, beta, 1e-5).output;
    compare((x, gamma, beta), train, |x, gamma, beta| stock::batch_norm_train(x, gamma, beta, 1e-5).output);
    let mean = random([x.dims()[1]], &x.device()).cast(x.dtype());
    let variance = random([x.dims()[1]], &x.device()).abs().add_scalar(0.1).cast(x.dtype());
    compare(
        (x, gamma, beta),
        |x, gamma, beta| module::batch_norm(x, gamma, beta, mean.clone(), variance.clone(), 1e-5),
        |x, gamma, beta| stock::batch_norm(x, gamma, beta, mean.clone(), variance.clone(), 1e-5),
    );
}

fn compare_shape<const D: usize>(shape: [usize; D]) {
    for device in devices() {
        let channels = [shape[1]];
        let track = device.is_autodiff();
        let x = random(shape, &device).set_require_grad(track);
        let (gamma, beta) = (random(channels, &device), random(channels, &device));
        compare_both(&x, &gamma.set_require_grad(track), &beta.set_require_grad(track));
    }
}

#[test]
fn every_rank_is_that_of_burn() {
    compare_shape([33, 7]);
    compare_shape([33, 1]);
    compare_shape([5, 3, 11]);
    compare_shape([8, 16, 8, 8]);
    compare_shape([2, 3, 37, 29]);
    compare_shape([3, 2, 3, 5, 4]);
    compare_shape([300, 5, 2, 2]);
}

#[test]
fn gradients_only_where_wanted() {
    for device in devices().into_iter().filter(Device::is_autodiff) {
        for wanted in 1..8 {
            let x = random([4, 6, 5, 5], &device).set_require_grad(wanted & 1 > 0);
            let gamma = random([6], &device).set_require_grad(wanted & 2 > 0);
            let beta = random([6], &device).set_require_grad(wanted & 4 > 0);
            compare_both(&x, &gamma, &beta);
        }
    }
}

#[test]
fn views_are_read_in_their_order() {
    let device = Device::flex().autodiff();
    let x = random([5, 4, 6, 7], &device).require_grad();
    let by_channel = || random([4], &device).require_grad();
    let (gamma, beta) = (by_channel(), by_channel());
    let train = |swap: bool, fast: bool| {
        move |x: Tensor<4>, gamma: Tensor<1>, beta: Tensor<1>| {
            let x = if swap { x.swap_dims(2, 3) } else { x.narrow(2, 0, 1).expand([5, 4, 6, 7]) };
            let (gamma, beta) = (gamma.flip([0]), beta.narrow(0, 0, 1).expand([4]));
            if fast {
                module::batch_norm_train(x, gamma, beta, 1e-5).output
            } else {
                stock::batch_norm_train(x, gamma, beta, 1e-5).output
            }
        }
    };
    for swap in [true, false] {
        compare((&x, &gamma, &beta), train(swap, true), train(swap, false));
    }
}

#[test]
fn a_plain_input_meets_autodiff_parameters() {
    let device = Device::flex().autodiff();
    let x = random([4, 3, 5, 5], &Device::flex());
    let (gamma, beta) = (random([3], &device).require_grad(), random([3], &device).require_grad());
    compare_both(&x, &gamma, &beta);
}

#[test]
fn tracked_statistics_have_their_gradients() {
    let device = Device::flex().autodiff();
    let [mean, variance] = [0, 1].map(|_| random([3], &device).abs().require_grad());
    let x = random([4, 3, 5], &device);
    let gradients = |fast: bool| {
        let f = if fast { module::batch_norm::<3> } else { stock::batch_norm::<3> };
        let ones = || Tensor::ones([3], &device);
        let y = f(x.clone(), ones(), ones(), mean.clone(), variance.clone(), 1e-5);
        let grads = y.powi_scalar(2).sum().backward();
        [mean.grad(&grads).unwrap(), variance.grad(&grads).unwrap()]
    };
    for (ours, stock) in gradients(true).iter().zip(&gradients(false)) {
        assert_close(ours, stock, 1e-5);
    }
}

#[test]
fn non_finite_values_reach_what_they_reach_in_burn() {
    let device = Device::flex().autodiff();
    for special in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut values: Vec<f32> = (0..2 * 3 * 9).map(|i| ((i * 7) % 11) as f32 - 5.0).collect();
        values[4] = special;
        let x = Tensor::<3>::from_data(TensorData::new(values, [2, 3, 9]), &device).require_grad();
        let finite = random([2, 3, 9], &device).require_grad();
        let by_channel = |values: [f32; 3]| Tensor::<1>::from_floats(values, &device).require_grad();
        let (gamma, beta) = (by_channel([1.0, 0.0, -2.0]), by_channel([0.5, 1.0, 0.0]));
        compare_both(&x, &gamma, &beta);
        compare_both(&finite, &by_channel([special, 1.0, 2.0]), &beta);
        compare_both(&finite, &gamma, &by_channel([1.0, special, 2.0]));
        // An upstream gradient that isn't finite at one place.
        let spoil = |y: Tensor<3>| y * x.clone().detach().abs();
        compare(
            (&finite, &gamma, &beta),
            |x, gamma, beta| spoil(module::batch_norm_train(x, gamma, beta, 1e-5).output),
            |x, gamma, beta| spoil(stock::batch_norm_train(x, gamma, beta, 1e-5).output),
        );
        let given = |f: fn(Tensor<3>, Tensor<1>, Tensor<1>, Tensor<1>, Tensor<1>, f64) -> Tensor<3>, mean, variance| {
            let (mean, variance) = (by_channel(mean).detach(), by_channel(variance).detach());
            move |x, gamma, beta| f(x, gamma, beta, mean, variance, 1e-5)
        };
        for (mean, variance) in [([special, 0.0, 1.0], [1.0; 3]), ([0.0; 3], [special, 1.0, 2.0])] {
            let (ours, burn) = (given(module::batch_norm, mean, variance), given(stock::batch_norm, mean, variance));
            compare((&x, &gamma, &beta), ours, burn);
        }
    }
}

#[test]
fn what_the_kernels_do_not_take_is_left_to_burn() {
    let device = Device::flex().autodiff();
    let x = random([3, 2, 4], &device).cast(DType::F64).require_grad();
    let by_channel = || random([2], &device).cast(DType::F64).require_grad();
    compare_both(&x, &by_channel(), &by_channel());
    let empty = Tensor::<3>::zeros([3, 2, 0], &device);
    let (gamma, beta) = (Tensor::ones([2], &device), Tensor::zeros([2], &device));
    assert_eq!(module::batch_norm(empty, gamma.clone(), beta.clone(), beta, gamma, 1e-5).dims(), [3, 2, 0]);
}

#[test]
#[should_panic = "invalid batch norm gamma shape"]
fn a_wrong_shape_is_refused_as_by_burn() {
    let device = Device::flex();
    module::batch_norm_train(random([3, 2, 4], &device), random([3], &device), random([2], &device), 1e-5);
}

fn layer(device: &Device) -> BatchNorm {
    let layer = BatchNormConfig::new(4).with_momentum(0.3).init(device);
    let parameter = |values: [f32; 4]| Param::from_tensor(Tensor::from_floats(values, device));
    BatchNorm { gamma: parameter([1.0, -0.5, 2.0, 0.0]), beta: parameter([0.0, 1.0, -1.0, 0.5]), ..layer }
}

#[test]
fn running_statistics_and_evaluation_are_those_of_burn() {
    for device in devices() {
        let (ours, stock) = (layer(&device), layer(&device));
        for _ in 0..5 {
            let x = random([6, 4, 5, 3], &device);
            assert_close(&ours.forward_fast(x.clone()), &stock.forward(x), 1e-4);
        }
        assert_close(&ours.running_mean.value_sync(), &stock.running_mean.value_sync(), 1e-6);
        assert_close(&ours.running_var.value_sync(), &stock.running_var.value_sync(), 1e-6);
        let x = random([6, 4, 5, 3], &device);
        let (ours, stock) = if device.is_autodiff() { (ours.freeze(), stock.freeze()) } else { (ours, stock) };
        assert_close(&ours.forward_fast(x.clone()), &stock.forward(x), 1e-5);
        let (ours, stock) = if device.is_autodiff() { (ours.valid(), stock.valid()) } else { (ours, stock) };
        let x = random([6, 4], &Device::flex());
        assert_close(&ours.forward_fast(x.clone()), &stock.forward(x), 1e-5);
        assert_close(&ours.running_mean.value(), &stock.running_mean.value(), 1e-6);
    }
}
