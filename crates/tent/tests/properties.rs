//! What holds for every input.

#[allow(dead_code, reason = "each test binary uses its share")]
#[path = "it/common.rs"]
mod common;

use burn::tensor::{Device, Tensor, TensorData};
use proptest::prelude::*;
use rekindle_shared::model::norm_layers;
use rekindle_tent::{
    BatchStatistics, Buffer, Collapse, Logits, NormAdaptation, Objective, Outcome, SmallBatch, TentConfig, TentError,
    softmax_entropy,
};

use common::{CLASSES, ConvNet, FEATURES, Net, adam, bare, bits, images, rows, sgd, step, tent, values};

/// H(softmax(z)) in double precision, by its definition.
fn entropy(logits: &[f64]) -> f64 {
    let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = logits.iter().map(|z| (z - largest).exp()).sum();
    let log = |z: &f64| z - largest - sum.ln();
    -logits.iter().map(|z| log(z).exp() * log(z)).sum::<f64>()
}

/// dH/dz by central differences.
fn central_differences(logits: &[f64]) -> Vec<f64> {
    let moved = |k: usize, by: f64| {
        let mut logits = logits.to_vec();
        logits[k] += by;
        entropy(&logits)
    };
    (0..logits.len()).map(|k| (moved(k, 1e-4) - moved(k, -1e-4)) / 2e-4).collect()
}

/// Logits of some rows of as many classes each, in ±`scale`.
fn logits(scale: f32) -> impl Strategy<Value = Vec<Vec<f32>>> {
    let rows = move |n_classes| prop::collection::vec(prop::collection::vec(-scale..scale, n_classes), 1..5);
    (2_usize..12).prop_flat_map(rows)
}

fn tensor(rows: &[Vec<f32>], device: &Device) -> Tensor<2> {
    let shape = [rows.len(), rows[0].len()];
    Tensor::from_data(TensorData::new(rows.concat(), shape), device)
}

/// Seeds and sizes of the batches of a stream, some of them below 16.
fn stream() -> impl Strategy<Value = Vec<(u64, usize)>> {
    prop::collection::vec((0_u64..1000, prop_oneof![1_usize..16, 16_usize..40]), 1..6)
}

/// Everything that changes what an update is.
fn options() -> impl Strategy<Value = TentConfig> {
    let statistics = prop_oneof![
        Just(BatchStatistics::Batch),
        Just(BatchStatistics::Source),
        (0.0_f64..1.0).prop_map(|alpha| BatchStatistics::Mixture { alpha }),
        (1.0_f64..64.0).prop_map(|n| BatchStatistics::Prior { n }),
        (0.01_f64..1.0).prop_map(|momentum| BatchStatistics::Ema { momentum }),
    ];
    let objective = prop_oneof![
        Just(Objective::Entropy),
        (0.0_f64..0.6).prop_map(|min_confidence| Objective::PseudoLabel { min_confidence }),
    ];
    let small = prop_oneof![Just(SmallBatch::Source), Just(SmallBatch::Prior { n: 16.0 })];
    let logits = prop_oneof![Just(Logits::BeforeUpdate), Just(Logits::AfterUpdate)];
    let threshold = prop::option::of(0.3_f64..1.0);
    let collapse = prop::option::of(Just(Collapse::default()));
    (statistics, objective, small, logits, threshold, collapse, 1_usize..4, any::<bool>()).prop_map(
        |(statistics, objective, small, logits, threshold, collapse, steps, episodic)| {
            TentConfig::new()
                .with_learning_rate(0.05)
                .with_statistics(statistics)
                .with_objective(objective)
                .with_small_batch(small)
                .with_logits(logits)
                .with_entropy_threshold(threshold)
                .with_collapse(collapse)
                .with_steps(steps)
                .with_episodic(episodic)
        },
    )
}

