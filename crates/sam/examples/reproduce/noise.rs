//! The small tier: label noise at a size that two cores train in minutes.

use rekindle_harness::Cell;

use crate::images::{Dataset, Network, Training};
use crate::method::{Method, Sgd};

/// The paper's radius for label noise (Table 4): 0.1, and 0.05 at 80 %.
fn rho(noise: f64) -> f64 {
    if noise < 0.8 { 0.1 } else { 0.05 }
}

fn training(method: Method, noise: f64) -> Training {
    Training {
        method,
        dataset: Dataset::FashionMnist,
        network: Network::SmallCnn,
        train_images: Some(2000),
        noise,
        epochs: 26,
        batch_size: 50,
        sgd: Sgd { learning_rate: 0.01, momentum: 0.9, nesterov: false, weight_decay: 5e-4 },
        crop_and_flip: false,
        cutout: None,
        curvature_images: (noise == 0.4).then_some(128),
    }
}

fn setting(noise: f64) -> String {
    if noise == 0.0 { "no noise".into() } else { format!("{:.0} % noise", 100.0 * noise) }
}

/// Fashion-MNIST at three noise rates, every row; five seeds for the headline, three elsewhere.
pub(crate) fn label_noise(seeds: Option<u64>) -> Vec<Cell> {
    let mut cells = Vec::new();
    for (noise, own_seeds) in [(0.0, 3), (0.4, 5), (0.8, 3)] {
        let rho = rho(noise);
        let rows = [
            ("SGD", Method::Sgd { budget: 1 }),
            ("SGD, 2x epochs", Method::Sgd { budget: 2 }),
            ("Random", Method::Random { rho }),
            ("SAM", Method::sam(rho)),
            // The authors of ASAM take ten times SAM's radius.
            ("ASAM", Method::Asam { rho: 10.0 * rho }),
        ];
        for seed in 0..seeds.unwrap_or(own_seeds) {
            for (name, method) in rows {
                let cell = Cell::new("label-noise", &setting(noise), name, seed, &training(method, noise));
                cells.push(cell.reads(&["fashion-mnist"]).costs(method.cost()));
            }
        }
    }
    cells
}

/// Groups of 8, 32 and 128 images at 40 % noise.
pub(crate) fn m_sharpness(seeds: Option<u64>) -> Vec<Cell> {
    let mut cells = Vec::new();
    for seed in 0..seeds.unwrap_or(3) {
        for m in [8, 32, 128] {
            let method = Method::Sam { rho: rho(0.4), micro_batch: Some(m) };
            let base = training(method, 0.4);
            let sgd = Sgd { learning_rate: 0.02, ..base.sgd };
            let training = Training { epochs: 40, batch_size: 128, sgd, curvature_images: None, ..base };
            let cell = Cell::new("m-sharpness", &setting(0.4), &format!("SAM, m = {m}"), seed, &training);
            cells.push(cell.reads(&["fashion-mnist"]).costs(1.6 * method.cost() * (1.0 + 4.0 / m as f64)));
        }
    }
    cells
}

/// CIFAR-10 at 40 % noise: SGD at equal compute against SAM.
pub(crate) fn cifar_10(seeds: Option<u64>) -> Vec<Cell> {
    let rows = [("SGD, 2x epochs", Method::Sgd { budget: 2 }), ("SAM", Method::sam(rho(0.4)))];
    let mut cells = Vec::new();
    for seed in 0..seeds.unwrap_or(3) {
        for (name, method) in rows {
            let training = Training { dataset: Dataset::Cifar10, curvature_images: None, ..training(method, 0.4) };
            let cell = Cell::new("cifar-10-noise", &setting(0.4), name, seed, &training);
            cells.push(cell.reads(&["cifar-10"]).costs(1.5 * method.cost()));
        }
    }
    cells
}
