//! Continual learning: how a run over a sequence of tasks is measured, and the baselines it is compared with.
//!
//! Tasks come from a [`TaskStream`](crate::data::TaskStream); [`AccuracyMatrix`] holds what was measured after each.
//!
//! | baseline | is | keeps, in bytes |
//! | --- | --- | --- |
//! | sequential | training on one task after the other, nothing else | 0 |
//! | joint | training on all tasks at once: the upper bound | all data |
//! | EWC | [`Ewc::penalty`] added to the loss, [`Ewc::add`] after each task | [`Ewc::bytes`] |
//! | experience replay | samples of a [`ReplayBuffer`] beside each batch | [`ReplayBuffer::bytes`] |
//! | A-GEM | [`agem`] on the gradients, against those on samples of a [`ReplayBuffer`] | [`ReplayBuffer::bytes`] |
//!
//! Sequential training needs nothing from here. Nor does joint training, which is training on
//! [`LabeledImages::concat`](crate::data::LabeledImages::concat) of the tasks' images; where they are too many to be held
//! together, as with ten permutations of MNIST, draw pairs of a task and an index and show the image when its turn comes
//! ([`PermutedTasks::permutation`](crate::data::PermutedTasks::permutation)).
//!
//! Methods are compared at equal memory: [`Capacity::Bytes`] gives a buffer the bytes that another method keeps.
//!
//! ```
//! use burn::{nn::loss::CrossEntropyLossConfig, optim::{GradientsParams, SgdConfig}, tensor::Device};
//! use rekindle_shared::continual::{
//!     AccuracyMatrix, Capacity, EwcConfig, FisherConfig, ReplayBuffer, Retention, agem,
//! };
//! use rekindle_shared::data::{
//!     DeviceImages, GlyphsConfig, Normalization, PermutedTasks, Stream, Streams, TaskStream, Validation,
//! };
//! use rekindle_shared::model::try_init_seeded;
//! use rekindle_shared::networks::{Mlp, MlpConfig};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let streams = Streams::new(1);
//! let rng = &mut streams.stream(Stream::Method);
//! let device = Device::flex().autodiff();
//! let glyphs = GlyphsConfig::new().init()?.sample(60, &mut streams.stream(Stream::Data))?;
//! let tasks = TaskStream::new(PermutedTasks::new(2, 1), Validation::None, &glyphs, &glyphs)?;
//! let normalization = Normalization::of(&glyphs);
//!
//! let widths = vec![glyphs.shape().len(), 32, glyphs.n_classes()];
//! let mut model = try_init_seeded(1, &device, |device| MlpConfig::new(widths).init(device))?;
//! let mut optimizer = SgdConfig::new().init();
//! let mut ewc = EwcConfig::new(100.0).init()?;
//! let mut buffer = ReplayBuffer::new(glyphs.shape(), Capacity::Samples(20), Retention::Reservoir)?;
//! let mut accuracies = AccuracyMatrix::new(tasks.len())?;
//!
//! for (t, task) in tasks.iter().enumerate() {
//!     let task = task?;
//!     let train = DeviceImages::new(&task.train, &normalization, &device)?;
//!     let loss = |model: &Mlp, batch: &rekindle_shared::data::ImageBatch| {
//!         let logits = model.forward(batch.images.clone());
//!         CrossEntropyLossConfig::new().init(&device).forward(logits, batch.labels.clone())
//!     };
//!     for batch in train.chunks(10) {
//!         // EWC: the penalty is 0 until a task is added.
//!         let with_penalty = loss(&model, &batch) + ewc.penalty(&model)?;
//!         let mut grads = GradientsParams::from_grads(with_penalty.backward(), &model);
//!         // A-GEM: there is nothing to replay during the first task. (Experience replay adds this loss to the other.)
//!         if t > 0 && let Some(memory) = buffer.sample(10, rng) {
//!             let memory = memory.batch(&normalization, &device)?;
//!             let reference = GradientsParams::from_grads(loss(&model, &memory).backward(), &model);
//!             grads = agem(&model, grads, &reference)?.grads;
//!         }
//!         model = optimizer.step(0.05, model, grads);
//!     }
//!     buffer.offer(&task.train, 0..task.train.len(), t, rng)?;
//!     let fisher = FisherConfig::new(20).estimate(&model, |model, samples| loss(model, &train.range(samples)))?;
//!     ewc.add(&model, fisher)?;
//!     for tested in 0..=t {
//!         let test = tasks.task(tested)?.test;
//!         let images = DeviceImages::new(&test, &normalization, &device)?.range(0..test.len());
//!         let right = model.forward(images.images).argmax(1).squeeze_dim::<1>(1).equal(images.labels).float().mean();
//!         accuracies.set(t, tested, right.into_scalar::<f64>())?;
//!     }
//! }
//! assert!(accuracies.average_accuracy().is_some() && accuracies.backward_transfer().is_some());
//! # Ok(())
//! # }
//! ```

mod accuracy;
mod agem;
mod error;
mod ewc;
mod replay;
#[cfg(test)]
mod testing;
mod values;

pub use accuracy::AccuracyMatrix;
pub use agem::{AGemStep, agem};
pub use error::ContinualError;
pub use ewc::{Ewc, EwcConfig, EwcState, Fisher, FisherConfig};
pub use replay::{Capacity, ReplayBuffer, Replayed, Retention};
