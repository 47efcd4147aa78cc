//! One run: a source model, a method, and its errors under each corruption.

use std::collections::BTreeMap;

use burn::tensor::Device;
use rekindle_harness::worker::{Context, Failure, Outcome};
use rekindle_harness::{Cell, Results};
use rekindle_shared::data::corruption::{AnyCorruption, ExtraCorruption, Severity, corrupt};
use rekindle_shared::data::{ContactSheet, LabeledImages, Stream, Streams, read_cifar_10_c};
use rekindle_shared::model::{Classifier, init_seeded, try_init_seeded};
use rekindle_shared::networks::{ResNetConfig, WideResNetConfig};
use serde::{Deserialize, Serialize};

use crate::method::{Chosen, Evaluation, Method};
use crate::networks::{GroupNormCnn, Network, TinyCnn};
use crate::source::{Dataset, Images, Source};
use crate::stream::{Order, TestStream};
use crate::tune::tune;

/// The configuration of a cell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Shift {
    pub(crate) method: Method,
    pub(crate) source: Source,
    pub(crate) corruptions: Vec<AnyCorruption>,
    /// The corruptions share one stream, each image under one of them, instead of having one each.
    pub(crate) mixed: bool,
    pub(crate) severity: u8,
    /// Test images drawn for the stream; all where none is given.
    pub(crate) test_images: Option<usize>,
    pub(crate) batch_size: usize,
    pub(crate) order: Order,
    /// Test images of each extra corruption by which the learning rate is chosen.
    pub(crate) tuning_images: usize,
    /// Images in a batch while it is chosen.
    pub(crate) tuning_batch: usize,
    /// Take the published corrupted files where they are found.
    pub(crate) published: bool,
}

pub(crate) fn run(cell: &Cell, context: &Context, device: &Device) -> Result<Outcome, Failure> {
    let shift: Shift = cell.config()?;
    let streams = Streams::new(cell.seed);
    let images = Images::load(&shift.source, context, streams)?;
    run_on(&shift, &images, context, streams, device)
}

fn run_on(
    shift: &Shift,
    images: &Images,
    context: &Context,
    streams: Streams,
    device: &Device,
) -> Result<Outcome, Failure> {
    let (channels, classes) = (images.train.shape().channels, images.train.n_classes());
    let seed = streams.seed_of(Stream::Init);
    let fresh = Fresh { shift, images, context, streams, device };
    match shift.source.network {
        Network::TinyCnn => fresh.run(init_seeded(seed, device, |device| TinyCnn::new(channels, classes, device))),
        Network::GroupNormCnn => {
            fresh.run(init_seeded(seed, device, |device| GroupNormCnn::new(channels, classes, device)))
        }
        Network::ResNet { depth } => {
            let config = ResNetConfig::new().with_depth(depth).with_in_channels(channels).with_n_classes(classes);
            fresh.run(try_init_seeded(seed, device, |device| config.init(device))?)
        }
        Network::Wrn28x10 => {
            let config = WideResNetConfig::new().with_in_channels(channels).with_n_classes(classes);
            fresh.run(try_init_seeded(seed, device, |device| config.init(device))?)
        }
    }
}

/// What the streams of a run add up to.
#[derive(Default)]
struct Run {
    metrics: BTreeMap<String, f64>,
    curves: BTreeMap<String, Vec<f64>>,
    counters: BTreeMap<String, u64>,
    /// Of the errors.
    sum: f64,
}

impl Run {
    fn add(&mut self, stream: &str, evaluation: Evaluation) {
        self.sum += evaluation.error();
        self.metrics.insert(format!("error_{stream}"), evaluation.error());
        self.metrics.insert(format!("entropy_{stream}"), evaluation.entropy());
        let totals = evaluation.totals;
        for (name, count) in [
            ("updates", totals.updates),
            ("small_batch_samples", totals.small_batch_samples),
            ("collapses", totals.collapses),
            ("resets", totals.resets),
        ] {
            *self.counters.entry(name.into()).or_default() += count;
        }
        self.curves.insert("error_by_batch".into(), evaluation.error_by_batch);
        self.curves.insert("diversity".into(), evaluation.diversity);
    }
}

/// What a run has before its network.
struct Fresh<'a> {
    shift: &'a Shift,
    images: &'a Images,
    context: &'a Context,
    streams: Streams,
    device: &'a Device,
}

