//! Timing of several subjects in turn.

use std::str::FromStr;
use std::time::Duration;

/// What the command line asks for.
pub(crate) struct Options {
    /// Counted runs of each subject.
    pub(crate) n_runs: usize,
    filter: String,
}

impl Options {
    /// `--runs N` and `--filter TEXT`; Cargo adds `--bench`, without which (`cargo test --benches`) one run will do.
    ///
    /// # Panics
    ///
    /// On anything else.
    pub(crate) fn from_args() -> Self {
        let mut options = Self { n_runs: 1, filter: String::new() };
        let mut args: Vec<String> = std::env::args().skip(1).collect();
        if let Some(i) = args.iter().position(|arg| arg == "--bench") {
            args.remove(i);
            options.n_runs = 20;
        }
        for pair in args.chunks(2) {
            match pair {
                [flag, value] if flag == "--runs" => options.n_runs = usize::from_str(value).expect("--runs N").max(1),
                [flag, value] if flag == "--filter" => options.filter.clone_from(value),
                _ => panic!("--runs N and --filter TEXT are the options, got {pair:?}"),
            }
        }
        options
    }

    pub(crate) fn wants(&self, name: &str) -> bool {
        name.contains(&self.filter)
    }
}

/// Times of one run, both from its start.
#[derive(Clone, Copy, Default)]
pub(crate) struct Run {
    /// To the end of the forward pass.
    pub(crate) forward: Duration,
    /// To the end of the backward pass, or of the training step.
    pub(crate) whole: Duration,
}

/// Runs before the next subject has its turn: enough to be in the state of a loop that does nothing else.
const TURN: usize = 5;

/// `n_runs` of each subject, in turns, so that what else happens on the machine hits all alike.
///
/// The first run of a turn isn't counted: caches and allocator are as the subject before it left them.
pub(crate) fn in_turns(n_runs: usize, subjects: &mut [&mut dyn FnMut() -> Run]) -> Vec<Vec<Run>> {
    let mut runs = vec![Vec::with_capacity(n_runs); subjects.len()];
    for start in (0..n_runs).step_by(TURN) {
        for (subject, runs) in subjects.iter_mut().zip(&mut runs) {
            subject();
            runs.extend((start..n_runs.min(start + TURN)).map(|_| subject()));
        }
    }
    runs
}
