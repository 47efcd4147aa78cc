//! Texts and images, in an hour on two cores.

use rekindle_harness::{Cell, Grid};
use rekindle_performer::{FeatureFunction, Kernel};

use crate::classify::Classify;
use crate::decoding::Decoding;
use crate::language::{Conversion, Language, Sizes, Training};
use crate::layers::Layers;
use crate::run::Config;

pub(crate) const SIZES: Sizes = Sizes { d_model: 128, n_heads: 4, n_layers: 2, expansion: 4, dropout: 0.0 };

/// The kinds that are compared everywhere, with as many features as twice the dimensions of a head.
pub(crate) fn kinds(redraw: u64) -> [(&'static str, Layers); 4] {
    let performer = |kernel, redraw| Layers::Performer { kernel, n_features: 64, redraw };
    [
        ("softmax", Layers::Softmax),
        ("positive, redrawn", performer(Kernel::Positive, redraw)),
        ("ReLU", performer(Kernel::Generalized(FeatureFunction::Relu), 0)),
        ("elu + 1", Layers::EluPlusOne),
    ]
}

pub(crate) fn cells(seeds: Option<u64>) -> Vec<Cell> {
    let mut grid = Grid::new(seeds);
    let training = Training { steps: 1000, batch_size: 8, length: 256, learning_rate: 6e-3, paper: false };
    // As many as the paper has, for heads of half its width.
    let many = Layers::Performer { kernel: Kernel::Positive, n_features: 256, redraw: 100 };
    for (name, layers) in kinds(100).into_iter().chain([("positive, 256 features", many)]) {
        let language = Language { text: "tinyshakespeare".into(), layers, sizes: SIZES, training };
        grid.add("language", "tiny Shakespeare", name, 3, &Config::Language(language));
    }
    let (name, layers) = kinds(50)[1];
    let conversion = Conversion {
        text: "tinyshakespeare".into(),
        layers,
        sizes: SIZES,
        training: Training { steps: 500, ..training },
        fine_tuning: Training { steps: 100, learning_rate: 2e-3, ..training },
    };
    grid.add("conversion", "tiny Shakespeare", name, 3, &Config::Conversion(conversion));
    for (name, layers) in kinds(100) {
        let classify = Classify {
            data: "fashion-mnist".into(),
            layers,
            length: None,
            d_model: 64,
            n_heads: 2,
            n_layers: 2,
            steps: 800,
            batch_size: 16,
            learning_rate: 2e-3,
            n_test: Some(2000),
        };
        grid.add("pixels", "Fashion-MNIST", name, 1, &Config::Classify(classify));
    }
    for before in [64, 256, 1024, 4096] {
        for (name, layers) in kinds(0) {
            let decoding = Decoding { layers, d_model: 128, n_heads: 4, n_layers: 2, before };
            // Nothing is trained here.
            let name = name.trim_end_matches(", redrawn");
            grid.add("decoding", &format!("after {before}"), name, 3, &Config::Decoding(decoding));
        }
    }
    grid.into_cells()
}
