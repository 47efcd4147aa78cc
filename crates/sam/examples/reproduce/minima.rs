//! The exact demonstration: a sharp and a wide minimum of equal depth in one dimension.

use std::collections::BTreeMap;

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use rand::RngExt;
use rekindle_harness::worker::{Context, Failure, Outcome};
use rekindle_harness::{Cell, Results};
use rekindle_shared::data::{Stream, Streams};
use serde::{Deserialize, Serialize};

use crate::method::{Method, Sgd};

pub(crate) const NAME: &str = "minima";

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Config {
    method: Method,
    sgd: Sgd,
    steps: usize,
}

/// The wide minimum's place; the sharp one is at 0.
const WIDE: f64 = 4.0;

/// Where the two parabolas meet: the end of the sharp basin.
const EDGE: f64 = WIDE / 11.0;

/// SGD, SAM at a radius below the sharp basin's half width, SAM above it.
pub(crate) fn cells(seeds: Option<u64>) -> Vec<Cell> {
    let rows = [("SGD", Method::Sgd { budget: 1 }), ("SAM 0.2", Method::sam(0.2)), ("SAM 0.5", Method::sam(0.5))];
    let sgd = Sgd { learning_rate: 0.005, momentum: 0.0, nesterov: false, weight_decay: 0.0 };
    let mut cells = Vec::new();
    for seed in 0..seeds.unwrap_or(5) {
        for (name, method) in rows {
            let config = Config { method, sgd, steps: 2000 };
            cells.push(Cell::new(NAME, "from the sharp basin", name, seed, &config).costs(0.1 * method.cost()));
        }
    }
    cells
}

#[derive(Module, Debug)]
struct Point {
    at: Param<Tensor<1>>,
}

impl Point {
    /// min(50 x², 0.5 (x - 4)²).
    fn loss(&self) -> Tensor<1> {
        let x = self.at.val();
        let sharp = x.clone().powi_scalar(2) * 50.0;
        let wide = (x - WIDE).powi_scalar(2) * 0.5;
        sharp.min_pair(wide)
    }
}

pub(crate) fn run(cell: &Cell, _context: &Context, device: &Device) -> Result<Outcome, Failure> {
    let config: Config = cell.config()?;
    let streams = Streams::new(cell.seed);
    let start = streams.stream(Stream::Data).random_range(-EDGE..EDGE);
    let point = Point { at: Param::from_tensor(Tensor::from_floats([start as f32], device)) };
    let end = descend(point, config.method, &config, streams)?;
    let rests: f64 = end.at.val().into_scalar();
    // Plain descent shows whose basin that is.
    let settled: f64 = descend(end, Method::Sgd { budget: 1 }, &config, streams)?.at.val().into_scalar();
    let metrics = BTreeMap::from([
        ("left_sharp_basin".into(), f64::from(rests > EDGE)),
        ("settles_in_wide_minimum".into(), f64::from((settled - WIDE).abs() < 1e-2)),
        ("distance".into(), rests.abs()),
    ]);
    let diverged = !(rests.is_finite() && settled.is_finite());
    Ok(Outcome { results: Results { diverged, metrics, ..Results::default() }, ..Outcome::default() })
}

fn descend(mut point: Point, method: Method, config: &Config, streams: Streams) -> Result<Point, Failure> {
    let mut sam = method.init(&config.sgd, streams)?;
    for _ in 0..config.steps {
        (point, _) = sam.step(config.sgd.learning_rate, point, Point::loss)?;
    }
    Ok(point)
}
