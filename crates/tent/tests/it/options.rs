//! Resets, filters, guards.

use burn::tensor::{Device, Tensor};
use rekindle_tent::{
    BatchStatistics, Collapse, Fallback, NormAdaptation, Objective, Outcome, Reset, SmallBatch, Tent, TentConfig,
};

use crate::common::{ConvNet, Net, adam, bare, bits, images, rows, step, tent, values};

fn stream(config: &TentConfig, seeds: std::ops::Range<u64>) -> Vec<Vec<f32>> {
    let mut tent = tent(config, &Device::flex());
    seeds.map(|seed| step(&mut tent, seed, 20)).collect()
}

#[test]
fn resets_come_when_the_policy_says_so() {
    let every = stream(&bare().with_reset(Reset::Every { batches: 2 }), 0..4);
    assert_eq!(every[2..], stream(&bare(), 2..4));
    assert_ne!(every[1], stream(&bare(), 1..2)[0]);

    let domains = |reset| {
        let mut tent = tent(&bare().with_reset(reset), &Device::flex());
        tent.begin_domain();
        step(&mut tent, 0, 20);
        tent.begin_domain();
        (step(&mut tent, 1, 20), tent.totals().resets)
    };
    assert_eq!(domains(Reset::OnDomainChange), (stream(&bare(), 1..2).remove(0), 1));
    assert_eq!(domains(Reset::Never), (stream(&bare(), 0..2).remove(1), 0));
}

#[test]
fn uncertain_samples_are_left_out_and_counted() {
    let device = Device::flex();
    let mut all = tent(&bare(), &device);
    let report = all.adapt(rows(1, 40, &device), |net, x| net.forward(x)).unwrap().report;
    assert_eq!(report.kept, 1.0);
    let mut some = tent(&bare().with_entropy_threshold(Some(0.85)), &device);
    let adapted = some.adapt(rows(1, 40, &device), |net, x| net.forward(x)).unwrap();
    let entropies = values(rekindle_tent::softmax_entropy(adapted.logits));
    let below = entropies.iter().filter(|entropy| **entropy < 0.85 * 4_f32.ln()).count();
    assert!(below > 0 && below < 40, "{below}");
    assert!((adapted.report.kept - below as f64 / 40.0).abs() < 1e-6);

    // The update is that of the kept samples alone, under the statistics of all.
    let mut none = tent(&bare().with_entropy_threshold(Some(1e-6)), &device);
    let before = bits(none.model());
    let report = none.adapt(rows(1, 40, &device), |net, x| net.forward(x)).unwrap().report;
    assert_eq!((report.outcome, report.kept, report.gradient_norm), (Outcome::Filtered, 0.0, None));
    let gamma = |bits: Vec<(burn::module::ParamId, Vec<u32>)>| bits[2].clone();
    assert_eq!(gamma(bits(none.model())), gamma(before));
    assert_eq!((none.totals().filtered_batches, none.totals().updates), (1, 0));
}

#[test]
fn pseudo_labels_pull_towards_the_most_likely_class() {
    let device = Device::flex();
    let config = bare().with_objective(Objective::PseudoLabel { min_confidence: 0.0 }).with_learning_rate(0.01);
    let mut tent = tent(&config, &device);
    let confidence = |logits: Tensor<2>| {
        let best = burn::tensor::activation::softmax(logits, 1).max_dim(1);
        best.log().mean().into_scalar::<f32>()
    };
    let first = tent.adapt(rows(1, 60, &device), |net, x| net.forward(x)).unwrap().logits;
    for _ in 0..10 {
        tent.adapt(rows(1, 60, &device), |net, x| net.forward(x)).unwrap();
    }
    let last = tent.adapt(rows(1, 60, &device), |net, x| net.forward(x)).unwrap().logits;
    assert!(confidence(last) > confidence(first) + 0.01);
    let strict = bare().with_objective(Objective::PseudoLabel { min_confidence: 1.0 });
    let report =
        crate::common::tent(&strict, &device).adapt(rows(1, 60, &device), |net, x| net.forward(x)).unwrap().report;
    assert_eq!(report.outcome, Outcome::Filtered);
}

