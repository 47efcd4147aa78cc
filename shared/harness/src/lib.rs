#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod cell;
pub mod data;
mod exit;
mod grid;
mod interval;
pub mod measure;
mod paper;
pub mod peak;
mod protocol;
mod record;
#[cfg(feature = "report")]
mod report;
#[cfg(feature = "report")]
mod runs;
#[cfg(feature = "report")]
mod stats;
#[cfg(feature = "report")]
mod table;
#[cfg(all(test, feature = "report"))]
mod testing;
mod tier;
#[cfg(feature = "report")]
mod verdict;
mod whole;
#[cfg(feature = "worker")]
pub mod worker;

pub use cell::Cell;
pub use exit::Exit;
pub use grid::{CellConfig, Grid};
pub use interval::Interval;
pub use paper::{Better, Claim, ClaimKind, Experiment, Metric, Paper, Plot, PlotKind, Source};
pub use protocol::{Message, Planned};
pub use record::{DataFile, Identity, Record, Results, Run, named};
#[cfg(feature = "report")]
pub use report::{ClaimSummary, Environment, JudgedClaim, PaperReport, Report, ReportSummary, Written};
#[cfg(feature = "report")]
pub use runs::{Entry, Runs, Scores};
#[cfg(feature = "report")]
pub use stats::{
    MAX_SEEDS, MIN_SEEDS, Summary, bootstrap_interval, mean, paired_differences, sample_sd, seeds_to_settle, t_interval,
};
#[cfg(feature = "report")]
pub use table::{Row, Table, TableEntry};
pub use tier::Tier;
#[cfg(feature = "report")]
pub use verdict::{Judgment, Quantity, Verdict, judge};
