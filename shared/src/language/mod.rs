//! Language models on bytes: how a [`Decoder`](crate::networks::Decoder) is trained on a text, and how well it predicts one.
//!
//! ```
//! use burn::tensor::Device;
//! use rekindle_shared::data::{ByteText, Streams};
//! use rekindle_shared::language::{LanguageTrainingConfig, Reading, prediction};
//! use rekindle_shared::networks::{DecoderConfig, SoftmaxAttentionConfig};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let text = ByteText::split("ab", b"ab".repeat(500), 0.9, 0.05)?;
//! let device = Device::flex().autodiff();
//! let model = DecoderConfig::new(256, 16)
//!     .with_d_model(16)
//!     .init(|_layer| SoftmaxAttentionConfig::new(16, 2).init(&device), &device)?;
//! let training = LanguageTrainingConfig::new(40).with_batch_size(8).with_length(16).with_learning_rate(1e-2);
//! let trained = training.run(model, text.train(), Streams::new(1), |model, _step| model)?;
//!
//! let reading = Reading { length: 16, batch_size: 4, stateful: false };
//! let on_test = prediction(&burn::module::Module::valid(&trained.model), text.test(), reading)?;
//! assert!(on_test.bits_per_byte < 1.0 && on_test.accuracy > 0.9);
//! # Ok(())
//! # }
//! ```

mod predict;
mod train;

pub use predict::{Prediction, Reading, prediction};
pub use train::{LanguageError, LanguageTrainingConfig, Schedule, Trained};
