//! Radii by group, exclusions, every k-th step, schedules, random directions, equal masks, half precision.

use burn::module::{Param, ParamGroup};
use burn::tensor::{FloatDType, Tensor};
use rekindle_sam::{Adaptive, Direction, Norm, RhoGroup, RhoSchedule, SamConfig, Selector};
use rekindle_shared::model::deep_copy;

use crate::common::*;

/// w after and before the perturbation of `config`, flat, in the order hidden, norm, head.
fn moves(config: &SamConfig, net: &Net, batch: &Batch) -> Vec<Vec<f32>> {
    let copy = deep_copy(net);
    let grads = gradient_of(&copy, |net| batch.loss(net));
    let moved = config.ascent().unwrap().perturbation(&copy, &grads).unwrap().apply(copy.clone());
    let difference =
        |a: Vec<u32>, b: Vec<u32>| a.iter().zip(b).map(|(a, b)| f32::from_bits(*a) - f32::from_bits(b)).collect();
    bits(&moved).into_iter().zip(bits(&copy)).map(|(moved, at)| difference(moved, at)).collect()
}

/// Places in what [`moves`] returns.
const HIDDEN_WEIGHT: usize = 0;
const HIDDEN_BIAS: usize = 1;
const GAMMA: usize = 2;
const BETA: usize = 3;
const HEAD_WEIGHT: usize = 6;
const HEAD_BIAS: usize = 7;

fn length(parts: &[&Vec<f32>]) -> f64 {
    parts.iter().flat_map(|part| part.iter()).map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt()
}

#[test]
fn groups_have_radii_of_their_own_under_one_norm() {
    let device = device();
    let (net, batch) = (Net::new(0.0, &device), Batch::new(2, 12, &device));
    let plain = moves(&SamConfig::new().with_rho(0.5), &net, &batch);
    let groups = vec![
        RhoGroup::new(Selector::Weights, 0.25),
        RhoGroup::new(ParamGroup::from_path("head.weight"), 1.0),
        RhoGroup::new(Selector::Norms, 0.0),
    ];
    let grouped = moves(&SamConfig::new().with_rho(0.5).with_groups(groups), &net, &batch);
    for (place, factor) in [(HIDDEN_WEIGHT, 0.5), (HIDDEN_BIAS, 1.0), (HEAD_WEIGHT, 2.0), (HEAD_BIAS, 1.0)] {
        let expected: Vec<f32> = plain[place].iter().map(|x| x * factor).collect();
        assert_close(&grouped[place], &expected, 1e-6);
        assert!(length(&[&plain[place]]) > 0.0 || place == HIDDEN_BIAS);
    }
    assert!(grouped[GAMMA].iter().chain(&grouped[BETA]).all(|x| *x == 0.0));
}

#[test]
fn excluded_parameters_neither_move_nor_count() {
    let device = device();
    let (net, batch) = (Net::new(0.0, &device), Batch::new(2, 12, &device));
    let config = SamConfig::new().with_rho(0.5);
    let excluding = |exclude| moves(&config.clone().with_exclude(exclude), &net, &batch);

    let moved = excluding(vec![Selector::Norms, Selector::Biases]);
    assert!([HIDDEN_BIAS, GAMMA, BETA, HEAD_BIAS].iter().all(|place| moved[*place].iter().all(|x| *x == 0.0)));
    // The length of what moves is ρ: the others are not in the norm.
    assert!((length(&[&moved[HIDDEN_WEIGHT], &moved[HEAD_WEIGHT]]) - 0.5).abs() < 1e-5);

    let moved = excluding(vec![ParamGroup::from_ids(vec![net.head.weight.id]).into()]);
    assert!(moved[HEAD_WEIGHT].iter().all(|x| *x == 0.0));
    assert!((length(&moved.iter().collect::<Vec<_>>()) - 0.5).abs() < 1e-5);

    // Excluded ones are still trained.
    let ascent = config.with_exclude(vec![Selector::Biases]).ascent().unwrap();
    let step = ascent.gradients(&net, |net| batch.loss(net)).unwrap();
    assert_eq!(gradients(&step).len(), 6);
}

