//! What is refused, with what it says, and that nothing is lost.

use burn::module::{Lora, Module, ParamGroup};
use burn::nn::conv::{ConvTranspose2d, ConvTranspose2dConfig};
use burn::nn::{Embedding, EmbeddingConfig, Linear, LinearConfig};
use burn::tensor::Tensor;
use rekindle_gpm::{GpmConfig, GpmError, LayerThreshold, Others};
use rekindle_shared::model::Layer;

use super::models::{Mlp, device, random};

#[test]
fn options_out_of_range_are_refused_by_name() {
    let model = Mlp::new([2, 2, 2], false, &device());
    let refusal = |config: GpmConfig| config.init(&model).err();
    let config = GpmConfig::new;
    for threshold in [0.0, -0.5, 1.01, f64::INFINITY] {
        assert_eq!(refusal(config().with_threshold(threshold)), Some(GpmError::InvalidThreshold(threshold)));
        let own = LayerThreshold::new(ParamGroup::from_path("first.weight"), threshold);
        assert_eq!(refusal(config().with_thresholds(vec![own])), Some(GpmError::InvalidThreshold(threshold)));
    }
    assert!(matches!(refusal(config().with_threshold(f64::NAN)), Some(GpmError::InvalidThreshold(_))));
    assert_eq!(refusal(config().with_threshold_increment(-0.1)), Some(GpmError::InvalidIncrement(-0.1)));
    assert_eq!(refusal(config().with_scale(Some(-1.0))), Some(GpmError::InvalidScale(-1.0)));
    let least = GpmError::CapTooSmall { cap: "max_rank", value: 0, least: 1 };
    assert_eq!(refusal(config().with_max_rank(Some(0))), Some(least));
}

#[test]
fn layers_that_were_not_seen_are_named_and_the_memory_stays() {
    let device = device();
    let model = Mlp::new([3, 4, 2], false, &device);
    let mut memory = GpmConfig::new().init(&model).unwrap();
    memory.observe_task(&model, [random([4, 3], &device)], Mlp::forward).unwrap();
    let before = memory.to_bytes();
    let inputs = || [random([4, 3], &device)];
    let error = memory.observe_task(&model, inputs(), |model, x| model.last.forward(model.first.run(x)));
    let error = error.unwrap_err();
    assert_eq!(error, GpmError::Unseen(vec!["last".into()]));
    assert!(error.to_string().contains("no input was seen of last; call these layers by `Layer::run`"), "{error}");

    let poisoned = Tensor::<2>::from_floats([[1.0, f32::NAN, 0.0]], &device);
    let error = memory.observe_task(&model, [poisoned], Mlp::forward).unwrap_err();
    assert_eq!(error, GpmError::NonFinite("first".into()));
    let none: [Tensor<2>; 0] = [];
    assert_eq!(memory.observe_task(&model, none, Mlp::forward).unwrap_err(), GpmError::NoSamples);
    assert_eq!((memory.to_bytes(), memory.n_tasks()), (before, 1));
}

#[test]
fn an_unknown_layer_is_answered_with_those_there_are() {
    let memory = GpmConfig::new().init(&Mlp::new([2, 2, 2], false, &device())).unwrap();
    let error = memory.rank("second").unwrap_err();
    assert_eq!(error.to_string(), "the memory has no layer second; it has first, last");
}

#[derive(Module, Debug)]
struct Translator {
    embedding: Embedding,
    upward: ConvTranspose2d,
    out: Linear,
}

#[test]
fn weights_whose_inputs_span_no_space_need_a_decision() {
    let device = device();
    let model = Translator {
        embedding: EmbeddingConfig::new(5, 3).init(&device),
        upward: ConvTranspose2dConfig::new([2, 2], [2, 2]).init(&device),
        out: LinearConfig::new(3, 2).init(&device),
    };
    let error = GpmConfig::new().init(&model).unwrap_err();
    let GpmError::UnsupportedWeights(names) = &error else { panic!("{error}") };
    assert_eq!(names, &["embedding.weight (Embedding)", "upward.weight (ConvTranspose2d)"]);
    for decided in [
        GpmConfig::new().with_unprotected(Some(Others::Free)),
        GpmConfig::new().with_exclude(Some(ParamGroup::from_any_predicates(vec!["embedding", "upward"]))),
    ] {
        assert_eq!(decided.init(&model).unwrap().layers().collect::<Vec<_>>(), ["out"]);
    }
    let all = GpmConfig::new().with_exclude(Some(ParamGroup::from_any_predicates(vec!["embedding", "upward", "out"])));
    let error = all.init(&model).unwrap_err();
    assert!(matches!(&error, GpmError::NothingToProtect(types) if types.contains(&"Linear".to_owned())), "{error}");
}

#[test]
fn inputs_of_another_model_do_not_fit() {
    let device = device();
    let model = Mlp::new([3, 4, 2], false, &device);
    let mut memory = GpmConfig::new().init(&model).unwrap();
    let other = Mlp { first: LinearConfig::new(5, 4).init(&device), last: model.last.clone() };
    let mut first = other.first.clone();
    first.weight = burn::module::Param::from_tensor(first.weight.val());
    first.weight.id = model.first.weight.id;
    let other = Mlp { first, ..other };
    let error = memory.observe_task(&other, [random([4, 5], &device)], Mlp::forward).unwrap_err();
    assert_eq!(error, GpmError::WrongWidth { path: "first".into(), expected: 3, actual: 5 });
}

#[test]
fn inputs_of_zeros_add_nothing() {
    let device = device();
    let model = Mlp::new([3, 4, 2], false, &device);
    let mut memory = GpmConfig::new().with_threshold(1.0).init(&model).unwrap();
    let report = memory.observe_task(&model, [Tensor::<2>::zeros([4, 3], &device)], Mlp::forward).unwrap();
    assert!(report.layers.iter().all(|layer| layer.rank == 0 && layer.retained == 1.0), "{report:?}");
}

#[test]
fn low_rank_factors_of_an_embedding_need_a_decision_too() {
    let device = device();
    let embedding = EmbeddingConfig::new(5, 3).init(&device).no_grad();
    let model = (embedding, LinearConfig::new(3, 2).init(&device)).apply_lora(Lora::new(2, 1.0));
    let error = GpmConfig::new().init(&model).unwrap_err();
    let GpmError::UnsupportedWeights(names) = &error else { panic!("{error}") };
    assert_eq!(names.len(), 2, "{names:?}");
    assert!(names.iter().all(|name| name.starts_with("0.weight.lora.")), "{names:?}");
}
