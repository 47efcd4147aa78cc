#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod algorithm;
mod ascent;
mod ball;
mod config;
mod error;
mod noise;
mod pass;
mod perturbation;
pub mod probe;
mod report;
mod schedule;
mod selector;
mod state;
mod step;
mod vector;

pub use ascent::{Ascent, SamGradients};
pub use config::{Adaptive, Direction, Norm, RhoGroup, SamConfig};
pub use error::SamError;
pub use perturbation::Perturbation;
pub use report::{NonFinite, Outcome, StepReport};
pub use schedule::RhoSchedule;
pub use selector::Selector;
pub use step::{Perturbed, Sam};
