//! The smoke tier: shifts of drawn shapes, and the ways in which adaptation fails.

use rekindle_harness::Cell;
use rekindle_shared::data::corruption::{AnyCorruption, Corruption};
use rekindle_tent::{BatchStatistics, Fallback};

use crate::method::{Adaptation, Goal, Method, ORACLE};
use crate::networks::Network;
use crate::plain::{Target, Updated};
use crate::shift::Shift;
use crate::source::{Dataset, Source};
use crate::stream::Order;

fn glyphs(method: Method) -> Shift {
    let shifts = [Corruption::GaussianNoise, Corruption::Contrast, Corruption::Fog, Corruption::Brightness];
    Shift {
        method,
        source: Source {
            dataset: Dataset::Glyphs,
            network: Network::TinyCnn,
            train_images: Some(5000),
            epochs: 5,
            batch_size: 50,
            learning_rate: 0.1,
            weight_decay: 0.0,
            crop_and_flip: false,
        },
        corruptions: shifts.map(AnyCorruption::from).into(),
        mixed: false,
        severity: 5,
        test_images: None,
        batch_size: 100,
        order: Order::Shuffled,
        tuning_images: 500,
        tuning_batch: 100,
        published: false,
    }
}

/// The guards that are on by default.
fn guarded() -> Method {
    Method::Tent(Adaptation { min_batch: 16, fallback: Some(Fallback::Reset), ..Adaptation::TENT })
}

const TENT: Method = Method::Tent(Adaptation::TENT);

const BN: Method = Method::Norm { statistics: BatchStatistics::Batch };

pub(crate) fn cells(seeds: Option<u64>) -> Vec<Cell> {
    [shifts(seeds), batch_sizes(seeds), orders(seeds), domains(seeds), epochs(seeds), updated(seeds), collapse(seeds)]
        .concat()
}

/// Every row of the paper's table, on four corruptions.
fn shifts(seeds: Option<u64>) -> Vec<Cell> {
    let mixture = |alpha| Method::Norm { statistics: BatchStatistics::Mixture { alpha } };
    let rows = [
        ("Source", Method::Source),
        ("BN", BN),
        ("Tent", TENT),
        ("BN, alpha 0.1", mixture(0.1)),
        ("BN, alpha 0.5", mixture(0.5)),
        ("Pseudo-label", Method::Tent(Adaptation { objective: Goal::PseudoLabel, ..Adaptation::TENT })),
        ("Tent, episodic, 2 steps", Method::Tent(Adaptation { episodic: true, steps: 2, ..Adaptation::TENT })),
        ("Tent, offline", Method::Tent(Adaptation { epochs: 1, ..Adaptation::TENT })),
        ("Oracle", ORACLE),
    ];
    // At severity 5 the headline with its ceiling; five seeds for that, three for the other rows.
    let headline = |name: &str| matches!(name, "Source" | "BN" | "Tent" | "Oracle");
    let mut cells = Vec::new();
    for severity in [3, 5] {
        for (name, method) in rows {
            if severity == 5 && !headline(name) {
                continue;
            }
            for seed in 0..seeds.unwrap_or(if headline(name) { 5 } else { 3 }) {
                let shift = Shift { severity, ..glyphs(method) };
                cells.push(Cell::new("glyphs", &format!("severity {severity}"), name, seed, &shift));
            }
        }
    }
    cells
}

fn one_shift(method: Method) -> Shift {
    Shift { corruptions: vec![Corruption::Brightness.into()], test_images: Some(1000), ..glyphs(method) }
}

/// Brightness in batches from 1 to 200.
fn batch_sizes(seeds: Option<u64>) -> Vec<Cell> {
    let rows = [("Source", Method::Source), ("BN", BN), ("Tent", TENT), ("Tent, guarded", guarded())];
    let mut cells = Vec::new();
    for batch_size in [1, 4, 16, 64, 200] {
        for (name, method) in rows {
            for seed in 0..seeds.unwrap_or(3) {
                let shift = Shift { batch_size, ..one_shift(method) };
                cells.push(Cell::new("batch-size", &format!("batch {batch_size}"), name, seed, &shift).costs(0.4));
            }
        }
    }
    cells
}

