use burn::tensor::{Bool, Device, Tensor};
use rekindle_rfa::{CausalInput, Kernel, Projection, RfaConfig, RfaError, RfaHeadsConfig};

use crate::reference::{KERNELS, heads, random};

#[test]
fn configurations_that_make_no_sense_are_refused() {
    let device = Device::flex();
    let refused = |config: &RfaHeadsConfig| config.init(&device).err().unwrap();
    let config = RfaHeadsConfig::new(2, 4);
    assert_eq!(refused(&config.clone().with_n_features(0)), RfaError::Zero("n_features"));
    assert_eq!(refused(&config.clone().with_chunk(0)), RfaError::Zero("chunk"));
    assert_eq!(refused(&RfaHeadsConfig::new(0, 4)), RfaError::Zero("n_heads"));
    assert_eq!(refused(&RfaHeadsConfig::new(2, 0)), RfaError::Zero("d_head"));
    for bad in [-1.0, f64::NAN, f64::INFINITY] {
        assert!(matches!(refused(&config.clone().with_eps(bad)), RfaError::Negative { name: "eps", .. }));
        assert!(matches!(refused(&config.clone().with_norm_eps(bad)), RfaError::Negative { name: "norm_eps", .. }));
        assert!(matches!(refused(&config.clone().with_tau(bad)), RfaError::InvalidTau(_)));
    }
    assert_eq!(refused(&config.clone().with_tau(0.0)).to_string(), "tau must be finite and above 0, got 0");
    assert_eq!(refused(&config.clone().with_pool_size(1)), RfaError::SmallPool { pool_size: 1, n_heads: 2 });
    assert_eq!(refused(&config.with_projection(Projection::None)), RfaError::Unprojected);

    let refused = |config: RfaConfig| config.init_causal(&device).err().unwrap();
    assert_eq!(refused(RfaConfig::new(10, 4)).to_string(), "n_heads must divide d_model, got 4 heads and d_model = 10");
    assert_eq!(refused(RfaConfig::new(8, 0)), RfaError::Zero("n_heads"));
    assert_eq!(refused(RfaConfig::new(0, 2)), RfaError::Zero("d_model"));
    assert_eq!(refused(RfaConfig::new(8, 2).with_dropout(1.0)), RfaError::InvalidDropout(1.0));
    assert_eq!(refused(RfaConfig::new(8, 2).with_n_features(0)), RfaError::Zero("n_features"));
    let bias = RfaConfig::new(8, 2).with_gate(true).with_gate_bias_init(f64::NEG_INFINITY);
    assert_eq!(refused(bias), RfaError::InvalidGateBias(f64::NEG_INFINITY));
    assert_eq!(RfaConfig::new(8, 2).with_gate(true).init_cross(&device).err(), Some(RfaError::GatedCross));
}

#[test]
fn shapes_that_do_not_fit_are_named() {
    let device = Device::flex();
    let of = |length, width| random([1, 2, length, width], 1.0, &device);
    let heads = heads(Kernel::Gaussian, 2, 8, &device);
    let refused = |query, key, value| heads.causal(CausalInput::new(query, key, value), None).unwrap_err();
    assert_eq!(
        refused(of(3, 5), of(3, 4), of(3, 4)).to_string(),
        "query must be [batch, 2, length, 4], as n_heads and d_head say, got [1, 2, 3, 5]"
    );
    assert!(matches!(refused(of(3, 4), of(3, 5), of(3, 4)), RfaError::Shape { tensor: "key", .. }));
    assert!(matches!(refused(of(3, 4), of(2, 4), of(2, 4)), RfaError::Shape { tensor: "key", .. }));
    assert!(matches!(refused(of(3, 4), of(3, 4), of(2, 4)), RfaError::Shape { tensor: "value", .. }));
    assert_eq!(refused(of(0, 4), of(0, 4), of(0, 4)), RfaError::EmptySequence);
    assert_eq!(refused(of(3, 4), of(3, 4), of(3, 0)), RfaError::Zero("d_value"));
    let three = [0; 3].map(|_| random([1, 3, 5, 4], 1.0, &device));
    let [query, key, value] = three;
    assert!(matches!(refused(query, key, value), RfaError::Shape { tensor: "query", .. }));
    let input = || CausalInput::new(of(3, 4), of(3, 4), of(3, 4));
    let error = heads.causal(input().gate(random([1, 2, 4], 1.0, &device)), None).unwrap_err();
    assert!(matches!(error, RfaError::Shape { tensor: "gate", .. }), "{error}");
    let mask = || Tensor::<2, Bool>::from_data([[true, false]], &device);
    let error = heads.causal(input().mask_pad(mask()), None).unwrap_err();
    assert!(matches!(error, RfaError::Shape { tensor: "mask_pad", .. }), "{error}");

    assert_eq!(heads.encode(of(0, 4), of(0, 4), None).unwrap_err(), RfaError::EmptySequence);
    assert!(matches!(heads.encode(of(3, 4), of(3, 4), Some(mask())), Err(RfaError::Shape { tensor: "mask_pad", .. })));
    let source = heads.encode(of(3, 4), of(3, 6), None).unwrap();
    assert_eq!(heads.decode(of(0, 4), &source).unwrap_err(), RfaError::Zero("n_queries"));
    let error = heads.decode(random([2, 2, 3, 4], 1.0, &device), &source).unwrap_err();
    assert!(error.to_string().ends_with("must be [2, 2, 96, 6], got [1, 2, 96, 6]"), "{error}");
    assert!(matches!(heads.features(of(3, 5)), Err(RfaError::Shape { tensor: "x", .. })));
}

