//! Numbers worked out by hand, one test or more for each.

use burn::module::{Module, Param};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;
use rekindle_sam::{Adaptive, Norm, Perturbation, SamConfig};

use crate::common::*;

fn epsilon(config: &SamConfig, point: &Point, loss: impl Fn(&Point) -> Tensor<1>) -> Vec<f32> {
    let grads = gradient_of(point, loss);
    let perturbation = config.ascent().unwrap().perturbation(point, &grads).unwrap();
    point.gradient(&perturbation.epsilon(point))
}

fn asam(eta: f64) -> SamConfig {
    SamConfig::new().with_rho(0.5).with_adaptive(Some(Adaptive::Weights { eta }))
}

fn length(vector: &[f32]) -> f64 {
    vector.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt()
}

#[test]
fn one_sgd_step_on_a_quadratic() {
    let point = Point::new([1.0, 1.0], &device());
    let loss = quadratic([4.0, 1.0]);
    assert_close(&epsilon(&SamConfig::new(), &point, &loss), &[0.048_507_13, 0.012_126_78], 1e-8);

    let mut sam = SamConfig::new().init(sgd(0.0)).unwrap();
    let gradients = sam.ascent().gradients(&point, &loss).unwrap();
    assert_close(&point.gradient(&gradients.grads), &[4.194_028_5, 1.012_126_8], 1e-6);

    let (point, report) = sam.step(0.1, point, &loss).unwrap();
    assert_close(&point.at(), &[0.580_597_15, 0.898_787_3], 1e-6);
    assert!((report.gradient_norm.unwrap() - 4.123_105_6).abs() < 1e-6);
    assert!((report.loss - 2.5).abs() < 1e-6);
    // ½ (4 · 1.04850713² + 1.01212678²)
    assert!((report.loss_perturbed.unwrap() - 2.710_934_7).abs() < 1e-5, "{report:?}");
    assert!((report.sharpness().unwrap() - 0.210_934_7).abs() < 1e-5);
    assert_eq!((report.passes, report.rho, report.is_skipped()), (2, 0.05, false));
}

#[test]
fn adaptive_perturbations_of_a_quadratic() {
    let point = Point::new([2.0, 0.5], &device());
    let loss = quadratic([4.0, 1.0]);
    assert_close(&epsilon(&asam(0.0), &point, &loss), &[0.999_878, 0.003_905_77], 1e-6);
    assert_close(&epsilon(&asam(0.01), &point, &loss), &[1.004_873_6, 0.004_043_33], 1e-6);

    let norm = |config: SamConfig| {
        let perturbation = config.ascent().unwrap().perturbation(&point, &gradient_of(&point, &loss)).unwrap();
        scalar(perturbation.gradient_norm())
    };
    assert!((norm(asam(0.0)) - 16.001_953).abs() < 1e-5);
    assert!((norm(asam(0.01)) - 16.082_022).abs() < 1e-5);
}

#[test]
fn perturbations_have_length_rho_in_their_norm() {
    let point = Point::new([2.0, 0.5, 0.0, -1.0], &device());
    let loss = quadratic([4.0, 1.0, 7.0, 0.3]);
    assert!((length(&epsilon(&SamConfig::new(), &point, &loss)) - 0.05).abs() < 1e-8);
    // ε̂ · g = ρ ‖g‖
    let gradient = [8.0, 0.5, 0.0, -0.3];
    let dot = |a: &[f32]| a.iter().zip(gradient).map(|(a, b)| f64::from(*a) * b).sum::<f64>();
    assert!((dot(&epsilon(&SamConfig::new(), &point, &loss)) - 0.05 * 8.021_222_850_408_34).abs() < 1e-6);

    let scaled = epsilon(&asam(0.01), &point, &loss);
    let unscaled: Vec<f32> = scaled.iter().zip(point.at()).map(|(e, w)| e / (w.abs() + 0.01)).collect();
    assert!((length(&unscaled) - 0.5).abs() < 1e-6);

    let infinity = SamConfig::new().with_norm(Norm::LInf);
    assert_close(&epsilon(&infinity, &point, &loss), &[0.05, 0.05, 0.0, -0.05], 1e-9);
    assert!((dot(&epsilon(&infinity, &point, &loss)) - 0.05 * 8.8).abs() < 1e-6);

    let adaptive = infinity.with_adaptive(Some(Adaptive::Everything));
    assert_close(&epsilon(&adaptive, &point, &loss), &[0.1, 0.025, 0.0, -0.05], 1e-8);
}

