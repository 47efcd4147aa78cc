//! The command line of a paper's reproduction: lists its cells and runs one at a time.

use std::collections::BTreeMap;
use std::fmt;

use crate::{Cell, Results, Tier};

/// What a paper's crate implements for its experiments.
pub trait Reproduction {
    /// The grid of a tier, in the order of its tables; `seeds` replaces every experiment's own count.
    fn cells(&self, tier: Tier, seeds: Option<u64>) -> Vec<Cell>;

    /// Runs one cell of the grid.
    ///
    /// # Errors
    ///
    /// A [`Failure`], which becomes the process's exit code.
    fn run(&self, cell: &Cell, context: &Context) -> Result<Outcome, Failure>;
}

/// What a cell hands back.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Outcome {
    /// What came out, the same bits on the same machine.
    pub results: Results,
    /// Times and memory, if the cell measures.
    pub measurements: BTreeMap<String, f64>,
    /// The device in the backend's words.
    pub device: String,
}
