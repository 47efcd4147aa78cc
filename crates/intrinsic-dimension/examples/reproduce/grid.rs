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
        self.add_cells(experiment, setting, method, self.seeds.unwrap_or(seeds), config);
    }

    /// One cell, since nothing is drawn.
    pub(crate) fn add_fixed(&mut self, experiment: &str, setting: &str, method: &str, config: &Config) {
        self.add_cells(experiment, setting, method, 1, config);
    }

    fn add_cells(&mut self, experiment: &str, setting: &str, method: &str, seeds: u64, config: &Config) {
        for seed in 0..seeds {
            let cell = Cell::new(experiment, setting, method, seed, config).costs(config.cost());
            let set = config.data_set().map(|set| set.name());
            self.cells.push(cell.reads(set.as_slice()));
        }
    }
}
