//! Reproduces the experiments of "Tent: Fully Test-Time Adaptation by Entropy Minimization".
//!
//! `cargo xtask reproduce tent` runs them all; this binary lists the cells and runs one at a time.

mod failures;
mod method;
mod networks;
mod plain;
mod shift;
mod source;
mod stream;
mod tables;
mod tune;

use std::process::ExitCode;

use rekindle_harness::worker::{self, Context, Environment, Failure, Outcome, Reproduction};
use rekindle_harness::{Cell, Tier, build_info};
use rekindle_shared::backend;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    worker::main(include_str!("../../paper.toml"), build_info!(), &Tent)
}

struct Tent;

impl Reproduction for Tent {
    fn cells(&self, tier: Tier, seeds: Option<u64>) -> Vec<Cell> {
        match tier {
            Tier::Smoke => failures::cells(seeds),
            Tier::Small => tables::small(seeds),
            Tier::Paper => tables::paper(seeds),
        }
    }

    fn environment(&self, backend: &str) -> Result<Environment, Failure> {
        let device = backend::open(backend).map_err(Failure::backend)?;
        Ok(Environment { device: backend::describe(&device), features: backend::features() })
    }

    fn run(&self, cell: &Cell, context: &Context) -> Result<Outcome, Failure> {
        let device = backend::open(&context.backend).map_err(Failure::backend)?.autodiff();
        shift::run(cell, context, &device)
    }
}
