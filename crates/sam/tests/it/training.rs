//! Optimizers, devices, statistics, and the other ways into a training loop.

use burn::grad_clipping::GradientClippingConfig;
use burn::module::{Module, ParamGroup};
use burn::optim::decay::WeightDecayConfig;
use burn::optim::momentum::MomentumConfig;
use burn::optim::{AdamConfig, GradientsAccumulator, GradientsParams, ModuleOptimizer, SgdConfig};
use burn::tensor::Device;
use rekindle_sam::{SamConfig, Selector};
use rekindle_shared::model::deep_copy;

use crate::common::*;

fn optimizers() -> Vec<ModuleOptimizer> {
    let decay = Some(WeightDecayConfig { penalty: 0.05 });
    let momentum = MomentumConfig::new().with_momentum(0.9).with_nesterov(true);
    vec![
        sgd(0.0),
        SgdConfig::new().with_momentum(Some(momentum)).with_weight_decay(decay.clone()).init(),
        SgdConfig::new().with_gradient_clipping(Some(GradientClippingConfig::Norm(0.1))).init(),
        AdamConfig::new().with_weight_decay(decay).with_grad_clipping(Some(GradientClippingConfig::Value(0.01))).init(),
    ]
}

/// What the definition says a step is, with Burn's parts alone.
fn by_definition(optimizer: &mut ModuleOptimizer, rho: f64, net: Net, batch: &Batch) -> Net {
    let grads = gradient_of(&net, |net| batch.loss(net));
    let perturbation = rekindle_sam::Perturbation::new(rho, &net, &grads).unwrap();
    let worst = perturbation.apply(deep_copy(&net));
    let grads = GradientsParams::from_grads(batch.loss(&worst).backward(), &worst);
    optimizer.step(0.05, net, grads)
}

#[test]
fn every_optimizer_takes_the_step_it_would_take_with_the_gradients() {
    let device = device();
    for optimizer in optimizers() {
        let mut sam = SamConfig::new().with_rho(0.3).init(optimizer.clone()).unwrap();
        let mut optimizer = optimizer;
        let (mut ours, mut base_form, mut theirs) =
            (Net::new(0.0, &device), Net::new(0.0, &device), Net::new(0.0, &device));
        let mut outer = sam.optimizer().clone();
        let mut reports = Vec::new();
        for seed in 0..4 {
            let batch = Batch::new(seed, 12, &device);
            let step = sam.ascent().gradients(&base_form, |net| batch.loss(net)).unwrap();
            base_form = outer.step(0.05, step.model, step.grads);
            let (next, report) = sam.step(0.05, ours, |net| batch.loss(net)).unwrap();
            ours = next;
            reports.push(report);
            theirs = by_definition(&mut optimizer, 0.3, theirs, &batch);
        }
        assert_eq!(bits(&ours), bits(&theirs));
        assert_eq!(bits(&ours), bits(&base_form));
        assert!(reports.iter().all(|report| report.sharpness().unwrap() > 0.0), "{reports:?}");
    }
}

#[test]
fn training_lowers_the_loss() {
    let device = device();
    let batch = Batch::new(5, 24, &device);
    let mut net = Net::new(0.0, &device);
    let mut sam = SamConfig::new().init(sgd(0.9)).unwrap();
    let mut losses = Vec::new();
    for _ in 0..100 {
        let (next, report) = sam.step(0.2, net, |net| batch.loss(net)).unwrap();
        net = next;
        losses.push(report.loss);
    }
    assert!(losses[99] < 0.5 * losses[0], "{losses:?}");
}

#[test]
fn a_gradient_checkpointing_device_gives_the_same_training() {
    let run = |device: &Device| {
        let mut net = Net::new(0.0, device);
        let mut sam = SamConfig::new().with_rho(0.3).with_micro_batch(Some(8)).init(sgd(0.9)).unwrap();
        for seed in 0..3 {
            let batch = Batch::new(seed, 12, device);
            net = sam.step_by_range(0.1, net, 12, |net, range| batch.loss_of(net, range)).unwrap().0;
        }
        let strategy = net.head.weight.val().gradient_checkpointing_strategy();
        (bits(&net), strategy)
    };
    let (plain, none) = run(&device());
    let checkpointing = device().gradient_checkpointing();
    let (checkpointed, strategy) = run(&checkpointing);
    assert_eq!(plain, checkpointed);
    assert_ne!(none, strategy);
    assert_eq!(strategy, checkpointing.gradient_checkpointing_strategy());
}

