//! Steps that must leave no trace, and models and losses that are refused.

use burn::module::{Module, Param};
use burn::nn::Relu;
use burn::tensor::Tensor;
use rekindle_sam::{NonFinite, Outcome, Perturbation, SamConfig, SamError, Selector};

use crate::common::*;

type Spoil = fn(Tensor<1>, &Net) -> Tensor<1>;

fn nan_loss(loss: Tensor<1>, _: &Net) -> Tensor<1> {
    loss * f32::NAN
}

/// The loss as it was, plus √0 of something that has a gradient: its slope is infinite.
fn infinite_gradient(loss: Tensor<1>, net: &Net) -> Tensor<1> {
    let weight = net.head.weight.val();
    let zero = (weight.clone() - weight.detach()).sum();
    loss + zero.abs().sqrt() + infinity_of(net)
}

fn infinity_of(net: &Net) -> Tensor<1> {
    let weight = net.head.weight.val();
    let zero: Tensor<1> = (weight.clone() - weight.detach()).flatten(0, 1);
    zero.sqrt().sum()
}

#[test]
fn a_step_that_is_not_finite_leaves_model_statistics_and_optimizer_untouched() {
    let device = device();
    let cases: [(usize, Spoil, NonFinite); 4] = [
        (0, nan_loss, NonFinite::Loss),
        (0, infinite_gradient, NonFinite::Gradient),
        (1, nan_loss, NonFinite::PerturbedLoss),
        (1, infinite_gradient, NonFinite::PerturbedGradient),
    ];
    for (pass, spoil, what) in cases {
        let mut sam = SamConfig::new().with_rho(0.3).init(sgd(0.9)).unwrap();
        let mut untroubled = sam.clone();
        let mut net = Net::new(0.0, &device);
        let [good, bad, last] = [1, 2, 3].map(|seed| Batch::new(seed, 12, &device));
        net = sam.step(0.1, net, |net| good.loss(net)).unwrap().0;
        let before = bits(&net);

        let mut calls = 0;
        let (after, report) = sam
            .step(0.1, net, |net| {
                calls += 1;
                let loss = bad.loss(net);
                if calls == pass + 1 { spoil(loss, net) } else { loss }
            })
            .unwrap();
        assert_eq!(report.outcome, Outcome::Skipped(what));
        assert!(report.is_skipped());
        assert_eq!(bits(&after), before);

        // What follows is what would have followed without it, momentum included.
        net = sam.step(0.1, after, |net| last.loss(net)).unwrap().0;
        let mut expected = Net::new(0.0, &device);
        for batch in [&good, &last] {
            expected = untroubled.step(0.1, expected, |net| batch.loss(net)).unwrap().0;
        }
        assert_eq!(bits(&net), bits(&expected));
        assert_eq!(sam.ascent().step(), 3);
    }
}

#[test]
fn images_that_are_not_numbers_leave_the_statistics_clean() {
    let device = device();
    let mut batch = Batch::new(1, 12, &device);
    batch.input = batch.input * f32::NAN;
    for rho in [0.0, 0.3] {
        for m in [None, Some(5)] {
            let config = SamConfig::new().with_rho(rho).with_micro_batch(m);
            let net = Net::new(0.0, &device);
            let before = bits(&net);
            let mut sam = config.init(sgd(0.9)).unwrap();
            let (net, report) = sam.step_by_range(0.1, net, 12, |net, range| batch.loss_of(net, range)).unwrap();
            assert_eq!(report.outcome, Outcome::Skipped(NonFinite::Loss));
            assert_eq!(bits(&net), before);
        }
    }
}

#[test]
fn one_bad_group_skips_the_whole_step() {
    let device = device();
    let batch = Batch::new(1, 12, &device);
    let net = Net::new(0.0, &device);
    let ascent = SamConfig::new().with_micro_batch(Some(4)).ascent().unwrap();
    let step = ascent
        .gradients_by_range(&net, 12, |net, range| {
            let bad = range.start == 4;
            let loss = batch.loss_of(net, range);
            if bad { infinite_gradient(loss, net) } else { loss }
        })
        .unwrap();
    assert_eq!(step.report.outcome, Outcome::Skipped(NonFinite::Gradient));
    assert!(step.grads.is_empty());
    assert_eq!(bits(&step.model), bits(&net));
    // An optimizer that gets no gradients changes nothing.
    let before = bits(&net);
    assert_eq!(bits(&sgd(0.9).step(0.1, step.model, step.grads)), before);
    let empty = ascent.gradients_by_range(&net, 12, |net, range| nan_loss(batch.loss_of(net, range), net)).unwrap();
    empty.share_statistics(&net);
    assert_eq!(bits(&net), before);
}

