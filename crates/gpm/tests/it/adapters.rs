//! Models of which a part is trained, and networks of others' making.

use burn::module::{Lora, Module, ParamGroup};
use burn::nn::{Linear, LinearConfig};
use burn::optim::{AdamWConfig, SgdConfig};
use burn::tensor::Tensor;
use burn::tensor::activation::relu;
use rekindle_gpm::GpmConfig;
use rekindle_shared::model::{Layer, try_init_seeded, with_source_statistics};
use rekindle_shared::networks::{ResNet, ResNetConfig, Shortcut};

use super::models::{Mlp, device, distance, random, train};

#[test]
fn low_rank_factors_are_protected_by_the_inputs_of_their_layer() {
    let device = device();
    let model = Mlp::new([20, 12, 4], false, &device).apply_lora(Lora::new(3, 3.0));
    let old = random([5, 20], &device);
    let mut memory = GpmConfig::new().with_threshold(1.0).init(&model).unwrap();
    let layers: Vec<_> = memory.layers().map(str::to_owned).collect();
    assert_eq!(layers.len(), 2, "{layers:?}");
    assert!(layers[0].starts_with("first.weight.") && layers[0].ends_with("a"), "{layers:?}");

    // The second factors start as zeros: the first task trains them, later ones don't.
    let mut optimizer = AdamWConfig::new().init();
    let model = train(&memory, model, &mut optimizer, 20, || random([8, 20], &device), Mlp::forward);
    memory.observe_task(&model, [old.clone()], Mlp::forward).unwrap();
    assert_eq!((memory.rank(&layers[0]).unwrap(), memory.rank(&layers[1]).unwrap()), (5, 5));
    let before = (model.forward(old.clone()), model.first.weight.val());
    let model = train(&memory, model, &mut optimizer, 60, || random([8, 20], &device), Mlp::forward);
    assert!(distance(before.1, model.first.weight.val()) > 0.01, "the adapter learns");
    let drift = distance(before.0, model.forward(old));
    assert!(drift < 1e-5, "{drift}");
}

/// A backbone that stays, and a bottleneck beside each of its layers that learns (Houlsby et al. 2019).
#[derive(Module, Debug)]
struct Adapted {
    backbone: Linear,
    down: Linear,
    up: Linear,
    head: Linear,
}

impl Adapted {
    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let x = relu(self.backbone.run(x));
        self.head.run(x.clone() + self.up.run(relu(self.down.run(x))))
    }
}

#[test]
fn adapters_beside_a_frozen_backbone_are_all_that_is_protected() {
    let device = device();
    let linear = |from, to| LinearConfig::new(from, to).init(&device);
    let model =
        Adapted { backbone: linear(20, 16).no_grad(), down: linear(16, 8), up: linear(8, 16), head: linear(16, 3) };
    let old = random([4, 20], &device);
    let mut memory = GpmConfig::new().with_threshold(1.0).init(&model).unwrap();
    assert_eq!(memory.layers().collect::<Vec<_>>(), ["down", "up", "head"]);
    memory.observe_task(&model, [old.clone()], Adapted::forward).unwrap();
    let (before, down) = (model.forward(old.clone()), model.down.weight.val());
    let mut optimizer = AdamWConfig::new().with_weight_decay(0.1).init();
    let model = train(&memory, model, &mut optimizer, 100, || random([8, 20], &device), Adapted::forward);
    assert!(distance(down, model.down.weight.val()) > 0.01);
    let drift = distance(before, model.forward(old));
    assert!(drift < 1e-5, "{drift}");
}

#[test]
fn a_residual_network_answers_as_before_with_every_direction_kept() {
    let device = device();
    let config = ResNetConfig::new().with_depth(8).with_width(8).with_shortcut(Shortcut::Project).with_n_classes(3);
    let model = try_init_seeded(1, &device, |device| config.init(device)).unwrap();
    // 4x4 pixels: fewer positions than the 9 inputs of a kernel for each channel.
    let old = random([1, 3, 4, 4], &device);
    let memory = GpmConfig::new().with_threshold(1.0).with_exclude(Some(ParamGroup::from_path("fc.bias")));
    let mut memory = memory.init(&model).unwrap();
    assert_eq!(memory.layers().count(), 7 + 2 + 1);
    memory.observe_task(&model, [old.clone()], |model: &ResNet, x| model.forward(x)).unwrap();
    let forward = |model: &ResNet, x: Tensor<4>| with_source_statistics(model.clone()).forward(x);
    let before = (forward(&model, old.clone()), model.layer2[0].conv2.weight.val());
    let mut optimizer = SgdConfig::new().init();
    let biased = model.fc.bias.as_ref().unwrap().val();
    let model = train(&memory, model, &mut optimizer, 30, || random([4, 3, 6, 6], &device), forward);
    assert!(distance(before.1, model.layer2[0].conv2.weight.val()) > 1e-3);
    // The bias was left free, and is all that moves the answers.
    let shift = model.fc.bias.as_ref().unwrap().val() - biased;
    let drift = distance(before.0, forward(&model, old) - shift.unsqueeze());
    assert!(drift < 1e-4, "{drift}");
}
