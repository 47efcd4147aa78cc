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
    BatchesConfig, DeviceImages, ImageBatch, ImageShape, LabeledImages, Normalization, Stream, Streams,
};
use rekindle_shared::model::{deep_copy, layer_weights};
use serde::{Deserialize, Serialize};

use crate::method::{Method, memory};
use crate::plateau::{Plateau, PlateauConfig};
use crate::run::Config;
use crate::tasks::{Normalized, Tasks};

/// Plain SGD.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Protocol {
    /// The most, where there is a plateau.
    pub(crate) epochs: usize,
    pub(crate) batch_size: usize,
    pub(crate) learning_rate: f64,
    /// Images in a batch of an evaluation, on which the accuracy depends where batch norms go by the batch.
    pub(crate) test_batch: usize,
    /// Early stopping by the validation images.
    pub(crate) plateau: Option<PlateauConfig>,
}

/// What a cell is run with.
pub(crate) struct Run<'a> {
    pub(crate) config: &'a Config,
    pub(crate) tasks: &'a Tasks<'a>,
    pub(crate) streams: Streams,
    pub(crate) device: &'a Device,
    pub(crate) progress: &'a dyn Fn(usize, usize),
}

/// A model being trained, and what its method keeps of earlier tasks.
struct Learner<'a, M, F> {
    model: M,
    optimizer: ModuleOptimizer,
    forward: F,
    loss: CrossEntropyLoss,
    /// Of each task so far.
    normalizations: Vec<Normalization>,
    device: &'a Device,
    test_batch: usize,
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

/// The images of a task on the device.
struct OnDevice {
    host: LabeledImages,
    train: DeviceImages,
    /// Below autodiff.
    validation: Option<DeviceImages>,
}

impl Run<'_> {
    /// Trains on the tasks by the configuration and tests on all seen ones after each.
    ///
    /// `forward` takes the number of the task and images `[batch, channels, height, width]`.
    pub(crate) fn learn<M: Module>(
        &self,
        model: M,
        forward: impl Fn(&M, usize, Tensor<4>) -> Tensor<2>,
    ) -> Result<Results, Failure> {
        let Config { method, protocol, .. } = self.config;
        let n_tasks = self.tasks.len();
        let mut tests = Vec::new();
        let mut matrix = AccuracyMatrix::new(n_tasks)?;
        let mut curves = BTreeMap::new();
        let mut learner = Learner {
            keeps: Keeps::new(method, &model, self.tasks.shape().0)?,
            model,
            optimizer: SgdConfig::new().init(),
            forward,
            loss: CrossEntropyLossConfig::new().init(self.device),
            normalizations: Vec::new(),
            device: self.device,
            test_batch: protocol.test_batch,
        };
        let n_rounds = if *method == Method::Joint { 1 } else { n_tasks };
        let mut draw = self.streams.stream(Stream::Method);
        for round in 0..n_rounds {
            // Joint training is one round over all tasks, a batch of one task at a time.
            let of_round = if n_rounds == 1 { 0..n_tasks } else { round..round + 1 };
            let mut images = Vec::new();
            for task in of_round.clone() {
                let Normalized { task, normalization } = self.tasks.task(task)?;
                let plain = self.device.clone().inner();
                tests.push(DeviceImages::new(&task.test, &normalization, &plain)?);
                let host = match self.config.train_images {
                    Some(n) => task.train.take(n.min(task.train.len()))?,
                    None => task.train,
                };
                let validation = task.validation.as_ref().filter(|_| protocol.plateau.is_some());
                let validation = validation.map(|images| DeviceImages::new(images, &normalization, &plain));
                let train = DeviceImages::new(&host, &normalization, self.device)?;
                images.push(OnDevice { host, train, validation: validation.transpose()? });
                learner.normalizations.push(normalization);
            }
            learner = self.round(learner, [round, n_rounds], of_round.start, &images, &mut draw)?;
            if round + 1 < n_rounds {
                learner.end_task(round, &images[0], &mut draw)?;
            }
            learner.keeps.record(&mut curves);
            let after = of_round.end - 1;
            for (task, images) in tests.iter().enumerate() {
                matrix.set(after, task, learner.accuracy(task, images))?;
            }
            curves.entry("average_accuracy".to_owned()).or_default().extend(matrix.average_accuracy_after(after));
            let row = (0..=after).filter_map(|task| matrix.get(after, task));
            curves.insert(format!("after_{after:02}"), row.collect());
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
        Ok(Results { diverged, metrics, curves, ..Results::default() })
    }

    /// Trains on the tasks from `first` on until the epochs are over, or the validation loss stands still.
    fn round<'l, M: Module, F: Fn(&M, usize, Tensor<4>) -> Tensor<2>>(
        &self,
        mut learner: Learner<'l, M, F>,
        [round, n_rounds]: [usize; 2],
        first: usize,
        images: &[OnDevice],
        draw: &mut impl rand::Rng,
    ) -> Result<Learner<'l, M, F>, Failure> {
        let Protocol { epochs, batch_size, learning_rate, plateau, .. } = self.config.protocol;
        let mut plateau = plateau.map(|plateau| Plateau::new(plateau, learning_rate));
        for epoch in 0..epochs {
            let number = (round * epochs + epoch) as u64;
            let mut batches = Vec::new();
            for (at, images) in images.iter().enumerate() {
                let order = BatchesConfig::new(batch_size).init(images.train.len(), &self.streams)?;
                let number = number * self.tasks.len() as u64 + at as u64;
                batches.extend(order.epoch(number).map(|batch| (at, batch)));
            }
            if images.len() > 1 {
                batches.shuffle(draw);
            }
            let n_batches = batches.len();
            let rate = plateau.as_ref().map_or(learning_rate, Plateau::rate);
            for (done, (at, indices)) in batches.into_iter().enumerate() {
                let batch = images[at].train.select(&indices);
                learner = learner.step(first + at, batch, rate, draw)?;
                (self.progress)((round * epochs + epoch) * n_batches + done + 1, n_rounds * epochs * n_batches);
            }
            if let Some(plateau) = &mut plateau {
                let loss = learner.validation_loss(first, images);
                if !plateau.after(loss, || deep_copy(&learner.model)) {
                    break;
                }
            }
        }
        if let Some(best) = plateau.and_then(Plateau::best) {
            learner.model = best;
        }
        Ok(learner)
    }
}

