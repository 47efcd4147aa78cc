#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod adapt;
mod buffer;
mod collapse;
mod config;
mod entropy;
mod error;
mod figures;
mod forward;
mod norm;
mod objective;
mod report;
mod select;
mod state;

pub use adapt::Tent;
pub use buffer::Buffer;
pub use collapse::{Collapse, Fallback};
pub use config::{Logits, Objective, Reset, SmallBatch, TentConfig};
pub use entropy::softmax_entropy;
pub use error::TentError;
pub use norm::NormAdaptation;
pub use rekindle_shared::model::BatchStatistics;
pub use report::{Adapted, Outcome, Report, Totals};
