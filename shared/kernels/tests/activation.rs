//! The activations against Burn's own: outputs, gradients, what isn't finite, views, and what is passed to Burn.

use burn::nn::activation::{Gelu, SiLU, Sigmoid, Tanh};
use burn::tensor::{DType, Device, Tensor, TensorData, activation as stock};
use proptest::prelude::*;
use rekindle_kernels::{ForwardFast, activation as fast};

type Function = fn(Tensor<2>) -> Tensor<2>;

const ELEMENTWISE: [(&str, Function, Function); 6] = [
    ("exp", fast::exp, Tensor::exp),
    ("gelu", fast::gelu, stock::gelu),
    ("gelu_approximate", fast::gelu_approximate, stock::gelu_approximate),
    ("sigmoid", fast::sigmoid, stock::sigmoid),
    ("silu", fast::silu, stock::silu),
    ("tanh", fast::tanh, stock::tanh),
];
const ROWS: [(&str, Function, Function); 2] = [
    ("log_softmax", |x| fast::log_softmax(x, 1), |x| stock::log_softmax(x, 1)),
    ("softmax", |x| fast::softmax(x, -1), |x| stock::softmax(x, -1)),
];

fn all() -> impl Iterator<Item = (&'static str, Function, Function)> {
    ELEMENTWISE.into_iter().chain(ROWS)
}

fn autodiff_devices() -> [Device; 2] {
    [Device::flex().autodiff(), Device::flex().autodiff().gradient_checkpointing()]
}

fn tensor(values: &[f32], shape: [usize; 2], device: &Device) -> Tensor<2> {
    Tensor::from_data(TensorData::new(values.to_vec(), shape), device)
}

fn wave(len: usize, frequency: f32, size: f32) -> Vec<f32> {
    (0..len).map(|i| size * (i as f32 * frequency + 0.3).sin()).collect()
}

fn values(tensor: Tensor<2>) -> Vec<f32> {
    tensor.into_data().try_into_vec().expect("f32")
}

fn assert_close(ours: &[f32], burns: &[f32], what: &str) {
    assert_eq!(ours.len(), burns.len(), "{what}");
    for (i, (a, b)) in ours.iter().zip(burns).enumerate() {
        assert!((a - b).abs() <= 2e-6 * (1.0 + b.abs()), "{what}: {a} for {b} at {i}");
    }
}

/// The output of `f` at `x` and the gradient there of Σ dy f(x).
fn output_and_gradient(f: Function, x: &[f32], dy: &[f32], shape: [usize; 2], device: &Device) -> [Vec<f32>; 2] {
    let x = tensor(x, shape, device).require_grad();
    let y = f(x.clone());
    let gradients = (y.clone() * tensor(dy, shape, device)).sum().backward();
    let dx = x.grad(&gradients).expect("x requires it");
    [values(y), values(dx)]
}

#[test]
fn outputs_and_gradients_are_burns() {
    // Below and above the size from which tasks are spread over threads.
    for shape in [[1, 1], [3, 7], [64, 10], [300, 150]] {
        let len = shape[0] * shape[1];
        let (x, dy) = (wave(len, 1.3, 6.0), wave(len, 0.7, 1.0));
        for (name, ours, burns) in all() {
            let plain = Device::flex();
            assert_close(&values(ours(tensor(&x, shape, &plain))), &values(burns(tensor(&x, shape, &plain))), name);
            for device in autodiff_devices() {
                let [y, dx] = output_and_gradient(ours, &x, &dy, shape, &device);
                let [stock_y, stock_dx] = output_and_gradient(burns, &x, &dy, shape, &device);
                assert_close(&y, &stock_y, name);
                assert_close(&dx, &stock_dx, name);
            }
        }
    }
}

#[test]
fn the_input_of_a_shared_tensor_stays() {
    for (name, ours, _) in all() {
        let x = tensor(&wave(12, 1.3, 6.0), [3, 4], &Device::flex());
        let _ = ours(x.clone());
        let _ = ours(x.clone().slice([0..2, 0..4]));
        assert_eq!(values(x), wave(12, 1.3, 6.0), "{name}");
    }
}

