use burn::tensor::module::attention;
use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{DType, Device, Int, Tensor, Tolerance};
use rekindle_rfa::{CausalInput, Kernel, RfaHeadsConfig};

use crate::reference::{self, KERNELS, Weights, assert_close, config, heads, host, inputs, mask, random};

pub(crate) const LENGTHS: [usize; 7] = [1, 2, 7, 8, 9, 64, 1000];

#[test]
fn any_chunk_size_and_the_scan_give_the_attention_of_all_pairs() {
    let device = Device::flex();
    for kernel in KERNELS {
        for length in LENGTHS {
            let inputs = inputs(length, &device);
            let expected = reference::attend(&heads(kernel, 1, 64, &device), &inputs, &Weights::causal());
            for chunk in [1, 3, 8, 64, 2000] {
                let [query, key, value] = inputs.clone();
                let heads = heads(kernel, 1, chunk, &device);
                let (actual, state) = heads.causal(CausalInput::new(query, key, value), None).unwrap();
                assert_eq!((state.n_tokens(), state.n_clamped()), (length, 0));
                assert_close(&actual, &expected, 1e-4, &format!("{kernel:?}, length {length}, chunk {chunk}"));
            }
            let (heads, mut state, mut outputs) = (heads(kernel, 1, 8, &device), None, Vec::new());
            for t in 0..length {
                let [query, key, value] = inputs.clone().map(|x| x.narrow(2, t, 1).squeeze_dim::<3>(2));
                let (output, next) = heads.step(query, key, value, None, state).unwrap();
                state = Some(next);
                outputs.push(output.unsqueeze_dim::<4>(2));
            }
            assert_close(&Tensor::cat(outputs, 2), &expected, 1e-4, &format!("{kernel:?}, length {length}, scan"));
        }
    }
}

/// Many heads and sequences at once are each on its own, with directions of its own.
#[test]
fn heads_and_sequences_are_independent() {
    let device = Device::flex();
    for kernel in KERNELS {
        let all = heads(kernel, 3, 8, &device);
        let [query, key, value] = [0; 3].map(|_| random([2, 3, 20, 4], 1.0, &device));
        let gate = random([2, 3, 20], 1.0, &device);
        let input = CausalInput::new(query.clone(), key.clone(), value.clone()).gate(gate.clone());
        let (together, _) = all.causal(input, None).unwrap();
        // A single head draws from the pool of the same seed; only the first has its first matrix.
        let one = heads(kernel, 1, 8, &device);
        let first = all.fixed_directions().narrow(0, 0, 48);
        first.into_data().assert_eq(&one.fixed_directions().into_data(), true);
        for sequence in 0..2 {
            let piece = |x: &Tensor<4>| x.clone().slice([sequence..sequence + 1, 0..1]);
            let gate = gate.clone().slice([sequence..sequence + 1, 0..1]);
            let input = CausalInput::new(piece(&query), piece(&key), piece(&value)).gate(gate);
            let (alone, _) = one.causal(input, None).unwrap();
            alone.into_data().assert_approx_eq::<f32>(&piece(&together).into_data(), Tolerance::absolute(1e-5));
        }
        let second = all.fixed_directions().narrow(0, 48, 48);
        assert_ne!(host(&second), host(&one.fixed_directions()));
    }
}

#[test]
fn the_first_output_is_the_first_value_with_or_without_a_gate() {
    let device = Device::flex();
    for kernel in KERNELS {
        for gate in [None, Some(-3.0), Some(4.0)] {
            let [query, key, value] = [0; 3].map(|_| random([2, 2, 9, 4], 1.0, &device));
            let mut input = CausalInput::new(query, key, value.clone());
            if let Some(gate) = gate {
                input = input.gate(Tensor::full([2, 2, 9], gate, &device));
            }
            let (output, _) = heads(kernel, 2, 4, &device).causal(input, None).unwrap();
            let first = |x: Tensor<4>| x.narrow(2, 0, 1).into_data();
            first(output).assert_approx_eq::<f32>(&first(value), Tolerance::absolute(1e-4));
        }
    }
}

#[test]
fn masked_keys_are_removed_and_take_nothing_from_the_state() {
    let device = Device::flex();
    for kernel in KERNELS {
        let inputs = inputs(70, &device);
        let gates = vec![0.9; 70];
        for (name, masked) in [
            ("first", (0..70).map(|i| i < 20).collect::<Vec<_>>()),
            ("some", (0..70).map(|i| i % 3 == 1).collect()),
            ("last", (0..70).map(|i| i > 40).collect()),
            ("all", vec![true; 70]),
        ] {
            let heads = heads(kernel, 1, 8, &device);
            let [query, key, value] = inputs.clone();
            let mask = mask(&masked, &device);
            let weights = Weights { causal: false, gates: Vec::new(), masked };
            let output = heads.attend(query.clone(), key.clone(), value.clone(), Some(mask.clone())).unwrap();
            assert_close(&output, &reference::attend(&heads, &inputs, &weights), 1e-4, name);
            for gates in [Vec::new(), gates.clone()] {
                let weights = Weights { causal: true, gates: gates.clone(), ..weights.clone() };
                let mut input = CausalInput::new(query.clone(), key.clone(), value.clone()).mask_pad(mask.clone());
                if !gates.is_empty() {
                    input = input.gate(Tensor::full([1, 1, 70], 9_f64.ln(), &device));
                }
                let (output, _) = heads.causal(input, None).unwrap();
                let expected = reference::attend(&heads, &inputs, &weights);
                assert_close(&output, &expected, 1e-4, &format!("{kernel:?}, {name}, gates {}", !gates.is_empty()));
            }
        }
    }
}

