use burn::tensor::{Device, Tensor, Tolerance};
use rekindle_rfa::{CausalInput, Kernel};

use crate::attention::LENGTHS;
use crate::reference::{self, KERNELS, Weights, assert_close, config, heads, host, inputs, random};

fn gated(kernel: Kernel, chunk: usize, inputs: &[Tensor<4>; 3], logits: Tensor<3>) -> Tensor<4> {
    let [query, key, value] = inputs.clone();
    let device = query.device();
    let input = CausalInput::new(query, key, value).gate(logits);
    heads(kernel, 1, chunk, &device).causal(input, None).unwrap().0
}

#[test]
fn any_chunk_size_and_the_scan_give_the_weights_of_the_recurrence() {
    let device = Device::flex();
    for kernel in KERNELS {
        for length in LENGTHS {
            let inputs = inputs(length, &device);
            let logits = random([1, 1, length], 1.5, &device) + 2.0;
            let gates: Vec<f64> = host(&logits).iter().map(|logit| 1.0 / (1.0 + (-logit).exp())).collect();
            let weights = Weights { causal: true, gates, masked: Vec::new() };
            let expected = reference::attend(&heads(kernel, 1, 64, &device), &inputs, &weights);
            for chunk in [1, 3, 8, 64, 2000] {
                let actual = gated(kernel, chunk, &inputs, logits.clone());
                assert_close(&actual, &expected, 1e-3, &format!("{kernel:?}, length {length}, chunk {chunk}"));
            }
            let (heads, mut state, mut outputs) = (heads(kernel, 1, 8, &device), None, Vec::new());
            for t in 0..length {
                let [query, key, value] = inputs.clone().map(|x| x.narrow(2, t, 1).squeeze_dim::<3>(2));
                let gate = logits.clone().narrow(2, t, 1).squeeze_dim::<2>(2);
                let (output, next) = heads.step(query, key, value, Some(gate), state).unwrap();
                state = Some(next);
                outputs.push(output.unsqueeze_dim::<4>(2));
            }
            assert_close(&Tensor::cat(outputs, 2), &expected, 1e-3, &format!("{kernel:?}, length {length}, scan"));
        }
    }
}

/// g = 0.5, equal keys, values 8, 4, 2: 8, then (0.25·8 + 0.5·4) / 0.75, then (0.125·8 + 0.25·4 + 0.5·2) / 0.875.
#[test]
fn a_gate_of_one_half_gives_what_is_worked_by_hand() {
    let device = Device::flex();
    let ones = Tensor::<4>::ones([1, 1, 3, 4], &device);
    let value = Tensor::<1>::from_floats([8.0, 4.0, 2.0], &device).reshape([1, 1, 3, 1]);
    for kernel in KERNELS {
        for chunk in [1, 2, 3, 64] {
            let inputs = [ones.clone(), ones.clone(), value.clone()];
            let output = gated(kernel, chunk, &inputs, Tensor::zeros([1, 1, 3], &device));
            assert_close(&output, &[8.0, 16.0 / 3.0, 24.0 / 7.0], 1e-5, "by hand");
        }
    }
}

#[test]
fn a_closed_gate_leaves_the_token_alone() {
    let device = Device::flex();
    for kernel in KERNELS {
        for logit in [-40.0, -1e4, -1e30] {
            for chunk in [1, 8, 64] {
                let inputs = inputs(30, &device);
                // The query is the key, so that no denominator is small.
                let inputs = [inputs[1].clone(), inputs[1].clone(), inputs[2].clone()];
                let output = gated(kernel, chunk, &inputs, Tensor::full([1, 1, 30], logit, &device));
                output.into_data().assert_approx_eq::<f32>(&inputs[2].to_data(), Tolerance::absolute(1e-4));
            }
        }
    }
}

/// The common factor 1 - g cancels, up to O(L (1 - g)).
#[test]
fn an_open_gate_is_no_gate() {
    let device = Device::flex();
    for kernel in KERNELS {
        let inputs = inputs(100, &device);
        let expected = reference::attend(&heads(kernel, 1, 16, &device), &inputs, &Weights::causal());
        // 1 - g = 3e-5, well above ε.
        let output = gated(kernel, 16, &inputs, Tensor::full([1, 1, 100], 10.4, &device));
        assert_close(&output, &expected, 2e-2, &format!("{kernel:?}"));
    }
}

/// The least denominator is in proportion to what was written: a first token is seen as it is, however little of it is.
#[test]
fn an_open_gate_shrinks_no_first_token() {
    let device = Device::flex();
    for kernel in KERNELS {
        let heads = config(kernel, 1).with_eps(0.1).init(&device).unwrap();
        // 1 - g from 0.88 to 4.5e-5.
        for logit in [-2.0, 2.0, 10.0] {
            let [_, key, value] = inputs(1, &device);
            let input = CausalInput::new(key.clone(), key, value.clone()).gate(Tensor::full([1, 1, 1], logit, &device));
            let (output, state) = heads.causal(input, None).unwrap();
            assert_eq!(state.n_clamped(), 0, "{kernel:?}, {logit}");
            output.into_data().assert_approx_eq::<f32>(&value.into_data(), Tolerance::absolute(1e-4));
        }
    }
}