#[test]
fn statistics_see_the_first_passes_of_all_groups_in_order() {
    let device = device();
    let batch = Batch::new(3, 12, &device);
    let plain = Net::new(0.0, &device);
    for range in [0..5, 5..10, 10..12] {
        let _ = batch.loss_of(&plain, range);
    }
    let net = Net::new(0.0, &device);
    let before = net.running_mean();
    let ascent = SamConfig::new().with_rho(3.0).with_micro_batch(Some(5)).ascent().unwrap();
    let step = ascent.gradients_by_range(&net, 12, |net, range| batch.loss_of(net, range)).unwrap();
    assert_eq!(step.model.running_mean(), plain.running_mean());
    assert_eq!(net.running_mean(), before);
}

#[test]
fn a_loop_that_keeps_its_model_gets_the_statistics_of_the_first_pass() {
    // Burn's `TrainStep::step` has `&self`, returns gradients, and the learner steps the optimizer with the model it has.
    let device = device();
    let ascent = SamConfig::new().with_rho(0.3).ascent().unwrap();
    let mut sam = SamConfig::new().with_rho(0.3).init(sgd(0.9)).unwrap();
    let mut optimizer = sgd(0.9);
    let (mut learner, mut ours) = (Net::new(0.0, &device), Net::new(0.0, &device));
    for seed in 0..4 {
        let batch = Batch::new(seed, 12, &device);
        let train_step = |model: &Net| {
            let step = ascent.gradients(model, |net| batch.loss(net)).unwrap();
            step.share_statistics(model);
            step.grads
        };
        let grads = train_step(&learner);
        learner = optimizer.step(0.1, learner, grads);
        ours = sam.step(0.1, ours, |net| batch.loss(net)).unwrap().0;
    }
    assert_eq!(bits(&learner), bits(&ours));
}

#[test]
fn two_phases_with_accumulated_gradients_are_one_step_on_the_whole_batch() {
    let device = device();
    let samples = [[1.0_f32, 0.5], [-1.0, 3.0], [0.0, 0.25], [2.0, -2.0]];
    let loss = |point: &Point, range: std::ops::Range<usize>| {
        let x = point.weight.val();
        let term = |s: &[f32; 2]| {
            quadratic([3.0, 1.0])(point) - (x.clone() * burn::Tensor::<1>::from_data(*s, &x.device())).sum()
        };
        samples[range.clone()].iter().map(term).reduce(|a, b| a + b).unwrap() / 4.0
    };
    let accumulated = |point: &Point| {
        let mut accumulator = GradientsAccumulator::new();
        for range in [0..1, 1..3, 3..4] {
            accumulator.accumulate(point, gradient_of(point, |point| loss(point, range.clone())));
        }
        accumulator.grads()
    };
    let start = Point::new([1.0, -0.5], &device);
    let mut sam = SamConfig::new().with_rho(0.5).init(sgd(0.9)).unwrap();
    let mut whole = sam.clone();
    let (mut point, mut expected) = (start.clone(), start);
    for step in 0..3 {
        let grads = accumulated(&point);
        let (moved, perturbed) = sam.first_step(point, &grads).unwrap();
        assert_ne!(moved.at(), perturbed.model().at());
        let grads = accumulated(&moved);
        point = sam.second_step(0.1, perturbed, grads);
        assert_eq!(sam.ascent().step(), step + 1);
        expected = whole.step(0.1, expected, |point| loss(point, 0..4)).unwrap().0;
    }
    assert_close(&point.at(), &expected.at(), 1e-5);
}

