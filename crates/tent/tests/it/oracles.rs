//! What has to hold by the paper's definitions.

use burn::nn::{BatchNorm, BatchNormConfig};
use burn::optim::{GradientsParams, ModuleOptimizer};
use burn::tensor::{Device, Tensor};
use rekindle_shared::model::{deep_copy, norm_layers, with_batch_statistics};
use rekindle_tent::{BatchStatistics, Logits, NormAdaptation, TentConfig, softmax_entropy};

use crate::common::{Net, adam, bare, bits, rows, sgd, step, tent, values};

fn norm_baseline(statistics: BatchStatistics, seed: u64, n: usize) -> Vec<f32> {
    let device = Device::flex();
    let mut norm = NormAdaptation::new(&Net::new(&device), statistics).unwrap();
    values(norm.predict(rows(seed, n, &device), |net, input| net.forward(input)).unwrap())
}

#[test]
fn logits_are_those_before_the_update_whatever_the_rate() {
    for rate in [0.0, 1e-3, 1.0] {
        let mut tent = tent(&bare().with_learning_rate(rate), &Device::flex());
        assert_eq!(step(&mut tent, 1, 20), norm_baseline(BatchStatistics::Batch, 1, 20));
    }
}

#[test]
fn at_rate_0_every_batch_is_that_of_the_norm_baseline() {
    let mut tent = tent(&bare().with_learning_rate(0.0), &Device::flex());
    for seed in 0..4 {
        assert_eq!(step(&mut tent, seed, 20), norm_baseline(BatchStatistics::Batch, seed, 20));
    }
}

#[test]
fn only_scales_and_shifts_change() {
    let device = Device::flex().autodiff();
    let source = Net::new(&device);
    let before = bits(&source);
    let mut tent = bare().init(&source, adam()).unwrap();
    for seed in 0..5 {
        step(&mut tent, seed, 20);
    }
    let adapted = tent.adapted();
    assert_eq!(adapted, [source.norm.gamma.id, source.norm.beta.id]);
    let running: Vec<_> = norm_layers(&source)[0].running.clone();
    for ((id, now), (_, then)) in bits(tent.model()).iter().zip(&before) {
        if !running.contains(id) {
            assert_eq!(now != then, adapted.contains(id), "{id:?}");
        }
    }
    assert!(bits(&source) == before, "the source model stays as it is");
}

#[test]
fn frozen_weights_compute_no_gradients() {
    let device = Device::flex().autodiff();
    let source = Net::new(&device);
    let tent = bare().init(&source, adam()).unwrap();
    let loss = softmax_entropy(tent.model().forward(rows(1, 20, &device))).mean();
    let grads = GradientsParams::from_grads(loss.backward(), tent.model());
    assert_eq!(grads.len(), 2);
    assert!(grads.get::<2>(source.hidden.weight.id).is_none());
}

/// dL/dγ and dL/dβ through mean and variance against central differences of the baseline's entropy.
#[test]
fn a_step_of_sgd_follows_the_gradient_of_the_mean_entropy() {
    let device = Device::flex();
    let rate = 0.1;
    let mut tent = bare().with_learning_rate(rate).init(&Net::new(&device), sgd()).unwrap();
    let report = tent.adapt(rows(3, 12, &device), |net, x| net.forward(x)).unwrap().report;
    let after = values(tent.model().norm.gamma.val());
    let mut squares = 0.0;
    for shift in [false, true] {
        for channel in 0..8 {
            let entropy = |by: f32| {
                let net = Net::new(&device.clone().autodiff());
                let bump = |old: Tensor<1>| {
                    let mut moved: Vec<f32> = values(old.clone());
                    moved[channel] += by;
                    Tensor::<1>::from_floats(moved.as_slice(), &old.device())
                };
                let norm = match shift {
                    true => BatchNorm { beta: net.norm.beta.clone().map(bump), ..net.norm.clone() },
                    false => BatchNorm { gamma: net.norm.gamma.clone().map(bump), ..net.norm.clone() },
                };
                let net = with_batch_statistics(deep_copy(&Net { norm, ..net }));
                softmax_entropy(net.forward(rows(3, 12, &device.clone().autodiff()))).mean().into_scalar::<f32>()
            };
            let gradient = (entropy(1e-2) - entropy(-1e-2)) / 2e-2;
            squares += f64::from(gradient).powi(2);
            if !shift {
                let before = values(Net::new(&device).norm.gamma.val())[channel];
                let moved = (before - after[channel]) / rate as f32;
                assert!((moved - gradient).abs() < 2e-3 + 0.02 * gradient.abs(), "{channel}: {moved} {gradient}");
            }
        }
    }
    let norm = report.gradient_norm.unwrap();
    assert!((norm - squares.sqrt()).abs() < 0.02 * norm, "{norm} {}", squares.sqrt());
}

#[test]
fn the_entropy_of_a_batch_falls_by_the_squared_gradient() {
    let device = Device::flex();
    let rate = 1e-3;
    let mut tent = bare().with_learning_rate(rate).init(&Net::new(&device), sgd()).unwrap();
    let first = tent.adapt(rows(5, 40, &device), |net, x| net.forward(x)).unwrap().report;
    let second = tent.adapt(rows(5, 40, &device), |net, x| net.forward(x)).unwrap().report;
    let expected = rate * first.gradient_norm.unwrap().powi(2);
    let fall = first.entropy - second.entropy;
    assert!((fall - expected).abs() < 0.05 * expected, "{fall} {expected}");
}

#[test]
fn logits_after_the_update_are_those_of_the_next_forward_pass() {
    let device = Device::flex();
    let config = bare().with_logits(Logits::AfterUpdate);
    let mut tent = tent(&config, &device);
    let after = step(&mut tent, 2, 20);
    let predicted = tent.predict(rows(2, 20, &device), |net, x| net.forward(x)).unwrap();
    assert_eq!(after, values(predicted));
    assert_ne!(after, norm_baseline(BatchStatistics::Batch, 2, 20));
}

