//! Permuted MNIST as in the paper, and split Fashion-MNIST and CIFAR-10 at reduced size.

use rekindle_harness::Cell;

use crate::learn::Protocol;
use crate::method::Method;
use crate::run::{Config, Network};
use crate::tasks::{Source, TasksConfig};

/// Thresholds and samples of the authors' code for Permuted MNIST.
fn permuted_gpm() -> Method {
    Method::gpm(&[("layers.0", 0.95), ("layers.1", 0.99), ("layers.2", 0.99)], 300)
}

/// 54,000 + 6,000 images, 784-100-100-10 without biases, SGD with 0.01, batches of 10, five epochs.
fn permuted(method: Method) -> Config {
    Config {
        method,
        tasks: TasksConfig::Permuted { source: Source::Mnist, n_tasks: 10 },
        train_images: None,
        validation: 0.1,
        network: Network::Mlp { hidden: vec![100, 100] },
        protocol: Protocol { epochs: 5, batch_size: 10, learning_rate: 0.01, test_batch: 1000, plateau: None },
    }
}

/// Five tasks of two classes, a head for each.
fn split(method: Method, source: Source) -> Config {
    Config {
        method,
        tasks: TasksConfig::Split { source, n_tasks: 5 },
        train_images: Some(5000),
        validation: 0.0,
        network: Network::SmallCnn,
        protocol: Protocol { epochs: 5, batch_size: 32, learning_rate: 0.05, test_batch: 1000, plateau: None },
    }
}

pub(crate) fn cells(seeds: Option<u64>) -> Vec<Cell> {
    let mut cells = Vec::new();
    // As many as GPM holds before the last task.
    let bytes = 1_680_000;
    let rows = [
        ("Sequential", 5, Method::Sequential),
        ("GPM", 5, permuted_gpm()),
        ("GPM, authors' rank rule", 3, permuted_gpm().authors_rule()),
        // The best of 1, 10, 30 on seed 3.
        ("EWC", 3, Method::Ewc { lambda: 10.0, n_samples: 1000 }),
        ("A-GEM", 3, Method::Agem { bytes }),
        ("Replay", 3, Method::Replay { bytes }),
        ("Joint", 3, Method::Joint),
    ];
    for (name, own_seeds, method) in rows {
        for seed in 0..seeds.unwrap_or(own_seeds) {
            let config = permuted(method.clone());
            let cell = Cell::new("permuted-mnist", "10 tasks", name, seed, &config);
            cells.push(cell.reads(&["mnist"]).costs(10.0 * method.cost()));
        }
    }
    // λ is the best of 10, 100, 1,000 on seed 3, with 2,000 images for each task.
    for (experiment, data, source, lambda, bytes) in [
        ("split-fashion-mnist", "fashion-mnist", Source::FashionMnist, 100.0, 370_000),
        ("split-cifar-10", "cifar-10", Source::Cifar10, 10.0, 2_600_000),
    ] {
        let gpm = Method::gpm(&[("", 0.97)], 125);
        let rows = [
            ("Sequential", 5, Method::Sequential),
            ("GPM", 5, gpm),
            ("EWC", 3, Method::Ewc { lambda, n_samples: 500 }),
            ("A-GEM", 3, Method::Agem { bytes }),
            ("Replay", 3, Method::Replay { bytes }),
            ("Joint", 3, Method::Joint),
        ];
        for (name, own_seeds, method) in rows {
            for seed in 0..seeds.unwrap_or(own_seeds) {
                let config = split(method.clone(), source.clone());
                let cell = Cell::new(experiment, "5 tasks of 2 classes", name, seed, &config);
                cells.push(cell.reads(&[data]).costs(method.cost()));
            }
        }
    }
    cells
}