#[test]
fn the_second_phase_leaves_statistics_alone_and_a_plain_step_does_not_move() {
    let device = device();
    let batch = Batch::new(3, 12, &device);
    let mut sam = SamConfig::new().with_rho(0.5).with_every(2).init(sgd(0.0)).unwrap();
    let mut net = Net::new(0.0, &device);
    for perturbs in [true, false] {
        assert_eq!(sam.ascent().perturbs(), perturbs);
        let grads = gradient_of(&net, |net| batch.loss(net));
        let (moved, perturbed) = sam.first_step(net, &grads).unwrap();
        let after_first = perturbed.model().running_mean();
        assert_eq!(bits(&moved) != bits(perturbed.model()), perturbs);
        let grads = gradient_of(&moved, |net| batch.loss(net));
        assert_eq!(perturbed.model().running_mean(), after_first);
        net = sam.second_step(0.1, perturbed, grads);
        assert_eq!(net.running_mean(), after_first);
    }
    let grads = gradient_of(&net, |net| batch.loss(net));
    let before = bits(&net);
    let (_, perturbed) = sam.first_step(net, &grads).unwrap();
    assert_eq!(bits(&perturbed.into_model()), before);
}

#[test]
fn frozen_parameters_stay_to_the_bit_and_do_not_count() {
    let device = device();
    let batch = Batch::new(3, 12, &device);
    let net = Net::new(0.0, &device);
    let frozen = net.clone().set_require_grad_group(ParamGroup::from_predicate("hidden"), false);
    let before = bits(&frozen);
    let mut sam = SamConfig::new().with_rho(0.5).init(sgd(0.9)).unwrap();
    let grads = gradient_of(&deep_copy(&frozen), |net| batch.loss(net));
    let moved = sam.ascent().perturbation(&frozen, &grads).unwrap().apply(deep_copy(&frozen));
    assert_eq!(bits(&moved)[..2], before[..2]);
    let (after, report) = sam.step(0.1, frozen, |net| batch.loss(net)).unwrap();
    assert_eq!(bits(&after)[..2], before[..2]);
    assert_ne!(bits(&after)[6], before[6]);
    assert!(!after.hidden.weight.is_require_grad() && after.head.weight.is_require_grad());
    // The same norm as with the frozen ones excluded.
    let config =
        SamConfig::new().with_rho(0.5).with_exclude(vec![Selector::Group(ParamGroup::from_predicate("hidden"))]);
    let excluded = config.ascent().unwrap().gradients(&net, |net| batch.loss(net)).unwrap().report;
    assert_eq!(report.gradient_norm, excluded.gradient_norm);
}

#[test]
fn adapters_are_perturbed_and_their_base_is_not() {
    use burn::module::Lora;
    let _guard = generator();
    let device = device();
    let batch = Batch::new(3, 12, &device);
    let net = Net::new(0.0, &device).apply_lora(Lora::new(2, 4.0));
    let mut sam = SamConfig::new().with_rho(0.5).init(sgd(0.0)).unwrap();
    let base = vector(net.head.weight.base());
    let b = |net: &Net| vector(net.head.weight.adapter().unwrap().b.val());
    let before = b(&net);
    let (after, report) = sam.step(0.1, net, |net| batch.loss(net)).unwrap();
    assert_eq!(vector(after.head.weight.base()), base);
    assert_ne!(b(&after), before);
    assert!(report.sharpness().unwrap() > 0.0);
}

#[test]
fn a_sum_of_many_elements_does_not_depend_on_threads() {
    // Above 4,194,304 elements Burn's own sum is split by threads.
    let device = device();
    let n = (1 << 22) + 12_345;
    let model = burn::module::Param::from_tensor(burn::Tensor::<1>::from_data(
        burn::tensor::TensorData::new(noise(3, n, 1.0), [n]),
        &device,
    ));
    let mut grads = GradientsParams::new();
    grads.register(model.id, model.val().inner());
    let norm = || {
        let perturbation = rekindle_sam::Perturbation::new(0.05, &model, &grads).unwrap();
        scalar(perturbation.gradient_norm()).to_bits()
    };
    let first = norm();
    assert!((0..20).all(|_| norm() == first));
    let exact = vector(model.val()).iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
    assert!((f64::from_bits(first) / exact - 1.0).abs() < 1e-4);
}
