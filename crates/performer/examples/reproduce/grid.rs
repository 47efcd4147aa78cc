use rekindle_harness::Cell;

use crate::run::Config;

/// Cells being collected.
pub(crate) struct Grid {
    /// In place of every experiment's own count.
    seeds: Option<u64>,
    pub(crate) cells: Vec<Cell>,
}

impl Grid {
    pub(crate) fn new(seeds: Option<u64>) -> Self {
        Self { seeds, cells: Vec::new() }
    }

    /// A cell for each seed.
    pub(crate) fn add(&mut self, experiment: &str, setting: &str, method: &str, seeds: u64, config: &Config) {
        for seed in 0..self.seeds.unwrap_or(seeds) {
            let cell = Cell::new(experiment, setting, method, seed, config).costs(config.cost());
            self.cells.push(if config.measures() { cell.exclusive() } else { cell });
        }
    }
}
