//! One run on images: what is trained on what.

use burn::tensor::Device;
use rekindle_harness::Cell;
use rekindle_harness::worker::{Context, Failure, Outcome};
use rekindle_shared::data::{LabeledImages, Normalization, Split, Stream, Streams, SymmetricNoise, load};
use rekindle_shared::model::try_init_seeded;
use rekindle_shared::networks::{ResNetConfig, SmallCnnConfig, WideResNetConfig};
use serde::{Deserialize, Serialize};

use crate::method::{Method, Sgd};
use crate::train::train;

/// The configuration of a cell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Training {
    pub(crate) method: Method,
    pub(crate) dataset: Dataset,
    pub(crate) network: Network,
    /// Images drawn from the training set; all where none is given.
    pub(crate) train_images: Option<usize>,
    /// The part of the training labels that is flipped to another class.
    pub(crate) noise: f64,
    /// Epochs of a method with the budget 1.
    pub(crate) epochs: usize,
    pub(crate) batch_size: usize,
    pub(crate) sgd: Sgd,
    /// Pad by 4 and crop, mirror half of the images.
    pub(crate) crop_and_flip: bool,
    /// Side of the square that is cut out, in pixels.
    pub(crate) cutout: Option<usize>,
    /// Training images on which the Hessian's largest eigenvalue is measured at the end.
    pub(crate) curvature_images: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Dataset {
    FashionMnist,
    #[serde(rename = "cifar-10")]
    Cifar10,
    #[serde(rename = "cifar-100")]
    Cifar100,
}