impl Fresh<'_> {
    fn run<M: Classifier>(&self, model: M) -> Result<Outcome, Failure> {
        let Self { shift, images, context, streams, device } = *self;
        let severity = Severity::new(shift.severity)?;
        let source = shift.source.trained(model, images, context, streams, device)?;
        let mut draw = streams.substream(Stream::Data, 1);
        let clean = match shift.test_images {
            Some(n) => images.test.sample(n, &mut draw)?,
            None => images.test.clone(),
        };
        let chosen = self.chosen(&source, severity)?;

        let mut run = Run::default();
        let n_streams = if shift.mixed { 1 } else { shift.corruptions.len() };
        if shift.mixed {
            let stream =
                TestStream::mixed(&clean, &shift.corruptions, severity, &images.normalization, streams, device)?;
            let stream = stream.arranged(shift.order, shift.batch_size);
            run.add("mixed", shift.method.evaluate(&source, chosen, &stream)?);
        } else {
            for (done, &corruption) in shift.corruptions.iter().enumerate() {
                let stream = self.stream(&clean, Some(corruption), severity)?;
                run.add(corruption.name(), shift.method.evaluate(&source, chosen, &stream)?);
                context.progress(done + 1, n_streams);
            }
        }
        let Run { mut metrics, mut curves, mut counters, sum } = run;
        metrics.insert("error".into(), sum / n_streams as f64);
        if n_streams > 1 {
            curves.clear();
            let without = shift.method.evaluate(&source, chosen, &self.stream(&clean, None, severity)?)?;
            metrics.insert("clean_error".into(), without.error());
        }
        if let (Method::Tent(adaptation), Some(chosen)) = (shift.method, chosen) {
            metrics.insert("learning_rate".into(), adaptation.learning_rate.unwrap_or(chosen.learning_rate));
            metrics.insert("min_confidence".into(), chosen.min_confidence);
        }
        if shift.published {
            metrics.insert("published".into(), f64::from(u8::from(context.data.locate("cifar-10-c").is_ok())));
        }
        counters.retain(|_, count| *count > 0);
        let pictures = match shift.method {
            Method::Source if shift.corruptions.len() > 1 => {
                BTreeMap::from([("examples".into(), self.examples(&clean, severity)?)])
            }
            _ => BTreeMap::new(),
        };
        let diverged = metrics.values().any(|value| !value.is_finite());
        let results = Results { diverged, metrics, curves, counters, ..Results::default() };
        Ok(Outcome { results, pictures, ..Outcome::default() })
    }

    fn stream(
        &self,
        clean: &LabeledImages,
        corruption: Option<AnyCorruption>,
        severity: Severity,
    ) -> Result<TestStream, Failure> {
        let Self { shift, images, context, streams, device } = *self;
        let published = match (shift.published && shift.source.dataset == Dataset::Cifar10, corruption) {
            (true, Some(corruption)) => context.data.locate("cifar-10-c").ok().map(|located| (located, corruption)),
            _ => None,
        };
        let stream = match published {
            Some((located, corruption)) => {
                let corrupted = read_cifar_10_c(located.folder(), corruption, severity).map_err(Failure::data)?;
                TestStream::new(&corrupted, &images.normalization, streams, device)?
            }
            None => match corruption {
                Some(kind) => TestStream::corrupted(clean, kind, severity, &images.normalization, streams, device)?,
                None => TestStream::new(clean, &images.normalization, streams, device)?,
            },
        };
        Ok(stream.arranged(shift.order, shift.batch_size))
    }

    /// Learning rate and the like by the extra corruptions, where the method leaves them open.
    ///
    /// The images that decide are drawn from the training set, so that no image is tuned on and tested.
    fn chosen<M: Classifier>(&self, source: &M, severity: Severity) -> Result<Option<Chosen>, Failure> {
        let Self { shift, images, context, streams, device } = *self;
        let Method::Tent(adaptation) = shift.method else { return Ok(None) };
        if adaptation.learning_rate.is_some() {
            return Ok(None);
        }
        let goal = adaptation.objective;
        let what = (goal, &shift.source, shift.severity, shift.tuning_batch, shift.tuning_images);
        let key = format!("tuning {} {}", streams.root_seed(), serde_json::to_string(&what)?);
        let bytes = context.artifact(&key, || {
            let held_out = images.train.sample(shift.tuning_images, &mut streams.substream(Stream::Data, 2))?;
            let chosen = tune(
                source,
                goal,
                &ExtraCorruption::ALL,
                &held_out,
                severity,
                &images.normalization,
                shift.tuning_batch,
                streams,
                device,
            )?;
            Ok(serde_json::to_vec(&chosen)?)
        })?;
        Ok(Some(serde_json::from_slice(&bytes)?))
    }

    /// A few images clean and under every corruption, as PNG.
    fn examples(&self, clean: &LabeledImages, severity: Severity) -> Result<Vec<u8>, Failure> {
        let few = clean.take(5.min(clean.len()))?;
        let mut sheet =
            ContactSheet::new(few.len(), 1 + self.shift.corruptions.len(), few.shape().height, few.shape().width);
        let corrupted =
            self.shift.corruptions.iter().map(|&kind| corrupt(&few, kind, severity, self.streams.root_seed()));
        let versions = std::iter::once(Ok(few.clone())).chain(corrupted).collect::<Result<Vec<_>, _>>()?;
        for (column, version) in versions.iter().enumerate() {
            (0..few.len()).for_each(|row| sheet.draw(row, column, version.image(row), version.shape()));
        }
        Ok(sheet.png())
    }
}

#[cfg(test)]
mod tests {
    use rekindle_shared::data::{DataDir, ImageShape, Normalization};

    use super::*;
    use crate::method::Adaptation;
    use crate::{failures, tables};

