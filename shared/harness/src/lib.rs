//! Cells, records, statistics, claims, verdicts and reports of the reproductions, without Burn.
//!
//! The driver (`xtask`) links the core alone. A paper's reproduction adds the feature `worker`, the tools
//! `rekindle-data` and `rekindle-report` add `fetch` and `report`.

mod cell;
pub mod data;
mod exit;
mod paper;
mod protocol;
mod record;
mod tier;
#[cfg(feature = "worker")]
pub mod worker;

pub use cell::Cell;
pub use exit::Exit;
pub use paper::{Better, Claim, ClaimKind, Experiment, Metric, Paper, Plot, PlotKind, Source};
pub use protocol::{Message, Planned};
pub use record::{DataFile, Identity, Record, Results, Run};
pub use tier::Tier;
