//! The training loop of the image experiments, from top to bottom.

use std::collections::BTreeMap;

use burn::module::Module;
use burn::nn::loss::{CrossEntropyLoss, CrossEntropyLossConfig};
use burn::tensor::{Device, Int, Tensor};
use rekindle_harness::Results;
use rekindle_harness::worker::Failure;
use rekindle_sam::probe::HessianConfig;
use rekindle_shared::data::{AugmentationConfig, BatchesConfig, DeviceImages, HostImages, ImageBatch, Streams};

use crate::images::{Images, Training};

/// Accuracies are recorded this many times, evenly spread over the run whatever its budget.
const EVALUATIONS: usize = 10;

/// Test images behind each of these; the final accuracy is that of all.
const CURVE_IMAGES: usize = 1000;

/// Images in an evaluation's batch.
const CHUNK: usize = 500;

/// Trains `model` as `config` says and evaluates it at the last epoch.
///
/// `forward` takes images `[batch, channels, height, width]` and returns logits `[batch, classes]`.
pub(crate) fn train<M: Module>(
    config: &Training,
    images: &Images,
    streams: Streams,
    device: &Device,
    mut model: M,
    forward: impl Fn(&M, Tensor<4>) -> Tensor<2>,
    progress: &dyn Fn(usize, usize),
) -> Result<Results, Failure> {
    let plain = device.clone().inner();
    let test = DeviceImages::new(&images.test, &images.normalization, &plain)?;
    let glance = images.test.take(CURVE_IMAGES.min(images.test.len()))?;
    let glance = DeviceImages::new(&glance, &images.normalization, &plain)?;
    let source = Source::new(config, images, streams, device)?;
    let batches = BatchesConfig::new(config.batch_size).init(images.train.len(), &streams)?;
    let epochs = config.epochs * config.method.budget();
    let steps = epochs * batches.per_epoch();
    let mut sam = config.method.init(&config.sgd, streams)?;
    let cross_entropy = CrossEntropyLossConfig::new().init(device);

    let (mut accuracies, mut losses) = (Vec::new(), Vec::new());
    let (mut step, mut skipped) = (0, 0);
    for epoch in 0..epochs {
        let mut sum = 0.0;
        for indices in batches.epoch(epoch as u64) {
            let batch = source.batch(epoch as u32, &indices);
            let loss = |model: &M, range: std::ops::Range<usize>| {
                let ImageBatch { images, labels } = batch.clone();
                if range.len() == indices.len() {
                    return cross_entropy.forward(forward(model, images), labels);
                }
                cross_entropy.forward(forward(model, images.slice(range.clone())), labels.slice(range))
            };
            let rate = config.sgd.cosine(step, steps);
            let report;
            (model, report) = sam.step_by_range(rate, model, indices.len(), loss)?;
            sum += report.loss * indices.len() as f64;
            skipped += u64::from(report.is_skipped());
            step += 1;
            progress(step, steps);
        }
        if (epoch + 1) * EVALUATIONS / epochs > epoch * EVALUATIONS / epochs {
            losses.push(sum / images.train.len() as f64);
            accuracies.push(accuracy(&model.valid(), &glance, &forward));
        }
    }

    let fitted = DeviceImages::new(&images.train, &images.normalization, &plain)?;
    let correct = correct(&model.valid(), &fitted, &forward);
    let test_accuracy = accuracy(&model.valid(), &test, &forward);
    let mut metrics = BTreeMap::from([
        ("test_accuracy".to_owned(), test_accuracy),
        ("test_error".to_owned(), 1.0 - test_accuracy),
        ("train_accuracy".to_owned(), share(correct.iter().copied())),
    ]);
    if !images.flipped.is_empty() {
        metrics.insert("flipped_fitted".into(), share(images.flipped.iter().map(|&i| correct[i])));
    }
    if let Some(n) = config.curvature_images {
        let batch =
            DeviceImages::new(&images.train, &images.normalization, device)?.range(0..n.min(images.train.len()));
        metrics.insert("curvature".into(), curvature(&model, &batch, &cross_entropy, &forward)?);
    }
    Ok(Results {
        diverged: losses.iter().chain(metrics.values()).any(|value| !value.is_finite()),
        metrics,
        curves: BTreeMap::from([("test_accuracy".into(), accuracies), ("train_loss".into(), losses)]),
        counters: BTreeMap::from([("steps".into(), steps as u64), ("skipped_steps".into(), skipped)]),
        ..Results::default()
    })
}

/// Where training batches come from: the device where nothing changes the images, else the host.
enum Source<'a> {
    Device(Box<DeviceImages>),
    Host(Box<HostImages<'a>>),
}

impl<'a> Source<'a> {
    fn new(config: &Training, images: &'a Images, streams: Streams, device: &Device) -> Result<Self, Failure> {
        if !config.crop_and_flip && config.cutout.is_none() {
            let images = DeviceImages::new(&images.train, &images.normalization, device)?;
            return Ok(Self::Device(Box::new(images)));
        }
        let augmentation = AugmentationConfig::new()
            .with_pad(if config.crop_and_flip { 4 } else { 0 })
            .with_flip(config.crop_and_flip)
            .with_cutout(config.cutout.unwrap_or(0))
            .init();
        let images = HostImages::new(&images.train, &images.normalization, &augmentation, &streams, device)?;
        Ok(Self::Host(Box::new(images)))
    }

    fn batch(&self, epoch: u32, indices: &[usize]) -> ImageBatch {
        match self {
            Self::Device(images) => images.select(indices),
            Self::Host(images) => images.batch(epoch, indices),
        }
    }
}

/// Which images the model labels as they are labeled, read back once.
fn correct<M>(model: &M, images: &DeviceImages, forward: &impl Fn(&M, Tensor<4>) -> Tensor<2>) -> Vec<bool> {
    let chunks: Vec<Tensor<1, Int>> = images
        .chunks(CHUNK)
        .map(|ImageBatch { images, labels }| forward(model, images).argmax(1).squeeze::<1>().equal(labels).int())
        .collect();
    Tensor::cat(chunks, 0).into_data().iter::<i64>().map(|right| right == 1).collect()
}

fn accuracy<M>(model: &M, images: &DeviceImages, forward: &impl Fn(&M, Tensor<4>) -> Tensor<2>) -> f64 {
    share(correct(model, images, forward).into_iter())
}

fn share(correct: impl ExactSizeIterator<Item = bool>) -> f64 {
    let all = correct.len();
    correct.filter(|&right| right).count() as f64 / all as f64
}

/// The Hessian's largest eigenvalue at the end, batch norm with the statistics of these images.
fn curvature<M: Module>(
    model: &M,
    batch: &ImageBatch,
    cross_entropy: &CrossEntropyLoss,
    forward: &impl Fn(&M, Tensor<4>) -> Tensor<2>,
) -> Result<f64, Failure> {
    let loss = |model: &M| cross_entropy.forward(forward(model, batch.images.clone()), batch.labels.clone());
    // A few percent are enough for a factor of two, and an iteration costs two gradients.
    let config = HessianConfig::new().with_max_iterations(30).with_tolerance(0.02);
    Ok(config.top_eigenvalue(model, loss)?.value)
}
