//! Random feature attention: agreement of the backends in outputs and gradients, of states, and of the pool's matrices.

use burn::tensor::{Bool, Device, Tensor};
use rekindle_rfa::{CausalInput, Kernel, RfaHeads, RfaHeadsConfig, RfaState};
use rekindle_shared::backend;

use super::common::random;

/// Largest difference, relative to the largest value.
const TOLERANCE: f64 = 1e-4;

const LENGTH: usize = 70;

fn open(name: &str) -> Device {
    backend::open(name).unwrap_or_else(|error| panic!("{error}"))
}

fn heads(kernel: Kernel, device: &Device) -> RfaHeads {
    let config = RfaHeadsConfig::new(2, 8).with_n_features(48).with_kernel(kernel).with_tau(1.5).with_chunk(16);
    config.with_seed(3).init(device).unwrap().redraw(40)
}

/// Queries, keys, values, and the logits of a gate as a fourth column of heads.
fn inputs(device: &Device) -> [Tensor<4>; 4] {
    [1, 2, 3, 4].map(|seed| random::<4>(seed, [2, 2, LENGTH, 8], device))
}

fn logits(x: Tensor<4>) -> Tensor<3> {
    x.narrow(3, 0, 1).squeeze_dim::<3>(3) + 1.0
}

fn host<const D: usize>(x: Tensor<D>) -> Vec<f64> {
    x.into_data().iter::<f64>().collect()
}

fn mask(device: &Device) -> Tensor<2, Bool> {
    let padded: Vec<bool> = (0..2 * LENGTH).map(|i| i % LENGTH < 3 || i % 5 == 0).collect();
    Tensor::<1, Bool>::from_data(&padded[..], device).reshape([2, LENGTH])
}

#[derive(Debug, Clone, Copy)]
enum Form {
    Cross,
    Causal { gate: bool },
}

/// The output, and the gradients of the inputs and of σ.
fn attended(name: &str, kernel: Kernel, form: Form) -> Vec<Vec<f64>> {
    let device = open(name).autodiff();
    let inputs = inputs(&device).map(|x| x.detach().require_grad());
    let heads = heads(kernel, &device);
    let [query, key, value, gate] = inputs.clone();
    let output = match form {
        Form::Cross => heads.attend(query, key, value, Some(mask(&device))).unwrap(),
        Form::Causal { gate: gated } => {
            let input = CausalInput::new(query, key, value).mask_pad(mask(&device));
            let input = if gated { input.gate(logits(gate)) } else { input };
            let (output, state) = heads.causal(input, None).unwrap();
            assert_eq!(state.n_clamped(), 0);
            output
        }
    };
    let grads = (output.clone() * random::<4>(9, [2, 2, LENGTH, 8], &device)).sum().backward();
    let mut all = vec![host(output)];
    all.extend(inputs.iter().filter_map(|x| x.grad(&grads)).map(host));
    all.extend(heads.sigma.iter().filter_map(|sigma| sigma.val().grad(&grads)).map(host));
    all
}

#[test]
fn outputs_and_gradients_agree() {
    // Few, since a software adapter takes long to compile the kernels of each.
    for (kernel, form) in [
        (Kernel::Gaussian, Form::Causal { gate: true }),
        (Kernel::Gaussian, Form::Cross),
        (Kernel::ArcCos, Form::Causal { gate: false }),
    ] {
        let reference = attended("flex", kernel, form);
        let n = if matches!(form, Form::Causal { gate: true }) { 6 } else { 5 };
        assert_eq!(reference.len(), n, "the output and all gradients");
        for name in ["ndarray", "wgpu"] {
            let found = attended(name, kernel, form);
            assert_eq!(found.len(), n);
            for (i, (expected, found)) in reference.iter().zip(&found).enumerate() {
                let scale = expected.iter().fold(1e-2_f64, |scale, value| scale.max(value.abs()));
                let worst = expected.iter().zip(found).map(|(a, b)| (a - b).abs() / scale).fold(0.0, f64::max);
                println!("{name}, {kernel:?}, {form:?}, {i}: {worst:.1e}");
                assert!(worst <= TOLERANCE, "{name}, {kernel:?}, {form:?}, {i}: {worst:.1e}");
            }
        }
    }
}

/// A state that one backend saved goes on in another.
#[test]
fn a_state_goes_on_elsewhere() {
    let flex = open("flex");
    let part = |device: &Device, start: usize, n: usize| {
        let [query, key, value, gate] = inputs(device).map(|x| x.narrow(2, start, n));
        CausalInput::new(query, key, value).gate(logits(gate))
    };
    let here = heads(Kernel::Gaussian, &flex);
    let whole = host(here.causal(part(&flex, 0, LENGTH), None).unwrap().0.narrow(2, 40, LENGTH - 40));
    for name in ["ndarray", "wgpu"] {
        let device = open(name);
        let there = heads(Kernel::Gaussian, &device);
        assert_eq!(host(here.directions()), host(there.directions()));
        assert_eq!(host(here.fixed_directions()), host(there.fixed_directions()));
        assert_eq!((there.seed(), there.last_redraw()), (3, 40));
        let (_, state) = here.causal(part(&flex, 0, 40), None).unwrap();
        let state = RfaState::from_bytes(&state.to_bytes(), &device).unwrap();
        let rest = host(there.causal(part(&device, 40, LENGTH - 40), Some(state)).unwrap().0);
        let worst = whole.iter().zip(&rest).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(worst <= TOLERANCE, "{name}: {worst:.1e}");
    }
}
