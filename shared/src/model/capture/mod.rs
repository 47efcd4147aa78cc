//! Forward passes recorded without being computed, then carried out: what sees into modules that nobody can change.

mod error;
mod layers;
mod recording;
mod weights;

pub use error::ReplayError;
pub use layers::capture_layers;

pub(super) use recording::{Recording, Replay, without_panic};
