//! Convolution against Burn's own, through every kind of tensor that it can get.

use burn::module::{Module, ModuleMapper, Param};
use burn::nn::PaddingConfig2d;
use burn::nn::conv::{Conv1dConfig, Conv2d, Conv2dConfig};
use burn::optim::{GradientsParams, SgdConfig};
use burn::tensor::activation::{relu, tanh};
use burn::tensor::ops::ConvOptions;
use burn::tensor::{DType, Device, Tensor, TensorData, Tolerance};
use proptest::prelude::*;
use rekindle_kernels::{ForwardFast, module};

fn devices() -> [Device; 2] {
    [Device::flex().autodiff(), Device::flex().autodiff().gradient_checkpointing()]
}

fn random<const D: usize>(shape: [usize; D], seed: u64, device: &Device) -> Tensor<D> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1_u64 << 24) as f32 - 0.5
    };
    Tensor::from_data(TensorData::new((0..shape.iter().product()).map(|_| next()).collect::<Vec<_>>(), shape), device)
}

fn close<const D: usize>(ours: &Tensor<D>, stock: &Tensor<D>) {
    assert_eq!(ours.dims(), stock.dims());
    ours.to_data().assert_approx_eq::<f32>(&stock.to_data(), Tolerance::rel_abs(1e-4, 1e-5));
}

/// Which of input, weight and bias require a gradient.
type Wanted = [bool; 3];

/// The output and the gradients that are wanted.
fn results(
    device: &Device,
    ours: bool,
    groups: usize,
    padding: (usize, usize),
    bias: bool,
    wanted: Wanted,
) -> Vec<Option<TensorData>> {
    let track = |tensor: Tensor<4>, wanted| if wanted { tensor.require_grad() } else { tensor };
    let x = track(random([4, 6, 9, 11], 1, device), wanted[0]);
    let weight = track(random([8, 6 / groups, 3, 3], 2, device), wanted[1]);
    let shift = random([8], 3, device);
    let shift = if wanted[2] { shift.require_grad() } else { shift };
    let options = ConvOptions::new_with_padding([1, 1], [padding, padding], [1, 1], groups);
    // What is computed cheaply before is computed again where gradients are checkpointed, and it isn't contiguous.
    let before = relu(x.clone() * 2.0).swap_dims(2, 3);
    let by = bias.then(|| shift.clone());
    let y = match ours {
        true => module::conv2d(before, weight.clone(), by, options),
        false => burn::tensor::module::conv2d(before, weight.clone(), by, options),
    };
    let mut results = vec![Some(y.to_data())];
    if wanted[..2].contains(&true) || bias && wanted[2] {
        let grads = (y.clone() * y).sum().backward();
        results.push(x.grad(&grads).map(|grad| grad.to_data()));
        results.push(weight.grad(&grads).map(|grad| grad.to_data()));
        results.push(shift.grad(&grads).map(|grad| grad.to_data()));
    }
    results
}

#[test]
fn gradients_are_those_of_burn_for_whatever_requires_them() {
    for device in devices() {
        for wanted in (0..8).map(|bits| [0, 1, 2].map(|i| bits >> i & 1 == 1)) {
            for (groups, padding, bias) in [(1, (1, 1), true), (2, (0, 2), true), (3, (1, 0), false)] {
                let [ours, stock] = [true, false].map(|ours| results(&device, ours, groups, padding, bias, wanted));
                for (ours, stock) in ours.iter().zip(&stock) {
                    assert_eq!(ours.is_some(), stock.is_some(), "wanted {wanted:?}");
                    if let (Some(ours), Some(stock)) = (ours, stock) {
                        ours.assert_approx_eq::<f32>(stock, Tolerance::rel_abs(1e-4, 1e-5));
                    }
                }
            }
        }
    }
}

#[test]
fn an_input_without_autodiff_meets_weights_with_it() {
    let [device, _] = devices();
    let conv = Conv2dConfig::new([3, 4], [3, 3]).init(&device);
    let x = random([2, 3, 8, 8], 1, &Device::flex());
    let y = conv.forward_fast(x.clone());
    assert!(y.device().is_autodiff());
    close(&y, &conv.forward(x));
    assert!(conv.weight.val().grad(&y.sum().backward()).is_some());
}

