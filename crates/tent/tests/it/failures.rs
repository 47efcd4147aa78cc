//! What is refused, in which words, and that nothing is lost by it.

use burn::module::{Module, ParamGroup};
use burn::nn::{
    GroupNorm, GroupNormConfig, InstanceNormConfig, LayerNorm, LayerNormConfig, Linear, LinearConfig, RmsNormConfig,
};
use burn::tensor::{Device, Tensor, s};
use rekindle_tent::{
    BatchStatistics, Collapse, NormAdaptation, Objective, Outcome, Reset, SmallBatch, TentConfig, TentError,
};

use crate::common::{Net, adam, bare, bits, rows, step, tent, values};

#[test]
fn a_model_without_norm_layers_is_refused_with_its_layers() {
    let device = Device::flex();
    let model = vec![LinearConfig::new(2, 2).init(&device), LinearConfig::new(2, 2).init(&device)];
    let error = TentConfig::new().init(&model, adam()).unwrap_err();
    assert_eq!(error, TentError::NoNormLayers { layers: vec!["Linear (0)".into()] });
    assert!(error.to_string().starts_with("the model has no norm layer"), "{error}");
}

#[derive(Module, Debug)]
struct Bare {
    first: Linear,
    norm: GroupNorm,
}

#[test]
fn norm_layers_without_affine_parameters_are_refused_by_name() {
    let device = Device::flex();
    let model = Bare {
        first: LinearConfig::new(4, 4).init(&device),
        norm: GroupNormConfig::new(2, 4).with_affine(false).init(&device),
    };
    let error = TentConfig::new().init(&model, adam()).unwrap_err();
    assert_eq!(error, TentError::NothingToAdapt { layers: vec!["norm".into()] });
    let everything = TentConfig::new().with_exclude(Some(ParamGroup::from_predicate("norm")));
    let error = everything.init(&Net::new(&device), adam()).unwrap_err();
    assert_eq!(error, TentError::NothingToAdapt { layers: vec!["norm".into()] });
    let error = NormAdaptation::new(&model, BatchStatistics::Batch).unwrap_err();
    assert_eq!(error, TentError::NoBatchNorm { layers: vec!["norm".into()] });
}

#[test]
fn a_part_of_the_parameters_can_be_left_out() {
    let device = Device::flex();
    let net = Net::new(&device);
    let config = bare().with_exclude(Some(ParamGroup::from_path("norm.beta")));
    let tent = config.init(&net, adam()).unwrap();
    assert_eq!(tent.adapted(), [net.norm.gamma.id]);
}

#[test]
fn options_out_of_range_are_refused_with_the_rule() {
    let refused = |config: TentConfig| config.init(&Net::new(&Device::flex()), adam()).unwrap_err().to_string();
    let config = TentConfig::new;
    assert_eq!(refused(config().with_steps(0)), "steps has to be at least 1, got 0");
    assert_eq!(
        refused(config().with_entropy_threshold(Some(-0.4))),
        "entropy_threshold has to be above 0 and at most 1, a share of ln(classes), got -0.4"
    );
    for bad in [
        config().with_learning_rate(-1.0),
        config().with_learning_rate(f64::NAN),
        config().with_min_batch(0),
        config().with_entropy_threshold(Some(f64::NAN)),
        config().with_entropy_threshold(Some(1.5)),
        config().with_reset(Reset::Every { batches: 0 }),
        config().with_objective(Objective::PseudoLabel { min_confidence: 1.2 }),
        config().with_collapse(Some(Collapse { min_diversity: 1.0, ..Collapse::default() })),
        config().with_collapse(Some(Collapse { momentum: -0.1, ..Collapse::default() })),
        config().with_statistics(BatchStatistics::Mixture { alpha: 2.0 }),
        config().with_small_batch(SmallBatch::Prior { n: -3.0 }),
    ] {
        refused(bad);
    }
}

