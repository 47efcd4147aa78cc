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

use crate::method::{Chosen, Method};
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
    let (channels, classes) = (images.train.shape().channels, images.train.n_classes());
    let seed = streams.seed_of(Stream::Init);
    let fresh = Fresh { shift: &shift, images: &images, context, streams, device };
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

        let mut metrics = BTreeMap::new();
        let (mut curves, mut counters) = (BTreeMap::new(), BTreeMap::<String, u64>::new());
        let mut sum = 0.0;
        for (done, &corruption) in shift.corruptions.iter().enumerate() {
            let stream = self.stream(&clean, Some(corruption), severity)?;
            let evaluation = shift.method.evaluate(&source, chosen, &stream, device)?;
            sum += evaluation.error();
            metrics.insert(format!("error_{}", corruption.name()), evaluation.error());
            metrics.insert(format!("entropy_{}", corruption.name()), evaluation.entropy());
            let totals = evaluation.totals;
            for (name, count) in [
                ("updates", totals.updates),
                ("small_batch_samples", totals.small_batch_samples),
                ("collapses", totals.collapses),
                ("resets", totals.resets),
            ] {
                *counters.entry(name.into()).or_default() += count;
            }
            if let [_] = shift.corruptions[..] {
                curves.insert("error_by_batch".to_owned(), evaluation.error_by_batch);
                curves.insert("diversity".to_owned(), evaluation.diversity);
            }
            context.progress(done + 1, shift.corruptions.len());
        }
        let mean = sum / shift.corruptions.len() as f64;
        metrics.insert("error".into(), mean);
        let without = shift.method.evaluate(&source, chosen, &self.stream(&clean, None, severity)?, device)?;
        metrics.insert("clean_error".into(), without.error());
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
        let results = Results { diverged, metrics, curves, counters };
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
                TestStream::new(&corrupted, None, severity, &images.normalization, streams, device)?
            }
            None => TestStream::new(clean, corruption, severity, &images.normalization, streams, device)?,
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
