use serde::Serialize;

use crate::Cell;

/// A cell's configuration that knows what the cell needs: its cost, its data sets, the machine to itself.
pub trait CellConfig: Serialize {
    /// `cell` with what it needs.
    fn describe(&self, cell: Cell) -> Cell;
}

/// The cells of a tier, collected row by row.
#[derive(Debug, Clone)]
pub struct Grid {
    seeds: Option<u64>,
    cells: Vec<Cell>,
}

impl Grid {
    /// An empty grid; `seeds` replaces every row's own count.
    pub fn new(seeds: Option<u64>) -> Self {
        Self { seeds, cells: Vec::new() }
    }

    /// A cell for each of `seeds` seeds.
    pub fn add(&mut self, experiment: &str, setting: &str, method: &str, seeds: u64, config: &impl CellConfig) {
        self.extend(experiment, setting, method, self.seeds.unwrap_or(seeds), config);
    }

    /// One cell whatever the number of seeds, since nothing is drawn.
    pub fn add_fixed(&mut self, experiment: &str, setting: &str, method: &str, config: &impl CellConfig) {
        self.extend(experiment, setting, method, 1, config);
    }

    /// The cells in the order in which they were added.
    pub fn into_cells(self) -> Vec<Cell> {
        self.cells
    }

    fn extend(&mut self, experiment: &str, setting: &str, method: &str, seeds: u64, config: &impl CellConfig) {
        let cell = |seed| config.describe(Cell::new(experiment, setting, method, seed, config));
        self.cells.extend((0..seeds).map(cell));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    struct Costly(f64);

    impl CellConfig for Costly {
        fn describe(&self, cell: Cell) -> Cell {
            cell.costs(self.0)
        }
    }

    #[test]
    fn the_number_of_seeds_is_the_rows_own_or_the_one_asked_for_but_where_nothing_is_drawn() {
        for (asked, drawn) in [(None, 3), (Some(2), 2)] {
            let mut grid = Grid::new(asked);
            grid.add("e", "s", "drawn", 3, &Costly(2.0));
            grid.add_fixed("e", "s", "fixed", &Costly(5.0));
            let cells = grid.into_cells();
            assert_eq!(cells.len(), drawn + 1);
            assert_eq!(
                cells.iter().map(|cell| cell.seed).take(drawn).collect::<Vec<_>>(),
                Vec::from_iter(0..drawn as u64)
            );
            assert_eq!((cells[0].cost, cells[drawn].cost, cells[drawn].seed), (2.0, 5.0, 0));
        }
    }
}
