#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod causal;
mod check;
mod config;
mod cross;
mod error;
mod fast;
mod features;
mod gate;
mod heads;
mod multi_head;
mod noise;
mod projections;
mod quotient;
mod state;

pub use config::{Kernel, RfaConfig, RfaHeadsConfig};
pub use error::RfaError;
pub use heads::{CausalInput, RfaHeads};
pub use multi_head::{RfaCausal, RfaCross};
pub use projections::Projections;
pub use rekindle_shared::attention::directions::{Projection, RandomProjection, redraw, redraw_every, resample};
pub use state::{CrossState, RfaState};