/// Accuracy on each of the last three tasks right after it was learned, their mean: what is left to learn in.
fn last_learned(matrix: &AccuracyMatrix) -> Option<f64> {
    let last = matrix.n_tasks().saturating_sub(3)..matrix.n_tasks();
    let n = last.len() as f64;
    last.map(|task| matrix.get(task, task)).sum::<Option<f64>>().map(|sum| sum / n)
}

impl Keeps {
    fn new<M: Module>(method: &Method, model: &M, shape: ImageShape) -> Result<Self, Failure> {
        let buffer = |bytes: usize| -> Result<_, Failure> {
            Ok(ReplayBuffer::new(shape, Capacity::Bytes(bytes), Retention::Reservoir)?)
        };
        Ok(match method {
            Method::Sequential | Method::Joint => Self::Nothing,
            Method::LastLayer => Self::LastLayer(layer_weights(model).last().map(|weight| weight.id)),
            Method::Gpm { thresholds, increment, rank_rule, n_samples } => {
                let memory = memory(thresholds, *increment, *rank_rule).init(model)?;
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
            let images = DeviceImages::new(&images, &self.normalizations[task], self.device)?;
            sum = sum + self.loss(task, images.range(0..images.len())) * share;
        }
        Ok(sum)
    }

    fn end_task(
        &mut self,
        task: usize,
        OnDevice { host: images, train: on_device, .. }: &OnDevice,
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
        let right = images.chunks(self.test_batch).map(|ImageBatch { images, labels }| {
            (self.forward)(&model, task, images).argmax(1).squeeze_dim::<1>(1).equal(labels).int()
        });
        let right = Tensor::cat(right.collect(), 0).into_data();
        right.iter::<i64>().sum::<i64>() as f64 / images.len() as f64
    }

    /// Mean cross-entropy of the validation images of all tasks from `first` on; NaN if there is none.
    fn validation_loss(&self, first: usize, tasks: &[OnDevice]) -> f64 {
        let model = self.model.valid();
        let (mut sums, mut n) = (Vec::new(), 0);
        for (at, images) in tasks.iter().enumerate() {
            for batch in images.validation.iter().flat_map(|images| images.chunks(self.test_batch)) {
                let size = batch.labels.dims()[0];
                let logits = (self.forward)(&model, first + at, batch.images);
                let loss = CrossEntropyLossConfig::new().init(&logits.device()).forward(logits, batch.labels);
                sums.push(loss * size as f64);
                n += size;
            }
        }
        let sums = if sums.is_empty() { return f64::NAN } else { Tensor::cat(sums, 0).into_data() };
        sums.iter::<f64>().sum::<f64>() / n as f64
    }
}
