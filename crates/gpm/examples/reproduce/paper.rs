//! The paper's multi-head experiments: 10-split CIFAR-100 and 5-Datasets.

use rekindle_harness::Cell;

use crate::learn::Protocol;
use crate::method::Method;
use crate::plateau::PlateauConfig;
use crate::run::{Config, Network};
use crate::tasks::{FIVE, Source, TasksConfig};

/// Bytes of the replay buffers: the most that GPM can hold of these networks, every direction of every layer.
const CIFAR_BYTES: usize = 23_400_000;
const FIVE_BYTES: usize = 35_900_000;

fn split_cifar_100(method: Method) -> Config {
    Config {
        method,
        tasks: TasksConfig::Split { source: Source::Cifar100, n_tasks: 10 },
        train_images: None,
        validation: 0.05,
        network: Network::AlexNet,
        protocol: Protocol {
            epochs: 200,
            batch_size: 64,
            learning_rate: 0.01,
            test_batch: 64,
            plateau: Some(PlateauConfig { patience: 6, factor: 2.0, least_rate: 1e-5 }),
        },
    }
}

fn five_datasets(method: Method) -> Config {
    Config {
        method,
        tasks: TasksConfig::FiveDatasets,
        train_images: None,
        validation: 0.05,
        network: Network::ResNet18 { width: 20 },
        protocol: Protocol {
            epochs: 100,
            batch_size: 64,
            learning_rate: 0.1,
            test_batch: 64,
            plateau: Some(PlateauConfig { patience: 5, factor: 3.0, least_rate: 1e-3 }),
        },
    }
}

pub(crate) fn cells(seeds: Option<u64>) -> Vec<Cell> {
    let mut cells = Vec::new();
    let mut add = |experiment: &str, setting: &str, data: &[&str], gpm: Method, bytes, config: fn(Method) -> Config| {
        let rows = [
            ("Sequential", Method::Sequential),
            ("GPM, authors' rank rule", gpm.clone().authors_rule()),
            ("GPM", gpm),
            ("A-GEM", Method::Agem { bytes }),
            ("Replay", Method::Replay { bytes }),
            ("Joint", Method::Joint),
        ];
        for (name, method) in rows {
            for seed in 0..seeds.unwrap_or(5) {
                let config = config(method.clone());
                cells.push(Cell::new(experiment, setting, name, seed, &config).reads(data).costs(method.cost()));
            }
        }
    };
    let gpm = Method::gpm(&[("", 0.97)], 125).rising(0.003);
    add("split-cifar-100", "10 tasks of 10 classes", &["cifar-100"], gpm, CIFAR_BYTES, split_cifar_100);
    let gpm = Method::gpm(&[("", 0.965)], 100);
    add("five-datasets", "5 tasks of 10 classes", &FIVE, gpm, FIVE_BYTES, five_datasets);
    cells
}
