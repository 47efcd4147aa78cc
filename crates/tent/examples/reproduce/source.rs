//! The source model: trained on clean images, once for all the cells that start from it.

use burn::nn::loss::CrossEntropyLossConfig;
use burn::optim::momentum::MomentumConfig;
use burn::optim::{GradientsParams, SgdConfig, decay::WeightDecayConfig};
use burn::store::ModuleRecord;
use burn::tensor::{Bytes, Device};
use rekindle_harness::worker::{Context, Failure};
use rekindle_shared::data::{
    AugmentationConfig, BatchesConfig, GlyphsConfig, HostImages, ImageShape, LabeledImages, Normalization, Split,
    Stream, Streams, load,
};
use rekindle_shared::model::Classifier;
use serde::{Deserialize, Serialize};

use crate::networks::Network;

/// What is trained on what.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Source {
    pub(crate) dataset: Dataset,
    pub(crate) network: Network,
    /// Images drawn from the training set; all where none is given.
    pub(crate) train_images: Option<usize>,
    pub(crate) epochs: usize,
    pub(crate) batch_size: usize,
    /// Of SGD with Nesterov momentum 0.9 at the start of half a cosine.
    pub(crate) learning_rate: f64,
    pub(crate) weight_decay: f64,
    /// Pad by 4 and crop, mirror half of the images.
    pub(crate) crop_and_flip: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Dataset {
    /// Drawn shapes, 1x16x16.
    Glyphs,
    FashionMnist,
    #[serde(rename = "cifar-10")]
    Cifar10,
}

impl Dataset {
    /// The name in the registry; none where nothing has to be read.
    pub(crate) fn name(self) -> Option<&'static str> {
        match self {
            Self::Glyphs => None,
            Self::FashionMnist => Some("fashion-mnist"),
            Self::Cifar10 => Some("cifar-10"),
        }
    }

    fn normalization(self, train: &LabeledImages) -> Normalization {
        match self {
            Self::Glyphs => Normalization::of(train),
            Self::FashionMnist => Normalization::fashion_mnist(),
            Self::Cifar10 => Normalization::cifar_10(),
        }
    }
}

const GLYPHS: ImageShape = ImageShape { channels: 1, height: 16, width: 16 };

/// Clean images, and how their values are scaled for the network.
pub(crate) struct Images {
    pub(crate) train: LabeledImages,
    pub(crate) test: LabeledImages,
    pub(crate) normalization: Normalization,
}

impl Images {
    pub(crate) fn load(source: &Source, context: &Context, streams: Streams) -> Result<Self, Failure> {
        let (train, test) = match source.dataset.name() {
            None => {
                let n = source.train_images.unwrap_or(5000);
                drawn(n + 2000, context, streams)?.split(n)?
            }
            Some(name) => {
                let located = context.data.locate(name).map_err(Failure::data)?;
                let train = load(&located, Split::Train).map_err(Failure::data)?;
                let train = match source.train_images {
                    Some(n) => train.sample(n, &mut streams.stream(Stream::Data))?,
                    None => train,
                };
                (train, load(&located, Split::Test).map_err(Failure::data)?)
            }
        };
        let normalization = source.dataset.normalization(&train);
        Ok(Self { train, test, normalization })
    }
}

/// `n` drawn shapes, of which each process would otherwise draw the same again.
fn drawn(n: usize, context: &Context, streams: Streams) -> Result<LabeledImages, Failure> {
    let glyphs = GlyphsConfig::new().with_size(16);
    let key = format!("glyphs {n} {} {}", streams.root_seed(), serde_json::to_string(&glyphs)?);
    let glyphs = glyphs.init()?;
    let bytes = context.artifact(&key, || {
        let drawn = glyphs.sample(n, &mut streams.stream(Stream::Data))?;
        let labels = drawn.labels().iter().map(|&label| label as u8);
        Ok(drawn.pixels().iter().copied().chain(labels).collect())
    })?;
    let (pixels, labels) = bytes.split_at(bytes.len() - n);
    let labels = labels.iter().map(|&label| usize::from(label)).collect();
    Ok(LabeledImages::new("glyphs", GLYPHS, pixels.to_vec(), labels, 10)?)
}

impl Source {
    /// `model`, which is fresh from this cell's seed, with the weights of its training.
    ///
    /// The first cell that wants them trains; the others read what it left.
    pub(crate) fn trained<M: Classifier>(
        &self,
        model: M,
        images: &Images,
        context: &Context,
        streams: Streams,
        device: &Device,
    ) -> Result<M, Failure> {
        let key = format!("source {} {}", streams.root_seed(), serde_json::to_string(self)?);
        let bytes = context.artifact(&key, || {
            let trained =
                self.train(model.clone(), images, streams, device, &|done, all| context.progress(done, all))?;
            Ok(trained.valid().into_record().into_bytes()?.to_vec())
        })?;
        let record = ModuleRecord::from_bytes(Bytes::from_bytes_vec(bytes))?;
        Ok(model.valid().try_load_record(record)?.train())
    }

    fn train<M: Classifier>(
        &self,
        mut model: M,
        images: &Images,
        streams: Streams,
        device: &Device,
        progress: &dyn Fn(usize, usize),
    ) -> Result<M, Failure> {
        let augmentation = AugmentationConfig::new()
            .with_pad(if self.crop_and_flip { 4 } else { 0 })
            .with_flip(self.crop_and_flip)
            .init();
        let train = HostImages::new(&images.train, &images.normalization, &augmentation, &streams, device)?;
        let batches = BatchesConfig::new(self.batch_size).init(images.train.len(), &streams)?;
        let momentum = MomentumConfig::new().with_momentum(0.9).with_dampening(0.0).with_nesterov(true);
        let mut sgd = SgdConfig::new()
            .with_momentum(Some(momentum))
            .with_weight_decay(Some(WeightDecayConfig::new(self.weight_decay as f32)))
            .init();
        let cross_entropy = CrossEntropyLossConfig::new().init(device);
        let steps = self.epochs * batches.per_epoch();
        let mut step = 0;
        for epoch in 0..self.epochs {
            for indices in batches.epoch(epoch as u64) {
                let batch = train.batch(epoch as u32, &indices);
                let loss = cross_entropy.forward(model.forward(batch.images), batch.labels);
                let grads = GradientsParams::from_grads(loss.backward(), &model);
                let along = step as f64 / steps as f64;
                let rate = self.learning_rate * 0.5 * (1.0 + (std::f64::consts::PI * along).cos());
                model = sgd.step(rate, model, grads);
                step += 1;
                progress(step, steps);
            }
        }
        Ok(model)
    }
}
