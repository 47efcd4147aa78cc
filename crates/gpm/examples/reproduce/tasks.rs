//! The tasks of a run, made one at a time.

use rekindle_harness::worker::{Context, Failure};
use rekindle_shared::data::{
    ImageFolder, ImageShape, LabeledImages, Normalization, PermutedTasks, Split, SplitTasks, Stream, Streams, Task,
    TaskOrder, TaskStream, Validation, load, read_image_folder,
};
use serde::{Deserialize, Serialize};

use crate::latent::Latent;

/// Where the images come from, and how they are divided.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case")]
pub(crate) enum TasksConfig {
    /// A fixed permutation of the pixels for each task; one head.
    Permuted { source: Source, n_tasks: usize },
    /// As many classes for each task; a head for each.
    Split { source: Source, n_tasks: usize },
    /// CIFAR-10, MNIST, SVHN, Fashion-MNIST, notMNIST; a head for each.
    FiveDatasets,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case")]
pub(crate) enum Source {
    Latent {
        latent: Latent,
        n_train: usize,
        n_test: usize,
    },
    Mnist,
    FashionMnist,
    #[serde(rename = "cifar-10")]
    Cifar10,
    #[serde(rename = "cifar-100")]
    Cifar100,
}

/// Data sets in the paper's order.
pub(crate) const FIVE: [&str; 5] = ["cifar-10", "mnist", "svhn", "fashion-mnist", "notmnist"];
const COLOR: ImageShape = ImageShape { channels: 3, height: 32, width: 32 };

/// The images of all tasks.
pub(crate) enum Tasks<'a> {
    Divided(Box<Divided>),
    Five { context: &'a Context, validation: Validation },
}

/// A data set that is divided into tasks.
pub(crate) struct Divided {
    train: LabeledImages,
    test: LabeledImages,
    normalization: Normalization,
    order: TaskOrder,
    validation: Validation,
}

/// A task and the normalization of its images.
pub(crate) struct Normalized {
    pub(crate) task: Task,
    pub(crate) normalization: Normalization,
}

impl<'a> Tasks<'a> {
    /// `validation` is the share of the training images, from the first on, that is left to it.
    pub(crate) fn new(
        config: &TasksConfig,
        validation: f64,
        context: &'a Context,
        streams: Streams,
    ) -> Result<Self, Failure> {
        let validation = match validation {
            0.0 => Validation::None,
            fraction => Validation::First { fraction },
        };
        let (source, split, n_tasks) = match config {
            TasksConfig::Permuted { source, n_tasks } => (source, false, *n_tasks),
            TasksConfig::Split { source, n_tasks } => (source, true, *n_tasks),
            TasksConfig::FiveDatasets => return Ok(Self::Five { context, validation }),
        };
        let (train, test, normalization) = images(source, context, streams)?;
        let order = match split {
            true => SplitTasks::even(train.n_classes(), n_tasks)?.into(),
            false => PermutedTasks::new(n_tasks, streams.seed_of(Stream::Tasks)).into(),
        };
        Ok(Self::Divided(Box::new(Divided { train, test, normalization, order, validation })))
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Divided(divided) => divided.order.n_tasks(),
            Self::Five { .. } => FIVE.len(),
        }
    }

    /// Shape and number of classes of each task's images.
    pub(crate) fn shape(&self) -> (ImageShape, usize) {
        match self {
            Self::Divided(divided) => {
                let n_classes = match &divided.order {
                    TaskOrder::Split(split) => split.classes[0].len(),
                    _ => divided.train.n_classes(),
                };
                (divided.train.shape(), n_classes)
            }
            Self::Five { .. } => (COLOR, 10),
        }
    }

    pub(crate) fn task(&self, task: usize) -> Result<Normalized, Failure> {
        match self {
            Self::Divided(divided) => {
                let Divided { train, test, normalization, order, validation } = &**divided;
                let stream = TaskStream::new(order.clone(), *validation, train, test)?;
                Ok(Normalized { task: stream.task(task)?, normalization: normalization.clone() })
            }
            Self::Five { context, validation } => {
                let [train, test] = color_images(FIVE[task], context)?;
                let all = SplitTasks::even(train.n_classes(), 1)?;
                let task = TaskStream::new(all, *validation, &train, &test)?.task(0)?;
                Ok(Normalized { task, normalization: Normalization::of(&train) })
            }
        }
    }
}