#[test]
fn a_gradient_near_the_floor_of_the_denominator_gives_half_the_radius() {
    let point = Point::new([1.0], &device());
    assert_close(&epsilon(&SamConfig::new(), &point, linear([1e-12])), &[0.025], 1e-6);
}

#[test]
fn rho_0_is_the_base_optimizer_to_the_bit_in_one_pass() {
    let _guard = generator();
    let device = device();
    let run = |with_sam: bool| {
        let mut net = Net::new(0.3, &device);
        let mut sam = SamConfig::new().with_rho(0.0).init(sgd(0.9)).unwrap();
        let mut optimizer = sgd(0.9);
        device.seed(11);
        for seed in 0..5 {
            let batch = Batch::new(seed, 12, &device);
            net = if with_sam {
                let (net, report) = sam.step(0.1, net, |net| batch.loss(net)).unwrap();
                assert_eq!((report.passes, report.loss_perturbed, report.rho), (1, None, 0.0));
                net
            } else {
                plain_step(&mut optimizer, 0.1, net, |net| batch.loss(net))
            };
        }
        bits(&net)
    };
    assert_eq!(run(true), run(false));
}

#[test]
fn a_gradient_of_0_moves_nothing_and_gives_no_nan() {
    let point = Point::new([0.0, -0.0], &device());
    for config in [SamConfig::new(), SamConfig::new().with_norm(Norm::LInf), asam(0.0), asam(0.01)] {
        assert_eq!(epsilon(&config, &point, quadratic([4.0, 1.0])), [0.0, 0.0]);
        let mut sam = config.init(sgd(0.0)).unwrap();
        let (point, report) = sam.step(0.1, point.clone(), quadratic([4.0, 1.0])).unwrap();
        assert_eq!(point.at(), [0.0, 0.0]);
        assert_eq!((report.gradient_norm, report.sharpness()), (Some(0.0), Some(0.0)));
    }
}

#[test]
fn on_a_linear_loss_sam_is_sgd_for_any_rho() {
    let point = Point::new([1.0, -2.0, 0.5], &device());
    let loss = linear([0.3, -0.1, 2.0]);
    for rho in [0.01, 0.5, 10.0] {
        let ascent = SamConfig::new().with_rho(rho).ascent().unwrap();
        let gradients = ascent.gradients(&point, &loss).unwrap();
        assert_eq!(point.gradient(&gradients.grads), [0.3, -0.1, 2.0]);
    }
}

#[test]
fn the_rise_of_the_loss_tends_to_rho_times_the_norm() {
    let point = Point::new([1.0, 1.0], &device());
    let ratio = |rho: f64| {
        let ascent = SamConfig::new().with_rho(rho).ascent().unwrap();
        let report = ascent.gradients(&point, quadratic([4.0, 1.0])).unwrap().report;
        report.sharpness().unwrap() / (rho * report.gradient_norm.unwrap())
    };
    // On a quadratic the ratio is 1 + ρ uᵀHu / 2‖g‖ with uᵀHu = 65/17.
    for rho in [0.5, 0.1, 0.02] {
        assert!((ratio(rho) - 1.0 - rho * 65.0 / 17.0 / 2.0 / 17.0_f64.sqrt()).abs() < 1e-4, "{rho}");
    }
}