#[test]
fn broadcast_and_sliced_views_are_read_in_order() {
    let device = Device::flex();
    let options = || ConvOptions::new([1, 1], [1, 1], [1, 1], 1);
    let weight = random([5, 3, 3, 3], 2, &device);
    let views = [
        random([1, 3, 8, 9], 1, &device).expand([4, 3, 8, 9]),
        random([2, 1, 8, 9], 1, &device).expand([2, 3, 8, 9]),
        random([4, 7, 20, 9], 1, &device).slice([1..3, 2..5, 3..11]),
        random([2, 9, 8, 3], 1, &device).permute([0, 3, 2, 1]),
    ];
    for x in views {
        let stock = burn::tensor::module::conv2d(x.clone(), weight.clone(), None, options());
        close(&module::conv2d(x, weight.clone(), None, options()), &stock);
    }
    let x = random([2, 3, 8, 9], 1, &device);
    let turned = random([3, 3, 3, 5], 2, &device).permute([3, 2, 0, 1]);
    let stock = burn::tensor::module::conv2d(x.clone(), turned.clone(), None, options());
    close(&module::conv2d(x, turned, None, options()), &stock);
}

#[test]
fn what_the_kernels_do_not_take_is_burns_own() {
    let device = Device::flex();
    let options = || ConvOptions::new([1, 1], [1, 1], [1, 1], 1);
    let (x, weight) = (random([2, 3, 8, 8], 1, &device), random([4, 3, 3, 3], 2, &device));
    let double = |tensor: &Tensor<4>| tensor.clone().cast(DType::F64);
    let ours = module::conv2d(double(&x), double(&weight), None, options());
    assert_eq!(ours.dtype(), DType::F64);
    let stock = burn::tensor::module::conv2d(double(&x), double(&weight), None, options());
    assert_eq!(ours.to_data(), stock.to_data());

    let empty = Tensor::<4>::zeros([0, 3, 8, 8], &device);
    assert_eq!(module::conv2d(empty, weight, None, options()).dims(), [0, 4, 8, 8]);
}

#[test]
#[should_panic(expected = "Number of channels")]
fn wrong_channels_get_burns_own_message() {
    let device = Device::flex();
    let options = ConvOptions::new([1, 1], [0, 0], [1, 1], 1);
    module::conv2d(random([1, 3, 4, 4], 1, &device), random([2, 5, 3, 3], 2, &device), None, options);
}

#[test]
fn layers_resolve_their_padding_as_burn_does() {
    let device = Device::flex();
    for padding in [PaddingConfig2d::Valid, PaddingConfig2d::Same, PaddingConfig2d::Explicit(0, 1, 2, 3)] {
        for (kernel, stride) in [([3, 3], [1, 1]), ([2, 4], [1, 1]), ([3, 2], [2, 2])] {
            let config =
                Conv2dConfig::new([4, 6], kernel).with_stride(stride).with_groups(2).with_padding(padding.clone());
            let conv = config.init(&device);
            let x = random([2, 4, 9, 12], 1, &device);
            close(&conv.forward_fast(x.clone()), &conv.forward(x));
        }
    }
    let conv = Conv1dConfig::new(4, 6, 3).with_stride(2).with_dilation(2).init(&device);
    let x = random([2, 4, 33], 1, &device);
    close(&conv.forward_fast(x.clone()), &conv.forward(x));
}

