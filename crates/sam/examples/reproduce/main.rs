//! Reproduces the experiments of "Sharpness-Aware Minimization for Efficiently Improving Generalization".
//!
//! `cargo xtask reproduce sam` runs them all; this binary lists the cells and runs one at a time.

mod images;
mod method;
mod minima;
mod moons;
mod noise;
mod table_1;
mod table_4;
mod train;

use std::process::ExitCode;

use rekindle_harness::worker::{self, Context, Environment, Failure, Outcome, Reproduction};
use rekindle_harness::{Cell, Tier, build_info};
use rekindle_shared::backend;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    worker::main(include_str!("../../paper.toml"), build_info!(), &Sam)
}

struct Sam;

impl Reproduction for Sam {
    fn cells(&self, tier: Tier, seeds: Option<u64>) -> Vec<Cell> {
        match tier {
            Tier::Smoke => [moons::cells(seeds), minima::cells(seeds)].concat(),
            Tier::Small => [noise::label_noise(seeds), noise::m_sharpness(seeds), noise::cifar_10(seeds)].concat(),
            Tier::Paper => [table_1::cells(seeds), table_4::cells(seeds)].concat(),
        }
    }

    fn environment(&self, backend: &str) -> Result<Environment, Failure> {
        let device = backend::open(backend).map_err(Failure::backend)?;
        Ok(Environment { device: backend::describe(&device), features: backend::features() })
    }

    fn run(&self, cell: &Cell, context: &Context) -> Result<Outcome, Failure> {
        let device = backend::open(&context.backend).map_err(Failure::backend)?.autodiff();
        match cell.experiment.as_str() {
            moons::NAME => moons::run(cell, context, &device),
            minima::NAME => minima::run(cell, context, &device),
            _ => images::run(cell, context, &device),
        }
    }
}
