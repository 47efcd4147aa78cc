//! Reproduces the experiments of "Random Feature Attention".
//!
//! `cargo xtask reproduce rfa` runs them all; this binary lists the cells and runs one at a time.

mod attention;
mod bilingual;
mod chain;
mod decoding;
mod elu;
mod language;
mod layers;
mod learner;
mod norms;
mod paper;
mod run;
mod scores;
mod small;
mod smoke;
mod speed;
mod translation;
mod translator;
mod vectors;

use std::process::ExitCode;

use rekindle_harness::worker::{self, Context, Environment, Failure, Outcome, Reproduction};
use rekindle_harness::{Cell, Tier, build_info};
use rekindle_shared::backend;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    worker::main(include_str!("../../paper.toml"), build_info!(), &Rfa)
}

struct Rfa;

impl Reproduction for Rfa {
    fn cells(&self, tier: Tier, seeds: Option<u64>) -> Vec<Cell> {
        match tier {
            Tier::Smoke => smoke::cells(seeds),
            Tier::Small => small::cells(seeds),
            Tier::Paper => paper::cells(seeds),
        }
    }

    fn environment(&self, backend: &str) -> Result<Environment, Failure> {
        let device = backend::open(backend).map_err(Failure::backend)?;
        Ok(Environment { device: backend::describe(&device), features: backend::features() })
    }

    fn run(&self, cell: &Cell, context: &Context) -> Result<Outcome, Failure> {
        let device = backend::open(&context.backend).map_err(Failure::backend)?;
        run::run(cell, context, &device)
    }
}
