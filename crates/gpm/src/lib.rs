#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod addition;
mod basis;
mod collect;
mod columns;
mod config;
mod error;
mod gradients;
mod layer;
mod memory;
mod moments;
mod projector;
mod rank;
mod report;
mod scale;
mod state;
mod step;

pub use collect::Collector;
pub use config::{GpmConfig, LayerThreshold, Others, Project, RankRule};
pub use error::GpmError;
pub use memory::GpmMemory;
pub use report::{LayerReport, TaskReport};