/// In a graph whose neighbors are views and operations that checkpointing computes again.
#[test]
fn views_and_checkpoints_have_burns_gradients() {
    let graph = |f: Function, device: &Device| {
        let x = tensor(&wave(6 * 5, 1.3, 2.0), [6, 5], device).require_grad();
        let row = tensor(&wave(5, 0.4, 1.5), [1, 5], device).require_grad();
        let swapped = f(stock::relu(x.clone() * 2.0 + 0.5).swap_dims(0, 1));
        let expanded = f(row.clone().expand([6, 5]));
        let sliced = f((x.clone() * 1.5).slice([1..4, 1..5]));
        let twice = f(f(swapped.clone() * 0.5).flip([1]));
        let loss = (swapped * twice).sum() + (expanded * x.clone()).sum() + sliced.swap_dims(0, 1).powi_scalar(2).sum();
        let gradients = loss.clone().backward();
        let of = |tensor: &Tensor<2>| values(tensor.grad(&gradients).expect("it requires one"));
        (loss.into_scalar::<f32>(), of(&x), of(&row))
    };
    for device in autodiff_devices() {
        // e^e^x would overflow.
        for (name, ours, burns) in all().filter(|(name, ..)| *name != "exp") {
            let (a, b) = (graph(ours, &device), graph(burns, &device));
            assert_close(&[a.0], &[b.0], name);
            assert_close(&a.1, &b.1, name);
            assert_close(&a.2, &b.2, name);
        }
    }
}

#[test]
fn a_tensor_without_gradient_has_none() {
    for device in autodiff_devices() {
        for (name, ours, burns) in all() {
            let frozen = tensor(&wave(12, 1.3, 3.0), [3, 4], &device);
            let leaf = tensor(&wave(12, 0.9, 3.0), [3, 4], &device).require_grad();
            let gradients = (ours(frozen.clone()) * leaf.clone()).sum().backward();
            assert!(frozen.grad(&gradients).is_none(), "{name}");
            let expected = values(burns(frozen.detach()));
            assert_close(&values(leaf.grad(&gradients).expect("required")), &expected, name);
        }
    }
}

fn kind(value: f32) -> &'static str {
    match value {
        v if v.is_nan() => "NaN",
        f32::INFINITY => "inf",
        f32::NEG_INFINITY => "-inf",
        _ => "finite",
    }
}

fn kinds(values: &[f32]) -> Vec<&'static str> {
    values.iter().map(|&v| kind(v)).collect()
}

#[test]
fn what_is_not_finite_is_so_where_burns_is() {
    let extremes = [f32::INFINITY, f32::NEG_INFINITY, f32::NAN, 0.0, -0.0, 1.0, -1.0, 3.0, -3.0, 90.0, -90.0];
    let huge = [1e10, -1e10, 1.2e19, -1.2e19, 1e20, -1e20, 1e38, -1e38, 1e-40, -1e-40, f32::MIN_POSITIVE];
    let x: Vec<f32> = extremes.into_iter().chain(huge).collect();
    let shape = [1, x.len()];
    for device in autodiff_devices() {
        for (name, ours, burns) in ELEMENTWISE {
            for dy in [1.0, -1.0, 0.0, 3e38, -3e38, f32::INFINITY, f32::NEG_INFINITY, f32::NAN] {
                let dy = vec![dy; x.len()];
                let [y, dx] = output_and_gradient(ours, &x, &dy, shape, &device);
                let [stock_y, stock_dx] = output_and_gradient(burns, &x, &dy, shape, &device);
                for (i, x) in x.iter().enumerate() {
                    let case = format!("{name}({x}), dy {}", dy[i]);
                    assert_eq!(kind(y[i]), kind(stock_y[i]), "{case}: {} for {}", y[i], stock_y[i]);
                    assert_eq!(kind(dx[i]), kind(stock_dx[i]), "{case}, gradient: {} for {}", dx[i], stock_dx[i]);
                }
            }
        }
    }
}

