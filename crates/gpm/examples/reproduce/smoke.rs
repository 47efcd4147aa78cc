//! Drawn data near random subspaces: the effect, a case without one, and the end of the capacity.

use rekindle_harness::Cell;

use crate::latent::Latent;
use crate::learn::Protocol;
use crate::method::Method;
use crate::run::{Config, Network};
use crate::tasks::{Source, TasksConfig};

const NAME: &str = "latent";
const PROTOCOL: Protocol =
    Protocol { epochs: 10, batch_size: 10, learning_rate: 0.01, test_batch: 1000, plateau: None };

/// Bytes that GPM at .95 / .99 / .99 holds at the end: the replay buffers get as many.
const BYTES: usize = 97_000;

fn config(method: Method, latent: Latent, n_tasks: usize) -> Config {
    Config {
        method,
        tasks: TasksConfig::Permuted { source: Source::Latent { latent, n_train: 600, n_test: 300 }, n_tasks },
        train_images: None,
        validation: 0.0,
        network: Network::Mlp { hidden: vec![100, 100] },
        protocol: PROTOCOL,
    }
}

fn gpm(thresholds: [f64; 3]) -> Method {
    let [first, second, third] = thresholds;
    Method::gpm(&[("layers.0", first), ("layers.1", second), ("layers.2", third)], 200)
}

/// Every row in the setting with an effect, the ends of the table in the others; five seeds for the headline.
pub(crate) fn cells(seeds: Option<u64>) -> Vec<Cell> {
    let mut cells = Vec::new();
    let mut add = |setting: &str, name: &str, own_seeds, config: Config, cost: f64| {
        for seed in 0..seeds.unwrap_or(own_seeds) {
            cells.push(Cell::new(NAME, setting, name, seed, &config).costs(cost * config.method.cost()));
        }
    };
    let high = gpm([0.95, 0.99, 0.99]);
    let latent = Latent { side: 10, rank: 12, gain: 3.0, noise: 0.3 };
    let rows = [
        ("Sequential", 5, Method::Sequential),
        ("GPM .95 .99 .99", 5, high.clone()),
        ("GPM .90 .95 .95", 3, gpm([0.90, 0.95, 0.95])),
        ("GPM .80 .90 .90", 3, gpm([0.80, 0.90, 0.90])),
        ("Last layer only", 3, Method::LastLayer),
        // The best of 1, 10, 100 on seeds 3 and 4; 1,000 diverges.
        ("EWC", 3, Method::Ewc { lambda: 100.0, n_samples: 200 }),
        ("A-GEM", 3, Method::Agem { bytes: BYTES }),
        ("Replay", 3, Method::Replay { bytes: BYTES }),
        ("Joint", 3, Method::Joint),
    ];
    for (name, own_seeds, method) in rows {
        add("10 tasks of 12 directions", name, own_seeds, config(method, latent, 10), 1.0);
    }
    // Few directions of many, small inputs: the tasks hardly meet, and nothing is forgotten.
    let apart = Latent { side: 12, rank: 6, gain: 1.0, noise: 0.1 };
    let both = [("Sequential", Method::Sequential), ("GPM .95 .99 .99", high)];
    for (name, method) in both.clone() {
        add("5 tasks of 6, apart", name, 3, config(method, apart, 5), 0.6);
    }
    // Four times as many directions as there are inputs.
    let crowded = Latent { side: 10, rank: 40, gain: 3.0, noise: 0.3 };
    for (name, method) in both {
        add("10 tasks of 40, crowded", name, 3, config(method, crowded, 10), 1.0);
    }
    cells
}
