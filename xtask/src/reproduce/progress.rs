use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressStyle};
use rekindle_harness::Exit;

use super::plan::Plan;

/// Shows how far a run is: a bar on a terminal, plain lines at most every few seconds elsewhere.
pub(super) struct Progress {
    paper: String,
    cells: usize,
    total: f64,
    start: Instant,
    bar: Option<ProgressBar>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    finished: usize,
    failed: usize,
    cost: f64,
    parts: BTreeMap<String, f64>,
    last_line: Option<Instant>,
}

/// The bar counts thousandths of the run's whole cost.
const STEPS: u64 = 1000;

impl Progress {
    pub(super) fn new(plan: &Plan, jobs: usize) -> Self {
        let total: f64 = plan.cells.iter().map(|cell| cell.cost).sum();
        let bar = (std::io::stderr().is_terminal() && !plan.cells.is_empty()).then(|| {
            let bar = ProgressBar::with_draw_target(Some(STEPS), ProgressDrawTarget::stderr());
            let style = ProgressStyle::with_template("{prefix} {bar:32} {msg}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar.set_prefix(plan.paper.clone());
            bar
        });
        let progress = Self {
            paper: plan.paper.clone(),
            cells: plan.cells.len(),
            total,
            start: Instant::now(),
            bar,
            state: Mutex::default(),
        };
        progress.say(&format!("{} cells to run with {jobs} at a time, {} done already", plan.cells.len(), plan.done));
        progress
    }

    /// A line for the user.
    pub(super) fn say(&self, line: &str) {
        let line = format!("{}: {line}", self.paper);
        match &self.bar {
            Some(bar) => bar.suspend(|| eprintln!("{line}")),
            None => eprintln!("{line}"),
        }
    }

    pub(super) fn start(&self, id: &str) {
        self.part(id, 0.0, 0.0);
    }

    /// A part of a cell is done, in `[0, 1]`.
    pub(super) fn part(&self, id: &str, cost: f64, fraction: f64) {
        self.update(
            |state| {
                state.parts.insert(id.into(), cost * fraction);
            },
            id,
        );
    }

    pub(super) fn end(&self, id: &str, cost: f64, exit: Exit) {
        self.update(
            |state| {
                state.parts.remove(id);
                state.cost += cost;
                state.finished += usize::from(exit == Exit::Done);
                state.failed += usize::from(!matches!(exit, Exit::Done | Exit::Interrupted));
            },
            id,
        );
    }

    pub(super) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let failed = if state.failed > 0 { format!(", {} failed", state.failed) } else { String::new() };
        let took = HumanDuration(self.start.elapsed());
        eprintln!("{}: {} of {} cells ran{failed} in {took}", self.paper, state.finished, self.cells);
    }

    fn update(&self, change: impl FnOnce(&mut State), id: &str) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut state);
        let done = (state.cost + state.parts.values().sum::<f64>()) / self.total.max(f64::MIN_POSITIVE);
        let message = format!("{}/{} cells, {}, {id}", state.finished, self.cells, self.remaining(done));
        match &self.bar {
            Some(bar) => {
                bar.set_position((done * STEPS as f64) as u64);
                bar.set_message(message);
            }
            None if state.last_line.is_none_or(|at| at.elapsed() > Duration::from_secs(10)) => {
                state.last_line = Some(Instant::now());
                eprintln!("{}: {:.0} %, {message}", self.paper, 100.0 * done);
            }
            None => {}
        }
    }

    /// Time left, from the part of the whole cost that is done.
    fn remaining(&self, done: f64) -> String {
        let elapsed = self.start.elapsed().as_secs_f64();
        if done < 0.005 || elapsed < 1.0 {
            return "time left unknown".into();
        }
        let left = Duration::from_secs_f64((elapsed * (1.0 - done).max(0.0) / done).min(1e9));
        format!("{} left", HumanDuration(left))
    }
}