/// Brightness with the classes mixed, and one after the other.
fn orders(seeds: Option<u64>) -> Vec<Cell> {
    let rows = [("Source", Method::Source), ("BN", BN), ("Tent", TENT), ("Tent, guarded", guarded())];
    let mut cells = Vec::new();
    for (setting, order) in [("shuffled", Order::Shuffled), ("sorted by class", Order::Sorted)] {
        for (name, method) in rows {
            for seed in 0..seeds.unwrap_or(3) {
                let shift = Shift { order, ..one_shift(method) };
                cells.push(Cell::new("order", setting, name, seed, &shift).costs(0.4));
            }
        }
    }
    cells
}

/// Four corruptions in one stream, one after the other and in every batch.
fn domains(seeds: Option<u64>) -> Vec<Cell> {
    let rows = [("Source", Method::Source), ("BN", BN), ("Tent", TENT)];
    let mut cells = Vec::new();
    for (setting, order) in [("one after the other", Order::ByDomain), ("in every batch", Order::Shuffled)] {
        for (name, method) in rows {
            for seed in 0..seeds.unwrap_or(3) {
                let shift = Shift { order, mixed: true, severity: 3, ..glyphs(method) };
                cells.push(Cell::new("domains", setting, name, seed, &shift).costs(0.4));
            }
        }
    }
    cells
}

/// Fog, adapted to for several epochs before it is predicted.
fn epochs(seeds: Option<u64>) -> Vec<Cell> {
    let fog = |method| Shift { corruptions: vec![Corruption::Fog.into()], severity: 3, ..one_shift(method) };
    let mut cells = Vec::new();
    for epochs in [1, 3, 10] {
        let tent = Method::Tent(Adaptation { epochs, ..Adaptation::TENT });
        for (name, method) in [("BN", BN), ("Tent, offline", tent)] {
            for seed in 0..seeds.unwrap_or(3) {
                let setting = format!("epochs {epochs}");
                cells.push(Cell::new("epochs", &setting, name, seed, &fog(method)).costs(0.4));
            }
        }
    }
    cells
}

/// Entropy minimized over other parameters than Tent's, at two learning rates.
fn updated(seeds: Option<u64>) -> Vec<Cell> {
    let mut cells = Vec::new();
    for learning_rate in [1e-3, 1e-2] {
        let entropy = |updated| Method::Plain { updated, target: Target::Entropy, learning_rate };
        let rows = [
            ("nothing: BN", BN),
            ("norm layers: Tent", entropy(Updated::Norms)),
            ("everything", entropy(Updated::Everything)),
            ("last layer", entropy(Updated::LastLayer)),
        ];
        for (name, method) in rows {
            for seed in 0..seeds.unwrap_or(3) {
                let setting = format!("learning rate {learning_rate}");
                cells.push(Cell::new("updated", &setting, name, seed, &one_shift(method)).costs(0.4));
            }
        }
    }
    cells
}

/// A learning rate a thousand times too high, with each fallback.
fn collapse(seeds: Option<u64>) -> Vec<Cell> {
    let hot = |fallback| Method::Tent(Adaptation { learning_rate: Some(1.0), fallback, ..Adaptation::TENT });
    let rows = [
        ("BN", BN),
        ("Tent, no fallback", hot(None)),
        ("Tent, fallback reset", hot(Some(Fallback::Reset))),
        ("Tent, fallback stop", hot(Some(Fallback::Stop))),
    ];
    let mut cells = Vec::new();
    for (name, method) in rows {
        for seed in 0..seeds.unwrap_or(3) {
            let shift = Shift { batch_size: 50, test_images: None, ..one_shift(method) };
            cells.push(Cell::new("collapse", "learning rate 1", name, seed, &shift));
        }
    }
    cells
}