#[test]
fn the_adaptive_rule_scales_weights_and_norm_scales_only() {
    let device = device();
    let (net, batch) = (Net::new(0.0, &device), Batch::new(2, 12, &device));
    let copy = deep_copy(&net);
    let grads = gradient_of(&copy, |net| batch.loss(net));
    let with = |adaptive| moves(&SamConfig::new().with_adaptive(Some(adaptive)), &net, &batch);
    let ratio = |moved: &[f32], grad: Vec<f32>, w: Vec<f32>, t: fn(f32) -> f32| -> Vec<f32> {
        // A unit that is off for the whole batch has no gradient.
        moved
            .iter()
            .zip(grad)
            .zip(w)
            .filter(|((_, g), _)| *g != 0.0)
            .map(|((m, g), w)| m / (t(w).powi(2) * g))
            .collect()
    };
    let head_bias = net.head.bias.as_ref().unwrap();
    type Scaling = fn(f32) -> f32;
    let authors: Scaling = |w| w.abs() + 0.01;
    let everything: Scaling = f32::abs;
    for (adaptive, weight, bias) in
        [(Adaptive::default(), authors, (|_| 1.0) as Scaling), (Adaptive::Everything, everything, everything)]
    {
        let moved = with(adaptive);
        let weight = ratio(
            &moved[HEAD_WEIGHT],
            vector(grads.get::<2>(net.head.weight.id).unwrap()),
            vector(net.head.weight.val()),
            weight,
        );
        let gamma = ratio(
            &moved[GAMMA],
            vector(grads.get::<1>(net.norm.gamma.id).unwrap()),
            vector(net.norm.gamma.val()),
            if adaptive == Adaptive::Everything { everything } else { authors },
        );
        let bias =
            ratio(&moved[HEAD_BIAS], vector(grads.get::<1>(head_bias.id).unwrap()), vector(head_bias.val()), bias);
        assert!(weight.len() > 12 && gamma.len() > 4 && bias.len() == N_CLASSES);
        // One factor ρ / ‖T g‖ for all.
        for other in weight.iter().chain(&gamma).chain(&bias) {
            assert!((other / weight[0] - 1.0).abs() < 1e-2, "{adaptive:?}: {weight:?} {gamma:?} {bias:?}");
        }
    }
}

#[test]
fn between_every_kth_step_one_pass_is_taken() {
    let device = device();
    let mut net = Net::new(0.0, &device);
    let batch = Batch::new(2, 12, &device);
    let mut sam = SamConfig::new().with_every(3).with_micro_batch(Some(6)).init(sgd(0.9)).unwrap();
    let mut seen = Vec::new();
    for _ in 0..5 {
        let mut ranges = Vec::new();
        let expected = plain_step(&mut sam.optimizer().clone(), 0.1, deep_copy(&net), |net| batch.loss(net));
        let (next, report) = sam
            .step_by_range(0.1, net, 12, |net, range| {
                ranges.push(range.clone());
                batch.loss_of(net, range)
            })
            .unwrap();
        net = next;
        assert_eq!(bits(&net) == bits(&expected), report.passes == 1);
        assert!(report.passes == 2 || ranges.first() == Some(&(0..12)));
        assert_eq!(report.loss_perturbed.is_some(), report.passes == 2);
        seen.push((ranges.len(), report.passes, report.rho));
    }
    assert_eq!(seen, [(4, 2, 0.05), (1, 1, 0.0), (1, 1, 0.0), (4, 2, 0.05), (1, 1, 0.0)]);
}

#[test]
fn a_schedule_scales_every_radius_and_a_radius_set_by_hand_replaces_the_configured_one() {
    let mut point = Point::new([1.0, 1.0], &device());
    let schedule = RhoSchedule::Linear { from: 0.0, to: 1.0, steps: 2 };
    let mut sam = SamConfig::new().with_rho(0.2).with_schedule(schedule).init(sgd(0.0)).unwrap();
    let mut radii = Vec::new();
    for step in 0..4 {
        if step == 3 {
            sam.ascent_mut().set_rho(0.5).unwrap();
        }
        let report;
        (point, report) = sam.step(0.01, point, quadratic([4.0, 1.0])).unwrap();
        radii.push((report.rho, report.passes));
    }
    assert_eq!(radii, [(0.0, 1), (0.1, 2), (0.2, 2), (0.5, 2)]);
    assert!(sam.ascent_mut().set_rho(-1.0).is_err());
}

