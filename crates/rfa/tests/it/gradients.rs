use burn::module::{Module, Param};
use burn::tensor::{DType, Device, Int, Tensor};
use rekindle_rfa::{CausalInput, RfaCausal, RfaConfig, RfaHeads};
use rekindle_shared::model::try_init_seeded;

use crate::attention::LENGTHS;
use crate::reference::{self, KERNELS, assert_close, config, double, heads, host, random};

/// A sum with different weights for all.
fn sines<const D: usize>(x: Tensor<D>) -> Tensor<1> {
    let n = x.dims().iter().product::<usize>() as i64;
    let weights = Tensor::<1, Int>::arange(0..n, &x.device()).float().cast(DType::F64).sin();
    (x.clone() * weights.reshape(x.dims())).sum()
}

#[test]
fn gradients_of_inputs_sigma_and_gate_are_those_of_all_pairs() {
    let device = Device::flex().autodiff();
    for kernel in KERNELS {
        for length in LENGTHS {
            for gated in [false, true] {
                let inputs = [4, 4, 3].map(|width| double(random([2, 2, length, width], 1.0, &device)));
                let logits = gated.then(|| double(random([2, 2, length], 1.0, &device) + 1.0));
                let gradients = |heads: &RfaHeads, output: Tensor<4>| {
                    let grads = sines(output).backward();
                    let mut all: Vec<Vec<f64>> = inputs.iter().map(|x| host(&x.grad(&grads).unwrap())).collect();
                    all.push(host(&heads.sigma.as_ref().unwrap().val().grad(&grads).unwrap()));
                    all.extend(logits.iter().map(|x| host(&x.grad(&grads).unwrap())));
                    all
                };
                let one = heads(kernel, 2, 64, &device);
                let expected = gradients(&one, reference::quadratic(&one, inputs.clone(), logits.clone()));
                for chunk in [1, 8, 64] {
                    let [query, key, value] = inputs.clone();
                    let mut input = CausalInput::new(query, key, value);
                    if let Some(logits) = &logits {
                        input = input.gate(logits.clone());
                    }
                    let heads = heads(kernel, 2, chunk, &device);
                    let (output, _) = heads.causal(input, None).unwrap();
                    for (i, (actual, expected)) in gradients(&heads, output).iter().zip(&expected).enumerate() {
                        let what = format!("{kernel:?}, length {length}, chunk {chunk}, gated {gated}, tensor {i}");
                        let actual = Tensor::<1>::from_data(&actual[..], (&Device::flex(), DType::F64));
                        // σ is f32, and so are the scalars of Burn's backward passes.
                        assert_close(&actual, expected, 1e-5, &what);
                    }
                }
            }
        }
    }
}

fn with_sigma(heads: &RfaHeads, values: &[f64]) -> RfaHeads {
    let device = Device::flex().autodiff();
    let sigma = Tensor::<1>::from_data(values, (&device, DType::F64)).reshape([2, 4]);
    let mut heads = heads.clone();
    heads.sigma = Some(Param::from_tensor(sigma));
    heads
}

/// Central differences in double precision.
fn differences(values: &[f64], mut loss: impl FnMut(&[f64]) -> f64) -> Vec<f64> {
    const STEP: f64 = 1e-5;
    (0..values.len())
        .map(|i| {
            let mut at = |step: f64| {
                let mut moved = values.to_vec();
                moved[i] += step;
                loss(&moved)
            };
            (at(STEP) - at(-STEP)) / (2.0 * STEP)
        })
        .collect()
}

#[test]
fn the_gradient_of_sigma_is_that_of_finite_differences() {
    let device = Device::flex().autodiff();
    for kernel in KERNELS {
        let inputs = [4, 4, 3].map(|width| double(random([1, 2, 20, width], 1.0, &device)));
        let logits = double(random([1, 2, 20], 1.0, &device));
        let heads = config(kernel, 2).with_chunk(8).init(&device).unwrap();
        let loss = |values: &[f64]| {
            let heads = with_sigma(&heads, values);
            let [query, key, value] = inputs.clone();
            let (output, _) = heads.causal(CausalInput::new(query, key, value).gate(logits.clone()), None).unwrap();
            (heads, sines(output))
        };
        let at = [0.8, 1.1, 0.9, 1.3, 1.0, 0.7, 1.2, 1.05];
        let (moved, sum) = loss(&at);
        let gradient = moved.sigma.unwrap().val().grad(&sum.backward()).unwrap().reshape([8]);
        let expected = differences(&at, |values| loss(values).1.into_scalar::<f64>());
        assert_close(&gradient, &expected, 1e-4, &format!("{kernel:?}"));
        assert!(expected.iter().any(|value| value.abs() > 0.1), "{expected:?}");
    }
}

