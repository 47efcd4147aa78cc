//! What holds for every input.

use burn::tensor::{Device, Tensor};
use proptest::prelude::*;
use rekindle_performer::{Favor, FavorConfig, Kernel, Projection, RowScaling};

const D: usize = 3;

fn kernel() -> impl Strategy<Value = Kernel> {
    prop_oneof![Just(Kernel::Positive), Just(Kernel::Hyperbolic)]
}

fn projection() -> impl Strategy<Value = Projection> {
    use Projection::{Givens, Hadamard, Iid, Orthogonal};
    prop_oneof![Just(Iid), Just(Orthogonal), Just(Hadamard), Just(Givens)]
}

fn scaling() -> impl Strategy<Value = RowScaling> {
    prop_oneof![Just(RowScaling::Chi), Just(RowScaling::SqrtDim)]
}

fn favor(causal: bool) -> impl Strategy<Value = Favor> {
    (kernel(), projection(), scaling(), 1_usize..20, 1_usize..12, any::<u64>()).prop_map(
        move |(kernel, projection, scaling, pairs, chunk, seed)| {
            let config = FavorConfig::new(D).with_kernel(kernel).with_projection(projection).with_row_scaling(scaling);
            let config = config.with_n_features(2 * pairs).with_chunk(chunk).with_seed(seed).with_causal(causal);
            config.init(&Device::flex()).unwrap()
        },
    )
}

/// Queries, keys and values of one length, of all sizes.
fn inputs() -> impl Strategy<Value = [Tensor<4>; 3]> {
    (1_usize..40, 1e-3_f32..30.0).prop_flat_map(|(length, size)| {
        prop::collection::vec(-size..size, 3 * length * D).prop_map(move |values| {
            let x = Tensor::<1>::from_floats(&values[..], &Device::flex());
            [0, 1, 2].map(|i| x.clone().narrow(0, i * length * D, length * D).reshape([1, 1, length, D]))
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Outputs are means of the values with weights that are not negative.
    #[test]
    fn outputs_lie_between_the_values(favor in any::<bool>().prop_flat_map(favor), [query, key, value] in inputs()) {
        let output = favor.attend(query, key, value.clone(), None).unwrap();
        let slack = 1e-4 * value.clone().abs().max().into_scalar::<f32>();
        prop_assert!(output.clone().max().into_scalar::<f32>() <= value.clone().max().into_scalar::<f32>() + slack);
        prop_assert!(output.min().into_scalar::<f32>() >= value.min().into_scalar::<f32>() - slack);
    }

    /// The state after some tokens is all that later ones need.
    #[test]
    fn a_sequence_can_be_cut_anywhere(favor in favor(true), inputs in inputs(), cut in 0.0_f64..1.0) {
        let length = inputs[0].dims()[2];
        prop_assume!(length > 1);
        let at = 1 + ((length - 1) as f64 * cut) as usize;
        let [query, key, value] = inputs.clone();
        let whole = favor.attend(query, key, value.clone(), None).unwrap();
        let mut state = favor.init_state(1, 1, D, &Device::flex()).unwrap();
        let mut outputs = Vec::new();
        for (start, n) in [(0, at), (at, length - at)] {
            if n > 0 {
                let [query, key, value] = inputs.clone().map(|x| x.narrow(2, start, n));
                outputs.push(favor.prefill(query, key, value, None, &mut state).unwrap());
            }
        }
        let difference = (Tensor::cat(outputs, 2) - whole).abs().max().into_scalar::<f32>();
        // Exponents of some hundred have four to five digits behind the point.
        prop_assert!(difference <= 2e-3 * value.abs().max().into_scalar::<f32>(), "{difference}");
    }

    /// Nothing that comes later is seen.
    #[test]
    fn a_prefix_gives_the_prefix_of_the_outputs(favor in favor(true), inputs in inputs(), cut in 0.0_f64..1.0) {
        let length = inputs[0].dims()[2];
        let at = 1 + ((length - 1) as f64 * cut) as usize;
        let of = |inputs: [Tensor<4>; 3]| {
            let [query, key, value] = inputs;
            favor.attend(query, key, value, None).unwrap().narrow(2, 0, at)
        };
        let difference = (of(inputs.clone()) - of(inputs.clone().map(|x| x.narrow(2, 0, at)))).abs().max();
        prop_assert!(difference.into_scalar::<f32>() <= 2e-3 * inputs[2].clone().abs().max().into_scalar::<f32>());
    }
}
