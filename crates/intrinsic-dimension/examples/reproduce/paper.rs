//! The paper's other data sets, from files or folders of the user's.

use rekindle_harness::{Cell, Grid};

use crate::sets::DataSet;
use crate::small::table_1;

/// Images of photographs whose neighbors are looked for, among all: the cost is that of anchors times images.
const ANCHORS: usize = 10_000;

pub(crate) fn cells(seeds: Option<u64>) -> Vec<Cell> {
    let mut grid = Grid::new(seeds);
    table_1(&mut grid, &[DataSet::Mnist, DataSet::Svhn, DataSet::Cifar100, DataSet::Cifar10], None);
    table_1(&mut grid, &[DataSet::Celeba, DataSet::MsCoco, DataSet::Imagenet, DataSet::Images], Some(ANCHORS));
    grid.into_cells()
}