#[test]
fn a_small_batch_is_predicted_with_source_statistics_and_not_learned_from() {
    let device = Device::flex();
    let mut tent = tent(&bare().with_min_batch(16), &device);
    let source = {
        let mut norm = NormAdaptation::new(&Net::new(&device), BatchStatistics::Source).unwrap();
        move |seed, n| values(norm.predict(rows(seed, n, &Device::flex()), |net, x| net.forward(x)).unwrap())
    };
    let mut source = source;
    for n in [1, 15] {
        let adapted = tent.adapt(rows(9, n, &device), |net, x| net.forward(x)).unwrap();
        assert_eq!((adapted.report.outcome, adapted.report.batch_size), (Outcome::SmallBatch, n));
        assert_eq!(values(adapted.logits), source(9, n));
    }
    assert_eq!(tent.adapt(rows(9, 16, &device), |net, x| net.forward(x)).unwrap().report.outcome, Outcome::Updated);
    let totals = tent.totals();
    assert_eq!((totals.small_batches, totals.small_batch_samples, totals.updates, totals.samples), (2, 16, 1, 32));
    // Between updates the statistics are still the source's, whatever passed through.
    let small = |tent: &Tent<Net>| values(tent.predict(rows(9, 3, &device), |net, x| net.forward(x)).unwrap());
    tent.reset();
    assert_eq!(small(&tent), source(9, 3));
}

#[test]
fn a_small_batch_can_take_a_prior() {
    let device = Device::flex();
    let config = bare().with_min_batch(16).with_small_batch(SmallBatch::Prior { n: 8.0 });
    let mut tent = config.init(&ConvNet::new(&device), adam()).unwrap();
    let logits = tent.adapt(images(1, 4, &device), |net, x| net.forward(x)).unwrap().logits;
    let mut norm = NormAdaptation::new(&ConvNet::new(&device), BatchStatistics::Mixture { alpha: 1.0 / 3.0 }).unwrap();
    assert_eq!(values(logits), values(norm.predict(images(1, 4, &device), |net, x| net.forward(x)).unwrap()));
}

/// A rate that drives everything into one class in a few batches.
fn driven(fallback: Fallback) -> TentConfig {
    let collapse = Collapse { momentum: 0.0, fallback, ..Collapse::default() };
    bare().with_learning_rate(2.0).with_collapse(Some(collapse))
}

#[test]
fn a_collapse_is_seen_and_the_fallback_taken() {
    let device = Device::flex();
    let run = |config: &TentConfig| {
        let mut tent = tent(config, &device);
        let mut outcomes = Vec::new();
        for seed in 0..40 {
            let adapted = tent.adapt(rows(seed, 64, &device), |net, x| net.forward(x)).unwrap();
            let baseline = adapted.logits.clone();
            outcomes.push((adapted.report, values(baseline)));
        }
        (outcomes, tent)
    };
    let (reported, tent) = run(&driven(Fallback::Report));
    let at = reported.iter().position(|(report, _)| report.outcome == Outcome::Collapsed).expect("a collapse");
    assert!(reported[at].0.diversity < 0.3 && reported[..at].iter().all(|(report, _)| report.diversity >= 0.3));
    assert_eq!(tent.totals().resets, 0);
    assert!(reported.last().unwrap().0.diversity < 0.3, "without a fallback it stays collapsed");

    let mut norm = NormAdaptation::new(&Net::new(&device), BatchStatistics::Batch).unwrap();
    let mut baseline = |seed| values(norm.predict(rows(seed, 64, &device), |net, x| net.forward(x)).unwrap());
    let (reset, tent) = run(&driven(Fallback::Reset));
    assert_eq!(reset[at].1, baseline(at as u64), "the batch is predicted again by the source model");
    assert_eq!(reset[at + 1].1, baseline(at as u64 + 1), "and the next one starts from there");
    assert_eq!(reset[at + 1].0.outcome, Outcome::Updated);
    assert_eq!(tent.totals().collapses, tent.totals().resets);

    let (stopped, tent) = run(&driven(Fallback::Stop));
    assert_eq!(tent.totals().collapses, 1);
    for (batch, (report, logits)) in stopped.iter().enumerate().skip(at + 1) {
        assert_eq!((report.outcome, logits), (Outcome::Stopped, &baseline(batch as u64)));
    }
}
