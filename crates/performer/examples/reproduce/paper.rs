//! The paper's networks on texts of the user's own, and what takes longer than an hour on two cores.

use rekindle_harness::{Cell, Grid};
use rekindle_performer::{FeatureFunction, Kernel};

use crate::attention::Method;
use crate::classify::Classify;
use crate::language::{Language, Sizes, Training};
use crate::layers::Layers;
use crate::run::Config;
use crate::small::{SIZES, kinds};
use crate::speed::{POSITIVE, RELU, Speed};

/// The "regular" network of App. A.2.
const REGULAR: Sizes = Sizes { d_model: 512, n_heads: 8, n_layers: 6, expansion: 4, dropout: 0.1 };
/// That of the proteins, Table 2.
const PROTEINS: Sizes = Sizes { d_model: 512, n_heads: 8, n_layers: 36, expansion: 2, dropout: 0.1 };

pub(crate) fn cells(seeds: Option<u64>) -> Vec<Cell> {
    let mut grid = Grid::new(seeds);
    texts(&mut grid);
    longer(&mut grid);
    speed(&mut grid);
    grid.into_cells()
}

/// The kinds of the paper's tables.
fn methods() -> [(&'static str, Layers); 3] {
    let performer = |kernel, redraw| Layers::Performer { kernel, n_features: 256, redraw };
    [
        ("softmax", Layers::Softmax),
        ("positive, redrawn", performer(Kernel::Positive, 1000)),
        ("ReLU", performer(Kernel::Generalized(FeatureFunction::Relu), 0)),
    ]
}

fn texts(grid: &mut Grid) {
    let training =
        |length, batch_size| Training { steps: 100_000, batch_size, length, learning_rate: 1e-3, paper: true };
    let mut add = |experiment, setting: &str, name, layers, sizes, training| {
        let language = Language { text: "text".into(), layers, sizes, training };
        grid.add(experiment, setting, name, 1, &Config::Language(language));
    };
    for (name, layers) in methods() {
        add("text", "1,024 bytes, 36 layers", name, layers, PROTEINS, training(1024, 8));
        // Softmax of 8,192 tokens does not fit this network; the paper has smaller ones beside it.
        let sizes = if layers == Layers::Softmax { Sizes { d_model: 256, n_layers: 3, ..REGULAR } } else { REGULAR };
        add("text", "8,192 bytes", name, layers, sizes, training(8192, 8));
    }
}

/// On data of the small tier's kind: more of it, or longer.
fn longer(grid: &mut Grid) {
    let training = Training { steps: 3000, batch_size: 8, length: 512, learning_rate: 6e-3, paper: false };
    for (name, layers) in kinds(100) {
        let language = Language { text: "wikitext-2".into(), layers, sizes: SIZES, training };
        grid.add("wikitext-2", "two parts", name, 3, &Config::Language(language));
        let classify = Classify {
            data: "imdb".into(),
            layers,
            length: Some(1000),
            d_model: 128,
            n_heads: 4,
            n_layers: 2,
            steps: 5000,
            batch_size: 32,
            learning_rate: 1e-3,
            n_test: None,
        };
        grid.add("imdb", "1,000 bytes", name, 3, &Config::Classify(classify));
    }
}

fn speed(grid: &mut Grid) {
    for length in [8192, 16_384, 32_768] {
        for (name, method) in [("softmax", Method::Softmax), ("positive", POSITIVE), ("ReLU", RELU)] {
            grid.add("speed", &format!("L = {length}"), name, 3, &Config::Speed(Speed { method, length }));
        }
    }
}