/// Output and gradients of input, weight and bias, for an output gradient that isn't uniform.
fn all_results(ours: bool, x: [usize; 4], weight: [usize; 4], options: &ConvOptions<2>) -> [TensorData; 4] {
    let [device, _] = devices();
    let x = random(x, 1, &device).require_grad();
    let bias = random([weight[0]], 3, &device).require_grad();
    let weight = random(weight, 2, &device).require_grad();
    let y = match ours {
        true => module::conv2d(x.clone(), weight.clone(), Some(bias.clone()), options.clone()),
        false => burn::tensor::module::conv2d(x.clone(), weight.clone(), Some(bias.clone()), options.clone()),
    };
    let factor = random(y.dims(), 4, &device);
    let grads = (y.clone() * factor).backward();
    let gradient = |gradient: Option<Tensor<4>>| gradient.expect("required").to_data();
    [
        y.to_data(),
        gradient(x.grad(&grads)),
        gradient(weight.grad(&grads)),
        bias.grad(&grads).expect("required").to_data(),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn any_geometry_agrees_with_burn(
        groups in prop_oneof![3 => Just(1_usize), 1 => Just(2), 1 => Just(4)],
        (ins, outs, batch) in (1_usize..=12, 1_usize..=12, 1_usize..=3),
        size in [1_usize..=12, 1_usize..=24], kernel in [1_usize..=4, 1_usize..=4], stride in [1_usize..=3, 1_usize..=3],
        zeros in [(0_usize..=3, 0_usize..=3), (0_usize..=3, 0_usize..=3)], dilation in [1_usize..=3, 1_usize..=3],
    ) {
        let fits = |axis: usize| size[axis] + zeros[axis].0 + zeros[axis].1 > dilation[axis] * (kernel[axis] - 1);
        prop_assume!(fits(0) && fits(1));
        let options = ConvOptions::new_with_padding(stride, zeros, dilation, groups);
        let (x, weight) = ([batch, ins * groups, size[0], size[1]], [outs * groups, ins, kernel[0], kernel[1]]);
        let [ours, stock] = [true, false].map(|ours| all_results(ours, x, weight, &options));
        for (ours, stock) in ours.iter().zip(&stock) {
            ours.assert_approx_eq::<f32>(stock, Tolerance::rel_abs(1e-4, 2e-5));
        }
    }
}

/// A value's kind: finite, or which of the others.
fn kinds(data: &TensorData) -> Vec<u8> {
    let kind = |value: f32| match value {
        value if value.is_nan() => 3,
        f32::INFINITY => 1,
        f32::NEG_INFINITY => 2,
        _ => 0,
    };
    data.iter::<f32>().map(kind).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// One value that isn't finite in input, weight or output gradient.
    #[test]
    fn what_is_not_finite_reaches_what_it_reaches_in_burn(
        which in 0_usize..3, place in 0_usize..10_000, value in prop_oneof![Just(f32::NAN), Just(f32::INFINITY), Just(f32::NEG_INFINITY)],
        (height, width) in (3_usize..20, 3_usize..20), stride in 1_usize..3, padding in 0_usize..3, channels in prop_oneof![Just(2_usize), Just(9), Just(40)],
    ) {
        let [device, _] = devices();
        let spoil = |tensor: Tensor<4>, index: usize| {
            if index != which {
                return tensor;
            }
            let (shape, mut values) = (tensor.dims(), tensor.to_data().try_to_vec::<f32>().unwrap());
            let place = place % values.len();
            values[place] = value;
            Tensor::from_data(TensorData::new(values, shape), &device)
        };
        let options = ConvOptions::new([stride; 2], [padding; 2], [1, 1], 1);
        let run = |ours: bool| {
            let x = spoil(random([2, 3, height, width], 1, &device), 0).require_grad();
            let weight = spoil(random([channels, 3, 3, 3], 2, &device), 1).require_grad();
            let y = match ours {
                true => module::conv2d(x.clone(), weight.clone(), None, options.clone()),
                false => burn::tensor::module::conv2d(x.clone(), weight.clone(), None, options.clone()),
            };
            // A gradient of ones passes through the multiplication, whose factor becomes the output's gradient.
            let factor = spoil(random(y.dims(), 3, &device), 2);
            let grads = (y.clone() * factor).backward();
            [y.to_data(), x.grad(&grads).unwrap().to_data(), weight.grad(&grads).unwrap().to_data()]
        };
        for (name, (ours, stock)) in ["output", "input", "weight"].iter().zip(run(true).iter().zip(&run(false))) {
            prop_assert_eq!(kinds(ours), kinds(stock), "{}", name);
        }
    }
}

/// Two training runs drift apart no more than two stock runs whose inputs differ in the last digit.
///
/// Their activation is smooth: a ReLU that rounding closes in one run alone takes it further than that.
#[test]
fn training_follows_burns_own() {
    #[derive(Module, Debug)]
    struct Net {
        convs: Vec<Conv2d>,
    }
    struct Seeded(u64);
    impl ModuleMapper for Seeded {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            self.0 += 1;
            param.map(|value| random(value.dims(), self.0, &value.device()).mul_scalar(0.5).require_grad())
        }
    }
    let [device, _] = devices();
    let config = |ins, outs, stride| {
        let config = Conv2dConfig::new([ins, outs], [3, 3]).with_stride([stride; 2]);
        config.with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1)).init(&device)
    };
    let start = Net { convs: vec![config(3, 16, 1), config(16, 16, 2), config(16, 10, 1)] }.map(&mut Seeded(10));
    let target = random([8, 10, 8, 8], 20, &device);
    let train = |ours: bool, scale: f64| {
        let x = random([8, 3, 16, 16], 1, &device) * scale;
        let (mut net, mut optimizer) = (start.clone(), SgdConfig::new().init());
        (0..30)
            .map(|_| {
                let y = net
                    .convs
                    .iter()
                    .fold(x.clone(), |x, conv| tanh(if ours { conv.forward_fast(x) } else { conv.forward(x) }));
                let loss = (y - target.clone()).powi_scalar(2).mean();
                let grads = GradientsParams::from_grads(loss.backward(), &net);
                net = optimizer.step(0.1, net.clone(), grads);
                loss.into_scalar::<f32>()
            })
            .collect::<Vec<_>>()
    };
    let (stock, moved, ours) = (train(false, 1.0), train(false, 1.0 + 1e-7), train(true, 1.0));
    assert!(stock[29] < 0.9 * stock[0], "it must learn: {stock:?}");
    let drift = |other: &[f32]| stock.iter().zip(other).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    // Both drifts are a few units in the last place here; eight of them are allowed either way.
    let least = 8.0 * f32::EPSILON * stock[0];
    assert!(drift(&ours) <= drift(&moved).max(least), "{} > {}", drift(&ours), drift(&moved));
}
