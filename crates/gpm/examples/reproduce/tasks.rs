//! A cell: which tasks, which network, which method.

use burn::tensor::Device;
use rekindle_harness::Cell;
use rekindle_harness::worker::{Context, Failure, Outcome};
use rekindle_shared::data::{
    LabeledImages, Normalization, PermutedTasks, Split, SplitTasks, Stream, Streams, TaskOrder, TaskStream, Validation,
    load,
};
use rekindle_shared::model::{init_seeded, try_init_seeded};
use rekindle_shared::networks::MlpConfig;
use serde::{Deserialize, Serialize};

use crate::heads::{MultiHead, pytorch};
use crate::latent::Latent;
use crate::learn::{Protocol, learn};
use crate::method::Method;

/// Where the images come from.
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
}

/// How they are divided.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case")]
pub(crate) enum Division {
    /// A fixed permutation of the pixels for each task; one head.
    Permuted { n_tasks: usize },
    /// As many classes for each task; a head for each.
    Split { n_tasks: usize },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Config {
    pub(crate) method: Method,
    pub(crate) source: Source,
    pub(crate) division: Division,
    /// Of the training images of each task, so many; all if none is given.
    pub(crate) train_images: Option<usize>,
    /// The first share of the training images is left to validation, which these protocols do not use.
    pub(crate) validation: f64,
    /// Hidden widths of the multilayer perceptron; the convolutional network if there is none.
    pub(crate) hidden: Vec<usize>,
    pub(crate) protocol: Protocol,
}

pub(crate) fn run(cell: &Cell, context: &Context, device: &Device) -> Result<Outcome, Failure> {
    let config: Config = cell.config()?;
    let streams = Streams::new(cell.seed);
    let (train, test, normalization) = images(&config.source, context, streams)?;
    let order: TaskOrder = match config.division {
        Division::Permuted { n_tasks } => PermutedTasks::new(n_tasks, streams.seed_of(Stream::Tasks)).into(),
        Division::Split { n_tasks } => SplitTasks::even(train.n_classes(), n_tasks)?.into(),
    };
    let validation = match config.validation {
        0.0 => Validation::None,
        fraction => Validation::First { fraction },
    };
    let tasks = TaskStream::new(order, validation, &train, &test)?;
    let shape = train.shape();
    let seed = streams.seed_of(Stream::Init);
    let progress = |done, all| context.progress(done, all);
    let results = match config.division {
        Division::Permuted { .. } => {
            let widths = [&[shape.len()], &config.hidden[..], &[train.n_classes()]].concat();
            let network = MlpConfig::new(widths).with_bias(false).with_initializer(Some(pytorch()));
            let model = try_init_seeded(seed, device, |device| network.init(device))?;
            learn(&config, &tasks, &normalization, streams, device, model, |model, _, x| model.forward(x), &progress)?
        }
        Division::Split { n_tasks } => {
            let n_classes = train.n_classes() / n_tasks;
            let model = init_seeded(seed, device, |device| MultiHead::new(shape, n_tasks, n_classes, device));
            learn(&config, &tasks, &normalization, streams, device, model, MultiHead::forward, &progress)?
        }
    };
    Ok(Outcome { results, ..Outcome::default() })
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
    };
    let files = context.data.locate(name).map_err(Failure::data)?;
    let [train, test] = [Split::Train, Split::Test].map(|split| load(&files, split).map_err(Failure::data));
    Ok((train?, test?, normalization))
}
