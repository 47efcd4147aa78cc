use burn::module::Module;
use burn::tensor::{Bool, Device, Tensor, Tolerance, activation};
use rekindle_rfa::{CausalInput, Kernel, RfaCausal, RfaConfig};
use rekindle_shared::model::try_init_seeded;

use crate::reference::{KERNELS, random};

fn config(kernel: Kernel) -> RfaConfig {
    RfaConfig::new(16, 4).with_kernel(kernel).with_n_features(48).with_dropout(0.0)
}

/// The same at every run.
fn causal(config: &RfaConfig, device: &Device) -> RfaCausal {
    try_init_seeded(7, device, |device| config.init_causal(device)).unwrap()
}

#[test]
fn decoding_token_by_token_gives_the_parallel_outputs() {
    let device = Device::flex();
    for kernel in KERNELS {
        for gate in [false, true] {
            let attention = causal(&config(kernel).with_gate(gate), &device);
            let x = random([2, 9, 16], 1.0, &device);
            let (whole, last) = attention.forward(x.clone(), None).unwrap();
            let (mut state, mut tokens) = (None, Vec::new());
            for t in 0..9 {
                let (token, next) = attention.step(x.clone().narrow(1, t, 1).squeeze_dim(1), state).unwrap();
                state = Some(next);
                tokens.push(token.unsqueeze_dim::<3>(1));
            }
            let close = Tolerance::absolute(1e-4);
            Tensor::cat(tokens, 1).into_data().assert_approx_eq::<f32>(&whole.into_data(), close);
            state.unwrap().s().into_data().assert_approx_eq::<f32>(&last.s().into_data(), close);
        }
    }
}

/// The gate is sigmoid(w·x + b) of the layer's input, one a head; b starts where the configuration says.
#[test]
fn the_gate_is_one_number_a_head_and_token() {
    let device = Device::flex();
    let attention = causal(&config(Kernel::Gaussian).with_gate(true).with_gate_bias_init(1.25), &device);
    let gate = attention.gate.clone().unwrap();
    assert_eq!(gate.weight.dims(), [16, 4]);
    gate.bias.as_ref().unwrap().val().into_data().assert_eq(&Tensor::<1>::full([4], 1.25, &device).into_data(), true);
    assert!(config(Kernel::Gaussian).init_causal(&device).unwrap().gate.is_none());

    let x = random([2, 7, 16], 1.0, &device);
    let (expected, _) = attention.forward(x.clone(), None).unwrap();
    let split = |x: Tensor<3>| x.reshape([2, 7, 4, 4]).swap_dims(1, 2);
    let layers = &attention.layers;
    let [query, key, value] =
        [&layers.query, &layers.key, &layers.value].map(|linear| split(linear.forward(x.clone())));
    let logits = gate.forward(x).swap_dims(1, 2);
    assert!(activation::sigmoid(logits.clone()).mean().into_scalar::<f32>() > 0.5);
    let (heads, _) = attention.heads.causal(CausalInput::new(query, key, value).gate(logits), None).unwrap();
    let output = layers.output.forward(heads.swap_dims(1, 2).reshape([2, 7, 16]));
    output.into_data().assert_approx_eq::<f32>(&expected.into_data(), Tolerance::absolute(1e-6));
}

#[test]
fn padding_on_either_side_leaves_the_other_tokens_as_they_are() {
    let device = Device::flex();
    for gate in [false, true] {
        let attention = causal(&config(Kernel::Gaussian).with_gate(gate), &device);
        let x = random([1, 6, 16], 1.0, &device);
        let (expected, alone) = attention.forward(x.clone(), None).unwrap();
        let padding = random([1, 3, 16], 1.0, &device);
        for left in [true, false] {
            let parts = if left { vec![padding.clone(), x.clone()] } else { vec![x.clone(), padding.clone()] };
            let padded: Vec<bool> = (0..9).map(|i| if left { i < 3 } else { i >= 6 }).collect();
            let mask = Tensor::<1, Bool>::from_data(&padded[..], &device).unsqueeze();
            let (output, state) = attention.forward_masked(Tensor::cat(parts, 1), mask, None).unwrap();
            let output = output.narrow(1, if left { 3 } else { 0 }, 6);
            output.into_data().assert_approx_eq::<f32>(&expected.to_data(), Tolerance::absolute(1e-4));
            state.z().into_data().assert_approx_eq::<f32>(&alone.z().into_data(), Tolerance::absolute(1e-5));
        }
    }
}

#[test]
fn cross_attention_reads_a_source_that_was_encoded_once() {
    let device = Device::flex();
    let attention = try_init_seeded(7, &device, |device| config(Kernel::Gaussian).init_cross(device)).unwrap();
    let (x, memory) = (random([2, 5, 16], 1.0, &device), random([2, 11, 16], 1.0, &device));
    let mask = Tensor::<2, Bool>::from_data(
        [[false, false, true, false, true, false, false, false, false, false, true]; 2],
        &device,
    );
    let whole = attention.forward(x.clone(), memory.clone(), Some(mask.clone())).unwrap();
    let source = attention.encode(memory, Some(mask)).unwrap();
    let tokens = (0..5).map(|t| attention.decode(x.clone().narrow(1, t, 1), &source).unwrap()).collect();
    Tensor::cat(tokens, 1).into_data().assert_approx_eq::<f32>(&whole.into_data(), Tolerance::absolute(1e-5));
}

/// The gate adds H (d_model + 1) parameters to a layer, σ its H d.
#[test]
fn parameters_are_those_that_the_paper_counts() {
    let device = Device::flex();
    let n = |config: RfaConfig| {
        struct Trained(usize);
        impl burn::module::ModuleVisitor for Trained {
            fn visit_float<const D: usize>(&mut self, param: &burn::module::Param<Tensor<D>>) {
                self.0 += usize::from(param.is_require_grad()) * param.val().shape().num_elements();
            }
        }
        let mut trained = Trained(0);
        config.init_causal(&device.clone().autodiff()).unwrap().visit(&mut trained);
        trained.0
    };
    let plain = n(config(Kernel::Gaussian).with_learn_sigma(false));
    assert_eq!(plain, 4 * (16 * 16 + 16));
    assert_eq!(n(config(Kernel::Gaussian)), plain + 16);
    assert_eq!(n(config(Kernel::Gaussian).with_gate(true)), plain + 16 + 4 * 17);
}
