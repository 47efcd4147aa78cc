//! The protocol, from top to bottom: learn the tasks, test all of them after each.

use std::collections::BTreeMap;

use burn::module::{Module, ParamId};
use burn::nn::loss::{CrossEntropyLoss, CrossEntropyLossConfig};
use burn::optim::{GradientsParams, ModuleOptimizer, SgdConfig};
use burn::tensor::{Device, Tensor};
use rand::seq::SliceRandom;
use rekindle_gpm::GpmMemory;
use rekindle_harness::Results;
use rekindle_harness::worker::Failure;
use rekindle_shared::continual::{
    AccuracyMatrix, Capacity, Ewc, EwcConfig, FisherConfig, ReplayBuffer, Retention, agem,
};
use rekindle_shared::data::{
    BatchesConfig, DeviceImages, ImageBatch, LabeledImages, Normalization, Stream, Streams, Task, TaskStream,
};
use rekindle_shared::model::layer_weights;
use serde::{Deserialize, Serialize};

use crate::method::{Method, memory};
use crate::tasks::Config;

/// Images in an evaluation's batch.
const CHUNK: usize = 1000;

/// Plain SGD.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Protocol {
    pub(crate) epochs: usize,
    pub(crate) batch_size: usize,
    pub(crate) learning_rate: f64,
}

/// A model being trained, and what its method keeps of earlier tasks.
struct Learner<'a, M, F> {
    model: M,
    optimizer: ModuleOptimizer,
    forward: F,
    loss: CrossEntropyLoss,
    normalization: &'a Normalization,
    device: &'a Device,
    keeps: Keeps,
}

enum Keeps {
    Nothing,
    /// After the first task all gradients but those of this weight are dropped.
    LastLayer(Option<ParamId>),
    Gpm {
        memory: Box<GpmMemory>,
        n_samples: usize,
    },
    Ewc {
        ewc: Box<Ewc>,
        n_samples: usize,
    },
    Replay {
        buffer: ReplayBuffer,
        constrain: bool,
    },
}

/// Trains on the tasks of `tasks` by `config` and tests on all seen ones after each.
///
/// `forward` takes the number of the task and images `[batch, channels, height, width]`.
#[expect(clippy::too_many_arguments, reason = "one call for each network")]
pub(crate) fn learn<M: Module>(
    config: &Config,
    tasks: &TaskStream<'_>,
    normalization: &Normalization,
    streams: Streams,
    device: &Device,
    model: M,
    forward: impl Fn(&M, usize, Tensor<4>) -> Tensor<2>,
    progress: &dyn Fn(usize, usize),
) -> Result<Results, Failure> {
    let plain = device.clone().inner();
    let mut tests = Vec::new();
    let mut matrix = AccuracyMatrix::new(tasks.len())?;
    let mut curves = BTreeMap::new();
    let mut learner = Learner {
        keeps: Keeps::new(&config.method, &model, tasks)?,
        model,
        optimizer: SgdConfig::new().init(),
        forward,
        loss: CrossEntropyLossConfig::new().init(device),
        normalization,
        device,
    };
    let Protocol { epochs, .. } = config.protocol;
    let n_rounds = if config.method == Method::Joint { 1 } else { tasks.len() };
    let mut draw = streams.stream(Stream::Method);
    for round in 0..n_rounds {
        // Joint training is one round over all tasks, a batch of one task at a time.
        let of_round = if n_rounds == 1 { 0..tasks.len() } else { round..round + 1 };
        let mut images = Vec::new();
        for task in of_round.clone() {
            let Task { train, test, .. } = tasks.task(task)?;
            tests.push(DeviceImages::new(&test, normalization, &plain)?);
            images.push(match config.train_images {
                Some(n) => train.take(n.min(train.len()))?,
                None => train,
            });
        }
        let on_device = images.iter().map(|images| DeviceImages::new(images, normalization, device));
        let on_device = on_device.collect::<Result<Vec<_>, _>>()?;
        for epoch in 0..epochs {
            let number = (round * epochs + epoch) as u64;
            let mut batches = Vec::new();
            for (at, images) in on_device.iter().enumerate() {
                let order = BatchesConfig::new(config.protocol.batch_size).init(images.len(), &streams)?;
                batches.extend(order.epoch(number * tasks.len() as u64 + at as u64).map(|batch| (at, batch)));
            }
            if of_round.len() > 1 {
                batches.shuffle(&mut draw);
            }
            let n_batches = batches.len();
            for (done, (at, indices)) in batches.into_iter().enumerate() {
                let batch = on_device[at].select(&indices);
                learner = learner.step(of_round.start + at, batch, config.protocol.learning_rate, &mut draw)?;
                progress((round * epochs + epoch) * n_batches + done + 1, n_rounds * epochs * n_batches);
            }
        }
        if round + 1 < n_rounds {
            learner.end_task(round, &images[0], &on_device[0], &mut draw)?;
        }
        learner.keeps.record(&mut curves);
        let after = of_round.end - 1;
        for (task, images) in tests.iter().enumerate() {
            matrix.set(after, task, learner.accuracy(task, images))?;
        }
        curves.entry("average_accuracy".to_owned()).or_default().extend(matrix.average_accuracy_after(after));
        curves.insert(format!("after_{after:02}"), (0..=after).filter_map(|task| matrix.get(after, task)).collect());
    }
    let mut metrics = BTreeMap::new();
    let measures = [
        ("acc", matrix.average_accuracy()),
        ("bwt", matrix.backward_transfer()),
        ("learning_accuracy", matrix.learning_accuracy()),
        ("last_tasks", last_learned(&matrix)),
    ];
    // A joint run has no order of tasks, and so no transfer between them.
    let measures = measures.into_iter().take(if n_rounds == 1 { 1 } else { 4 });
    metrics.extend(measures.filter_map(|(name, value)| Some((name.to_owned(), value?))));
    metrics.insert("memory_bytes".into(), learner.keeps.bytes() as f64);
    let diverged = metrics.values().any(|value| !value.is_finite());
    Ok(Results { diverged, metrics, curves, counters: BTreeMap::new() })
}