#[test]
fn rows_of_the_matrix_sum_to_one_and_constant_values_stay() {
    let device = Device::flex();
    for kernel in KERNELS {
        let heads = heads(kernel, 3, 8, &device);
        let [query, key] = [0; 2].map(|_| random([2, 3, 21, 4], 1.0, &device));
        let value = Tensor::full([2, 3, 21, 5], -2.5, &device);
        let gate = random([2, 3, 21], 1.0, &device);
        let input = CausalInput::new(query.clone(), key.clone(), value.clone()).gate(gate);
        let causal = heads.causal_matrix(input.clone()).unwrap();
        assert_eq!(causal.clone().triu(1).abs().max().into_scalar::<f32>(), 0.0);
        let full = heads.attention_matrix(query.clone(), key.clone(), None).unwrap();
        let ones = Tensor::<4>::ones([2, 3, 21, 1], &device).into_data();
        for matrix in [causal, full] {
            assert_eq!(matrix.dims(), [2, 3, 21, 21]);
            matrix.sum_dim(3).into_data().assert_approx_eq::<f32>(&ones, Tolerance::absolute(1e-4));
        }
        for output in [heads.causal(input, None).unwrap().0, heads.attend(query, key, value.clone(), None).unwrap()] {
            output.into_data().assert_approx_eq::<f32>(&value.to_data(), Tolerance::absolute(1e-4));
        }
    }
}

/// With σ = 1 the output is that of softmax of q·k / τ² for unit vectors; the error falls as D^(-1/2).
#[test]
fn attention_converges_to_softmax_of_unit_vectors() {
    let device = Device::flex();
    let [query, key, value] = [0; 3].map(|_| random([1, 1, 40, 4], 2.0, &device));
    let tau = 0.8_f64;
    let unit = |x: Tensor<4>| x.clone() / (x.clone() * x).sum_dim(3).sqrt() / tau;
    let options = AttentionModuleOptions { is_causal: true, scale: Some(1.0), ..Default::default() };
    let softmax = attention(unit(query.clone()), unit(key.clone()), value.clone(), None, None, options);
    let error = |m: usize| {
        let square = |seed| {
            let config = RfaHeadsConfig::new(1, 4).with_n_features(m).with_tau(tau).with_norm_eps(0.0).with_seed(seed);
            let input = CausalInput::new(query.clone(), key.clone(), value.clone());
            let (output, _) = config.init(&device).unwrap().causal(input, None).unwrap();
            (output - softmax.clone()).powi_scalar(2).mean().into_scalar::<f64>()
        };
        (0..10).map(square).sum::<f64>().sqrt()
    };
    let (few, many) = (error(256), error(256 * 64));
    // 64 times as many: an eighth.
    assert!((4.0..16.0).contains(&(few / many)), "{few} {many}");
}

#[test]
fn a_positive_factor_of_queries_or_keys_changes_nothing() {
    let device = Device::flex();
    for kernel in KERNELS {
        let heads = config(kernel, 1).with_norm_eps(0.0).init(&device).unwrap();
        let [query, key, value] = inputs(30, &device);
        let of = |q: f64, k: f64| {
            let input = CausalInput::new(query.clone() * q, key.clone() * k, value.clone());
            heads.causal(input, None).unwrap().0.into_data()
        };
        let expected = of(1.0, 1.0);
        for (q, k) in [(1e3, 1.0), (1.0, 1e-3), (1e-10, 1e10)] {
            of(q, k).assert_approx_eq::<f32>(&expected, Tolerance::absolute(1e-3));
        }
    }
}

#[test]
fn half_precision_accumulates_in_single() {
    let device = Device::flex();
    for dtype in [DType::F16, DType::BF16] {
        // 5,000 equal keys: a sum of ones in f16 stops at 2,048, in bf16 at 256.
        let ones = Tensor::<4>::ones([1, 1, 5000, 4], &device).cast(dtype);
        let ramp = Tensor::<1, Int>::arange(0..5000, &device).float().div_scalar(5000.0);
        let value = ramp.reshape([1, 1, 5000, 1]).cast(dtype);
        let heads = heads(Kernel::Gaussian, 1, 64, &device);
        let (causal, _) = heads.causal(CausalInput::new(ones.clone(), ones.clone(), value.clone()), None).unwrap();
        for output in [causal, heads.attend(ones.clone(), ones, value, None).unwrap()] {
            assert_eq!(output.dtype(), dtype);
            let last = output.narrow(2, 4999, 1).into_scalar::<f32>();
            assert!((last - 0.5).abs() < 0.01, "{dtype:?}: {last}");
        }
    }
}

/// Few directions of a narrow bandwidth: signs of sums are noise, and the guard says how often.
#[test]
fn denominators_near_zero_are_set_and_counted() {
    let device = Device::flex();
    let narrow = |eps| {
        let config = RfaHeadsConfig::new(1, 4).with_n_features(2).with_tau(0.1).with_eps(eps);
        let [query, key, value] = [0; 3].map(|seed| {
            let _: i32 = seed;
            random([1, 1, 200, 4], 1.0, &device)
        });
        let (output, state) = config
            .init(&device)
            .unwrap()
            .causal(CausalInput::new(query.clone(), key.clone(), value.clone()), None)
            .unwrap();
        assert!(output.abs().max().into_scalar::<f32>().is_finite());
        let heads = config.init(&device).unwrap();
        let source = heads.encode(key, value, None).unwrap();
        (state.n_clamped(), heads.decode_counted(query, &source).unwrap().1)
    };
    let (causal, cross) = narrow(0.3);
    assert!((20..200).contains(&causal) && (1..200).contains(&cross), "{causal} {cross}");
    assert_eq!(narrow(0.0), (0, 0));
}