#[test]
fn on_a_quadratic_the_gradient_is_g_plus_rho_h_g_over_its_norm() {
    let point = Point::new([0.7, -1.5, 0.2], &device());
    let h = [3.0, 0.5, 11.0];
    let g: Vec<f64> = point.at().iter().zip(h).map(|(w, h)| f64::from(*w) * f64::from(h)).collect();
    let norm = g.iter().map(|g| g * g).sum::<f64>().sqrt();
    for rho in [0.05, 1.0] {
        let expected: Vec<f32> = g.iter().zip(h).map(|(g, h)| (g + rho * f64::from(h) * g / norm) as f32).collect();
        let ascent = SamConfig::new().with_rho(rho).ascent().unwrap();
        let gradients = ascent.gradients(&point, quadratic(h)).unwrap();
        assert_close(&point.gradient(&gradients.grads), &expected, 2e-6);
    }
}

#[test]
fn scaling_the_loss_leaves_the_perturbation_alone() {
    let point = Point::new([0.7, -1.5], &device());
    let plain = epsilon(&SamConfig::new(), &point, quadratic([3.0, 0.5]));
    for factor in [1e-3, 1e4] {
        let scaled = epsilon(&SamConfig::new(), &point, |p| quadratic([3.0, 0.5])(p).mul_scalar(factor));
        assert_close(&scaled, &plain, 1e-8);
    }
}

/// The same loss with its parameters in several tensors, of several ranks and in another order.
#[derive(Module, Debug)]
struct Split {
    last: Param<Tensor<2>>,
    first: Param<Tensor<1>>,
}

#[test]
fn the_norm_is_global_however_parameters_are_split() {
    let device = device();
    let whole = Point::new([1.0, -2.0, 0.5], &device);
    let split = Split { last: Param::from_data([[-2.0], [0.5]], &device), first: Param::from_data([1.0], &device) };
    let loss = |split: &Split| {
        let last: Tensor<1> = split.last.val().flatten(0, 1);
        let x = Tensor::cat(vec![split.first.val(), last], 0);
        let h = Tensor::<1>::from_data([4.0, 1.0, 9.0], &x.device());
        (x.powi_scalar(2) * h).sum() * 0.5
    };
    let ascent = SamConfig::new().with_rho(0.3).ascent().unwrap();
    let expected = whole.gradient(&ascent.gradients(&whole, quadratic([4.0, 1.0, 9.0])).unwrap().grads);
    let grads = ascent.gradients(&split, loss).unwrap().grads;
    let first = vector(grads.get::<1>(split.first.id).unwrap());
    let last = vector(grads.get::<2>(split.last.id).unwrap());
    assert_close(&[first, last].concat(), &expected, 1e-6);
}

#[test]
fn weights_come_back_to_the_bit_and_the_optimizer_advances_once() {
    let device = device();
    let net = Net::new(0.0, &device);
    let before = bits(&net);
    let batch = Batch::new(1, 12, &device);
    let ascent = SamConfig::new().with_rho(0.7).ascent().unwrap();
    let gradients = ascent.gradients(&net, |net| batch.loss(net)).unwrap();
    assert_eq!(bits(&net), before);
    let weights_of = |bits: Vec<Vec<u32>>| [bits[0].clone(), bits[1].clone(), bits[6].clone(), bits[7].clone()];
    assert_eq!(weights_of(bits(&gradients.model)), weights_of(before));

    // With momentum an optimizer that advanced twice a step would be elsewhere at the second.
    let mut sam = SamConfig::new().with_rho(0.7).init(sgd(0.9)).unwrap();
    let mut optimizer = sgd(0.9);
    let (mut ours, mut theirs) = (net.clone(), Net::new(0.0, &device));
    for _ in 0..3 {
        ours = sam.step(0.1, ours, |net| batch.loss(net)).unwrap().0;
        let grads = gradient_of(&theirs, |net| batch.loss(net));
        let worst = Perturbation::new(0.7, &theirs, &grads).unwrap().apply(rekindle_shared::model::deep_copy(&theirs));
        let grads = GradientsParams::from_grads(batch.loss(&worst).backward(), &worst);
        theirs = optimizer.step(0.1, theirs, grads);
    }
    assert_eq!(bits(&ours), bits(&theirs));
}

