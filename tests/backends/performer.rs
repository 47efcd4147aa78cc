//! Linear attention: agreement of the backends in outputs and gradients, of states, and of directions after a redraw.

use burn::tensor::{Bool, Device, Tensor};
use rekindle_performer::{Favor, FavorConfig, FavorState, FeatureFunction, Kernel};
use rekindle_shared::backend;

use super::common::random;

/// Largest difference, relative to the largest value.
const TOLERANCE: f64 = 1e-4;

const LENGTH: usize = 70;

fn open(name: &str) -> Device {
    backend::open(name).unwrap_or_else(|error| panic!("{error}"))
}

fn favor(kernel: Kernel, causal: bool, device: &Device) -> Favor {
    let config = FavorConfig::new(8).with_n_features(16).with_kernel(kernel).with_causal(causal).with_chunk(16);
    config.with_seed(3).init(device).unwrap().redraw(40)
}

fn inputs(size: f64, device: &Device) -> [Tensor<4>; 3] {
    [1, 2, 3].map(|seed| random::<4>(seed, [2, 2, LENGTH, 8], device).mul_scalar(size))
}

fn host<const D: usize>(x: Tensor<D>) -> Vec<f64> {
    x.into_data().iter::<f64>().collect()
}

/// The output and the gradients of queries, keys and values; where `size` is large, segments are halved.
fn attended(name: &str, kernel: Kernel, causal: bool, masked: bool, size: f64) -> Vec<Vec<f64>> {
    let device = open(name).autodiff();
    let inputs = inputs(size, &device).map(|x| x.detach().require_grad());
    let mask = masked.then(|| {
        let padded: Vec<bool> = (0..2 * LENGTH).map(|i| i % LENGTH < 3 || i % 5 == 0).collect();
        Tensor::<1, Bool>::from_data(&padded[..], &device).reshape([2, LENGTH])
    });
    let [query, key, value] = inputs.clone();
    let output = favor(kernel, causal, &device).attend(query, key, value, mask).unwrap();
    let grads = (output.clone() * random::<4>(9, [2, 2, LENGTH, 8], &device)).sum().backward();
    let mut all = vec![host(output)];
    all.extend(inputs.iter().map(|x| host(x.grad(&grads).unwrap())));
    all
}

#[test]
fn outputs_and_gradients_agree() {
    // Few, since a software adapter takes long to compile the kernels of each.
    let relu = Kernel::Generalized(FeatureFunction::Relu);
    for (kernel, causal, masked, size) in [
        (Kernel::Positive, true, true, 1.0),
        (Kernel::Positive, true, false, 30.0),
        (Kernel::Positive, false, true, 1.0),
        (Kernel::Trig, true, false, 1.0),
        (relu, true, false, 1.0),
    ] {
        let reference = attended("flex", kernel, causal, masked, size);
        // Every piece of a halved segment has a shape of its own, and with it kernels to compile.
        let names = if size > 1.0 { &["ndarray"][..] } else { &["ndarray", "wgpu"] };
        for name in names {
            let found = attended(name, kernel, causal, masked, size);
            for (i, (expected, found)) in reference.iter().zip(&found).enumerate() {
                let scale = expected.iter().fold(1e-2_f64, |scale, value| scale.max(value.abs()));
                let worst = expected.iter().zip(found).map(|(a, b)| (a - b).abs() / scale).fold(0.0, f64::max);
                println!("{name}, {kernel:?}, causal {causal}, masked {masked}, {size}, {i}: {worst:.1e}");
                // Exponents of some hundred are rounded by 1e-5 and more.
                let tolerance = if size > 1.0 { 1e-2 } else { TOLERANCE };
                assert!(worst <= tolerance, "{name}, {kernel:?}, causal {causal}, masked {masked}, {i}: {worst:.1e}");
            }
        }
    }
}

/// A state that one backend saved goes on in another.
#[test]
fn a_state_goes_on_elsewhere() {
    let flex = open("flex");
    let whole = {
        let [query, key, value] = inputs(1.0, &flex);
        host(favor(Kernel::Positive, true, &flex).attend(query, key, value, None).unwrap().narrow(2, 40, LENGTH - 40))
    };
    for name in ["ndarray", "wgpu"] {
        let device = open(name);
        let (here, there) = (favor(Kernel::Positive, true, &flex), favor(Kernel::Positive, true, &device));
        assert_eq!(host(here.directions()), host(there.directions()));
        assert_eq!((there.seed(), there.last_redraw()), (3, 40));
        let mut state = here.init_state(2, 2, 8, &flex).unwrap();
        let [query, key, value] = inputs(1.0, &flex).map(|x| x.narrow(2, 0, 40));
        here.prefill(query, key, value, None, &mut state).unwrap();
        let mut state = FavorState::from_bytes(&state.to_bytes(), &device).unwrap();
        let [query, key, value] = inputs(1.0, &device).map(|x| x.narrow(2, 40, LENGTH - 40));
        let rest = host(there.prefill(query, key, value, None, &mut state).unwrap());
        let worst = whole.iter().zip(&rest).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(worst <= TOLERANCE, "{name}: {worst:.1e}");
    }
}