/// After an error the adaptation goes on as if the batch had not come.
#[test]
fn a_batch_that_is_refused_leaves_no_trace() {
    let device = Device::flex();
    let mut clean = tent(&bare(), &device);
    let mut disturbed = tent(&bare(), &device);
    step(&mut clean, 1, 20);
    step(&mut disturbed, 1, 20);
    let before = (bits(disturbed.model()), disturbed.totals());

    let poisoned = |value: f32| rows(2, 20, &device).slice_assign(s![7..8, 2..4], Tensor::full([1, 2], value, &device));
    for value in [f32::NAN, f32::INFINITY] {
        let error = disturbed.adapt(poisoned(value), |net, x| net.forward(x)).unwrap_err();
        assert_eq!(error, TentError::NonFiniteInput { count: 2, sample: 7 });
    }
    let error = disturbed.adapt(rows(2, 20, &device), |net, x| net.forward(x) / 0.0).unwrap_err();
    assert_eq!(error, TentError::NonFinite { what: "logits" });
    let error = disturbed.adapt(rows(2, 20, &device), |net, x| net.forward(x).narrow(1, 0, 1)).unwrap_err();
    assert_eq!(error, TentError::TooFewClasses(1));
    let error = disturbed.adapt(rows(2, 20, &device), |net, x| net.forward(x).narrow(1, 0, 3)).unwrap_err();
    assert_eq!(error, TentError::Classes { expected: 4, found: 3 });
    let other = Net::new(&device.clone().autodiff());
    let error = disturbed.adapt(rows(2, 20, &device.clone().autodiff()), |_, x| other.forward(x)).unwrap_err();
    assert_eq!(error, TentError::LogitsWithoutGraph);

    assert!((bits(disturbed.model()), disturbed.totals()) == before);
    assert_eq!(step(&mut disturbed, 3, 20), step(&mut clean, 3, 20));
}

#[test]
fn mixtures_on_layers_that_cannot_take_them_are_refused_by_name() {
    let device = Device::flex();
    let mixture = BatchStatistics::Mixture { alpha: 0.5 };
    let outside = |error| match error {
        TentError::OutsideOfScope { layers, .. } => layers,
        other => panic!("{other}"),
    };
    let mut tent = tent(&bare().with_statistics(mixture), &device);
    let error = tent.adapt(rows(1, 20, &device), |net, x| net.forward(x)).unwrap_err();
    assert_eq!(outside(error), ["norm"]);
    if cfg!(feature = "capture") {
        return;
    }
    let mut norm = NormAdaptation::new(&Net::new(&device), mixture).unwrap();
    assert_eq!(outside(norm.predict(rows(1, 20, &device), |net, x| net.forward(x)).unwrap_err()), ["norm"]);
}

/// Layer, instance and RMS norm are adapted as they are: they have no statistics of a batch.
#[test]
fn other_norms_adapt_too() {
    let device = Device::flex();
    let first = || LinearConfig::new(6, 6).init(&device);
    let layer: (Linear, LayerNorm) = (first(), LayerNormConfig::new(6).init(&device));
    let mut tent = bare().init(&layer, adam()).unwrap();
    for seed in 0..3 {
        let report = tent.adapt(rows(seed, 20, &device), |(a, b), x| b.forward(a.forward(x))).unwrap().report;
        assert_eq!(report.outcome, Outcome::Updated);
    }
    assert_ne!(values(tent.model().1.gamma.val()), [1.0; 6]);
    let rms = (first(), RmsNormConfig::new(6).init(&device));
    let mut tent = bare().init(&rms, adam()).unwrap();
    tent.adapt(rows(1, 20, &device), |(a, b), x| b.forward(a.forward(x))).unwrap();
    assert_eq!(tent.adapted().len(), 1);
    let instance = InstanceNormConfig::new(3).init(&device);
    let mut tent = bare().init(&instance, adam()).unwrap();
    let forward = |norm: &burn::nn::InstanceNorm, x: Tensor<2>| {
        norm.forward(x.reshape([-1, 3, 2])).max_dim(2).squeeze_dim::<2>(2)
    };
    tent.adapt(rows(1, 20, &device), forward).unwrap();
    assert_eq!(tent.adapted().len(), 2);
}
