//! Mixed statistics on Burn's own batch norms, by capturing and replaying the operations of a network.
//!
//! The reference is the same network with the batch norms called by `Layer::run`, where `normalize_with` mixes.

use burn::module::{Module, Param, RunningState};
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig, PaddingConfig2d};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};
use rekindle_shared::backend;
use rekindle_shared::model::{
    BatchStatistics, Layer, ReplayError, StatisticsError, batch_norms_outside, deep_copy, init_seeded, normalize_with,
    replay_with, restore_running_statistics, running_statistics, with_batch_statistics,
};
use rekindle_tent::{NormAdaptation, TentConfig, TentError};

use super::common::{flex, random};

/// Largest difference to the reference, in units of the outputs, which are about 1.
const TOLERANCE: f64 = 1e-5;

const BATCH: usize = 12;

/// Two batch norms, the second called twice: what each of them sees depends on the mixture in those before.
#[derive(Module, Debug)]
struct Net {
    first: Conv2d,
    norm1: BatchNorm,
    second: Conv2d,
    norm2: BatchNorm,
    head: Linear,
}

impl Net {
    /// With running statistics of four batches that are unlike those of the tests.
    fn new(device: &Device) -> Self {
        let device = device.clone().autodiff();
        let padding = PaddingConfig2d::Explicit(1, 1, 1, 1);
        let conv = |channels| Conv2dConfig::new(channels, [3, 3]).with_padding(padding.clone());
        let net = init_seeded(9, &device, |device| Self {
            first: conv([3, 6]).init(device),
            norm1: BatchNormConfig::new(6).init(device),
            second: conv([6, 6]).init(device),
            norm2: BatchNormConfig::new(6).init(device),
            head: LinearConfig::new(6, 4).init(device),
        });
        for seed in 0..4 {
            net.forward(images(100 + seed, &device) * 0.5 - 1.0);
        }
        net.valid()
    }

    /// As a stock network is written.
    fn forward(&self, x: Tensor<4>) -> Tensor<2> {
        let x = relu(self.norm1.forward(self.first.forward(x)));
        let x = relu(self.norm2.forward(self.second.forward(x)));
        let x = self.norm2.forward(x);
        self.head.forward(x.mean_dim(3).mean_dim(2).flatten(1, 3))
    }

    /// The same with batch norms that take part in a scope.
    fn run(&self, x: Tensor<4>) -> Tensor<2> {
        let x = relu(self.norm1.run(self.first.forward(x)));
        let x = relu(self.norm2.run(self.second.forward(x)));
        let x = self.norm2.run(x);
        self.head.forward(x.mean_dim(3).mean_dim(2).flatten(1, 3))
    }
}

fn images(seed: u64, device: &Device) -> Tensor<4> {
    random(seed, [BATCH, 3, 8, 8], device)
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    tensor.into_data().iter::<f64>().collect()
}