impl Dataset {
    /// The name in the registry.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::FashionMnist => "fashion-mnist",
            Self::Cifar10 => "cifar-10",
            Self::Cifar100 => "cifar-100",
        }
    }

    fn normalization(self) -> Normalization {
        match self {
            Self::FashionMnist => Normalization::fashion_mnist(),
            Self::Cifar10 => Normalization::cifar_10(),
            Self::Cifar100 => Normalization::cifar_100(),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Network {
    SmallCnn,
    #[serde(rename = "resnet-32")]
    ResNet32,
    #[serde(rename = "wrn-28-10")]
    Wrn28x10,
}

/// The images of a run, with the training labels as they are after the noise.
pub(crate) struct Images {
    pub(crate) train: LabeledImages,
    /// Indices of the training images whose label was flipped.
    pub(crate) flipped: Vec<usize>,
    pub(crate) test: LabeledImages,
    pub(crate) normalization: Normalization,
}

impl Images {
    fn load(config: &Training, context: &Context, streams: Streams) -> Result<Self, Failure> {
        let located = context.data.locate(config.dataset.name()).map_err(Failure::data)?;
        let train = load(&located, Split::Train).map_err(Failure::data)?;
        let test = load(&located, Split::Test).map_err(Failure::data)?;
        Self::new(config, train, test, streams)
    }

    /// Draws the training images and flips labels, each from its stream: the same for every method.
    fn new(config: &Training, train: LabeledImages, test: LabeledImages, streams: Streams) -> Result<Self, Failure> {
        let train = match config.train_images {
            Some(n) => train.sample(n, &mut streams.stream(Stream::Data))?,
            None => train,
        };
        let noise = SymmetricNoise::new(config.noise)?;
        let noisy = noise.apply(train.labels(), train.n_classes(), &mut streams.stream(Stream::Labels))?;
        let train = train.with_labels(noisy.labels)?;
        Ok(Self { train, flipped: noisy.flipped, test, normalization: config.dataset.normalization() })
    }
}

pub(crate) fn run(cell: &Cell, context: &Context, device: &Device) -> Result<Outcome, Failure> {
    let config: Training = cell.config()?;
    let streams = Streams::new(cell.seed);
    let images = Images::load(&config, context, streams)?;
    let results = run_on(&config, &images, streams, device, &|done, total| context.progress(done, total))?;
    Ok(Outcome { results, ..Outcome::default() })
}

fn run_on(
    config: &Training,
    images: &Images,
    streams: Streams,
    device: &Device,
    progress: &dyn Fn(usize, usize),
) -> Result<rekindle_harness::Results, Failure> {
    let (shape, classes) = (images.train.shape(), images.train.n_classes());
    let seed = streams.seed_of(Stream::Init);
    match config.network {
        Network::SmallCnn => {
            let network = SmallCnnConfig::new()
                .with_in_channels(shape.channels)
                .with_size([shape.height, shape.width])
                .with_hidden(256)
                .with_n_classes(classes);
            let model = try_init_seeded(seed, device, |device| network.init(device))?;
            train(config, images, streams, device, model, |model, x| model.forward(x), progress)
        }
        Network::ResNet32 => {
            let network = ResNetConfig::new().with_depth(32).with_in_channels(shape.channels).with_n_classes(classes);
            let model = try_init_seeded(seed, device, |device| network.init(device))?;
            train(config, images, streams, device, model, |model, x| model.forward(x), progress)
        }
        Network::Wrn28x10 => {
            let network = WideResNetConfig::new().with_in_channels(shape.channels).with_n_classes(classes);
            let model = try_init_seeded(seed, device, |device| network.init(device))?;
            train(config, images, streams, device, model, |model, x| model.forward(x), progress)
        }
    }
}

#[cfg(test)]
mod tests {
    use rekindle_shared::data::ImageShape;

    use super::*;
    use crate::{noise, table_1, table_4};

    /// `n` images of the data set's shape with every class's label in turn.
    fn stand_in(dataset: Dataset, n: usize) -> LabeledImages {
        let (channels, side, classes) = match dataset {
            Dataset::FashionMnist => (1, 28, 10),
            Dataset::Cifar10 => (3, 32, 10),
            Dataset::Cifar100 => (3, 32, 100),
        };
        let shape = ImageShape { channels, height: side, width: side };
        let pixels = (0..n * shape.len()).map(|i| (i * 31 % 251) as u8).collect();
        LabeledImages::new("stand-in", shape, pixels, (0..n).map(|i| i % classes).collect(), classes).unwrap()
    }

    /// Every configuration of a grid trains for one step on two images.
    fn one_step(cells: Vec<Cell>) {
        let device = Device::flex().autodiff();
        let mut seen: Vec<serde_json::Value> = Vec::new();
        for cell in cells {
            if seen.contains(&cell.config) {
                continue;
            }
            seen.push(cell.config.clone());
            let training: Training = cell.config().unwrap();
            let short =
                Training { train_images: Some(2), epochs: 1, batch_size: 2, curvature_images: None, ..training };
            let dataset = short.dataset;
            let streams = Streams::new(cell.seed);
            let images = Images::new(&short, stand_in(dataset, 4), stand_in(dataset, 2), streams).unwrap();
            let results = run_on(&short, &images, streams, &device, &|_, _| {}).unwrap();
            assert!(!results.diverged, "{}", cell.id());
            let accuracy = results.metrics["test_accuracy"];
            assert!((0.0..=1.0).contains(&accuracy), "{} {accuracy}", cell.id());
        }
    }

    #[test]
    fn table_1_takes_a_step_in_every_configuration() {
        one_step(table_1::cells(Some(1)));
    }

    #[test]
    fn table_4_takes_a_step_in_every_configuration() {
        one_step(table_4::cells(Some(1)));
    }

    #[test]
    fn label_noise_takes_a_step_in_every_configuration() {
        one_step([noise::label_noise(Some(1)), noise::m_sharpness(Some(1)), noise::cifar_10(Some(1))].concat());
    }

    #[test]
    fn methods_see_the_same_images_and_labels() {
        let of = |index: usize| {
            let training: Training = noise::label_noise(Some(1))[index].config().unwrap();
            let short = Training { train_images: Some(20), noise: 0.4, ..training };
            Images::new(
                &short,
                stand_in(Dataset::FashionMnist, 50),
                stand_in(Dataset::FashionMnist, 2),
                Streams::new(7),
            )
            .unwrap()
        };
        let (first, last) = (of(0), of(4));
        assert_eq!((first.flipped.len(), &first.flipped), (8, &last.flipped));
        assert_eq!(first.train, last.train);
    }
}
