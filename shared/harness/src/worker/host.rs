//! The circumstances of a run.

use std::fs;

/// Processor, system and architecture.
pub(super) fn describe() -> String {
    let processor = fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| {
        let line = text.lines().find(|line| line.starts_with("model name"))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    });
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let system = format!("{} {}", std::env::consts::OS, std::env::consts::ARCH);
    match processor {
        Some(processor) => format!("{processor}, {cores} cores, {system}"),
        None => format!("{cores} cores, {system}"),
    }
}

/// Threads that the worker may use: those of `RAYON_NUM_THREADS`, else one a core.
pub(super) fn threads() -> usize {
    std::env::var("RAYON_NUM_THREADS")
        .ok()
        .and_then(|value| value.parse().ok())
        .filter(|&threads| threads > 0)
        .unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from))
}
