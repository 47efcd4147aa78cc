//! A paper whose cells end in every way that a cell can end, for the driver's tests.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use rekindle_harness::worker::{self, Context, Environment, Failure, Outcome, Reproduction};
use rekindle_harness::{Cell, Results, Tier, build_info};

fn main() -> ExitCode {
    worker::main(include_str!("../../paper.toml"), build_info!(), &Toy)
}

struct Toy;

/// A picture of one black pixel.
const COIN: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\0\0\0\0:~\x9bU\0\0\0\n\
    IDATx\x9cc`\0\0\0\x02\0\x01H\xaf\xa4q\0\0\0\0IEND\xaeB`\x82";

/// The rows of a tier: the method and its score.
fn rows(tier: Tier) -> Vec<(&'static str, f64)> {
    match tier {
        Tier::Smoke => vec![("better", 0.9), ("worse", 0.5)],
        Tier::Small => vec![("better", 0.9), ("fails", 0.0), ("panics", 0.0), ("diverges", f64::NAN)],
        Tier::Paper => vec![("better", 0.9), ("may diverge", f64::NAN), ("diverges", f64::NAN)],
    }
}

impl Reproduction for Toy {
    fn cells(&self, tier: Tier, seeds: Option<u64>) -> Vec<Cell> {
        let mut cells = Vec::new();
        for seed in 0..seeds.unwrap_or(3) {
            for (name, score) in rows(tier) {
                let cell = Cell::new("coins", "plain", name, seed, &score);
                cells.push(if name == "may diverge" { cell.may_diverge() } else { cell });
            }
        }
        cells.push(Cell::new("clock", "timed", "better", 0, &0.9).exclusive());
        cells
    }

    fn environment(&self, backend: &str) -> Result<Environment, Failure> {
        Ok(Environment { device: backend.into(), features: vec![backend.into()] })
    }

    fn run(&self, cell: &Cell, context: &Context) -> Result<Outcome, Failure> {
        // Long enough to be interrupted in.
        for part in 0..10 {
            context.progress(part, 10);
            std::thread::sleep(Duration::from_millis(20));
        }
        match cell.method.as_str() {
            "fails" => return Err(std::io::Error::other("a cell that fails").into()),
            "panics" => panic!("a cell that panics"),
            _ => {}
        }
        // What every cell needs is made once; a test counts how often.
        let step = context.artifact("step of a seed", || {
            if let Some(path) = std::env::var_os("REKINDLE_TOY_MADE") {
                writeln!(OpenOptions::new().create(true).append(true).open(path)?, "{}", cell.id())?;
            }
            std::thread::sleep(Duration::from_millis(500));
            Ok(f64::to_le_bytes(0.01).to_vec())
        })?;
        let step = f64::from_le_bytes(step[..].try_into()?);
        // Not a number has no JSON: it comes back as null.
        let score: Option<f64> = cell.config()?;
        let score = score.map_or(f64::NAN, |score| score + step * cell.seed as f64);
        let metrics = BTreeMap::from([("score".to_owned(), score)]);
        let results = Results { diverged: score.is_nan(), metrics, ..Results::default() };
        let measurements = if cell.exclusive { BTreeMap::from([("seconds".to_owned(), 0.2)]) } else { BTreeMap::new() };
        let pictures = if cell.method == "better" {
            BTreeMap::from([("coin".to_owned(), COIN.to_vec())])
        } else {
            BTreeMap::new()
        };
        Ok(Outcome { results, measurements, pictures })
    }
}
