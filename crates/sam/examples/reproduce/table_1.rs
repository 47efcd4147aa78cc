//! The paper tier's Table 1: WRN-28-10 on CIFAR-10 and CIFAR-100.

use rekindle_harness::Cell;

use crate::images::{Dataset, Network, Training};
use crate::method::{Method, Sgd};

pub(crate) fn cells(seeds: Option<u64>) -> Vec<Cell> {
    let mut cells = Vec::new();
    for (dataset, name, rho) in [(Dataset::Cifar10, "CIFAR-10", 0.05), (Dataset::Cifar100, "CIFAR-100", 0.1)] {
        for (augmentation, cutout) in [("basic", None), ("cutout", Some(16))] {
            for seed in 0..seeds.unwrap_or(5) {
                for (row, method) in [("SGD", Method::Sgd { budget: 1 }), ("SAM", Method::sam(rho))] {
                    let training = Training {
                        method,
                        dataset,
                        network: Network::Wrn28x10,
                        train_images: None,
                        noise: 0.0,
                        epochs: 200,
                        batch_size: 256,
                        sgd: Sgd { learning_rate: 0.1, momentum: 0.9, nesterov: true, weight_decay: 5e-4 },
                        crop_and_flip: true,
                        cutout,
                        curvature_images: None,
                    };
                    let setting = format!("{name}, {augmentation}");
                    let cell = Cell::new("table-1", &setting, row, seed, &training);
                    cells.push(cell.reads(&[dataset.name()]).costs(100.0 * method.cost()));
                }
            }
        }
    }
    cells
}