/// A size of a batch and a value to put into it: an infinity, too, of which a ReLU may leave no trace in the logits.
fn not_finite() -> impl Strategy<Value = (usize, f32)> {
    (1_usize..40, prop_oneof![Just(f32::NAN), Just(f32::INFINITY), Just(f32::NEG_INFINITY)])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// 0 ≤ H ≤ ln C, finite for any finite logits.
    #[test]
    fn entropy_is_between_0_and_that_of_equal_classes(rows in prop_oneof![logits(1.0), logits(30.0), logits(1e30)]) {
        let most = (rows[0].len() as f32).ln() + 1e-5;
        for entropy in values(softmax_entropy(tensor(&rows, &Device::flex()))) {
            prop_assert!((0.0..=most).contains(&entropy), "{entropy} above {most}");
        }
    }

    /// H(z + c) = H(z): the logits are multiples of 1/64, so that the sum is exact.
    #[test]
    fn entropy_ignores_a_shift_of_all_logits(
        rows in (2_usize..12).prop_flat_map(|n| prop::collection::vec(prop::collection::vec(-1280_i16..1280, n), 1..5)),
        shift in -60_000_i32..60_000,
    ) {
        let device = Device::flex();
        let rows: Vec<Vec<f32>> = rows.iter().map(|row| row.iter().map(|z| f32::from(*z) / 64.0).collect()).collect();
        let plain = values(softmax_entropy(tensor(&rows, &device)));
        let moved = values(softmax_entropy(tensor(&rows, &device) + shift as f32 / 64.0));
        for (a, b) in plain.iter().zip(&moved) {
            prop_assert!((a - b).abs() <= 1e-6, "{a} {b}");
        }
    }

    /// H and dH/dz are those of the definition in double precision.
    #[test]
    fn entropy_and_gradient_follow_the_definition(rows in logits(8.0)) {
        let logits = tensor(&rows, &Device::flex().autodiff()).require_grad();
        let entropies = softmax_entropy(logits.clone());
        let gradient = values(logits.grad(&entropies.clone().sum().backward()).unwrap());
        let n_classes = rows[0].len();
        for ((row, found), gradient) in rows.iter().zip(values(entropies)).zip(gradient.chunks(n_classes)) {
            let row: Vec<f64> = row.iter().copied().map(f64::from).collect();
            prop_assert!((f64::from(found) - entropy(&row)).abs() <= 1e-5, "{found} {}", entropy(&row));
            for (found, expected) in gradient.iter().zip(central_differences(&row)) {
                prop_assert!((f64::from(*found) - expected).abs() <= 1e-5, "{found} {expected}");
            }
        }
    }

    /// Every sample once, in order, in batches that are full, but the last.
    #[test]
    fn a_buffer_hands_out_every_sample_once_and_in_order(
        pushes in prop::collection::vec(1_usize..9, 0..30),
        size in 1_usize..20,
    ) {
        let device = Device::flex();
        let mut buffer = Buffer::<2>::new(size).unwrap();
        let (mut pushed, mut handed_out) = (0, Vec::new());
        for n in pushes {
            let held = buffer.len();
            let samples: Vec<f32> = (pushed..pushed + n).flat_map(|sample| [sample as f32, -(sample as f32)]).collect();
            pushed += n;
            let batch = buffer.push(Tensor::from_data(TensorData::new(samples, [n, 2]), &device));
            prop_assert_eq!(batch.is_some(), held + n >= size);
            handed_out.extend(batch.map(values).unwrap_or_default());
            prop_assert_eq!(buffer.len(), pushed - handed_out.len() / 2);
            prop_assert!(buffer.len() < size);
        }
        handed_out.extend(buffer.take().map(values).unwrap_or_default());
        prop_assert!(buffer.is_empty() && buffer.take().is_none());
        let expected: Vec<f32> = (0..pushed).flat_map(|sample| [sample as f32, -(sample as f32)]).collect();
        prop_assert_eq!(handed_out, expected);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// At rate 0 any batch is predicted as by the norm baseline, whatever the optimizer and the steps.
    #[test]
    fn at_rate_0_tent_is_the_norm_baseline(
        stream in stream(),
        scale in prop_oneof![1e-3_f32..1.0, 1.0_f32..1e3],
        shift in -10.0_f32..10.0,
        steps in 1_usize..4,
        plain in any::<bool>(),
    ) {
        let device = Device::flex();
        let config = bare().with_learning_rate(0.0).with_steps(steps);
        let optimizer = || if plain { sgd() } else { adam() };
        let (net, conv) = (Net::new(&device), ConvNet::new(&device));
        let (mut tent, mut conv_tent) = (config.init(&net, optimizer()).unwrap(), config.init(&conv, optimizer()).unwrap());
        let mut norm = NormAdaptation::new(&net, BatchStatistics::Batch).unwrap();
        let mut conv_norm = NormAdaptation::new(&conv, BatchStatistics::Batch).unwrap();
        for (seed, n) in stream {
            let batch = rows(seed, n, &device) * scale + shift;
            let found = tent.adapt(batch.clone(), |net, x| net.forward(x)).unwrap().logits;
            prop_assert_eq!(values(found), values(norm.predict(batch, |net, x| net.forward(x)).unwrap()));
            let batch = images(seed, n, &device) * scale + shift;
            let found = conv_tent.adapt(batch.clone(), |net, x| net.forward(x)).unwrap().logits;
            prop_assert_eq!(values(found), values(conv_norm.predict(batch, |net, x| net.forward(x)).unwrap()));
        }
    }

    /// After a reset the model is the source's to the bit, and what follows is what it was the first time.
    #[test]
    fn a_reset_brings_back_the_source(options in options(), stream in stream(), next in stream()) {
        let device = Device::flex();
        let source = ConvNet::new(&device);
        let mut used = options.init(&source, adam()).unwrap();
        let mut fresh = options.init(&source, adam()).unwrap();
        for (seed, n) in &stream {
            used.adapt(images(*seed, *n, &device), |net, x| net.forward(x)).unwrap();
        }
        used.reset();
        prop_assert!(bits(used.model()) == bits(&source));
        prop_assert_eq!(used.totals().batches, stream.len() as u64, "counts go on");
        for (seed, n) in next {
            let [again, first] = [&mut used, &mut fresh]
                .map(|tent| tent.adapt(images(seed, n, &device), |net, x| net.forward(x)).unwrap());
            prop_assert_eq!(again.report, first.report);
            prop_assert_eq!(values(again.logits), values(first.logits));
        }
    }

    /// Episodes know nothing of each other.
    #[test]
    fn episodic_predictions_ignore_the_order_of_batches(
        (there, back) in stream().prop_flat_map(|stream| (Just(stream.clone()), Just(stream).prop_shuffle())),
        options in options(),
    ) {
        let device = Device::flex();
        let source = ConvNet::new(&device);
        let predictions = |stream: &[(u64, usize)]| {
            let mut tent = options.clone().with_episodic(true).init(&source, adam()).unwrap();
            let mut predict = |batch: &(u64, usize)| {
                let logits = tent.adapt(images(batch.0, batch.1, &device), |net, x| net.forward(x)).unwrap().logits;
                (*batch, values(logits))
            };
            let mut predictions: Vec<_> = stream.iter().map(&mut predict).collect();
            predictions.sort_by_key(|(batch, _)| *batch);
            predictions
        };
        prop_assert_eq!(predictions(&there), predictions(&back));
    }

    /// Whatever the options, γ and β of the norm layers are all that updates change, and the source keeps its own.
    #[test]
    fn only_scales_and_shifts_change(options in options(), stream in stream()) {
        let device = Device::flex();
        let source = ConvNet::new(&device);
        let before = bits(&source);
        let mut tent = options.with_episodic(false).with_collapse(None).init(&source, adam()).unwrap();
        for (seed, n) in stream {
            tent.adapt(images(seed, n, &device), |net, x| net.forward(x)).unwrap();
        }
        let layers = norm_layers(&source);
        let affine: Vec<_> = layers.iter().flat_map(|layer| layer.affine()).collect();
        let running: Vec<_> = layers.iter().flat_map(|layer| layer.running.clone()).collect();
        prop_assert_eq!(tent.adapted(), affine.as_slice());
        let mut changed = 0;
        for ((id, now), (_, then)) in bits(tent.model()).iter().zip(&before) {
            if affine.contains(id) {
                changed += usize::from(now != then);
            } else if !running.contains(id) {
                prop_assert_eq!(now, then);
            }
        }
        prop_assert_eq!(changed > 0, tent.totals().updates > 0);
        prop_assert!(bits(&source) == before, "the source model stays as it is");
    }

    /// A value that is not finite, wherever it is: an error that names the sample, and nothing else.
    #[test]
    fn a_refused_batch_leaves_no_trace(
        options in options(),
        stream in stream(),
        (n, value) in not_finite(),
        seed in 0_u64..1000,
        place in any::<prop::sample::Index>(),
        after in stream(),
    ) {
        let device = Device::flex();
        let source = ConvNet::new(&device);
        let mut clean = options.init(&source, adam()).unwrap();
        let mut disturbed = options.init(&source, adam()).unwrap();
        for (seed, n) in stream {
            for tent in [&mut clean, &mut disturbed] {
                tent.adapt(images(seed, n, &device), |net, x| net.forward(x)).unwrap();
            }
        }
        let before = (bits(disturbed.model()), disturbed.totals());

        let mut pixels = values(images(seed, n, &device));
        let at = place.index(pixels.len());
        pixels[at] = value;
        let poisoned = Tensor::from_data(TensorData::new(pixels, [n, 1, 8, 8]), &device);
        let error = disturbed.adapt(poisoned, |net, x| net.forward(x)).unwrap_err();
        prop_assert_eq!(error, TentError::NonFiniteInput { count: 1, sample: at / 64 });

        prop_assert!((bits(disturbed.model()), disturbed.totals()) == before);
        for (seed, n) in after {
            let [found, expected] = [&mut disturbed, &mut clean]
                .map(|tent| tent.adapt(images(seed, n, &device), |net, x| net.forward(x)).unwrap());
            prop_assert_eq!(found.report, expected.report);
            prop_assert_eq!(values(found.logits), values(expected.logits));
        }
    }

    /// What `predict` returns is what `adapt` is about to return, and asking changes nothing.
    #[test]
    fn predictions_change_nothing(stream in stream(), asked in stream()) {
        let device = Device::flex();
        let mut quiet = tent(&bare().with_min_batch(16), &device);
        let mut asks = tent(&bare().with_min_batch(16), &device);
        for (seed, n) in stream {
            for (seed, n) in &asked {
                asks.predict(rows(*seed, *n, &device), |net, x| net.forward(x)).unwrap();
            }
            let predicted = asks.predict(rows(seed, n, &device), |net, x| net.forward(x)).unwrap();
            let adapted = step(&mut asks, seed, n);
            prop_assert_eq!(&values(predicted), &adapted);
            prop_assert_eq!(adapted, step(&mut quiet, seed, n));
        }
    }

    /// Batches below `min_batch`, and those alone, are not learned from, and are counted.
    #[test]
    fn batches_below_the_least_are_counted(stream in stream(), min_batch in 1_usize..40) {
        let device = Device::flex();
        let mut tent = tent(&bare().with_min_batch(min_batch), &device);
        let mut small = (0, 0);
        for (seed, n) in stream {
            let adapted = tent.adapt(rows(seed, n, &device), |net, x| net.forward(x)).unwrap();
            prop_assert_eq!(adapted.logits.dims(), [n, CLASSES]);
            prop_assert_eq!(adapted.report.outcome == Outcome::SmallBatch, n < min_batch);
            small = if n < min_batch { (small.0 + 1, small.1 + n as u64) } else { small };
        }
        let totals = tent.totals();
        prop_assert_eq!((totals.small_batches, totals.small_batch_samples), small);
        prop_assert_eq!(totals.updates, totals.batches - small.0);
    }

    /// A state that is cut short anywhere is refused; the whole one goes on where it was.
    #[test]
    fn a_truncated_state_is_refused(stream in stream(), at in any::<prop::sample::Index>()) {
        let device = Device::flex();
        let net = Net::new(&device);
        let mut adapted = bare().init(&net, adam()).unwrap();
        for (seed, n) in stream {
            step(&mut adapted, seed, n);
        }
        let bytes = adapted.to_bytes().unwrap();
        let cut = &bytes[..at.index(bytes.len())];
        let refused = bare().init(&net, adam()).unwrap().from_bytes(cut);
        prop_assert!(matches!(refused, Err(TentError::InvalidState(_))), "{refused:?}");
        let mut resumed = bare().init(&net, adam()).unwrap().from_bytes(&bytes).unwrap();
        prop_assert_eq!(resumed.totals(), adapted.totals());
        prop_assert_eq!(step(&mut resumed, 5, FEATURES), step(&mut adapted, 5, FEATURES));
    }
}
