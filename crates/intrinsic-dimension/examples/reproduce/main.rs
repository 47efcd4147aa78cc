//! Reproduces the experiments of "The Intrinsic Dimension of Images and Its Impact on Learning".
//!
//! `cargo xtask reproduce intrinsic-dimension` runs them all; this binary lists the cells and runs one at a time.

mod estimator;
mod labels;
mod learner;
mod network;
mod run;
mod samples;
mod smoke;

use std::process::ExitCode;

use rekindle_harness::worker::{self, Context, Environment, Failure, Outcome, Reproduction};
use rekindle_harness::{Cell, Tier, build_info};

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
            Tier::Small | Tier::Paper => Vec::new(),
        }
    }

    /// The library runs on the CPU without Burn, and so do these cells: they are built in seconds. They take the name of the
    /// CPU's backend, the driver's default, and refuse the others, which would change nothing.
    fn environment(&self, backend: &str) -> Result<Environment, Failure> {
        if backend != "flex" {
            let message = format!("no cell of this paper runs on `{backend}`: use `flex`, the CPU");
            return Err(Failure::backend(message));
        }
        Ok(Environment { device: "CPU, without Burn".into(), features: vec![format!("cpu:{}", simd_level())] })
    }

    fn run(&self, cell: &Cell, _: &Context) -> Result<Outcome, Failure> {
        run::run(cell)
    }
}

/// What the matrix products of spectra and networks are chosen by; neighbors do not depend on it.
fn simd_level() -> &'static str {
    #[cfg(target_arch = "x86_64")]
    {
        if std::arch::is_x86_feature_detected!("avx512f") {
            return "avx512";
        }
        if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma") {
            return "avx2";
        }
    }
    "baseline"
}