#[test]
fn several_steps_return_the_logits_before_the_last_update() {
    let device = Device::flex();
    let mut three = tent(&bare().with_steps(3), &device);
    let logits = step(&mut three, 2, 20);
    let mut one = tent(&bare(), &device);
    step(&mut one, 2, 20);
    step(&mut one, 2, 20);
    assert_eq!(logits, step(&mut one, 2, 20));
    assert_eq!((three.totals().updates, three.totals().batches), (3, 1));
}

#[test]
fn an_episode_of_one_step_is_the_norm_baseline_and_of_two_is_not() {
    let device = Device::flex();
    let episodic = |steps, order: [u64; 3]| {
        let mut tent = tent(&bare().with_episodic(true).with_steps(steps), &device);
        order.map(|seed| step(&mut tent, seed, 20))
    };
    let [a, b, c] = episodic(1, [1, 2, 3]);
    assert_eq!([&a, &b, &c], [1, 2, 3].map(|seed| norm_baseline(BatchStatistics::Batch, seed, 20)).each_ref());
    // Episodes don't know of each other; a stream does.
    let [a, b, c] = episodic(2, [1, 2, 3]);
    let [c2, a2, b2] = episodic(2, [3, 1, 2]);
    assert_eq!([a.clone(), b, c], [a2, b2, c2]);
    assert_ne!(a, norm_baseline(BatchStatistics::Batch, 1, 20));
    let online = |order: [u64; 2]| {
        let mut tent = tent(&bare(), &device);
        order.map(|seed| step(&mut tent, seed, 20))
    };
    assert_ne!(online([1, 2])[1], online([2, 1])[0]);
}

#[test]
fn a_reset_brings_back_parameters_moments_and_step_count_to_the_bit() {
    let device = Device::flex();
    let mut tent = tent(&bare(), &device);
    let first: Vec<_> = (0..4).map(|seed| step(&mut tent, seed, 20)).collect();
    tent.reset();
    let without_ids = |net: &Net| bits(net).into_iter().map(|(_, bits)| bits).collect::<Vec<_>>();
    assert!(without_ids(tent.model()) == without_ids(&Net::new(&device)));
    let again: Vec<_> = (0..4).map(|seed| step(&mut tent, seed, 20)).collect();
    assert_eq!(first, again);
    assert_eq!(tent.totals().resets, 1);
}

#[test]
fn on_the_data_of_the_source_the_norm_baseline_is_its_training_mode() {
    let device = Device::flex().autodiff();
    let net = with_batch_statistics(Net::new(&device));
    let trained = values(deep_copy(&net).forward(rows(7, 30, &device)));
    assert_eq!(trained, norm_baseline(BatchStatistics::Batch, 7, 30));
}

/// x_c → a_c x_c + b_c with a_c > 0 in front of the first batch norm leaves Tent as it is.
#[test]
fn scale_and_shift_of_each_channel_in_front_of_the_first_norm_do_not_matter() {
    let device = Device::flex();
    let norm = BatchNormConfig::new(6).init(&device);
    let forward = |norm: &BatchNorm, x: Tensor<2>| norm.forward(x);
    let run = |scale: &[f32], shift: &[f32]| {
        let mut tent = bare().init(&norm, sgd()).unwrap();
        let channels = |values: &[f32]| Tensor::<1>::from_floats(values, &device).unsqueeze::<2>();
        let moved = |seed| rows(seed, 200, &device) * channels(scale) + channels(shift);
        tent.adapt(moved(1), forward).unwrap();
        values(tent.adapt(moved(2), forward).unwrap().logits)
    };
    let plain = run(&[1.0; 6], &[0.0; 6]);
    let moved = run(&[0.5, 3.0, 1.0, 2.0, 0.7, 10.0], &[1.0, -5.0, 0.0, 2.0, 0.3, 7.0]);
    for (a, b) in plain.iter().zip(&moved) {
        assert!((a - b).abs() < 2e-3 * (1.0 + a.abs()), "{a} {b}");
    }
}

#[test]
fn a_batch_of_one_without_maps_gives_the_shift_and_a_constant_channel_no_nan() {
    let device = Device::flex();
    let norm = crate::common::fill(BatchNormConfig::new(6).init(&device));
    let mut batch = NormAdaptation::new(&norm, BatchStatistics::Batch).unwrap();
    let output = batch.predict(rows(1, 1, &device), |norm, x| norm.forward(x)).unwrap();
    assert_eq!(values(output), values(norm.beta.val()));
    let constant = Tensor::<2>::full([9, 6], 3.25, &device);
    let mut tent = bare().init(&norm, sgd()).unwrap();
    let logits = tent.adapt(constant, |norm, x| norm.forward(x)).unwrap().logits;
    assert!(values(logits).iter().all(|value| value.is_finite()));
}

/// An optimizer of the user's choice, and a checkpointing device: the same adaptation.
#[test]
fn a_gradient_checkpointing_device_gives_the_same_adaptation() {
    let run = |device: &Device| {
        let optimizer: ModuleOptimizer = burn::optim::AdamWConfig::new().init();
        let mut tent = TentConfig::new().with_steps(2).init(&Net::new(device), optimizer).unwrap();
        (0..3).map(|seed| step(&mut tent, seed, 24)).collect::<Vec<_>>()
    };
    let plain = run(&Device::flex().autodiff());
    assert_eq!(plain, run(&Device::flex().autodiff().gradient_checkpointing()));
    assert_eq!(plain, run(&Device::flex()), "a model on a plain device");
}
