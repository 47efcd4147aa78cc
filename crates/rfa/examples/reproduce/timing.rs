//! Clocks, memory, and where one time falls below the other.

use std::time::Instant;

use rekindle_harness::worker::Failure;

/// Seconds, the least of so many runs that they take about 0.08 s, three at least.
pub(crate) fn least(mut run: impl FnMut() -> Result<(), Failure>) -> Result<f64, Failure> {
    let mut time = || -> Result<f64, Failure> {
        let start = Instant::now();
        run()?;
        Ok(start.elapsed().as_secs_f64())
    };
    let mut shortest = time()?;
    let n = (0.08 / shortest.max(1e-6)).clamp(3.0, 100.0) as usize;
    for _ in 0..n {
        shortest = shortest.min(time()?);
    }
    Ok(shortest)
}

/// The highest resident size of the process so far, in bytes, where the system tells it.
pub(crate) fn resident_peak() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

/// The length at which the second time falls below the first for good, between two measured ones by their logarithms.
///
/// Of `(length, first, second)`; none if it never does.
pub(crate) fn crossover(times: &[(f64, f64, f64)]) -> Option<f64> {
    let ahead = |(_, first, second): &(f64, f64, f64)| (first / second).ln();
    let after = times.iter().rposition(|times| ahead(times) < 0.0).map_or(0, |last| last + 1);
    let next = times.get(after)?;
    let Some(before) = after.checked_sub(1).map(|before| &times[before]) else { return Some(next.0) };
    let share = -ahead(before) / (ahead(next) - ahead(before));
    Some((before.0.ln() + share * (next.0 / before.0).ln()).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_crossover_lies_where_the_times_meet() {
        // Times L² against 100 L: equal at L = 100.
        let times: Vec<_> = [16.0_f64, 64.0, 256.0, 1024.0].map(|l| (l, l * l, 100.0 * l)).into();
        assert!((crossover(&times).unwrap() - 100.0).abs() < 1e-9);
        assert_eq!(crossover(&times[..2]), None);
        assert_eq!(crossover(&times[2..]), Some(256.0));
    }
}