#[test]
fn batch_norm_of_a_batch_of_one_works_or_is_skipped_but_never_spoils() {
    let device = device();
    let batch = Batch::new(1, 1, &device);
    let mut sam = SamConfig::new().init(sgd(0.0)).unwrap();
    let (net, _) = sam.step(0.1, Net::new(0.0, &device), |net| batch.loss(net)).unwrap();
    assert!(bits(&net).iter().flatten().all(|bits| f32::from_bits(*bits).is_finite()));
}

#[derive(Module, Debug)]
struct Empty {
    activation: Relu,
}

#[test]
fn models_and_losses_with_nothing_to_differentiate_are_refused() {
    let device = device();
    let ascent = SamConfig::new().ascent().unwrap();
    let constant = || Tensor::<1>::from_data([1.0], &device);

    let empty = Empty { activation: Relu::new() };
    assert_eq!(ascent.gradients(&empty, |_| constant()).err(), Some(SamError::NothingToTrain));
    let plain = Point::new([1.0], &burn::tensor::Device::flex());
    assert_eq!(ascent.gradients(&plain, |p| p.weight.val()).err(), Some(SamError::NothingToTrain));
    let point = Point::new([1.0, 2.0], &device);
    let frozen = point.clone().no_grad();
    assert_eq!(ascent.gradients(&frozen, linear([1.0, 1.0])).err(), Some(SamError::NothingToTrain));

    assert_eq!(ascent.gradients(&point, |_| constant()).err(), Some(SamError::LossWithoutGraph));
    let other = Point::new([1.0, 2.0], &device);
    assert_eq!(ascent.gradients(&point, |_| linear([1.0, 1.0])(&other)).err(), Some(SamError::LossWithoutGraph));
    assert_eq!(ascent.gradients(&point, |p| p.weight.val()).err(), Some(SamError::LossNotScalar(2)));

    let nothing = SamConfig::new().with_exclude(vec![Selector::Weights]).ascent().unwrap();
    assert_eq!(nothing.gradients(&point, linear([1.0, 1.0])).err(), Some(SamError::NothingToPerturb));
    let none = burn::optim::GradientsParams::new();
    assert_eq!(Perturbation::new(0.1, &point, &none).err(), Some(SamError::NothingToPerturb));
    assert!(matches!(Perturbation::new(f64::NAN, &point, &none).err(), Some(SamError::InvalidRho(_))));
}

#[test]
fn micro_batches_want_to_know_the_batch() {
    let point = Point::new([1.0], &device());
    let mut sam = SamConfig::new().with_micro_batch(Some(4)).init(sgd(0.0)).unwrap();
    assert_eq!(sam.step(0.1, point.clone(), linear([1.0])).err(), Some(SamError::BatchSizeUnknown(4)));
    let by_range = |point: &Point, _| linear([1.0])(point);
    assert_eq!(sam.step_by_range(0.1, point, 0, by_range).err(), Some(SamError::EmptyBatch));
}

#[test]
fn messages_name_the_value_and_the_way_out() {
    assert_eq!(
        SamError::InvalidRho(-1.0).to_string(),
        "rho must be finite and at least 0, got -1; 0 is the base optimizer"
    );
    assert!(SamError::BatchSizeUnknown(32).to_string().contains("32"));
}

/// A parameter that the loss does not use has no gradient.
#[derive(Module, Debug)]
struct Spare {
    weight: Param<Tensor<1>>,
    spare: Param<Tensor<1>>,
}

#[test]
fn parameters_without_a_gradient_stay_to_the_bit() {
    let device = device();
    let spare =
        Spare { weight: Param::from_data([1.0], &device), spare: Param::from_data([-0.0, f32::NAN, 1e-45], &device) };
    let before = bits(&spare);
    let mut sam = SamConfig::new().init(sgd(0.9)).unwrap();
    let grads = gradient_of(&spare, |spare| spare.weight.val().powi_scalar(2).sum());
    let moved = sam.ascent().perturbation(&spare, &grads).unwrap().apply(spare.clone());
    assert_eq!(bits(&moved)[1], before[1]);
    let (after, report) = sam.step(0.1, spare, |spare| spare.weight.val().powi_scalar(2).sum()).unwrap();
    assert!(!report.is_skipped());
    assert_eq!(bits(&after)[1], before[1]);
    assert_ne!(bits(&after)[0], before[0]);
}