fn in_double(module: RfaCausal) -> RfaCausal {
    struct Double;
    impl burn::module::ModuleMapper for Double {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            param.map(|x| {
                let is_tracked = x.is_require_grad();
                x.cast(DType::F64).detach().set_require_grad(is_tracked)
            })
        }
    }
    module.map(&mut Double)
}

#[test]
fn the_gradients_of_the_gates_weight_and_bias_are_those_of_finite_differences() {
    let device = Device::flex().autodiff();
    // Denominators are those that they are, or set to what the gate makes the least.
    for (kernel, eps) in KERNELS.into_iter().flat_map(|kernel| [(kernel, 1e-9), (kernel, 0.5)]) {
        let config = RfaConfig::new(8, 2).with_gate(true).with_kernel(kernel).with_n_features(48).with_dropout(0.0);
        let config = config.with_eps(Some(eps)).with_chunk(8);
        let module = in_double(try_init_seeded(7, &device, |device| config.init_causal(device)).unwrap());
        let x = double(random([1, 20, 8], 1.0, &device));
        let of = |values: &[f64]| {
            let mut module = module.clone();
            let tensor = Tensor::<1>::from_data(values, (&device, DType::F64));
            let gate = module.gate.as_mut().unwrap();
            gate.weight = Param::from_tensor(tensor.clone().narrow(0, 0, 16).reshape([8, 2]));
            gate.bias = Some(Param::from_tensor(tensor.narrow(0, 16, 2)));
            // The second segment begins with what the first left.
            let (first, state) = module.forward(x.clone().narrow(1, 0, 9), None).unwrap();
            let (second, state) = module.forward(x.clone().narrow(1, 9, 11), Some(state)).unwrap();
            assert_eq!(state.n_clamped() > 0, eps == 0.5, "{kernel:?}, eps {eps}: {}", state.n_clamped());
            (module, sines(Tensor::cat(vec![first, second], 1)))
        };
        let at: Vec<f64> = (0..18).map(|i| 0.3 * f64::from(i).sin() + f64::from(u8::from(i >= 16))).collect();
        let (moved, sum) = of(&at);
        let (grads, gate) = (sum.backward(), moved.gate.unwrap());
        let weight = gate.weight.val().grad(&grads).unwrap().reshape([16]);
        let gradient = Tensor::cat(vec![weight, gate.bias.unwrap().val().grad(&grads).unwrap()], 0);
        let expected = differences(&at, |values| of(values).1.into_scalar::<f64>());
        assert_close(&gradient, &expected, 1e-4, &format!("{kernel:?}, eps {eps}"));
        assert!(expected.iter().any(|value| value.abs() > 1e-2), "{expected:?}");
    }
}

#[test]
fn no_gradient_goes_back_in_time() {
    let device = Device::flex().autodiff();
    for kernel in KERNELS {
        let inputs = [0; 3].map(|_| double(random([1, 1, 50, 4], 1.0, &device)));
        let logits = double(random([1, 1, 50], 1.0, &device));
        let [query, key, value] = inputs.clone();
        let input = CausalInput::new(query, key, value).gate(logits.clone());
        let (output, _) = heads(kernel, 1, 8, &device).causal(input, None).unwrap();
        let grads = output.narrow(2, 0, 21).sum().backward();
        for x in &inputs {
            let later = x.grad(&grads).unwrap().narrow(2, 21, 29);
            assert_eq!(later.abs().max().into_scalar::<f64>(), 0.0, "{kernel:?}");
        }
        let later = logits.grad(&grads).unwrap().narrow(2, 21, 29);
        assert_eq!(later.abs().max().into_scalar::<f64>(), 0.0, "{kernel:?}");
    }
}