#[test]
fn rows_that_are_not_finite_are_burns() {
    let (inf, nan) = (f32::INFINITY, f32::NAN);
    let rows = [
        [0.0, -inf, 1.0, 2.0],
        [-inf, -inf, -inf, -inf],
        [inf, 0.0, 1.0, 2.0],
        [inf, -inf, inf, 0.0],
        [nan, 0.0, 1.0, 2.0],
        [0.0, 1.0, -inf, nan],
        [f32::MAX, f32::MIN, 0.0, 1.0],
        [f32::MIN, f32::MIN, f32::MIN, -inf],
        [200.0, 0.0, -1.0, 100.0],
    ];
    let x = rows.as_flattened();
    for device in autodiff_devices() {
        for (name, ours, burns) in ROWS {
            for dy in [[1.0, -2.0, 0.5, 0.0], [inf, 1.0, 1.0, 1.0], [1.0, -inf, 1.0, 0.0], [nan, 0.0, 1.0, 1.0]] {
                let dy = dy.repeat(rows.len());
                let [y, dx] = output_and_gradient(ours, x, &dy, [rows.len(), 4], &device);
                let [stock_y, stock_dx] = output_and_gradient(burns, x, &dy, [rows.len(), 4], &device);
                for (i, row) in rows.iter().enumerate() {
                    let part = 4 * i..4 * i + 4;
                    let case = format!("{name}({row:?}), dy {:?}", &dy[..4]);
                    assert_eq!(kinds(&y[part.clone()]), kinds(&stock_y[part.clone()]), "{case}");
                    assert_eq!(kinds(&dx[part.clone()]), kinds(&stock_dx[part]), "{case}, gradient");
                }
            }
        }
    }
}

#[test]
fn empty_and_f64_tensors_are_burns() {
    for device in [Device::flex(), Device::flex().autodiff()] {
        for (name, ours, burns) in all() {
            assert_eq!(ours(Tensor::zeros([0, 3], &device)).dims(), [0, 3], "{name}");
            let x = tensor(&wave(12, 1.3, 6.0), [3, 4], &device).cast(DType::F64);
            let y = ours(x.clone());
            assert_eq!(y.dtype(), DType::F64, "{name}");
            assert_eq!(y.into_data(), burns(x).into_data(), "{name}");
        }
    }
}

#[test]
fn softmax_takes_every_dimension() {
    let x = Tensor::<3>::from_data(TensorData::new(wave(60, 1.3, 4.0), [3, 4, 5]), &Device::flex());
    for dim in -3..3_i64 {
        fast::softmax(x.clone(), dim).into_data().assert_approx_eq::<f32>(
            &stock::softmax(x.clone(), dim).into_data(),
            burn::tensor::Tolerance::absolute(1e-6),
        );
        fast::log_softmax(x.clone(), dim).into_data().assert_approx_eq::<f32>(
            &stock::log_softmax(x.clone(), dim).into_data(),
            burn::tensor::Tolerance::absolute(2e-6),
        );
    }
}

#[test]
#[should_panic(expected = "Softmax")]
fn softmax_of_no_dimension_is_burns_panic() {
    fast::softmax(Tensor::<2>::zeros([2, 2], &Device::flex()), 2);
}

#[test]
fn layers_run_their_activation() {
    let x = || tensor(&wave(12, 1.3, 6.0), [3, 4], &Device::flex());
    assert_eq!(values(Gelu::new().forward_fast(x())), values(fast::gelu(x())));
    assert_eq!(values(Gelu::new_approximate().forward_fast(x())), values(fast::gelu_approximate(x())));
    assert_eq!(values(Sigmoid::new().forward_fast(x())), values(fast::sigmoid(x())));
    assert_eq!(values(SiLU::new().forward_fast(x())), values(fast::silu(x())));
    assert_eq!(values(Tanh::new().forward_fast(x())), values(fast::tanh(x())));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn any_length_is_burns(x in prop::collection::vec(-10_f32..10.0, 1..200)) {
        let shape = [1, x.len()];
        let device = Device::flex().autodiff();
        let dy = wave(x.len(), 0.7, 1.0);
        for (name, ours, burns) in all() {
            let [y, dx] = output_and_gradient(ours, &x, &dy, shape, &device);
            let [stock_y, stock_dx] = output_and_gradient(burns, &x, &dy, shape, &device);
            assert_close(&y, &stock_y, name);
            assert_close(&dx, &stock_dx, name);
        }
    }
}
