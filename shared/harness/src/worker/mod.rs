//! The command line of a paper's reproduction: lists its cells and runs one at a time.
//!
//! A worker is a plain command. The driver starts it, and so can any other engine on any machine with the same files:
//!
//! ```text
//! reproduce-sam cells --tier small            # the grid, as JSON
//! reproduce-sam run --tier small --cell ID --out results
//! ```
//!
//! Beside records a cell may leave pictures ([`Outcome::pictures`]) and share expensive intermediates with other cells
//! ([`Context::artifact`]).

mod arguments;
mod artifact;
mod failure;
mod host;
mod picture;
mod run;

use std::collections::BTreeMap;
use std::io::Write;
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use clap::Parser;

use crate::data::DataDir;
use crate::{Cell, Exit, Message, Paper, Results, Tier};

pub use failure::Failure;

/// What a paper's crate implements for its experiments.
pub trait Reproduction {
    /// The grid of a tier, in the order of its tables; `seeds` replaces every experiment's own count.
    fn cells(&self, tier: Tier, seeds: Option<u64>) -> Vec<Cell>;

    /// Opens the backend of that name and says what it is.
    ///
    /// # Errors
    ///
    /// [`Failure::backend`] if it is not compiled in or has no adapter.
    fn environment(&self, backend: &str) -> Result<Environment, Failure>;

    /// Runs one cell of the grid.
    ///
    /// # Errors
    ///
    /// A [`Failure`], which becomes the exit code.
    fn run(&self, cell: &Cell, context: &Context) -> Result<Outcome, Failure>;
}

/// A backend as a worker found it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    /// The device, in the backend's words.
    pub device: String,
    /// What decides bits: SIMD level, threads, kernels.
    pub features: Vec<String>,
}

/// What a cell hands back.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Outcome {
    /// What came out, the same bits on the same machine.
    pub results: Results,
    /// Times and memory, if the cell measures.
    pub measurements: BTreeMap<String, f64>,
    /// Pictures by name (lower-case letters, digits, dots and dashes), each the bytes of a PNG file. They are written
    /// beside the record, and a plot of the kind `picture` shows them; records are equal whatever their pictures.
    pub pictures: BTreeMap<String, Vec<u8>>,
}

/// What the driver told the worker, besides the cell.
#[derive(Debug)]
pub struct Context {
    /// The backend by name.
    pub backend: String,
    /// Where data files are looked up.
    pub data: DataDir,
    /// Threads that the worker may use.
    pub threads: usize,
    /// Prints progress for the driver to read, at most a few times a second.
    report: bool,
    last: Mutex<Option<Instant>>,
    artifacts: artifact::Artifacts,
}

impl Context {
    /// A context outside of a worker, for tests of cells: nothing is reported and no artifact is stored.
    pub fn detached(backend: &str, data: DataDir) -> Self {
        let artifacts = artifact::Artifacts::none();
        Self {
            backend: backend.into(),
            data,
            threads: host::threads(),
            report: false,
            last: Mutex::new(None),
            artifacts,
        }
    }

    /// Tells the driver that `done` of `total` units of the cell's work are finished.
    pub fn progress(&self, done: usize, total: usize) {
        if !self.report || total == 0 {
            return;
        }
        let mut last = self.last.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if last.is_none_or(|at| at.elapsed() >= Duration::from_millis(300)) {
            *last = Some(Instant::now());
            let message = Message::Progress { fraction: done as f64 / total as f64 };
            let line = serde_json::to_string(&message).expect("a message serializes to JSON");
            // Whoever read the progress may be gone; the cell goes on.
            let _ = writeln!(std::io::stdout(), "{line}");
        }
    }

    /// Bytes that are expensive to make and that several cells of the same tier and backend need: a trained model, a test
    /// set. `make` is called where nobody has made them yet; whoever asks meanwhile waits, in another process too.
    ///
    /// The bytes must be a **pure function of `key`**, of the data sets that the cell reads, and of what every record's
    /// identity says about code and machine (sources, version of Burn, backend, features): whatever else decides them
    /// belongs into the key, as text: the seed, and the configuration as JSON. They then lie in
    /// `<out>/<paper>/<tier>-<backend>/artifacts/` with a checksum, and one that is stale, cut off or of another key is
    /// made anew. A result is the same with and without them. Nothing is stored where the folder cannot be written, or by
    /// a worker that was built without the driver and so does not know its sources.
    ///
    /// `make` may ask for other artifacts; one that asks for itself waits forever.
    ///
    /// # Errors
    ///
    /// Those of `make`.
    pub fn artifact(&self, key: &str, make: impl FnOnce() -> Result<Vec<u8>, Failure>) -> Result<Vec<u8>, Failure> {
        self.artifacts.get(key, make)
    }
}

/// What was known when the worker was built; made by [`build_info!`](crate::build_info).
#[derive(Debug, Clone, Copy)]
pub struct BuildInfo {
    /// Hash of the sources.
    pub source: &'static str,
    /// The version of Burn.
    pub burn: &'static str,
}

impl BuildInfo {
    /// What stands in the place of a hash or version that the build was not told.
    pub const UNKNOWN: &str = "unknown";
}

/// What the driver told the build about the sources, in the crate that calls it.
///
/// A worker that was built without the driver says `unknown`; the driver then reruns its cells.
#[macro_export]
macro_rules! build_info {
    () => {
        $crate::worker::BuildInfo {
            source: match option_env!("REKINDLE_SOURCE") {
                Some(source) => source,
                None => $crate::worker::BuildInfo::UNKNOWN,
            },
            burn: match option_env!("REKINDLE_BURN") {
                Some(version) => version,
                None => $crate::worker::BuildInfo::UNKNOWN,
            },
        }
    };
}

/// The `main` of a reproduction: reads the command line, lists the cells or runs one, and says how it went.
///
/// `paper` is the text of the crate's `paper.toml`.
pub fn main(paper: &str, build: BuildInfo, reproduction: &impl Reproduction) -> ExitCode {
    let paper = match Paper::parse(paper) {
        Ok(paper) => paper,
        Err(error) => {
            eprintln!("paper.toml: {error}");
            return Exit::Failed.into();
        }
    };
    let done = match arguments::Arguments::parse().command {
        arguments::Command::Cells(grid) => run::cells(&paper, build, reproduction, &grid),
        arguments::Command::Run(cell) => run::run(&paper, build, reproduction, &cell),
    };
    match done {
        Ok(exit) => exit.into(),
        Err(failure) => {
            eprintln!("error: {failure}");
            failure.exit().into()
        }
    }
}

#[cfg(test)]
mod tests;