fn images(
    source: &Source,
    context: &Context,
    streams: Streams,
) -> Result<(LabeledImages, LabeledImages, Normalization), Failure> {
    let (name, normalization) = match source {
        Source::Latent { latent, n_train, n_test } => {
            let [train, test] = latent.sample([*n_train, *n_test], &mut streams.stream(Stream::Data))?;
            return Ok((train, test, latent.normalization()?));
        }
        Source::Mnist => ("mnist", Normalization::mnist()),
        Source::FashionMnist => ("fashion-mnist", Normalization::fashion_mnist()),
        Source::Cifar10 => ("cifar-10", Normalization::cifar_10()),
        Source::Cifar100 => ("cifar-100", Normalization::cifar_100()),
    };
    let [train, test] = official(name, context)?;
    Ok((train, test, normalization))
}

fn official(name: &str, context: &Context) -> Result<[LabeledImages; 2], Failure> {
    let files = context.data.locate(name).map_err(Failure::data)?;
    let [train, test] = [Split::Train, Split::Test].map(|split| load(&files, split).map_err(Failure::data));
    Ok([train?, test?])
}

/// Training and test images of one of [`FIVE`], in color and of 32x32 pixels.
fn color_images(name: &str, context: &Context) -> Result<[LabeledImages; 2], Failure> {
    let shape = match name {
        "svhn" => COLOR,
        "notmnist" => ImageShape { channels: 1, height: 28, width: 28 },
        official_name => {
            let [train, test] = official(official_name, context)?;
            return Ok([in_color(train)?, in_color(test)?]);
        }
    };
    let located = context.data.locate(name).map_err(Failure::data)?;
    let folder = |part| read_image_folder(name, &located.path(part), shape).map_err(Failure::data);
    let [ImageFolder { images: train, classes }, ImageFolder { images: test, classes: other }] =
        [folder("train")?, folder("test")?];
    if classes != other {
        let message =
            format!("{name} has the classes {} in train and {} in test", classes.join(", "), other.join(", "));
        return Err(Failure::data(message));
    }
    Ok([in_color(train)?, in_color(test)?])
}

/// Gray images in three equal channels, with two black pixels around where they have 28x28.
fn in_color(images: LabeledImages) -> Result<LabeledImages, Failure> {
    let shape = images.shape();
    if shape == COLOR {
        return Ok(images);
    }
    let margin = (COLOR.height - shape.height) / 2;
    let mut pixels = vec![0; images.len() * COLOR.len()];
    for (to, from) in pixels.chunks_exact_mut(COLOR.len()).zip(images.pixels().chunks_exact(shape.len())) {
        for plane in to.chunks_exact_mut(COLOR.height * COLOR.width) {
            for (row, values) in from.chunks_exact(shape.width).enumerate() {
                let start = (margin + row) * COLOR.width + margin;
                plane[start..start + shape.width].copy_from_slice(values);
            }
        }
    }
    let (labels, n_classes) = (images.labels().to_vec(), images.n_classes());
    Ok(LabeledImages::new(images.name(), COLOR, pixels, labels, n_classes)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gray_images_become_color_with_a_black_margin() {
        let shape = ImageShape { channels: 1, height: 28, width: 28 };
        let gray = LabeledImages::new("x", shape, (0..784).map(|i| (i % 255 + 1) as u8).collect(), vec![0], 1).unwrap();
        let color = in_color(gray.clone()).unwrap_or_else(|_| panic!("a valid shape"));
        assert_eq!(color.shape(), COLOR);
        for plane in color.pixels().chunks(32 * 32) {
            assert!(plane[..2 * 32].iter().chain(&plane[30 * 32..]).all(|&pixel| pixel == 0));
            assert_eq!(plane[2 * 32..][2..30], gray.pixels()[..28]);
            assert_eq!(plane[29 * 32..][2..30], gray.pixels()[27 * 28..]);
            assert_eq!((plane[2 * 32 + 1], plane[2 * 32 + 30]), (0, 0));
        }
    }
}
