//! Real data at reduced size.

use rekindle_harness::{Cell, Grid};
use rekindle_rfa::Kernel;

use crate::language::Language;
use crate::run::Config;
use crate::translation::{DecodingSpeed, Translation};
use crate::translator::Method;

pub(crate) fn cells(seeds: Option<u64>) -> Vec<Cell> {
    let mut grid = Grid::new(seeds);
    for (name, method, stateful) in kinds(32) {
        let language = language((method, stateful), "tinyshakespeare", 256, 1000);
        grid.add("language", "tiny Shakespeare", name, 3, &Config::Language(language));
    }
    translation(&mut grid);
    grid.into_cells()
}

/// What is compared in language models, and whether a state is carried.
pub(crate) fn kinds(n_features: usize) -> [(&'static str, Method, bool); 6] {
    let rfa = |kernel, gate| Method::Rfa { kernel, gate, causal_features: n_features, cross_features: n_features };
    [
        ("softmax", Method::Softmax, false),
        ("elu + 1", Method::EluPlusOne, false),
        ("RFA", rfa(Kernel::Gaussian, false), false),
        ("RFA, arc-cosine", rfa(Kernel::ArcCos, false), false),
        ("RFA-Gate", rfa(Kernel::Gaussian, true), false),
        ("RFA-Gate, stateful", rfa(Kernel::Gaussian, true), true),
    ]
}

/// Equal steps, windows and first weights; only the gate adds parameters.
pub(crate) fn language((method, stateful): (Method, bool), text: &str, length: usize, steps: usize) -> Language {
    Language {
        text: text.into(),
        method,
        stateful,
        d_model: 128,
        n_heads: 4,
        n_layers: 2,
        steps,
        batch_size: 8,
        length,
        learning_rate: 6e-3,
        paper: false,
    }
}

fn translation(grid: &mut Grid) {
    let rfa = |kernel, gate| Method::Rfa { kernel, gate, causal_features: 32, cross_features: 64 };
    for (name, method) in [
        ("softmax", Method::Softmax),
        ("elu + 1", Method::EluPlusOne),
        ("RFA", rfa(Kernel::Gaussian, false)),
        ("RFA, arc-cosine", rfa(Kernel::ArcCos, false)),
        ("RFA-Gate", rfa(Kernel::Gaussian, true)),
        ("RFA-Gate, arc-cosine", rfa(Kernel::ArcCos, true)),
    ] {
        let translation = Translation {
            method,
            n_train: 29_000,
            min_frequency: 3,
            d_model: 128,
            n_heads: 4,
            n_layers: 2,
            expansion: 2,
            dropout: 0.1,
            tied: true,
            epochs: 5,
            batch_size: 64,
            learning_rate: 2e-3,
            warm_up: 400,
            label_smoothing: 0.1,
            clip: 0.5,
        };
        grid.add("translation", "Multi30k, de-en", name, 1, &Config::Translation(translation));
        for batch_size in [1, 100] {
            let setting = if batch_size == 1 { "one by one".to_owned() } else { format!("{batch_size} together") };
            let speed = DecodingSpeed { translation, batch_size };
            grid.add("translation-speed", &setting, name, 1, &Config::TranslationSpeed(speed));
        }
    }
}
