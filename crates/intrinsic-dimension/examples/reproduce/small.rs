//! Data sets as the paper has them, and networks that learn two classes of them.

use rekindle_harness::{Cell, Grid};
use rekindle_intrinsic_dimension::data::Manifold;

use crate::estimator::Estimator;
use crate::pairs::Pairs;
use crate::real::{Images, Part, Version};
use crate::run::Config;
use crate::samples::Samples;
use crate::sets::DataSet;

/// Neighbors in the paper's Table 1.
pub(crate) const KS: [usize; 4] = [3, 5, 10, 20];
/// Sets with training and test images.
const TRAINED: [DataSet; 3] = [DataSet::Mnist, DataSet::FashionMnist, DataSet::Cifar10];

pub(crate) fn cells(seeds: Option<u64>) -> Vec<Cell> {
    let mut grid = Grid::new(seeds);
    table_1(&mut grid, &[DataSet::Mnist, DataSet::FashionMnist, DataSet::Cifar10, DataSet::KmnistTest], None);
    estimators(&mut grid);
    classes(&mut grid);
    numbers(&mut grid);
    sizes(&mut grid);
    noise(&mut grid);
    learning(&mut grid);
    manifolds(&mut grid);
    grid.into_cells()
}

/// All images of each set.
pub(crate) fn table_1(grid: &mut Grid, sets: &[DataSet], anchors: Option<usize>) {
    for k in KS {
        for &set in sets {
            let images = Images { part: Part::whole(set), version: Version::Plain, k, anchors };
            grid.add_fixed("table-1", &format!("k = {k}"), set.title(), &Config::Images(images));
        }
    }
}

fn estimators(grid: &mut Grid) {
    let estimators = [
        ("TwoNN", Estimator::two_nn()),
        ("TwoNN, all but the largest ratio (authors' code)", Estimator::TwoNn { discard: 0.0 }),
        ("Gride 2, 4", Estimator::Gride { n1: 2, n2: 4 }),
        ("Gride 8, 16", Estimator::Gride { n1: 8, n2: 16 }),
        ("MOM, k = 20", Estimator::Mom { k: 20 }),
        ("GeoMLE", Estimator::GeoMle { relative_radii: false }),
        ("GeoMLE, relative radii", Estimator::GeoMle { relative_radii: true }),
        ("PCA, 95 %", Estimator::Pca { share: 0.95 }),
    ];
    for set in TRAINED {
        for (method, estimator) in estimators {
            let config = Config::Other { part: Part { n: Some(10_000), ..Part::whole(set) }, estimator };
            grid.add("estimators", set.title(), method, 3, &config);
        }
    }
}

fn classes(grid: &mut Grid) {
    for (experiment, set) in [
        ("classes-mnist", DataSet::Mnist),
        ("classes-fashion-mnist", DataSet::FashionMnist),
        ("classes-cifar-10", DataSet::Cifar10),
        ("classes-kmnist", DataSet::KmnistTest),
    ] {
        for k in KS {
            for class in 0..10 {
                let part = Part { class: Some(class), ..Part::whole(set) };
                let images = Images { part, version: Version::Plain, k, anchors: None };
                grid.add_fixed(experiment, &format!("k = {k}"), &format!("class {class}"), &Config::Images(images));
            }
        }
    }
}

fn numbers(grid: &mut Grid) {
    for n in [500, 1000, 2000, 5000, 10_000, 20_000, 40_000] {
        for set in TRAINED {
            let part = Part { n: Some(n), ..Part::whole(set) };
            let images = Images { part, version: Version::Plain, k: 20, anchors: None };
            grid.add("numbers", &format!("{n} images"), set.title(), 3, &Config::Images(images));
        }
    }
}

fn sizes(grid: &mut Grid) {
    for set in TRAINED {
        for (method, to, from) in [("half", 1, 2), ("as it is", 1, 1), ("double", 2, 1)] {
            let part = Part { n: Some(5000), ..Part::whole(set) };
            let images = Images { part, version: Version::Resized { to, from }, k: 20, anchors: None };
            grid.add("sizes", set.title(), method, 3, &Config::Images(images));
        }
    }
}

/// Dimension and accuracy under noise.
fn noise(grid: &mut Grid) {
    for set in [DataSet::Mnist, DataSet::Cifar10] {
        for (method, pixels) in [("no noise", 0), ("16 pixels", 16), ("64 pixels", 64), ("256 pixels", 256)] {
            for (setting, n, copies) in [("10,000 images", 10_000, 1), ("1,000 images in ten copies", 1000, 10)] {
                if pixels == 0 && copies > 1 {
                    continue;
                }
                let part = Part { n: Some(n), ..Part::whole(set) };
                let images = Images { part, version: Version::Noise { pixels, copies }, k: 20, anchors: None };
                grid.add("noise-real", &format!("{}, {setting}", set.title()), method, 3, &Config::Images(images));
            }
            let pairs = pairs(set, 500, pixels);
            grid.add("noise-learning", set.title(), method, 5, &Config::Pairs(pairs));
        }
    }
}

fn learning(grid: &mut Grid) {
    for n in [50, 100, 200, 500, 1000, 2000] {
        for set in TRAINED {
            grid.add("pairs", &format!("{n} images of a class"), set.title(), 5, &Config::Pairs(pairs(set, n, 0)));
        }
    }
}

fn pairs(set: DataSet, n: usize, noise_pixels: usize) -> Pairs {
    Pairs { set, n, noise_pixels, depth: 8, width: 16 }
}

/// Every estimator on the benchmark manifolds; a row each.
fn manifolds(grid: &mut Grid) {
    let estimators = [
        ("MLE, k = 20", Estimator::mle(20)),
        ("TwoNN", Estimator::two_nn()),
        ("Gride 8, 16", Estimator::Gride { n1: 8, n2: 16 }),
        ("MOM, k = 20", Estimator::Mom { k: 20 }),
        ("Correlation integral", Estimator::CorrelationIntegral),
        ("GeoMLE", Estimator::GeoMle { relative_radii: false }),
        ("GeoMLE, relative radii", Estimator::GeoMle { relative_radii: true }),
        ("Local PCA", Estimator::LocalPca),
        ("PCA, 95 %", Estimator::Pca { share: 0.95 }),
    ];
    for (index, manifold) in Manifold::ALL.into_iter().enumerate() {
        let d = manifold.dimension();
        for (column, estimator) in estimators {
            let config = Config::estimate(Samples::Manifold { index }, 1000, estimator, d);
            grid.add("all-manifolds", column, &format!("{}, d = {d}", manifold.name()), 3, &config);
        }
    }
}
