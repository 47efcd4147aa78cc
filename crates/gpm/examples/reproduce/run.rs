//! A cell: which tasks, which network, which method.

use burn::tensor::Device;
use rekindle_harness::Cell;
use rekindle_harness::worker::{Context, Failure, Outcome};
use rekindle_shared::data::{Stream, Streams};
use rekindle_shared::model::{init_seeded, try_init_seeded};
use rekindle_shared::networks::MlpConfig;
use serde::{Deserialize, Serialize};

use crate::learn::{Protocol, Run};
use crate::method::Method;
use crate::networks::{AlexNet, Body, MultiHead, ResNet18, SmallCnn, pytorch};
use crate::tasks::{Tasks, TasksConfig};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Config {
    pub(crate) method: Method,
    pub(crate) tasks: TasksConfig,
    /// Of the training images of each task, so many; all if none is given.
    pub(crate) train_images: Option<usize>,
    /// Share of the training images, from the first on, that is left to validation.
    pub(crate) validation: f64,
    pub(crate) network: Network,
    pub(crate) protocol: Protocol,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case")]
pub(crate) enum Network {
    /// With one head for all tasks.
    Mlp {
        hidden: Vec<usize>,
    },
    /// These with a head for each.
    SmallCnn,
    AlexNet,
    #[serde(rename = "resnet-18")]
    ResNet18 {
        width: usize,
    },
}

pub(crate) fn run(cell: &Cell, context: &Context, device: &Device) -> Result<Outcome, Failure> {
    let config: Config = cell.config()?;
    let streams = Streams::new(cell.seed);
    let tasks = Tasks::new(&config.tasks, config.validation, context, streams)?;
    let progress = |done, all| context.progress(done, all);
    let run = Run { config: &config, tasks: &tasks, streams, device, progress: &progress };
    let (shape, n_classes) = tasks.shape();
    let results = match config.network {
        Network::Mlp { ref hidden } => {
            let widths = [&[shape.len()], &hidden[..], &[n_classes]].concat();
            let network = MlpConfig::new(widths).with_bias(false).with_initializer(Some(pytorch()));
            let seed = streams.seed_of(Stream::Init);
            let model = try_init_seeded(seed, device, |device| network.init(device))?;
            run.learn(model, |model, _, x| model.forward(x))?
        }
        Network::SmallCnn => multi_head(&run, SmallCnn::FEATURES, |device| SmallCnn::new(shape, device))?,
        Network::AlexNet => multi_head(&run, AlexNet::FEATURES, AlexNet::new)?,
        Network::ResNet18 { width } => {
            multi_head(&run, ResNet18::n_features(width), |device| ResNet18::new(width, device))?
        }
    };
    Ok(Outcome { results, ..Outcome::default() })
}

fn multi_head<B: Body>(
    run: &Run<'_>,
    n_features: usize,
    body: impl FnOnce(&Device) -> B,
) -> Result<rekindle_harness::Results, Failure> {
    let (n_tasks, (_, n_classes)) = (run.tasks.len(), run.tasks.shape());
    let seed = run.streams.seed_of(Stream::Init);
    let model =
        init_seeded(seed, run.device, |device| MultiHead::new(body(device), n_features, n_tasks, n_classes, device));
    run.learn(model, MultiHead::forward)
}
