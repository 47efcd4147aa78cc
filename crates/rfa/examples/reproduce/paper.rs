//! The paper's language model on a text of the user's own, and what takes longer than an hour on two cores.

use rekindle_harness::{Cell, Grid};

use crate::language::Language;
use crate::run::Config;
use crate::small::{kinds, language};

pub(crate) fn cells(seeds: Option<u64>) -> Vec<Cell> {
    let mut grid = Grid::new(seeds);
    for (name, method, stateful) in kinds(64) {
        let small = Language {
            d_model: 512,
            n_heads: 8,
            n_layers: 6,
            steps: 150_000,
            batch_size: 32,
            learning_rate: 1e-3,
            paper: true,
            ..language((method, stateful), "text", 512, 0)
        };
        grid.add("text", "512 bytes, 6 layers", name, 1, &Config::Language(small));
    }
    for (name, method, stateful) in kinds(32) {
        let language = language((method, stateful), "wikitext-2", 512, 3000);
        grid.add("wikitext-2", "two parts", name, 3, &Config::Language(language));
    }
    grid.into_cells()
}