#[test]
fn a_random_direction_repeats_has_length_rho_and_takes_one_pass() {
    let device = device();
    let (net, batch) = (Net::new(0.0, &device), Batch::new(2, 12, &device));
    let config = |seed| SamConfig::new().with_rho(0.3).with_direction(Direction::Random { seed });
    let [first, again, other] = [4, 4, 5].map(|seed| moves(&config(seed), &net, &batch));
    assert_eq!(first, again);
    assert_ne!(first, other);
    assert!((length(&first.iter().collect::<Vec<_>>()) - 0.3).abs() < 1e-5);
    let signs = moves(&config(4).with_norm(Norm::LInf), &net, &batch);
    assert!(signs[HEAD_WEIGHT].iter().all(|x| (x.abs() - 0.3).abs() < 1e-6));

    let mut sam = config(4).init(sgd(0.0)).unwrap();
    let mut calls = 0;
    let (stepped, report) = sam
        .step(0.1, net.clone(), |net| {
            calls += 1;
            batch.loss(net)
        })
        .unwrap();
    assert_eq!((calls, report.passes, report.loss_perturbed, report.gradient_norm), (1, 1, None, None));
    // The gradient is that at w + ε, and the step is taken from w.
    let copy = deep_copy(&net);
    let ascent = config(4).ascent().unwrap();
    let moved = ascent.perturbation(&copy, &burn::optim::GradientsParams::new()).unwrap().apply(copy.clone());
    let grads = burn::optim::GradientsParams::from_grads(batch.loss(&moved).backward(), &moved);
    let expected = sgd(0.0).step(0.1, net, grads);
    assert_eq!(vector(stepped.head.weight.val()), vector(expected.head.weight.val()));
    // Its running statistics are those of the one pass.
    assert_eq!(stepped.running_mean(), moved.running_mean());

    // The next step draws anew.
    let before = sam.ascent().perturbation(&copy, &burn::optim::GradientsParams::new()).unwrap();
    assert_ne!(vector(before.apply(copy).head.weight.val()), vector(moved.head.weight.val()));
}

#[test]
fn both_passes_draw_the_same_masks_if_asked_to() {
    let _guard = generator();
    let device = device();
    let net = Net::new(0.5, &device);
    let batch = Batch::new(2, 12, &device);
    let masks = |config: SamConfig| {
        let mut masks = Vec::new();
        let mut sam = config.with_micro_batch(Some(6)).init(sgd(0.0)).unwrap();
        device.seed(1);
        for _ in 0..2 {
            sam.step_by_range(0.0, net.clone(), 12, |net, range| {
                masks.push(vector(net.dropout.forward(Tensor::<1>::ones([64], &device))));
                batch.loss_of(net, range)
            })
            .unwrap();
        }
        masks
    };
    let equal = masks(SamConfig::new().with_same_masks(Some(9)));
    // Two steps of two groups of two passes.
    for pair in equal.chunks(2) {
        assert_eq!(pair[0], pair[1]);
    }
    assert!(equal[0] != equal[2] && equal[0] != equal[4]);
    assert_eq!(equal, masks(SamConfig::new().with_same_masks(Some(9))));
    let free = masks(SamConfig::new());
    assert_ne!(free[0], free[1]);
}

#[test]
fn half_precision_parameters_are_perturbed_in_single_precision() {
    let device = device();
    let half = Tensor::<1>::from_data([300.0, 400.0], &device.clone().inner()).cast(FloatDType::F16);
    let point = Point { weight: Param::from_tensor(half.autodiff()) };
    // The squares of the gradient, 90,000 and 160,000, are beyond the largest half.
    let mut grads = burn::optim::GradientsParams::new();
    let grad = Tensor::<1>::from_data([300.0, 400.0], &device.clone().inner()).cast(FloatDType::F16);
    grads.register(point.weight.id, grad);
    let perturbation = SamConfig::new().with_rho(5.0).ascent().unwrap().perturbation(&point, &grads).unwrap();
    assert_eq!(scalar(perturbation.gradient_norm()), 500.0);
    let moved = perturbation.apply(point.clone());
    assert_eq!(moved.at(), [303.0, 404.0]);
    assert_eq!(moved.weight.val().dtype(), point.weight.val().dtype());
    assert!(moved.weight.is_require_grad());
}

#[test]
fn parameters_of_several_precisions_share_one_norm() {
    #[derive(burn::module::Module, Debug)]
    struct Mixed {
        single: Param<Tensor<1>>,
        double: Param<Tensor<1>>,
    }
    let device = device();
    let double = Tensor::<1>::from_data([4.0], &device.clone().inner()).cast(FloatDType::F64);
    let mixed = Mixed { single: Param::from_data([3.0], &device), double: Param::from_tensor(double.autodiff()) };
    let loss = |mixed: &Mixed| {
        let double = mixed.double.val().cast(FloatDType::F32);
        (mixed.single.val().powi_scalar(2) + double.powi_scalar(2)).sum() * 0.5
    };
    let mut sam = SamConfig::new().with_rho(1.0).init(sgd(0.0)).unwrap();
    let (mixed, report) = sam.step(0.5, mixed, loss).unwrap();
    assert_eq!(report.gradient_norm, Some(5.0));
    // g + ρ g / ‖g‖ is (3.6, 4.8).
    assert_close(&vector(mixed.single.val()), &[1.2], 1e-6);
    assert_close(&vector(mixed.double.val()), &[1.6], 1e-6);
    assert_eq!(mixed.double.val().dtype(), burn::tensor::DType::F64);
}