fn difference<const D: usize>(a: Tensor<D>, b: Tensor<D>) -> f64 {
    assert_eq!(a.dims(), b.dims());
    values(a).into_iter().zip(values(b)).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

fn replayed(statistics: BatchStatistics, net: &Net, x: Tensor<4>) -> Tensor<2> {
    let (output, seen) = replay_with(statistics, net, x, Net::forward).unwrap();
    assert!(batch_norms_outside(net, &seen).is_empty());
    output
}

/// Means and variances of both batch norms, one after the other.
fn running(net: &Net) -> Vec<f64> {
    [&net.norm1, &net.norm2]
        .into_iter()
        .flat_map(|norm| [&norm.running_mean, &norm.running_var])
        .flat_map(|state| values(state.value_sync()))
        .collect()
}

#[test]
fn a_mixture_without_a_share_of_the_batch_is_the_source_bit_for_bit() {
    let net = Net::new(&flex());
    let (x, before) = (images(1, &flex()), running(&net));
    let source = values(net.forward(x.clone()));
    for statistics in
        [BatchStatistics::Source, BatchStatistics::Mixture { alpha: 0.0 }, BatchStatistics::Ema { momentum: 0.0 }]
    {
        assert_eq!(values(replayed(statistics, &net, x.clone())), source, "{statistics:?}");
    }
    assert_eq!(running(&net), before);
}

#[test]
fn a_mixture_of_the_batch_alone_is_that_of_training_mode() {
    let net = Net::new(&flex());
    let (x, before) = (images(1, &flex()), running(&net));
    let batch = with_batch_statistics(deep_copy(&net).train()).forward(x.clone().autodiff()).inner();
    for statistics in
        [BatchStatistics::Batch, BatchStatistics::Mixture { alpha: 1.0 }, BatchStatistics::Prior { n: 0.0 }]
    {
        let worst = difference(replayed(statistics, &net, x.clone()), batch.clone());
        println!("{statistics:?}: largest difference {worst:.1e}");
        assert!(worst <= TOLERANCE, "{statistics:?} differs by {worst:.1e}");
    }
    assert!(difference(net.forward(x), batch) > 1000.0 * TOLERANCE, "source and batch statistics differ");
    assert_eq!(running(&net), before);
}

#[test]
fn mixtures_are_those_of_layers_that_take_part_in_a_scope() {
    let net = Net::new(&flex());
    let (x, before) = (images(1, &flex()), running(&net));
    for statistics in [BatchStatistics::Mixture { alpha: 0.3 }, BatchStatistics::Prior { n: 20.0 }] {
        let (expected, _) = normalize_with(statistics, || net.run(x.clone())).unwrap();
        let found = replayed(statistics, &net, x.clone());
        let worst = difference(found.clone(), expected);
        println!("{statistics:?}: largest difference {worst:.1e}");
        assert!(worst <= TOLERANCE, "{statistics:?} differs by {worst:.1e}");
        for other in [BatchStatistics::Source, BatchStatistics::Batch] {
            let other = replayed(other, &net, x.clone());
            assert!(difference(found.clone(), other) > 100.0 * TOLERANCE, "{statistics:?} mixes");
        }
    }
    assert_eq!(running(&net), before);
}

#[test]
fn a_moving_average_lives_in_the_running_statistics() {
    let (net, reference) = (Net::new(&flex()), Net::new(&flex()));
    assert_eq!(running(&net), running(&reference));
    let (clone, source) = (net.clone(), running_statistics(&net));
    let ema = BatchStatistics::Ema { momentum: 0.2 };
    for seed in 1..4 {
        let x = images(seed, &flex());
        let (expected, _) = normalize_with(ema, || reference.run(x.clone())).unwrap();
        let worst = difference(replayed(ema, &net, x), expected);
        assert!(worst <= TOLERANCE, "batch {seed} differs by {worst:.1e}");
    }
    let after = running(&net);
    let apart = after.iter().zip(running(&reference)).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(apart <= TOLERANCE, "running statistics differ by {apart:.1e}");
    assert_eq!(running(&clone), after);
    let moved = running(&restore_running_statistics(net, &source).unwrap()) != after;
    assert!(moved, "the average moves");
}

#[test]
fn batch_norms_of_vectors_and_sequences_are_mixed_too() {
    let device = flex().autodiff();
    let norm = BatchNormConfig::new(5).init(&device);
    norm.forward(random(3, [30, 5], &device) * 3.0 + 1.0);
    let norm = norm.valid();
    let half = BatchStatistics::Mixture { alpha: 0.5 };

    let x = random(4, [BATCH, 5], &flex());
    let (expected, _) = normalize_with(half, || norm.run(x.clone())).unwrap();
    let (found, _) = replay_with(half, &norm, x.clone(), |norm, x| norm.forward(x)).unwrap();
    assert!(difference(norm.forward(x), found.clone()) > 100.0 * TOLERANCE);
    assert!(difference(found, expected) <= TOLERANCE);

    let x = random(5, [BATCH, 5, 7], &flex());
    let (expected, _) = normalize_with(half, || norm.run(x.clone())).unwrap();
    let (found, _) = replay_with(half, &norm, x, |norm, x| norm.forward(x)).unwrap();
    assert!(difference(found, expected) <= TOLERANCE);
}

#[test]
fn the_output_is_where_the_input_is_whatever_the_models_device() {
    let net = Net::new(&flex());
    let half = BatchStatistics::Mixture { alpha: 0.5 };
    let expected = replayed(half, &net, images(1, &flex()));
    let autodiff = flex().autodiff();
    for device in [autodiff.clone(), autodiff.gradient_checkpointing()] {
        let output = replayed(half, &net.clone().train(), images(1, &device).require_grad());
        assert_eq!(output.device(), device);
        assert_eq!(values(output), values(expected.clone()));
    }
    for name in ["ndarray", "wgpu"] {
        let device = backend::open(name).unwrap_or_else(|error| panic!("{error}"));
        let output = replayed(half, &deep_copy(&net).to_device(&device), images(1, &device));
        assert_eq!(output.device(), device, "{name}");
        assert_eq!(values(output), values(expected.clone()), "{name}");
    }
}

#[test]
fn threads_replay_side_by_side() {
    let net = Net::new(&flex());
    let half = BatchStatistics::Mixture { alpha: 0.5 };
    let alone = values(replayed(half, &net, images(1, &flex())));
    let outputs: Vec<_> = std::thread::scope(|scope| {
        let replay = || values(replayed(half, &net, images(1, &flex())));
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(replay)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(outputs.iter().all(|output| *output == alone));
}

/// Burn makes at most 65,536 devices that record.
#[test]
fn a_thread_replays_without_end() {
    let device = flex();
    let norm = BatchNormConfig::new(1).init(&device);
    let x = Tensor::<2>::from_floats([[1.0], [3.0]], &device);
    let half = BatchStatistics::Mixture { alpha: 0.5 };
    for _ in 0..=65_536 {
        replay_with(half, &norm, x.clone(), |norm, x| norm.forward(x)).unwrap();
    }
}

#[test]
fn what_cannot_be_replayed_is_refused_with_the_reason() {
    let net = Net::new(&flex());
    let before = running(&net);
    let ema = BatchStatistics::Ema { momentum: 0.5 };
    let refused = |forward: &dyn Fn(&Net, Tensor<4>) -> Tensor<2>| {
        replay_with(ema, &net, images(1, &flex()), forward).unwrap_err()
    };

    let error = refused(&|net, x| {
        let x = net.forward(x);
        let largest: f32 = x.clone().max().into_scalar();
        x / largest
    });
    assert!(matches!(error, ReplayError::Refused(_)), "{error}");
    let message = error.to_string();
    assert!(message.contains("no concrete value") && message.contains("read tensors back"), "{message}");
    assert!(!message.contains('\n'), "{message}");

    let error = refused(&|_, x| panic!("no images of {:?}", x.dims()));
    assert!(error.to_string().contains("no images of [12, 3, 8, 8]"), "{error}");
    let error = refused(&|given, x| replay_with(ema, given, x, Net::forward).unwrap().0);
    assert!(matches!(error, ReplayError::Refused(_)), "{error}");
    assert_eq!(refused(&|_, _| net.forward(images(1, &flex()))), ReplayError::NotRecorded);

    let share = ReplayError::Statistics(StatisticsError::Share { name: "alpha", value: 1.5 });
    let statistics = BatchStatistics::Mixture { alpha: 1.5 };
    assert_eq!(replay_with(statistics, &net, images(1, &flex()), Net::forward).unwrap_err(), share);
    assert_eq!(running(&net), before);

    // A refusal leaves nothing behind that the next call would meet.
    let half = BatchStatistics::Mixture { alpha: 0.5 };
    let (expected, _) = normalize_with(half, || net.run(images(1, &flex()))).unwrap();
    assert!(difference(replayed(half, &net, images(1, &flex())), expected) <= TOLERANCE);
}

#[test]
fn a_batch_norm_of_elementary_operations_is_found_by_name() {
    #[derive(Module, Debug)]
    struct BatchNormByHand {
        gamma: Param<Tensor<1>>,
        running_mean: RunningState<Tensor<1>>,
    }
    #[derive(Module, Debug)]
    struct Mixed {
        stock: BatchNorm,
        by_hand: BatchNormByHand,
    }
    let device = flex();
    let by_hand = BatchNormByHand {
        gamma: Param::from_tensor(Tensor::ones([5], &device)),
        running_mean: RunningState::new(Tensor::zeros([5], &device)),
    };
    let net = Mixed { stock: BatchNormConfig::new(5).init(&device), by_hand };
    let half = BatchStatistics::Mixture { alpha: 0.5 };
    let (_, seen) = replay_with(half, &net, random(3, [BATCH, 5], &device), |net, x| {
        let x: Tensor<2> = net.stock.forward(x);
        (x - net.by_hand.running_mean.value().unsqueeze()) * net.by_hand.gamma.val().unsqueeze()
    })
    .unwrap();
    let outside = batch_norms_outside(&net, &seen);
    assert_eq!(outside.iter().map(|layer| layer.path.as_str()).collect::<Vec<_>>(), ["by_hand"]);
}

#[test]
fn the_norm_baselines_mix_on_stock_layers() {
    let net = Net::new(&flex());
    let before = running(&net);
    for statistics in [
        BatchStatistics::Mixture { alpha: 0.3 },
        BatchStatistics::Prior { n: 20.0 },
        BatchStatistics::Ema { momentum: 0.2 },
    ] {
        let [mut stock, mut reference] = [(); 2].map(|()| NormAdaptation::new(&net, statistics).unwrap());
        for seed in [1, 2, 3, 1] {
            let x = images(seed, &flex());
            let expected = reference.predict(x.clone(), Net::run).unwrap();
            let logits = stock.predict(x, Net::forward).unwrap();
            assert!(!logits.device().is_autodiff());
            let worst = difference(logits, expected);
            println!("{statistics:?}, batch {seed}: largest difference {worst:.1e}");
            assert!(worst <= TOLERANCE, "{statistics:?}, batch {seed} differs by {worst:.1e}");
        }
        stock.reset();
        let first = NormAdaptation::new(&net, statistics).unwrap().predict(images(1, &flex()), Net::forward).unwrap();
        assert_eq!(values(stock.predict(images(1, &flex()), Net::forward).unwrap()), values(first), "{statistics:?}");
    }
    assert_eq!(running(&net), before);
}

#[test]
fn a_moving_average_moves_once_where_only_some_layers_are_stock() {
    let net = Net::new(&flex());
    let half_stock = |net: &Net, x: Tensor<4>| {
        let x = relu(net.norm1.run(net.first.forward(x)));
        let x = relu(net.norm2.forward(net.second.forward(x)));
        net.head.forward(net.norm2.forward(x).mean_dim(3).mean_dim(2).flatten(1, 3))
    };
    let ema = BatchStatistics::Ema { momentum: 0.5 };
    let [mut stock, mut reference] = [(); 2].map(|()| NormAdaptation::new(&net, ema).unwrap());
    for seed in 1..4 {
        let expected = reference.predict(images(seed, &flex()), Net::run).unwrap();
        let worst = difference(stock.predict(images(seed, &flex()), half_stock).unwrap(), expected);
        assert!(worst <= TOLERANCE, "batch {seed} differs by {worst:.1e}");
    }
}

#[test]
fn baselines_say_what_cannot_be_replayed_and_adaptation_asks_for_layers_with_gradients() {
    let net = Net::new(&flex());
    let mixture = BatchStatistics::Mixture { alpha: 0.3 };
    let mut norm = NormAdaptation::new(&net, mixture).unwrap();
    let error = norm.predict(images(1, &flex()), |net, x| {
        let x = net.forward(x);
        let largest: f32 = x.clone().max().into_scalar();
        x / largest
    });
    assert!(matches!(error, Err(TentError::Replay(ReplayError::Refused(_)))), "{error:?}");
    let error = norm.predict(images(1, &flex()), |net, x| net.forward(x).narrow(1, 0, 1)).unwrap_err();
    assert_eq!(error, TentError::TooFewClasses(1));

    let optimizer = burn::optim::AdamConfig::new().init();
    let config = TentConfig::new().with_statistics(mixture).with_min_batch(1);
    let error = config.init(&net, optimizer).unwrap().adapt(images(1, &flex()), Net::forward).err().unwrap();
    assert!(matches!(&error, TentError::OutsideOfScope { layers, .. } if layers == &["norm1", "norm2"]), "{error}");
}
