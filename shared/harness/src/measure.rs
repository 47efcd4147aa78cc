//! Clocks, memory, and where one time falls below the other.

use std::time::Instant;

/// Seconds of `run`, the least of so many runs that they take about `seconds`: 3 to 100 of them.
///
/// A run before them is not counted: it fills caches, starts threads, and on a GPU compiles kernels. There a run has to wait for
/// the device, or it measures how long it takes to ask for the work.
///
/// # Errors
///
/// The first of `run`'s.
pub fn least<E>(seconds: f64, mut run: impl FnMut() -> Result<(), E>) -> Result<f64, E> {
    let mut time = || {
        let start = Instant::now();
        run().map(|()| start.elapsed().as_secs_f64())
    };
    time()?;
    let mut shortest = time()?;
    let n = (seconds / shortest.max(1e-6)).clamp(3.0, 100.0) as usize;
    for _ in 1..n {
        shortest = shortest.min(time()?);
    }
    Ok(shortest)
}

/// The largest resident size of this process so far, in bytes, where the system tells it (Linux).
pub fn resident_peak() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

/// The length at which the second time falls below the first for good, between two measured ones by their logarithms.
///
/// Of `(length, first, second)`, by length; none if it never does.
pub fn crossover(times: &[(f64, f64, f64)]) -> Option<f64> {
    let ahead = |(_, first, second): &(f64, f64, f64)| (first / second).ln();
    let after = times.iter().rposition(|times| ahead(times) < 0.0).map_or(0, |last| last + 1);
    let next = times.get(after)?;
    let Some(before) = after.checked_sub(1).map(|before| &times[before]) else { return Some(next.0) };
    let share = -ahead(before) / (ahead(next) - ahead(before));
    Some((before.0.ln() + share * (next.0 / before.0).ln()).exp())
}

/// The slope of log time against log length between two measured lengths, `(length, time)` each: 1 where time is linear.
pub fn slope(from: (f64, f64), to: (f64, f64)) -> f64 {
    (to.1 / from.1).ln() / (to.0 / from.0).ln()
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
        assert!((slope((64.0, 64.0 * 64.0), (256.0, 256.0 * 256.0)) - 2.0).abs() < 1e-12);
    }

    #[test]
    fn an_error_ends_the_runs_and_a_long_run_is_made_four_times() {
        let mut n = 0;
        let failed = least(0.0, || {
            n += 1;
            if n == 2 { Err("second") } else { Ok(()) }
        });
        assert_eq!((failed, n), (Err("second"), 2));
        let mut n = 0;
        let seconds = least(0.0, || -> Result<(), ()> {
            n += 1;
            Ok(())
        });
        assert!(seconds.unwrap() >= 0.0 && n == 4, "{n}");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_peak_is_that_of_the_process() {
        let before = resident_peak().unwrap();
        let held = std::hint::black_box(vec![1_u8; 64 << 20]);
        assert!(resident_peak().unwrap() >= before.max(64 << 20), "{}", held.len());
    }
}