    /// `n` images of the data set's shape with every class's label in turn.
    fn stand_in(dataset: Dataset, n: usize) -> LabeledImages {
        let (channels, side) = match dataset {
            Dataset::Glyphs => (1, 16),
            Dataset::FashionMnist => (1, 28),
            Dataset::Cifar10 => (3, 32),
        };
        let shape = ImageShape { channels, height: side, width: side };
        let pixels = (0..n * shape.len()).map(|i| (i * 31 % 251) as u8).collect();
        LabeledImages::new("stand-in", shape, pixels, (0..n).map(|i| i % 10).collect(), 10).unwrap()
    }

    /// Every configuration of a grid trains, tunes and predicts on a few images.
    fn a_few_images(cells: Vec<Cell>) {
        let device = Device::flex().autodiff();
        let context = Context::detached("flex", DataDir::resolve(None));
        let mut seen = Vec::new();
        for cell in cells {
            if seen.contains(&cell.config) {
                continue;
            }
            seen.push(cell.config.clone());
            let shift: Shift = cell.config().unwrap();
            let big = shift.source.network == Network::Wrn28x10;
            let method = match shift.method {
                // The largest network isn't tuned here: that takes dozens of passes.
                Method::Tent(adaptation) if big => Method::Tent(Adaptation { learning_rate: Some(1e-3), ..adaptation }),
                other => other,
            };
            let source = Source { epochs: 1, batch_size: 2, ..shift.source };
            let corruptions = shift.corruptions[..if big { 1 } else { shift.corruptions.len() }].to_vec();
            let shift = Shift {
                method,
                source,
                corruptions,
                test_images: Some(4),
                batch_size: 2,
                tuning_images: 2,
                tuning_batch: 2,
                published: false,
                ..shift
            };
            let dataset = shift.source.dataset;
            let (train, test) = (stand_in(dataset, 2), stand_in(dataset, 6));
            let normalization = Normalization::identity(train.shape().channels);
            let images = Images { train, test, normalization };
            let results = run_on(&shift, &images, &context, Streams::new(cell.seed), &device).unwrap().results;
            assert!(!results.diverged, "{}", cell.id());
            assert!((0.0..=1.0).contains(&results.metrics["error"]), "{}", cell.id());
            let named = |kind: &AnyCorruption| results.metrics.contains_key(&format!("error_{}", kind.name()));
            assert!(shift.mixed || shift.corruptions.iter().all(named), "{}", cell.id());
        }
    }

    #[test]
    fn every_configuration_of_the_smoke_tier_runs() {
        a_few_images(failures::cells(Some(1)));
    }

    #[test]
    fn every_configuration_of_the_small_tier_runs() {
        a_few_images(tables::small(Some(1)));
    }

    #[test]
    fn every_configuration_of_the_paper_tier_runs() {
        a_few_images(tables::paper(Some(1)));
    }

    #[test]
    fn methods_see_the_same_corrupted_images_in_the_same_order() {
        let clean = stand_in(Dataset::Glyphs, 20);
        let stream = || {
            let kind = rekindle_shared::data::corruption::Corruption::GaussianNoise.into();
            let severity = Severity::new(5).unwrap();
            let streams = Streams::new(7);
            TestStream::corrupted(&clean, kind, severity, &Normalization::identity(1), streams, &Device::flex())
                .unwrap()
                .arranged(Order::Shuffled, 6)
        };
        let pixels = |stream: TestStream| -> Vec<Vec<f32>> {
            stream.batches().map(|batch| batch.images.into_data().try_into_vec().unwrap()).collect()
        };
        let (first, second) = (pixels(stream()), pixels(stream()));
        assert_eq!(first.iter().map(Vec::len).collect::<Vec<_>>(), [6 * 256, 6 * 256, 6 * 256, 2 * 256]);
        assert!(first == second);
        let sorted: Vec<usize> =
            stream().arranged(Order::Sorted, 6).batches().flat_map(|batch| batch.classes).collect();
        assert!(sorted.is_sorted());
    }

    #[test]
    fn a_mixed_stream_has_each_image_under_one_corruption() {
        let clean = stand_in(Dataset::Glyphs, 8);
        let kinds = [
            rekindle_shared::data::corruption::Corruption::Contrast.into(),
            rekindle_shared::data::corruption::Corruption::Brightness.into(),
        ];
        let (severity, streams, device) = (Severity::new(5).unwrap(), Streams::new(1), Device::flex());
        let normalization = Normalization::identity(1);
        let mixed = TestStream::mixed(&clean, &kinds, severity, &normalization, streams, &device).unwrap();
        let by_domain: Vec<Vec<f32>> = mixed
            .arranged(Order::ByDomain, 4)
            .batches()
            .map(|batch| batch.images.into_data().try_into_vec().unwrap())
            .collect();
        // Contrast pulls towards the mean, brightness adds: the batches differ in spread.
        let spread = |values: &[f32]| {
            let mean = values.iter().sum::<f32>() / values.len() as f32;
            values.iter().map(|value| (value - mean).powi(2)).sum::<f32>() / values.len() as f32
        };
        assert!(spread(&by_domain[0]) < 0.2 * spread(&by_domain[1]));
    }
}