#[test]
fn what_is_not_finite_is_named() {
    let device = Device::flex();
    for kernel in KERNELS {
        for (at, name) in [(0, "queries"), (1, "keys"), (2, "values"), (3, "logits of the gate")] {
            // The squares of the last overflow: it has no direction in f32.
            for bad in [f32::NAN, f32::INFINITY, 1e30] {
                if bad.is_finite() && at > 1 {
                    continue;
                }
                let mut inputs = [0; 4].map(|_| random([1, 2, 30, 4], 1.0, &device));
                let element = Tensor::full([1, 1, 1, 1], bad, &device);
                inputs[at] = inputs[at].clone().slice_assign([0..1, 1..2, 29..30, 2..3], element);
                let [query, key, value, gate] = inputs;
                let heads = heads(kernel, 2, 8, &device);
                let gate = gate.narrow(3, 2, 1).squeeze_dim::<3>(3);
                let input = CausalInput::new(query.clone(), key.clone(), value.clone()).gate(gate);
                assert_eq!(heads.causal(input, None).unwrap_err(), RfaError::NonFinite(name), "{kernel:?}");
                if at < 3 {
                    let error = heads.attend(query, key, value, None).unwrap_err();
                    assert_eq!(error, RfaError::NonFinite(name), "{kernel:?}");
                }
            }
        }
        let unchecked = heads(kernel, 2, 8, &device).config().clone().with_check_finite(false).init(&device).unwrap();
        let nan = || Tensor::full([1, 2, 3, 4], f32::NAN, &device);
        assert!(unchecked.causal(CausalInput::new(nan(), nan(), nan()), None).is_ok());
    }
}

#[test]
fn long_and_zero_vectors_are_finite_with_finite_gradients() {
    let device = Device::flex().autodiff();
    for kernel in KERNELS {
        for norm in [0.0, 1e-20, 1e3, 1e15] {
            let inputs = [0; 3].map(|_| random([1, 2, 20, 4], 1.0, &device));
            let [query, key, value] = inputs;
            let [query, key] = [query, key].map(|x| x.mul_scalar(norm).detach().require_grad());
            let input = CausalInput::new(query.clone(), key.clone(), value);
            let (output, _) = heads(kernel, 2, 8, &device).causal(input, None).unwrap();
            assert!(output.clone().abs().max().into_scalar::<f32>() < 1e3);
            let grads = output.sum().backward();
            for x in [query, key] {
                assert!(x.grad(&grads).unwrap().abs().max().into_scalar::<f32>().is_finite(), "{kernel:?} {norm}");
            }
        }
    }
}

#[test]
fn a_module_names_the_width_that_it_takes() {
    let device = Device::flex();
    let causal = RfaConfig::new(8, 2).init_causal(&device).unwrap();
    let error = causal.forward(Tensor::ones([1, 3, 6], &device), None).unwrap_err();
    assert_eq!(error.to_string(), "x must be [batch, length, 8], as d_model says, got [1, 3, 6]");
    assert_eq!(causal.forward(Tensor::ones([1, 0, 8], &device), None).unwrap_err(), RfaError::EmptySequence);
    let cross = RfaConfig::new(8, 2).init_cross(&device).unwrap();
    let memory = Tensor::ones([1, 3, 6], &device);
    assert!(matches!(cross.encode(memory, None), Err(RfaError::Shape { tensor: "memory", .. })));
    let source = cross.encode(Tensor::ones([1, 3, 8], &device), None).unwrap();
    let query = Tensor::ones([1, 3, 6], &device);
    assert!(matches!(cross.decode(query, &source), Err(RfaError::Shape { tensor: "query", .. })));
}
