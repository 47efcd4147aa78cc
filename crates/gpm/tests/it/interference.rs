//! The paper's claim: what is learned later leaves earlier outputs as they are.

use burn::module::Module;
use burn::optim::momentum::MomentumConfig;
use burn::optim::{AdamWConfig, ModuleOptimizer, SgdConfig};
use burn::tensor::Tensor;
use rekindle_gpm::{GpmConfig, Project};
use rekindle_shared::model::deep_copy;

use super::models::{Cnn, Mlp, device, distance, random, train};

fn optimizers() -> Vec<(&'static str, ModuleOptimizer)> {
    let momentum = MomentumConfig::new().with_momentum(0.9).with_dampening(0.0);
    vec![
        ("SGD", SgdConfig::new().init()),
        ("SGD with momentum", SgdConfig::new().with_momentum(Some(momentum)).init()),
        ("AdamW", AdamWConfig::new().with_weight_decay(0.1).init()),
    ]
}

#[test]
fn with_every_direction_kept_a_network_answers_as_before_whatever_the_optimizer() {
    let device = device();
    for (name, mut optimizer) in optimizers() {
        let model = Mlp::new([20, 12, 4], false, &device);
        let old = random([6, 20], &device);
        let mut memory = GpmConfig::new().with_threshold(1.0).init(&model).unwrap();
        memory.observe_task(&model, [old.clone()], Mlp::forward).unwrap();
        let before = model.forward(old.clone());
        let weight = model.first.weight.val();
        let model = train(&memory, model, &mut optimizer, 100, || random([16, 20], &device), Mlp::forward);
        let moved = distance(weight, model.first.weight.val());
        assert!(moved > 0.05, "{name}: the model moved by {moved} only");
        let drift = distance(before, model.forward(old));
        assert!(drift < 1e-5, "{name}: the outputs moved by {drift}");
    }
}

#[test]
fn without_a_memory_it_forgets() {
    let device = device();
    let model = Mlp::new([20, 12, 4], false, &device);
    let old = random([6, 20], &device);
    let before = model.forward(old.clone());
    let memory = GpmConfig::new().init(&model).unwrap();
    let mut optimizer = SgdConfig::new().init();
    let model = train(&memory, model, &mut optimizer, 100, || random([16, 20], &device), Mlp::forward);
    assert!(distance(before, model.forward(old)) > 0.05);
}

/// Why the update is projected by default.
#[test]
fn projected_gradients_do_not_bind_an_adaptive_optimizer() {
    let device = device();
    let drift = |project| {
        let model = Mlp::new([20, 12, 4], false, &device);
        let old = random([6, 20], &device);
        let mut memory = GpmConfig::new().with_threshold(1.0).with_project(project).init(&model).unwrap();
        memory.observe_task(&model, [old.clone()], Mlp::forward).unwrap();
        let before = model.forward(old.clone());
        let mut optimizer = AdamWConfig::new().init();
        let model = train(&memory, model, &mut optimizer, 100, || random([16, 20], &device), Mlp::forward);
        distance(before, model.forward(old))
    };
    let (gradient, update) = (drift(Project::Gradient), drift(Project::Update));
    assert!(gradient > 0.05 && update < 1e-5, "{gradient} {update}");
}

#[test]
fn features_of_a_convolutional_network_stay_and_norms_freeze() {
    let device = device();
    let model = Cnn::new(&device);
    let old = random([1, 2, 6, 6], &device); // 9 positions: fewer than the 18 inputs of a kernel
    let memory =
        GpmConfig::new().with_threshold(1.0).with_exclude(Some(burn::module::ParamGroup::from_predicate("heads")));
    let mut memory = memory.init(&model).unwrap();
    let (frozen, probe) = (deep_copy(&model), old.clone());
    memory.observe_task(&model, [old.clone()], |model, x| model.features(x)).unwrap();
    let before = frozen.valid().features(probe.inner());
    let mut optimizer = SgdConfig::new().init();
    let after = train(
        &memory,
        model.clone(),
        &mut optimizer,
        50,
        || random([8, 2, 6, 6], &device),
        |model, x| {
            // As in evaluation: running statistics are the one thing that a memory can't hold.
            rekindle_shared::model::with_source_statistics(model.clone()).forward(1, x)
        },
    );
    assert!(distance(model.first.weight.val(), after.first.weight.val()) > 0.0);
    assert_eq!(distance(model.norm.gamma.val(), after.norm.gamma.val()), 0.0);
    assert!(distance(model.heads[1].weight.val(), after.heads[1].weight.val()) > 0.01);
    let drift = distance(before, after.valid().features(old.inner()));
    assert!(drift < 1e-5, "{drift}");
}

#[test]
fn later_tasks_add_what_is_new_and_keep_the_basis_orthonormal() {
    let device = device();
    let model = Mlp::new([30, 16, 4], false, &device);
    let mut memory = GpmConfig::new().with_threshold(0.9).with_threshold_increment(0.01).init(&model).unwrap();
    let mut rank = 0;
    for task in 0..20 {
        let inputs: Tensor<2> = random([5, 3], &device).matmul(random([3, 30], &device));
        let report = memory.observe_task(&model, [inputs.clone()], Mlp::forward).unwrap();
        let first = &report.layers[0];
        let threshold = (0.9 + 0.01 * task as f64).min(1.0);
        assert!(first.retained >= threshold - 1e-6, "{first:?}");
        assert!(first.rank >= rank && first.rank <= 30 && first.rank - rank == first.added, "{first:?}");
        rank = first.rank;
        let basis = memory.basis("first").unwrap().remove(0);
        let identity = Tensor::<2>::eye(rank, &device.clone().inner());
        let off = (basis.clone().transpose().matmul(basis) - identity).abs().max().into_scalar::<f32>();
        assert!(off < 1e-5, "task {task}: {off}");
        let again = memory.clone().observe_task(&model, [inputs], Mlp::forward).unwrap();
        assert!(again.layers[0].added <= 1, "the same task again adds nothing but what the raised threshold asks for");
    }
    assert_eq!(memory.n_tasks(), 20);
    assert_eq!(memory.bytes(), 4 * (30 * memory.rank("first").unwrap() + 16 * memory.rank("last").unwrap()));
}
