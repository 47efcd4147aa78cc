//! What each option changes.

use burn::module::{Module, ParamGroup};
use burn::nn::LinearConfig;
use burn::optim::{GradientsParams, SgdConfig};
use burn::tensor::Tensor;
use rekindle_gpm::{GpmConfig, GpmError, LayerThreshold, Others, RankRule};
use rekindle_shared::model::{Layer, observe};

use super::models::{Mlp, device, distance, random, train};

#[test]
fn biases_freeze_after_the_first_task_unless_told_otherwise() {
    let device = device();
    for (others, moves) in
        [(Others::FreezeAfterFirstTask, [true, false]), (Others::Freeze, [false, false]), (Others::Free, [true, true])]
    {
        let mut model = Mlp::new([6, 5, 2], true, &device);
        let mut memory = GpmConfig::new().with_biases(others).init(&model).unwrap();
        for expected in moves {
            let before = model.last.bias.as_ref().unwrap().val();
            let mut optimizer = SgdConfig::new().init();
            model = train(&memory, model, &mut optimizer, 3, || random([8, 6], &device), Mlp::forward);
            let moved = distance(before, model.last.bias.as_ref().unwrap().val()) > 0.0;
            assert_eq!(moved, expected, "{others:?}");
            memory.observe_task(&model, [random([8, 6], &device)], Mlp::forward).unwrap();
        }
    }
}

#[test]
fn frozen_layers_need_no_memory() {
    let device = device();
    let mut model = Mlp::new([6, 5, 2], false, &device);
    model.first = model.first.no_grad();
    let memory = GpmConfig::new().init(&model).unwrap();
    assert_eq!(memory.layers().collect::<Vec<_>>(), ["last"]);
}

#[test]
fn thresholds_and_rank_rules_by_layer() {
    let device = device();
    let model = Mlp::new([2, 3, 2], false, &device);
    let seen = Tensor::<2>::from_floats([[3.0, 0.0], [0.0, 1.0]], &device);
    let rank = |config: GpmConfig| {
        let mut memory = config.init(&model).unwrap();
        memory.observe_task(&model, [seen.clone()], Mlp::forward).unwrap();
        memory.rank("first").unwrap()
    };
    let config = || GpmConfig::new().with_threshold(0.95);
    assert_eq!(rank(config()), 2);
    assert_eq!(rank(config().with_rank_rule(RankRule::AuthorsCode)), 1);
    let own = |path| vec![LayerThreshold::new(ParamGroup::from_predicate(path), 0.85)];
    assert_eq!(rank(config().with_thresholds(own("first"))), 1);
    assert_eq!(rank(config().with_thresholds(own("last"))), 2);
}

#[test]
fn caps_keep_the_strongest_directions_and_say_what_they_left_out() {
    let device = device();
    let model = Mlp::new([10, 4, 2], false, &device);
    let scales = Tensor::<2>::from_floats([[5.0, 4.0, 3.0, 2.0, 1.0, 0.9, 0.8, 0.7, 0.6, 0.5]], &device);
    let seen = random([40, 10], &device) * scales;
    let config = || GpmConfig::new().with_threshold(1.0);
    let mut memory = config().with_max_rank(Some(3)).init(&model).unwrap();
    let report = memory.observe_task(&model, [seen.clone()], Mlp::forward).unwrap();
    assert_eq!((report.layers[0].rank, report.layers[0].left_out), (3, 7));
    assert_eq!(report.capped_layers()[0], "first");
    assert!(report.layers[0].retained > 0.7 && report.layers[0].retained < 1.0);

    let mut memory = config().with_max_bytes(Some(100)).init(&model).unwrap();
    let report = memory.observe_task(&model, [seen], Mlp::forward).unwrap();
    assert!(report.bytes <= 100 && report.bytes == memory.bytes(), "{report:?}");
    assert!(report.bytes > 60, "room is used");
    assert!(matches!(
        config().with_max_bytes(Some(39)).init(&model).err(),
        Some(GpmError::CapTooSmall { cap: "max_bytes", value: 39, least: 40 })
    ));
}

#[test]
fn scaled_projection_lets_weak_directions_move_and_ends_in_gpm() {
    let device = device();
    let model = Mlp::new([6, 4, 2], false, &device);
    let seen = Tensor::<2>::from_floats([[4.0, 0.0, 0.0, 0.0, 0.0, 0.0], [0.0, 2.0, 0.0, 0.0, 0.0, 0.0]], &device);
    let projected = |scale| {
        let mut memory = GpmConfig::new().with_threshold(1.0).with_scale(scale).init(&model).unwrap();
        memory.observe_task(&model, [seen.clone()], Mlp::forward).unwrap();
        let mut grads = GradientsParams::new();
        grads.register::<2>(model.first.weight.id, Tensor::ones([6, 4], &device.clone().inner()));
        let grads = memory.project_gradients(&model, grads);
        let column = grads.get::<2>(model.first.weight.id).unwrap().narrow(1, 0, 1);
        column.into_data().try_to_vec::<f32>().unwrap()
    };
    let close = |a: &[f32], b: [f32; 6]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-5);
    let gpm = projected(None);
    assert!(close(&gpm, [0.0, 0.0, 1.0, 1.0, 1.0, 1.0]), "{gpm:?}");
    // α = 1: importance 1 for σ = 4, 2 · 2 / (2 + 4) = 2/3 for σ = 2.
    let sgp = projected(Some(1.0));
    assert!(close(&sgp, [0.0, 1.0 / 3.0, 1.0, 1.0, 1.0, 1.0]), "{sgp:?}");
    assert!(close(&projected(Some(1e9)), [0.0, 0.0, 1.0, 1.0, 1.0, 1.0]));
}

#[test]
fn a_layer_called_twice_holds_the_inputs_of_both_calls() {
    let device = device();
    let layer = LinearConfig::new(3, 3).with_bias(false).init(&device);
    let mut memory = GpmConfig::new().with_threshold(1.0).init(&layer).unwrap();
    let inputs = Tensor::<2>::from_floats([[1.0, 0.0, 0.0]], &device);
    memory.observe_task(&layer, [inputs.clone()], |layer, x| (layer.run(x.clone()), layer.run(x.flip([1])))).unwrap();
    assert_eq!(memory.rank("weight").unwrap(), 2);
}

#[test]
fn inputs_can_be_gathered_by_hand() {
    let device = device();
    let model = Mlp::new([4, 3, 2], false, &device);
    let batches = [random([3, 4], &device), random([5, 4], &device)];
    let mut whole = GpmConfig::new().init(&model).unwrap();
    let mut by_hand = whole.clone();
    let report = whole.observe_task(&model, batches.clone(), Mlp::forward).unwrap();
    let mut task = by_hand.begin_task();
    for batch in batches {
        task.add(&observe(|| model.forward(batch)).1).unwrap();
    }
    assert_eq!(task.n_batches(), 2);
    assert_eq!(by_hand.end_task(task).unwrap(), report);
    assert_eq!(by_hand.to_bytes(), whole.to_bytes());
}
