//! What holds for every input.

use burn::tensor::{Device, Tensor};
use proptest::prelude::*;
use rekindle_rfa::{CausalInput, Kernel, Projection, RfaHeads, RfaHeadsConfig};

const D: usize = 3;

fn heads(kernel: impl Strategy<Value = Kernel>) -> impl Strategy<Value = RfaHeads> {
    let projection = prop_oneof![Just(Projection::Iid), Just(Projection::Orthogonal), Just(Projection::Givens)];
    // Many directions of a wide bandwidth: no denominator is noise.
    (kernel, projection, 64_usize..100, 1_usize..12, any::<u64>()).prop_map(|(kernel, projection, m, chunk, seed)| {
        let config = RfaHeadsConfig::new(1, D).with_kernel(kernel).with_projection(projection).with_tau(2.0);
        config.with_n_features(m).with_chunk(chunk).with_seed(seed).init(&Device::flex()).unwrap()
    })
}

fn any_kernel() -> impl Strategy<Value = Kernel> {
    prop_oneof![Just(Kernel::Gaussian), Just(Kernel::ArcCos)]
}

/// Tokens of all sizes, with gates.
fn inputs() -> impl Strategy<Value = ([Tensor<4>; 3], Tensor<3>)> {
    (1_usize..40, 1e-2_f32..1e3).prop_flat_map(|(length, size)| {
        let vectors = prop::collection::vec(-size..size, 3 * length * D);
        (vectors, prop::collection::vec(-4_f32..6.0, length)).prop_map(move |(values, logits)| {
            let x = Tensor::<1>::from_floats(&values[..], &Device::flex());
            let of = |i| x.clone().narrow(0, i * length * D, length * D).reshape([1, 1, length, D]);
            let logits = Tensor::<1>::from_floats(&logits[..], &Device::flex()).reshape([1, 1, length]);
            ([of(0), of(1), of(2)], logits)
        })
    })
}

fn pieces(([query, key, value], logits): &([Tensor<4>; 3], Tensor<3>), start: usize, n: usize) -> CausalInput {
    let of = |x: &Tensor<4>| x.clone().narrow(2, start, n);
    CausalInput::new(of(query), of(key), of(value)).gate(logits.clone().narrow(2, start, n))
}

fn largest(x: &Tensor<4>) -> f32 {
    x.clone().abs().max().into_scalar::<f32>()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Arc-cosine features are not negative: outputs are means of the values.
    #[test]
    fn outputs_of_arc_cosine_features_lie_between_the_values(heads in heads(Just(Kernel::ArcCos)), inputs in inputs()) {
        let (length, value) = (inputs.0[0].dims()[2], &inputs.0[2]);
        let (output, _) = heads.causal(pieces(&inputs, 0, length), None).unwrap();
        let slack = 1e-3 * largest(value);
        // Opposite vectors may have nothing in common, and then 0.
        let (least, most) = (value.clone().min().into_scalar::<f32>(), value.clone().max().into_scalar::<f32>());
        prop_assert!(output.clone().max().into_scalar::<f32>() <= most.max(0.0) + slack);
        prop_assert!(output.min().into_scalar::<f32>() >= least.min(0.0) - slack);
    }

    /// The state after some tokens is all that later ones need, whatever the chunks.
    #[test]
    fn a_sequence_can_be_cut_anywhere(heads in heads(any_kernel()), inputs in inputs(), cut in 0.0_f64..1.0) {
        let length = inputs.0[0].dims()[2];
        prop_assume!(length > 1);
        let at = 1 + ((length - 1) as f64 * cut) as usize;
        prop_assume!(at < length);
        let (whole, _) = heads.causal(pieces(&inputs, 0, length), None).unwrap();
        let (first, state) = heads.causal(pieces(&inputs, 0, at), None).unwrap();
        let (rest, _) = heads.causal(pieces(&inputs, at, length - at), Some(state)).unwrap();
        let difference = largest(&(Tensor::cat(vec![first, rest], 2) - whole));
        prop_assert!(difference <= 2e-3 * largest(&inputs.0[2]), "{difference}");
    }

    /// Nothing that comes later is seen.
    #[test]
    fn a_prefix_gives_the_prefix_of_the_outputs(heads in heads(any_kernel()), inputs in inputs(), cut in 0.0_f64..1.0) {
        let length = inputs.0[0].dims()[2];
        let at = 1 + ((length - 1) as f64 * cut) as usize;
        let of = |n| heads.causal(pieces(&inputs, 0, n), None).unwrap().0.narrow(2, 0, at);
        prop_assert!(largest(&(of(length) - of(at))) <= 2e-3 * largest(&inputs.0[2]));
    }

    /// Constant values stay as they are, whatever the weights.
    #[test]
    fn constant_values_stay(heads in heads(Just(Kernel::Gaussian)), inputs in inputs()) {
        let length = inputs.0[0].dims()[2];
        let value = Tensor::ones([1, 1, length, 2], &Device::flex());
        let ([query, key, _], logits) = inputs;
        let input = CausalInput::new(query, key, value.clone()).gate(logits);
        let (output, state) = heads.causal(input, None).unwrap();
        prop_assert_eq!(state.n_clamped(), 0);
        prop_assert!(largest(&(output - value)) < 1e-3);
    }
}
