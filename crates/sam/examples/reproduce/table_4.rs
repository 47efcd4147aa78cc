//! The paper tier's Table 4: ResNet-32 on CIFAR-10 with flipped labels.

use rekindle_harness::Cell;

use crate::images::{Dataset, Network, Training};
use crate::method::{Method, Sgd};

pub(crate) fn cells(seeds: Option<u64>) -> Vec<Cell> {
    let mut cells = Vec::new();
    for percent in [20_u32, 40, 60, 80] {
        let rho = if percent == 80 { 0.05 } else { 0.1 };
        for seed in 0..seeds.unwrap_or(5) {
            for (row, method) in [("SGD", Method::Sgd { budget: 1 }), ("SAM", Method::sam(rho))] {
                let training = Training {
                    method,
                    dataset: Dataset::Cifar10,
                    network: Network::ResNet32,
                    train_images: None,
                    noise: f64::from(percent) / 100.0,
                    epochs: 200,
                    batch_size: 256,
                    sgd: Sgd { learning_rate: 0.1, momentum: 0.9, nesterov: true, weight_decay: 5e-4 },
                    crop_and_flip: true,
                    cutout: None,
                    curvature_images: None,
                };
                let cell = Cell::new("table-4", &format!("{percent} % noise"), row, seed, &training);
                cells.push(cell.reads(&["cifar-10"]).costs(method.cost()));
            }
        }
    }
    cells
}
