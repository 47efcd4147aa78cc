use burn::tensor::{Device, Tensor};
use rekindle_performer::FavorConfig;
use rekindle_performer::Kernel;

use crate::reference::{self, KERNELS, assert_close, double, favor, random};

fn relative(a: Tensor<4>, b: Tensor<4>) -> f64 {
    let size = b.clone().abs().max().into_scalar::<f64>();
    (a - b).abs().max().into_scalar::<f64>() / size
}

#[test]
fn the_first_output_is_the_first_value() {
    let device = Device::flex();
    for kernel in KERNELS {
        let [query, key, value] = [0; 3].map(|_| random([2, 2, 9, 4], 0.8, &device));
        let output = favor(kernel, 4, true, 4, &device).attend(query, key, value.clone(), None).unwrap();
        let tolerance = if kernel == Kernel::Trig { 1e-4 } else { 1e-6 };
        assert!(relative(output.narrow(2, 0, 1), value.narrow(2, 0, 1)) < tolerance, "{kernel:?}");
    }
}

/// Whatever comes later: the same bits where it is of the same size, and 1e-6 where it is 200 nats larger.
#[test]
fn later_tokens_change_nothing() {
    let device = Device::flex();
    for kernel in KERNELS {
        for at in [1, 17, 63, 64, 99] {
            let favor = favor(kernel, 4, true, 16, &device);
            let inputs = [0; 3].map(|_| random([1, 2, 100, 4], 0.8, &device));
            let later = inputs.clone().map(|x| {
                let other = random([1, 2, 100 - at, 4], 0.8, &device);
                Tensor::cat(vec![x.narrow(2, 0, at), other], 2)
            });
            let [a, b] = [inputs, later].map(|[q, k, v]| favor.attend(q, k, v, None).unwrap().narrow(2, 0, at));
            let tolerance = if kernel == Kernel::Trig { 1e-4 } else { 1e-6 };
            assert!(relative(a, b) < tolerance, "{kernel:?} {at}");
        }
    }
}

/// Earlier keys are long, |y|²/2 = 200, so that their features are e⁻²⁰⁰ of one that is 0.
#[test]
fn a_later_key_that_is_200_nats_larger_changes_nothing() {
    let device = Device::flex();
    for kernel in [Kernel::Positive, Kernel::Hyperbolic] {
        for (length, at) in [(100, 40), (100, 99), (1000, 700), (2, 1)] {
            let favor = favor(kernel, 4, true, 64, &device);
            let [query, key, value] = [0; 3].map(|_| random([1, 1, length, 4], 1.0, &device));
            let norm = (key.clone() * key.clone()).sum_dim(3).sqrt();
            // Scaled by d^(-1/4) this has length 20.
            let key = key / norm * (20.0 * 2.0_f64.sqrt());
            let zero = Tensor::zeros([1, 1, 1, 4], &device);
            let spiked = key.clone().slice_assign([0..1, 0..1, at..at + 1, 0..4], zero);
            let inputs = [query.clone(), spiked.clone(), value.clone()];
            let with = favor.attend(query.clone(), spiked, value.clone(), None).unwrap();
            let without = favor.attend(query, key, value, None).unwrap();
            let difference = relative(with.clone().narrow(2, 0, at), without.narrow(2, 0, at));
            assert!(difference < 1e-6, "{kernel:?}, {at} of {length}: {difference}");
            assert_close(&with, &reference::attend(&favor, &inputs, &[]), 1e-3, "with the key");
        }
    }
}

/// The same where gradients are recorded, and no gradient goes back in time.
#[test]
fn gradients_of_earlier_outputs_at_later_tokens_are_zero() {
    let device = Device::flex().autodiff();
    for kernel in KERNELS {
        let inputs = double([0; 3].map(|_| random([1, 1, 50, 4], 0.8, &device)));
        let [query, key, value] = inputs.clone();
        let output = favor(kernel, 4, true, 8, &device).attend(query, key, value, None).unwrap();
        let grads = output.narrow(2, 0, 21).sum().backward();
        for x in &inputs {
            let later = x.grad(&grads).unwrap().narrow(2, 21, 29);
            assert_eq!(later.abs().max().into_scalar::<f64>(), 0.0, "{kernel:?}");
        }
    }
}

/// The first token's denominator is then e⁻⁵⁸, in the scale of the second, and its square 0 in f32.
#[test]
fn gradients_are_right_where_a_later_key_is_58_nats_larger() {
    let device = Device::flex().autodiff();
    let favor =
        FavorConfig::new(4).with_n_features(1).with_causal(true).with_normalize_inputs(false).init(&device).unwrap();
    let tensor = |rows: [[f32; 4]; 2]| Tensor::<2>::from_floats(rows, &device).reshape([1, 1, 2, 4]).require_grad();
    let query = tensor([[0.1, -0.2, 0.3, 0.0], [0.5, 0.1, -0.4, 0.2]]);
    // s with ω·x - |x|²/2 = -58 for x = (s, 0, 0, 0).
    let omega = favor.directions().narrow(1, 0, 1).into_scalar::<f32>();
    let key = tensor([[omega + (omega * omega + 116.0).sqrt(), 0.0, 0.0, 0.0], [0.0; 4]]);
    let value = tensor([[1.0, 2.0, 3.0, 4.0], [-1.0, 0.5, 2.0, 0.0]]);
    let output = favor.attend(query.clone(), key.clone(), value.clone(), None).unwrap();
    // The first token sees itself alone: its output is its value, whatever its query and key.
    let grads = output.narrow(2, 0, 1).sum().backward();
    let of = |x: &Tensor<4>| -> Vec<f32> { x.grad(&grads).unwrap().into_data().iter().collect() };
    for gradient in of(&query).into_iter().chain(of(&key)) {
        assert!(gradient.abs() < 1e-4, "{gradient}");
    }
    let expected = [1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0];
    assert!(of(&value).iter().zip(expected).all(|(a, e)| (a - e).abs() < 1e-5), "{:?}", of(&value));
}
