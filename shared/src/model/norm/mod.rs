//! Norm layers of any module: where they are, what they hold, and by which statistics batch norm normalizes.

mod adaptive;
mod layers;
#[cfg(feature = "capture")]
mod replay;
mod scope;
mod state;
mod statistics;

pub use adaptive::AdaptiveBatchNorm;
pub use layers::{NormKind, NormLayer, norm_layers};
#[cfg(feature = "capture")]
pub use replay::replay_with;
pub use scope::{batch_norms_outside, normalize_with};
pub use state::{NormState, norm_state, restore_norm_state, with_batch_statistics, with_source_statistics};
pub use statistics::{BatchStatistics, StatisticsError};

pub(super) use scope::scoped;