#[test]
fn one_group_of_the_whole_batch_is_sam() {
    let device = device();
    let net = Net::new(0.0, &device);
    let batch = Batch::new(1, 12, &device);
    let whole = SamConfig::new().ascent().unwrap().gradients(&net, |net| batch.loss(net)).unwrap();
    for m in [12, 13, 1000] {
        let ascent = SamConfig::new().with_micro_batch(Some(m)).ascent().unwrap();
        let grouped = ascent.gradients_by_range(&net, 12, |net, range| batch.loss_of(net, range)).unwrap();
        assert_eq!(gradients(&grouped), gradients(&whole));
        assert_eq!(grouped.report, whole.report);
        assert_eq!(bits(&grouped.model), bits(&whole.model));
    }
}

/// Squared error of x against each sample.
fn distances(samples: Vec<[f32; 2]>) -> impl Fn(&Point, std::ops::Range<usize>) -> Tensor<1> {
    move |point, range| {
        let x = point.weight.val();
        let rows: Vec<Tensor<1>> = samples[range].iter().map(|s| Tensor::<1>::from_data(*s, &x.device())).collect();
        let n = rows.len() as f32;
        let terms = rows.into_iter().map(|row| (x.clone() - row).powi_scalar(2).sum());
        terms.reduce(|a, b| a + b).unwrap().div_scalar(n)
    }
}

#[test]
fn the_mean_over_identical_groups_is_sam() {
    let point = Point::new([1.0, 2.0], &device());
    let group = [[0.5, -1.0], [3.0, 0.25], [-1.0, 0.0]];
    let loss = distances([group, group, group, group].concat());
    let ascent = |m| SamConfig::new().with_rho(0.5).with_micro_batch(m).ascent().unwrap();
    let whole = ascent(None).gradients_by_range(&point, 12, &loss).unwrap();
    let grouped = ascent(Some(3)).gradients_by_range(&point, 12, &loss).unwrap();
    assert_close(&point.gradient(&grouped.grads), &point.gradient(&whole.grads), 1e-5);
    assert!((grouped.report.sharpness().unwrap() - whole.report.sharpness().unwrap()).abs() < 1e-5);
    assert!((grouped.report.gradient_norm.unwrap() - whole.report.gradient_norm.unwrap()).abs() < 1e-5);
}

#[test]
fn each_group_has_its_own_perturbation_and_counts_by_its_size() {
    // Group gradients at w by hand: mean of 2 (x - s), then at x + ρ u: 2 (x + ρ u - s).
    let point = Point::new([1.0, 2.0], &device());
    let samples = vec![[0.5_f32, -1.0], [3.0, 0.25], [-1.0, 0.0]];
    let ascent = SamConfig::new().with_rho(0.5).with_micro_batch(Some(2)).ascent().unwrap();
    let mut ranges = Vec::new();
    let loss = distances(samples.clone());
    let grouped = ascent
        .gradients_by_range(&point, 3, |point, range| {
            ranges.push(range.clone());
            loss(point, range)
        })
        .unwrap();
    assert_eq!(ranges, [0..2, 0..2, 2..3, 2..3]);
    let mut expected = [0.0_f64; 2];
    for (group, share) in [(&samples[0..2], 2.0 / 3.0), (&samples[2..3], 1.0 / 3.0)] {
        let mean = |i: usize| group.iter().map(|s| f64::from(s[i])).sum::<f64>() / group.len() as f64;
        let g = [2.0 * (1.0 - mean(0)), 2.0 * (2.0 - mean(1))];
        let norm = (g[0] * g[0] + g[1] * g[1]).sqrt();
        (0..2).for_each(|i| expected[i] += share * (g[i] + 2.0 * 0.5 * g[i] / norm));
    }
    assert_close(&point.gradient(&grouped.grads), &expected.map(|e| e as f32), 1e-5);
}

