//! Reproduces the experiments of "The Intrinsic Dimension of Images and Its Impact on Learning".
//!
//! `cargo xtask reproduce intrinsic-dimension` runs them all; this binary lists the cells and runs one at a time.

mod estimator;
mod labels;
mod learner;
mod network;
mod pairs;
mod paper;
mod real;
mod run;
mod samples;
mod sets;
mod small;
mod smoke;

use std::process::ExitCode;

use rekindle_harness::worker::{self, Context, Environment, Failure, Outcome, Reproduction};
use rekindle_harness::{Cell, Tier, build_info};
use rekindle_shared::backend;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    worker::main(include_str!("../../paper.toml"), build_info!(), &IntrinsicDimension)
}

struct IntrinsicDimension;

impl Reproduction for IntrinsicDimension {
    fn cells(&self, tier: Tier, seeds: Option<u64>) -> Vec<Cell> {
        match tier {
            Tier::Smoke => smoke::cells(seeds),
            Tier::Small => small::cells(seeds),
            Tier::Paper => paper::cells(seeds),
        }
    }

    /// Estimates run on the CPU whatever the backend; networks that learn images of data sets run on it.
    fn environment(&self, backend: &str) -> Result<Environment, Failure> {
        let device = backend::open(backend).map_err(Failure::backend)?;
        Ok(Environment { device: backend::describe(&device), features: backend::features() })
    }

    fn run(&self, cell: &Cell, context: &Context) -> Result<Outcome, Failure> {
        run::run(cell, context)
    }
}