/// Accuracy on each of the last three tasks right after it was learned, their mean: what is left to learn in.
fn last_learned(matrix: &AccuracyMatrix) -> Option<f64> {
    let last = matrix.n_tasks().saturating_sub(3)..matrix.n_tasks();
    let n = last.len() as f64;
    last.map(|task| matrix.get(task, task)).sum::<Option<f64>>().map(|sum| sum / n)
}

impl Keeps {
    fn new<M: Module>(method: &Method, model: &M, tasks: &TaskStream<'_>) -> Result<Self, Failure> {
        let buffer = |bytes: usize| -> Result<_, Failure> {
            let shape = tasks.task(0)?.train.shape();
            Ok(ReplayBuffer::new(shape, Capacity::Bytes(bytes), Retention::Reservoir)?)
        };
        Ok(match method {
            Method::Sequential | Method::Joint => Self::Nothing,
            Method::LastLayer => Self::LastLayer(layer_weights(model).last().map(|weight| weight.id)),
            Method::Gpm { thresholds, rank_rule, n_samples } => {
                let memory = memory(thresholds, *rank_rule).init(model)?;
                Self::Gpm { memory: Box::new(memory), n_samples: *n_samples }
            }
            Method::Ewc { lambda, n_samples } => {
                Self::Ewc { ewc: Box::new(EwcConfig::new(*lambda).init()?), n_samples: *n_samples }
            }
            Method::Replay { bytes } => Self::Replay { buffer: buffer(*bytes)?, constrain: false },
            Method::Agem { bytes } => Self::Replay { buffer: buffer(*bytes)?, constrain: true },
        })
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Nothing | Self::LastLayer(_) => 0,
            Self::Gpm { memory, .. } => memory.bytes(),
            Self::Ewc { ewc, .. } => ewc.bytes(),
            Self::Replay { buffer, .. } => buffer.bytes(),
        }
    }

    /// Directions that are left in each layer, and bytes, after each task.
    fn record(&self, curves: &mut BTreeMap<String, Vec<f64>>) {
        curves.entry("bytes".into()).or_default().push(self.bytes() as f64);
        if let Self::Gpm { memory, .. } = self {
            for layer in memory.layers() {
                let free = memory.free(layer).unwrap_or(0);
                curves.entry(format!("free_{layer}")).or_default().push(free as f64);
            }
        }
    }
}

