//! Drawn vectors and tokens: what the estimates are worth, what can be learned with them, what they cost.

use rekindle_harness::{Cell, Grid};
use rekindle_performer::{FeatureFunction, Kernel, Projection};

use crate::attention::Method;
use crate::estimate::Estimate;
use crate::kernel::Scores;
use crate::recall::Recall;
use crate::run::Config;
use crate::speed::{POSITIVE, RELU, Scaling, Speed};

pub(crate) fn cells(seeds: Option<u64>) -> Vec<Cell> {
    let mut grid = Grid::new(seeds);
    scores(&mut grid);
    estimates(&mut grid);
    recall(&mut grid);
    speed(&mut grid);
    grid.into_cells()
}

fn scores(grid: &mut Grid) {
    let pairs = [
        ("apart", [0.5, -0.3, 0.2, 0.1], [0.1, 0.4, -0.2, 0.3]),
        ("equal vectors", [0.6, 0.0, 0.0, 0.0], [0.6, 0.0, 0.0, 0.0]),
        ("opposite vectors", [0.6, 0.0, 0.0, 0.0], [-0.6, 0.0, 0.0, 0.0]),
    ];
    for (setting, x, y) in pairs {
        for (method, kernel) in
            [("trigonometric", Kernel::Trig), ("positive", Kernel::Positive), ("hyperbolic", Kernel::Hyperbolic)]
        {
            grid.add("score", setting, method, 3, &Config::Scores(Scores { kernel, x, y }));
        }
    }
}

/// The paper's d, a sixteenth of its length.
fn estimates(grid: &mut Grid) {
    let rows = [
        ("trigonometric, iid", Kernel::Trig, Projection::Iid),
        ("trigonometric, orthogonal", Kernel::Trig, Projection::Orthogonal),
        ("positive, iid", Kernel::Positive, Projection::Iid),
        ("positive, orthogonal", Kernel::Positive, Projection::Orthogonal),
        ("hyperbolic, orthogonal", Kernel::Hyperbolic, Projection::Orthogonal),
    ];
    for (experiment, deviation) in [("output-0.5", 0.5), ("output-0.7", 0.7), ("output-0.9", 0.9)] {
        for m in [16, 64, 256] {
            for (method, kernel, projection) in rows {
                let config = Estimate { kernel, projection, m, deviation, length: 256, d: 16 };
                grid.add(experiment, &format!("m = {m}"), method, 5, &Config::Estimate(config));
            }
        }
    }
}

fn recall(grid: &mut Grid) {
    for (name, kernel, redraw) in [
        ("softmax", None, 0),
        ("positive, redrawn", Some(Kernel::Positive), 50),
        ("positive", Some(Kernel::Positive), 0),
        ("ReLU", Some(Kernel::Generalized(FeatureFunction::Relu)), 0),
    ] {
        let recall = Recall {
            kernel,
            n_features: 64,
            redraw,
            n_keys: 8,
            n_values: 4,
            length: 64,
            d_model: 32,
            n_heads: 1,
            n_layers: 2,
            steps: 300,
            batch_size: 16,
            learning_rate: 3e-3,
        };
        grid.add("recall", "8 pairs", name, 3, &Config::Recall(recall));
    }
}

fn speed(grid: &mut Grid) {
    let linear = [("positive", POSITIVE), ("ReLU", RELU), ("elu + 1", Method::EluPlusOne)];
    for length in [256, 1024, 4096] {
        for (name, method) in
            [("softmax", Method::Softmax)].into_iter().chain(linear).chain([("values", Method::Values)])
        {
            grid.add("speed", &format!("L = {length}"), name, 3, &Config::Speed(Speed { method, length }));
        }
    }
    for (name, method) in linear {
        let lengths = vec![64, 128, 256, 512, 1024, 2048];
        grid.add("scaling", "64 to 2,048", name, 3, &Config::Scaling(Scaling { method, lengths }));
    }
}
