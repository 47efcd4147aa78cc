use burn::tensor::{Bool, Device, Tensor};
use rekindle_performer::{FavorConfig, FeatureFunction, Kernel, PerformerError, Projection};

use crate::reference::{KERNELS, favor, random};

fn refused(config: &FavorConfig) -> PerformerError {
    config.init(&Device::flex()).err().unwrap()
}

#[test]
fn configurations_that_make_no_sense_are_refused() {
    let config = FavorConfig::new(4);
    assert_eq!(refused(&config.clone().with_n_features(0)), PerformerError::Zero("n_features"));
    assert_eq!(refused(&config.clone().with_chunk(0)), PerformerError::Zero("chunk"));
    assert_eq!(refused(&FavorConfig::new(0)), PerformerError::Zero("d_head"));
    let odd = config.clone().with_n_features(7).with_kernel(Kernel::Trig);
    assert_eq!(refused(&odd).to_string(), "trigonometric features come in pairs, got n_features = 7; take 6 or 8");
    for eps in [-1.0, f64::NAN, f64::INFINITY] {
        assert!(matches!(refused(&config.clone().with_eps(eps)), PerformerError::Negative { name: "eps", .. }));
    }
    let none = config.with_projection(Projection::None);
    assert_eq!(refused(&none), PerformerError::Unprojected("positive"));
    let none = none.with_kernel(Kernel::Generalized(FeatureFunction::Relu));
    assert_eq!(refused(&none), PerformerError::UnprojectedFeatures { d_head: 4, n_features: 256 });
}

#[test]
fn shapes_that_do_not_fit_are_named() {
    let device = Device::flex();
    let of = |length, width| random([1, 2, length, width], 1.0, &device);
    let favor_full = favor(Kernel::Positive, 4, false, 8, &device);
    let refused = |query, key, value| favor_full.attend(query, key, value, None).unwrap_err();
    assert_eq!(
        refused(of(3, 5), of(3, 4), of(3, 4)).to_string(),
        "query must be [batch, heads, length, 4], as d_head says, got [1, 2, 3, 5]"
    );
    assert!(matches!(refused(of(3, 4), of(3, 5), of(3, 4)), PerformerError::Shape { tensor: "key", .. }));
    assert!(matches!(refused(of(3, 4), of(3, 4), of(2, 4)), PerformerError::Shape { tensor: "value", .. }));
    assert_eq!(refused(of(3, 4), of(0, 4), of(0, 4)), PerformerError::EmptySequence);
    assert_eq!(refused(of(0, 4), of(3, 4), of(3, 4)), PerformerError::Zero("n_queries"));
    let mask = Tensor::<2, Bool>::from_data([[true, false]], &device);
    let error = favor_full.attend(of(3, 4), of(3, 4), of(3, 4), Some(mask)).unwrap_err();
    assert!(matches!(error, PerformerError::Shape { tensor: "mask_pad", .. }), "{error}");
    let causal = favor(Kernel::Positive, 4, true, 8, &device);
    let error = causal.attend(of(3, 4), of(2, 4), of(2, 4), None).unwrap_err();
    assert_eq!(error, PerformerError::CausalLengths { queries: 3, keys: 2 });
}

#[test]
fn what_is_not_finite_is_named() {
    let device = Device::flex();
    for kernel in KERNELS {
        for causal in [true, false] {
            for (at, name) in [(0, "queries"), (1, "keys"), (2, "values")] {
                for bad in [f32::NAN, f32::INFINITY] {
                    let mut inputs = [0; 3].map(|_| random([1, 2, 30, 4], 1.0, &device));
                    let element = Tensor::full([1, 1, 1, 1], bad, &device);
                    inputs[at] = inputs[at].clone().slice_assign([0..1, 1..2, 29..30, 2..3], element);
                    let [query, key, value] = inputs;
                    let error = favor(kernel, 4, causal, 8, &device).attend(query, key, value, None).unwrap_err();
                    assert_eq!(error, PerformerError::NonFinite(name), "{kernel:?} {causal}");
                }
            }
        }
    }
}

#[test]
fn heads_of_any_width_can_have_hadamard_directions() {
    let device = Device::flex();
    for d in [1, 3, 12, 16] {
        let config = FavorConfig::new(d).with_n_features(20).with_projection(Projection::Hadamard);
        let [query, key, value] = [0; 3].map(|_| random([1, 1, 5, d], 1.0, &device));
        assert_eq!(config.init(&device).unwrap().attend(query, key, value, None).unwrap().dims(), [1, 1, 5, d]);
    }
}