#[test]
fn on_a_linear_loss_all_m_agree_and_m_1_ascends_for_every_sample() {
    let point = Point::new([1.0, 2.0], &device());
    let slopes = [[1.0_f32, 0.0], [0.0, 2.0], [-1.0, 1.0], [0.5, 0.5], [3.0, -1.0]];
    let loss = |point: &Point, range: std::ops::Range<usize>| {
        let n = range.len() as f32;
        let slope = [0, 1].map(|i| slopes[range.clone()].iter().map(|s| s[i]).sum::<f32>() / n);
        linear(slope)(point)
    };
    for m in 1..=5 {
        let mut calls = 0;
        let ascent = SamConfig::new().with_rho(2.0).with_micro_batch(Some(m)).ascent().unwrap();
        let grads = ascent
            .gradients_by_range(&point, 5, |point, range| {
                calls += 1;
                loss(point, range)
            })
            .unwrap()
            .grads;
        assert_close(&point.gradient(&grads), &[0.7, 0.5], 1e-6);
        assert_eq!(calls, 2 * 5_usize.div_ceil(m));
    }
}

#[test]
fn adaptive_sharpness_is_invariant_to_rescaling_and_plain_sharpness_is_not() {
    // f(w₁, w₂) = w₁ w₂ x does not change under (c w₁, w₂ / c).
    let device = device();
    let loss = |point: &Point| {
        let w = point.weight.val();
        w.clone().narrow(0, 0, 1) * w.narrow(0, 1, 1) * 1.5
    };
    let perturbed = |config: &SamConfig, c: f32| {
        let point = Point::new([0.8 * c, 1.25 / c], &device);
        config.ascent().unwrap().gradients(&point, loss).unwrap().report.loss_perturbed.unwrap()
    };
    for rho in [0.1, 2.0] {
        let adaptive = asam(0.0).with_rho(rho);
        let everything = adaptive.clone().with_adaptive(Some(Adaptive::Everything));
        for c in [0.01, 3.0, 40.0] {
            for config in [&adaptive, &everything] {
                let (a, b) = (perturbed(config, 1.0), perturbed(config, c));
                assert!((a - b).abs() < 1e-5 * a.abs(), "{a} {b}");
            }
            let plain = SamConfig::new().with_rho(rho);
            assert!((perturbed(&plain, 1.0) - perturbed(&plain, c)).abs() > 1e-2);
        }
    }
}

#[test]
fn running_statistics_are_those_of_a_plain_pass_at_w() {
    let device = device();
    let batch = Batch::new(3, 12, &device);
    let plain = Net::new(0.0, &device);
    let _ = plain.forward(batch.input.clone());
    let net = Net::new(0.0, &device);
    let mut sam = SamConfig::new().with_rho(5.0).init(sgd(0.0)).unwrap();
    let (net, _) = sam.step(0.1, net, |net| batch.loss(net)).unwrap();
    // `value` does not carry out a pending update, as a record does not: it is up to date already.
    assert_eq!(vector(net.norm.running_mean.value()), plain.running_mean());
    assert_eq!(vector(net.norm.running_var.value()), vector(plain.norm.running_var.value_sync()));
}

#[test]
fn near_a_minimum_sgd_with_sam_ends_in_a_cycle_of_two() {
    // x = ± lr ρ λ / (2 - lr λ) along the top eigenvector.
    let mut point = Point::new([0.3, 0.2], &device());
    let mut sam = SamConfig::new().init(sgd(0.0)).unwrap();
    for _ in 0..2_000 {
        point = sam.step(0.1, point, quadratic([4.0, 1.0])).unwrap().0;
    }
    let here = point.at();
    let there = sam.step(0.1, point, quadratic([4.0, 1.0])).unwrap().0.at();
    assert_close(&[here[0].abs(), there[0].abs()], &[0.0125, 0.0125], 1e-5);
    assert!(here[0] * there[0] < 0.0, "{here:?} {there:?}");
    assert_close(&[here[1], there[1]], &[0.0, 0.0], 1e-4);
}
