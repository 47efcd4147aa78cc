//! Data sets: official files, batches of them, label noise, and procedural stand-ins that need no file.
//!
//! Everything random draws from a stream of [`Streams`], so that one root seed decides a run.
//!
//! ```
//! use rekindle_shared::data::{
//!     AugmentationConfig, BatchesConfig, DeviceImages, GlyphsConfig, HostImages, Normalization, Stream, Streams, SymmetricNoise,
//! };
//!
//! # fn main() -> Result<(), rekindle_shared::data::DatasetError> {
//! let streams = Streams::new(1);
//! let clean = GlyphsConfig::new().init()?.sample(100, &mut streams.stream(Stream::Data))?;
//! let noisy = SymmetricNoise::new(0.4)?.apply(clean.labels(), clean.n_classes(), &mut streams.stream(Stream::Labels))?;
//! let train = clean.with_labels(noisy.labels)?;
//!
//! let normalization = Normalization::of(&train);
//! let batches = BatchesConfig::new(32).init(train.len(), &streams)?;
//! # let device = burn::prelude::Device::flex();
//! // Without augmentation the images go to the device once...
//! let images = DeviceImages::new(&train, &normalization, &device)?;
//! for indices in batches.epoch(0) {
//!     let batch = images.select(&indices); // [batch, channels, height, width] and [batch]
//! }
//! // ... and with it each batch is made on the host.
//! let augmentation = AugmentationConfig::new().with_cutout(8).init();
//! let images = HostImages::new(&train, &normalization, &augmentation, &streams, &device)?;
//! for indices in batches.epoch(0) {
//!     let batch = images.batch(0, &indices);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Official files are found, and their hashes checked, by [`DataDir`] and [`verify`]; [`load`] reads them. Test images with
//! fog, noise or blur come from [`corruption`], and published ones from [`load_cifar_10_c`]. A [`ContactSheet`] shows them.
//! A [`ByteText`] is read in [`Windows`] by language models, and [`read_text_folder`] reads texts with their classes.
//! With the feature `image-folder`, `read_image_folder` reads a folder of one's own, and `read_resized_image_folder` one whose images
//! differ in size. A [`TaskStream`] makes permuted, split or rotated tasks of a data set, one at a time.
//! Texts in two languages, their words and BLEU are in [`translation`].

mod augment;
mod batches;
mod cifar;
mod cifar_c;
pub mod corruption;
mod device;
mod error;
mod files;
mod glyphs;
mod host;
mod idx;
#[cfg(feature = "image-folder")]
mod image_folder;
mod images;
mod noise;
mod normalize;
mod npy;
mod npz;
mod official;
mod points;
mod sheet;
mod streams;
mod strokes;
mod tasks;
mod text;
mod text_folder;
pub mod translation;

pub use augment::{Augmentation, AugmentationConfig};
pub use batches::{Batches, BatchesConfig, EpochBatches};
pub use cifar::{Cifar100Labels, read_cifar_10, read_cifar_100};
pub use cifar_c::{read_cifar_10_c, read_cifar_100_c};
pub use device::DeviceImages;
pub use error::DatasetError;
pub use glyphs::{Glyphs, GlyphsConfig, N_GLYPHS};
pub use host::{HostImages, ImageBatch};
pub use idx::read_idx_images;
#[cfg(feature = "image-folder")]
pub use image_folder::{ImageFolder, read_image_folder, read_resized_image_folder};
pub use images::{ImageShape, LabeledImages};
pub use noise::{NoiseDraw, NoiseTarget, NoisyLabels, SymmetricNoise};
pub use normalize::Normalization;
pub use npz::read_npz_images;
pub use official::{Split, load, load_cifar_10_c, load_cifar_100};
pub use points::{LabeledPoints, spirals, two_moons};
pub use rekindle_harness::data::{DataDir, DataError, Located, verify};
pub use sheet::ContactSheet;
pub use streams::{Stream, Streams};
pub use tasks::{PermutedTasks, RotatedTasks, SplitTasks, Task, TaskLabels, TaskOrder, TaskStream, Validation};
pub use text::{ByteText, TextBatch, Windows};
pub use text_folder::{LabeledTexts, read_text_folder};
