#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod causal;
mod config;
mod error;
mod fast;
mod favor;
mod features;
mod full;
mod kernel;
mod multi_head;
mod quotient;
mod scale;
mod state;

pub use config::FavorConfig;
pub use error::PerformerError;
pub use favor::Favor;
pub use kernel::{CustomFunction, FeatureFunction, Kernel};
pub use multi_head::{AttentionInput, PerformerAttention, PerformerAttentionConfig};
pub use rekindle_shared::attention::directions::{Projection, RandomProjection, RowScaling, redraw, redraw_every};
pub use state::FavorState;
