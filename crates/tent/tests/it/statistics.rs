//! Adaptation under statistics other than the batch's, and the baselines.

use burn::tensor::Device;
use rekindle_shared::model::AdaptiveBatchNorm;
use rekindle_tent::{BatchStatistics, NormAdaptation, Outcome, TentConfig, TentError};

use crate::common::{ConvNet, Net, adam, bare, images, rows, values};

fn predict(statistics: BatchStatistics, seed: u64, n: usize) -> Vec<f32> {
    let device = Device::flex();
    let mut norm = NormAdaptation::new(&ConvNet::new(&device), statistics).unwrap();
    values(norm.predict(images(seed, n, &device), |net, x| net.forward(x)).unwrap())
}

fn assert_close(found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len());
    for (a, b) in found.iter().zip(expected) {
        assert!((a - b).abs() < 1e-5, "{a} {b}");
    }
}

#[test]
fn a_mixture_of_none_is_the_source_and_of_all_the_batch() {
    let alpha = |alpha| predict(BatchStatistics::Mixture { alpha }, 1, 12);
    assert_eq!(alpha(0.0), predict(BatchStatistics::Source, 1, 12));
    assert_close(&alpha(1.0), &predict(BatchStatistics::Batch, 1, 12));
    assert_eq!(predict(BatchStatistics::Prior { n: 12.0 }, 1, 12), alpha(0.5));
}

#[test]
fn tent_adapts_under_every_kind_of_statistics() {
    let device = Device::flex();
    for statistics in [
        BatchStatistics::Source,
        BatchStatistics::Mixture { alpha: 0.3 },
        BatchStatistics::Prior { n: 16.0 },
        BatchStatistics::Ema { momentum: 0.2 },
    ] {
        let config = bare().with_statistics(statistics).with_learning_rate(1e-3);
        let mut tent = config.init(&ConvNet::new(&device), adam()).unwrap();
        let adapt = |tent: &mut rekindle_tent::Tent<ConvNet>, seed| {
            tent.adapt(images(seed, 24, &device), |net, x| net.forward(x)).unwrap()
        };
        let first = adapt(&mut tent, 1);
        assert_eq!(first.report.outcome, Outcome::Updated);
        assert_close(&values(first.logits), &predict(statistics, 1, 24));
        // A moving average still moves on a batch that comes again, so that its entropy says nothing of the steps.
        if matches!(statistics, BatchStatistics::Ema { .. }) {
            continue;
        }
        let entropies: Vec<f64> = (0..8).map(|_| adapt(&mut tent, 1).report.entropy).collect();
        assert!(entropies[7] < first.report.entropy, "{statistics:?} {entropies:?}");
    }
}

#[test]
fn a_moving_average_follows_the_stream_and_returns_on_a_reset() {
    let device = Device::flex();
    let ema = BatchStatistics::Ema { momentum: 0.5 };
    let mut norm = NormAdaptation::new(&ConvNet::new(&device), ema).unwrap();
    let next = |norm: &mut NormAdaptation<ConvNet>| {
        values(norm.predict(images(1, 12, &device), |net, x| net.forward(x)).unwrap())
    };
    let first = next(&mut norm);
    assert_ne!(next(&mut norm), first);
    norm.reset();
    assert_eq!(next(&mut norm), first);
}

#[test]
fn a_moving_average_is_not_poisoned_by_a_batch_that_is_refused() {
    let device = Device::flex();
    let ema = BatchStatistics::Ema { momentum: 0.5 };
    let run = |poison: bool| {
        let mut norm = NormAdaptation::new(&ConvNet::new(&device), ema).unwrap();
        let mut next = |x| norm.predict(x, |net, x| net.forward(x));
        next(images(1, 12, &device)).unwrap();
        if poison {
            let error = next(images(2, 12, &device) * f32::NAN).unwrap_err();
            assert_eq!(error, TentError::NonFiniteInput { count: 12 * 64, sample: 0 });
        }
        values(next(images(3, 12, &device)).unwrap())
    };
    assert_eq!(run(true), run(false));
}

/// A network that calls its layers by Burn's `forward` needs our batch norm for mixtures, and nothing else.
#[test]
fn our_batch_norm_takes_mixtures_where_it_is_called_by_forward() {
    let device = Device::flex();
    let net = Net::new(&device);
    let model = (net.hidden.clone(), AdaptiveBatchNorm::from(net.norm.clone()), net.head.clone());
    let forward = |model: &(_, AdaptiveBatchNorm, _), x| {
        let (hidden, norm, head): &(burn::nn::Linear, AdaptiveBatchNorm, burn::nn::Linear) = model;
        head.forward(burn::tensor::activation::relu(norm.forward(hidden.forward(x))))
    };
    let config = TentConfig::new().with_statistics(BatchStatistics::Prior { n: 10.0 });
    let mut tent = config.init(&model, adam()).unwrap();
    assert_eq!(tent.adapt(rows(1, 20, &device), forward).unwrap().report.outcome, Outcome::Updated);
    assert_eq!(tent.layers()[0].path, "1");
}
