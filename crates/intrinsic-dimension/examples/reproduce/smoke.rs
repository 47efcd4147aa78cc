//! Drawn data of known dimension, images of a random network in place of the paper's GAN, and learning curves on them.

use rekindle_harness::{Cell, Grid};
use rekindle_intrinsic_dimension::data::Manifold;

use crate::estimator::{Divisor, Estimator, Mean};
use crate::learner::Learner;
use crate::run::Config;
use crate::samples::{Images, Samples};

/// Points of every estimate that is not about their number.
const N: usize = 1000;
/// Latent size of the paper's first experiment.
const LATENT: usize = 10;
const SIDE: usize = 28;

pub(crate) fn cells(seeds: Option<u64>) -> Vec<Cell> {
    let mut grid = Grid::new(seeds);
    known(&mut grid);
    manifolds(&mut grid);
    normalizer(&mut grid);
    samples(&mut grid);
    resolution(&mut grid);
    noise(&mut grid);
    learning(&mut grid);
    grid.into_cells()
}

/// Every estimator on every figure.
fn known(grid: &mut Grid) {
    let estimators = [
        ("MLE", Estimator::mle(20)),
        ("TwoNN", Estimator::two_nn()),
        ("Gride 8, 16", Estimator::Gride { n1: 8, n2: 16 }),
        ("GeoMLE", Estimator::GeoMle { relative_radii: false }),
        ("GeoMLE, relative radii", Estimator::GeoMle { relative_radii: true }),
        ("MOM", Estimator::Mom { k: 20 }),
        ("Correlation integral", Estimator::CorrelationIntegral),
        ("Graph distances", Estimator::GraphDistances { k: 8 }),
        ("Local PCA", Estimator::LocalPca),
        ("PCA, 95 %", Estimator::Pca { share: 0.95 }),
    ];
    for d in [1, 2, 5, 10, 20] {
        let figures = [
            ("cube", Samples::Cube { d }),
            ("sphere", Samples::Sphere { d }),
            ("gaussian", Samples::Gaussian { d, columns: 200 }),
            ("generator", Samples::Images { images: Images::plain(d, SIDE) }),
        ];
        for (name, samples) in figures {
            for (method, estimator) in estimators {
                // Elsewhere too few bins are left of the mode, if there is one, which the library refuses; so does the recipe.
                let has_flank = matches!(d, 2 | 5) && name != "gaussian";
                if matches!(estimator, Estimator::GraphDistances { .. }) && !has_flank {
                    continue;
                }
                if name == "gaussian" && !matches!(d, 2 | 5 | 20) || name == "generator" && d == 1 {
                    continue;
                }
                grid.add(name, &format!("d = {d}"), method, 3, &Config::estimate(samples, N, estimator, d));
            }
        }
    }
}

/// The benchmark manifolds; a row each.
fn manifolds(grid: &mut Grid) {
    let estimators = [
        ("MLE", Estimator::mle(20)),
        ("TwoNN", Estimator::two_nn()),
        ("GeoMLE, relative radii", Estimator::GeoMle { relative_radii: true }),
        ("Local PCA", Estimator::LocalPca),
    ];
    for (index, manifold) in Manifold::ALL.into_iter().enumerate() {
        let d = manifold.dimension();
        let row = format!("{}, d = {d}", manifold.name());
        for (column, estimator) in estimators {
            grid.add("manifolds", column, &row, 3, &Config::estimate(Samples::Manifold { index }, N, estimator, d));
        }
    }
}

/// How much of the growth with k is the normalizer's.
fn normalizer(grid: &mut Grid) {
    let rows = [
        ("k − 1, mean of inverses", Divisor::KMinus1, Mean::Inverses),
        ("k − 2, mean of inverses (authors' code)", Divisor::KMinus2, Mean::Inverses),
        ("k − 1, mean of dimensions", Divisor::KMinus1, Mean::Dimensions),
        ("k − 2, mean of dimensions", Divisor::KMinus2, Mean::Dimensions),
    ];
    for k in [3, 5, 10, 20, 40] {
        for (method, normalizer, mean) in rows {
            let of = |k| Estimator::Mle { k, normalizer, mean };
            let config = Config::Estimate {
                samples: Samples::Images { images: Images::plain(LATENT, SIDE) },
                n: N,
                estimator: of(k),
                d: LATENT,
                from: Some(of(3)),
            };
            grid.add("normalizer", &format!("k = {k}"), method, 3, &config);
        }
    }
}

/// The paper's first experiment: few images, and which k.
fn samples(grid: &mut Grid) {
    let samples = Samples::Images { images: Images::plain(LATENT, SIDE) };
    for n in [125, 250, 500, 1000, 2000] {
        for k in [3, 4, 10, 20] {
            let config = Config::estimate(samples, n, Estimator::mle(k), LATENT);
            grid.add("samples", &format!("{n} images"), &format!("k = {k}"), 3, &config);
        }
    }
}

fn resolution(grid: &mut Grid) {
    for d in [5, 10, 20] {
        for side in [8, 16, 32] {
            let images = Images { resized: Some(side), ..Images::plain(d, 32) };
            let config = Config::estimate(Samples::Images { images }, N, Estimator::mle(20), d);
            grid.add("resolution", &format!("d = {d}"), &format!("{side} x {side}"), 3, &config);
        }
    }
}

fn noise(grid: &mut Grid) {
    for (method, noise_pixels) in [("no noise", 0), ("16 pixels", 16), ("64 pixels", 64), ("256 pixels", 256)] {
        let images = Images { noise_pixels, ..Images::plain(LATENT, 32) };
        let config = Config::estimate(Samples::Images { images }, N, Estimator::mle(20), noise_pixels.max(LATENT));
        grid.add("noise", "1,000 images of d = 10", method, 5, &config);
    }
}

/// Curves over the number of images, of growing dimension and of growing size, then other learners beside the perceptron.
fn learning(grid: &mut Grid) {
    let perceptron = Learner::Perceptron { hidden: 64 };
    for n in [50, 200, 500, 2000] {
        for d in [2, 5, 10, 20] {
            let config = Config::Learn { images: Images::plain(d, 16), n, learner: perceptron };
            grid.add("learning", &format!("{n} images"), &format!("d = {d}"), 5, &config);
        }
        for side in [8, 16, 32] {
            let config = Config::Learn { images: Images::plain(5, side), n, learner: perceptron };
            grid.add("pixels", &format!("{n} images"), &format!("{} pixels", side * side), 3, &config);
        }
    }
    for d in [2, 5, 10, 20] {
        for (method, learner) in [
            ("perceptron", perceptron),
            ("logistic regression", Learner::Logistic),
            ("5 nearest neighbors", Learner::Neighbors { k: 5 }),
        ] {
            let config = Config::Learn { images: Images::plain(d, 16), n: N, learner };
            grid.add("learners", &format!("d = {d}"), method, 3, &config);
        }
    }
}
