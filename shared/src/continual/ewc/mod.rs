//! Elastic weight consolidation: the importance of parameters, and the penalty that holds the important ones.

mod fisher;
mod penalty;
mod state;

pub use fisher::{Fisher, FisherConfig};
pub use penalty::{Ewc, EwcConfig};
pub use state::EwcState;
