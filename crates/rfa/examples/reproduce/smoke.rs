//! Drawn vectors and tokens: what the estimates are worth, what a gate is good for, what it all costs.

use rekindle_harness::{Cell, Grid};
use rekindle_rfa::{Kernel, Projection};

use crate::attention;
use crate::chain::Chain;
use crate::decoding::{Decoding, Memory, Overtaking};
use crate::learner::{Learner, Method};
use crate::norms::Norms;
use crate::run::Config;
use crate::scores::Scores;
use crate::speed::{ARC_COS, GATED, GAUSSIAN, Scaling, Speed};

pub(crate) fn cells(seeds: Option<u64>) -> Vec<Cell> {
    let mut grid = Grid::new(seeds);
    scores(&mut grid);
    norms(&mut grid);
    chain(&mut grid);
    speed(&mut grid);
    decoding(&mut grid);
    grid.into_cells()
}

fn scores(grid: &mut Grid) {
    for n_features in [16, 64, 256] {
        for (method, kernel, projection) in [
            ("Gaussian, iid", Kernel::Gaussian, Projection::Iid),
            ("Gaussian, orthogonal", Kernel::Gaussian, Projection::Orthogonal),
            ("arc-cosine, iid", Kernel::ArcCos, Projection::Iid),
            ("arc-cosine, orthogonal", Kernel::ArcCos, Projection::Orthogonal),
        ] {
            let scores = Scores { kernel, projection, n_features };
            grid.add("scores", &format!("D = {n_features}"), method, 5, &Config::Scores(scores));
        }
    }
}

fn norms(grid: &mut Grid) {
    for norm in [1.0, 2.0, 4.0] {
        for (method, normalize) in [("as they are", false), ("unit norm", true)] {
            grid.add("norms", &format!("|x| = {norm}"), method, 5, &Config::Norms(Norms { norm, normalize }));
        }
    }
}

fn chain(grid: &mut Grid) {
    for (name, method) in [
        ("Bayes", Method::Bayes),
        ("softmax", Method::Softmax),
        ("softmax, learned recency", Method::Recency),
        ("RFA", Method::Rfa { kernel: Kernel::Gaussian, gate: false }),
        ("RFA-Gate", Method::Rfa { kernel: Kernel::Gaussian, gate: true }),
    ] {
        let learner = Learner {
            method,
            chain: Chain { n_tokens: 8, n_matrices: 4, noise: 0.1, switch: 0.05 },
            length: 128,
            n_features: 32,
            d_model: 32,
            n_heads: 2,
            n_layers: 2,
            steps: 160,
            batch_size: 16,
            learning_rate: 3e-3,
        };
        grid.add("chain", "128 tokens", name, 3, &Config::Learner(learner));
    }
}

fn speed(grid: &mut Grid) {
    let linear = [
        ("RFA", GAUSSIAN),
        ("RFA-Gate", GATED),
        ("RFA, arc-cosine", ARC_COS),
        ("elu + 1", attention::Method::EluPlusOne),
    ];
    let bounds = [("softmax", attention::Method::Softmax), ("values", attention::Method::Values)];
    for length in [256, 1024, 4096] {
        for (name, method) in bounds.into_iter().chain(linear) {
            grid.add("speed", &format!("L = {length}"), name, 3, &Config::Speed(Speed { method, length }));
        }
    }
    for (name, method) in linear.into_iter().take(3) {
        let lengths = vec![64, 128, 256, 512, 1024, 2048];
        grid.add("scaling", "64 to 2,048", name, 3, &Config::Scaling(Scaling { method, lengths }));
    }
}

fn decoding(grid: &mut Grid) {
    for t in [64, 256, 1024, 4096] {
        for (name, memory) in [
            ("softmax, cache", Memory::Cache),
            ("RFA", Memory::State { gate: false }),
            ("RFA-Gate", Memory::State { gate: true }),
        ] {
            grid.add("decoding", &format!("t = {t}"), name, 3, &Config::Decoding(Decoding { memory, t }));
        }
    }
    for (name, gate) in [("RFA", false), ("RFA-Gate", true)] {
        let lengths = vec![64, 256, 1024, 4096];
        grid.add("overtaking", "64 to 4,096", name, 3, &Config::Overtaking(Overtaking { gate, lengths }));
    }
}
