//! The lines of output that `compare.py` reads: columns two spaces or more apart.

use std::time::Duration;

use crate::measure::Run;

pub(crate) fn print_head() {
    println!(
        "{:<44}  {:<5}  threads  {:>11}  {:>14}  {:>9}  {:>12}",
        "# ms", "who", "forward min", "forward median", "whole min", "whole median"
    );
}

/// A line of stock Burn and, where there are runs of it, one of ours; `beside` is what a run does besides its work.
pub(crate) fn print_rows(name: &str, runs: &[Vec<Run>], beside: &[Run]) {
    let beside = Spread::of(beside.iter().map(|run| run.whole));
    for (who, runs) in ["stock", "ours"].into_iter().zip(runs) {
        let forward = Spread::of(runs.iter().map(|run| run.forward));
        let whole = Spread::of(runs.iter().map(|run| run.whole));
        println!(
            "{name:<44}  {who:<5}  {:>7}  {:>11.4}  {:>14.4}  {:>9.4}  {:>12.4}",
            rayon::current_num_threads(),
            forward.minimum,
            forward.median,
            whole.minimum - beside.minimum,
            whole.median - beside.median
        );
    }
}

/// Minimum and median, in ms.
struct Spread {
    minimum: f64,
    median: f64,
}

impl Spread {
    fn of(times: impl Iterator<Item = Duration>) -> Self {
        let mut times: Vec<f64> = times.map(|time| 1e3 * time.as_secs_f64()).collect();
        times.sort_by(f64::total_cmp);
        Self { minimum: times[0], median: times[times.len() / 2] }
    }
}