impl<M: Module, F: Fn(&M, usize, Tensor<4>) -> Tensor<2>> Learner<'_, M, F> {
    fn loss(&self, task: usize, batch: ImageBatch) -> Tensor<1> {
        self.loss.forward((self.forward)(&self.model, task, batch.images), batch.labels)
    }

    fn step(mut self, task: usize, batch: ImageBatch, rate: f64, draw: &mut impl rand::Rng) -> Result<Self, Failure> {
        let n = batch.labels.dims()[0];
        let grads = match &self.keeps {
            Keeps::Gpm { memory, .. } => memory.gradients(&self.model, |_| self.loss(task, batch)).1,
            Keeps::Replay { buffer, constrain } if !buffer.is_empty() => {
                let (loss, earlier) = (self.loss(task, batch), self.replay_loss(buffer, n, draw)?);
                if *constrain {
                    let reference = self.gradients(&earlier);
                    agem(&self.model, self.gradients(&loss), &reference)?.grads
                } else {
                    self.gradients(&(loss + earlier))
                }
            }
            Keeps::Ewc { ewc, .. } => ewc.add_gradients(&self.model, self.gradients(&self.loss(task, batch)))?,
            Keeps::LastLayer(last) if task > 0 => {
                let grads = self.gradients(&self.loss(task, batch));
                let mut kept = GradientsParams::new();
                if let Some((id, grad)) = last.and_then(|id| Some((id, grads.get::<2>(id)?))) {
                    kept.register::<2>(id, grad);
                }
                kept
            }
            _ => self.gradients(&self.loss(task, batch)),
        };
        self.model = self.optimizer.step(rate, self.model, grads);
        Ok(self)
    }

    fn gradients(&self, loss: &Tensor<1>) -> GradientsParams {
        GradientsParams::from_grads(loss.backward(), &self.model)
    }

    /// The loss on as many samples of earlier tasks, each by its own head.
    fn replay_loss(&self, buffer: &ReplayBuffer, n: usize, draw: &mut impl rand::Rng) -> Result<Tensor<1>, Failure> {
        let zero = Tensor::zeros([1], self.device);
        let Some(samples) = buffer.sample(n, draw) else { return Ok(zero) };
        let mut sum = zero;
        for (task, images) in samples.by_task() {
            let share = images.len() as f64 / n as f64;
            let images = DeviceImages::new(&images, self.normalization, self.device)?;
            sum = sum + self.loss(task, images.range(0..images.len())) * share;
        }
        Ok(sum)
    }

    fn end_task(
        &mut self,
        task: usize,
        images: &LabeledImages,
        on_device: &DeviceImages,
        draw: &mut impl rand::Rng,
    ) -> Result<(), Failure> {
        match &mut self.keeps {
            Keeps::Nothing | Keeps::LastLayer(_) => {}
            Keeps::Gpm { memory, n_samples } => {
                let mut order: Vec<usize> = (0..images.len()).collect();
                order.shuffle(draw);
                order.truncate(*n_samples);
                let batches = order.chunks(100).map(|indices| on_device.select(indices).images);
                memory.observe_task(&self.model, batches, |model, images| (self.forward)(model, task, images))?;
            }
            Keeps::Ewc { ewc, n_samples } => {
                let (forward, loss) = (&self.forward, &self.loss);
                let fisher =
                    FisherConfig::new((*n_samples).min(images.len())).estimate(&self.model, |model, range| {
                        let batch = on_device.range(range);
                        loss.forward(forward(model, task, batch.images), batch.labels)
                    })?;
                ewc.add(&self.model, fisher)?;
            }
            Keeps::Replay { buffer, .. } => buffer.offer(images, 0..images.len(), task, draw)?,
        }
        Ok(())
    }

    fn accuracy(&self, task: usize, images: &DeviceImages) -> f64 {
        let model = self.model.valid();
        let right = images.chunks(CHUNK).map(|ImageBatch { images, labels }| {
            (self.forward)(&model, task, images).argmax(1).squeeze_dim::<1>(1).equal(labels).int()
        });
        let right = Tensor::cat(right.collect(), 0).into_data();
        right.iter::<i64>().sum::<i64>() as f64 / images.len() as f64
    }
}
