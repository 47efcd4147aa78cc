//! The tables on real images: Table 2 at reduced size, and at the paper's own.

use rekindle_harness::Cell;
use rekindle_shared::data::corruption::{AnyCorruption, Corruption};
use rekindle_tent::BatchStatistics;

use crate::method::{Adaptation, Goal, Method, ORACLE};
use crate::networks::Network;
use crate::shift::Shift;
use crate::source::{Dataset, Source};
use crate::stream::Order;

/// The rows of Table 2 that need no source data.
const HEADLINE: [(&str, Method); 3] = [
    ("Source", Method::Source),
    ("BN", Method::Norm { statistics: BatchStatistics::Batch }),
    ("Tent", Method::Tent(Adaptation::TENT)),
];

/// What else is asked about.
fn breadth() -> Vec<(&'static str, Method)> {
    let mixture = |alpha| Method::Norm { statistics: BatchStatistics::Mixture { alpha } };
    let tent = Adaptation::TENT;
    vec![
        ("BN, alpha 0.1", mixture(0.1)),
        ("BN, alpha 0.5", mixture(0.5)),
        ("Pseudo-label", Method::Tent(Adaptation { objective: Goal::PseudoLabel, ..tent })),
        ("Tent, episodic, 2 steps", Method::Tent(Adaptation { episodic: true, steps: 2, ..tent })),
        ("Tent, offline", Method::Tent(Adaptation { epochs: 1, ..tent })),
        ("Oracle", ORACLE),
    ]
}

/// The group norm network's rows: it has no batch statistics.
const GROUP_NORM: [(&str, Method); 2] =
    [("Group norm, source", Method::Source), ("Group norm, Tent", Method::Tent(Adaptation::TENT))];

fn shift(method: Method, source: Source) -> Shift {
    Shift {
        method,
        source,
        corruptions: Corruption::ALL.map(AnyCorruption::from).into(),
        mixed: false,
        severity: 5,
        test_images: Some(2000),
        batch_size: 200,
        order: Order::Shuffled,
        tuning_images: 1000,
        tuning_batch: 200,
        published: false,
    }
}

fn cifar_10(network: Network) -> Source {
    Source {
        dataset: Dataset::Cifar10,
        network,
        train_images: Some(20_000),
        epochs: 10,
        batch_size: 100,
        learning_rate: 0.1,
        weight_decay: 5e-4,
        crop_and_flip: true,
    }
}

fn fashion_mnist() -> Source {
    Source {
        dataset: Dataset::FashionMnist,
        train_images: Some(10_000),
        epochs: 6,
        ..cifar_10(Network::ResNet { depth: 8 })
    }
}

pub(crate) fn small(seeds: Option<u64>) -> Vec<Cell> {
    let mut cells = Vec::new();
    let mut add = |experiment: &str, setting: &str, name: &str, own_seeds, shift: &Shift, cost| {
        let data = shift.source.dataset.name();
        for seed in 0..seeds.unwrap_or(own_seeds) {
            let cell = Cell::new(experiment, setting, name, seed, shift).costs(cost);
            cells.push(cell.reads(data.as_slice()));
        }
    };
    let resnet = Network::ResNet { depth: 8 };
    for (name, method) in HEADLINE {
        add("cifar-10", "severity 5", name, 5, &shift(method, cifar_10(resnet)), cost(method));
    }
    for (name, method) in breadth() {
        add("cifar-10", "severity 5", name, 3, &shift(method, cifar_10(resnet)), cost(method));
    }
    for (name, method) in GROUP_NORM {
        let source = cifar_10(Network::GroupNormCnn);
        add("cifar-10", "severity 5", name, 3, &shift(method, source), cost(method));
    }
    for severity in [5, 3] {
        for (name, method) in HEADLINE {
            let shift = Shift { severity, ..shift(method, fashion_mnist()) };
            add("fashion-mnist", &format!("severity {severity}"), name, 3, &shift, 0.6 * cost(method));
        }
    }
    cells
}

/// Passes over the stream, in units of a forward pass, with what is shared spread over the rows.
fn cost(method: Method) -> f64 {
    match method {
        Method::Source => 4.0,
        Method::Norm { .. } => 1.0,
        Method::Plain { .. } => 2.5,
        Method::Tent(adaptation) => 2.5 * adaptation.steps as f64 + adaptation.epochs as f64 + 0.5,
    }
}

/// Table 2: CIFAR-10-C at severity 5, all images, offline and online.
pub(crate) fn paper(seeds: Option<u64>) -> Vec<Cell> {
    let offline = Adaptation { epochs: 1, ..Adaptation::TENT };
    let pseudo = Adaptation { objective: Goal::PseudoLabel, ..offline };
    let mut cells = Vec::new();
    for (setting, network) in [("ResNet-26", Network::ResNet { depth: 26 }), ("WRN-28-10", Network::Wrn28x10)] {
        let rows = [
            HEADLINE[0],
            HEADLINE[1],
            HEADLINE[2],
            ("Pseudo-label, offline", Method::Tent(pseudo)),
            ("Tent, offline", Method::Tent(offline)),
        ];
        for (name, method) in rows {
            for seed in 0..seeds.unwrap_or(3) {
                let source = Source { train_images: None, epochs: 200, batch_size: 128, ..cifar_10(network) };
                let shift = Shift { test_images: None, batch_size: 128, published: true, ..shift(method, source) };
                let cell = Cell::new("cifar-10-c", setting, name, seed, &shift).costs(cost(method));
                cells.push(cell.reads(&["cifar-10"]));
            }
        }
    }
    cells
}
