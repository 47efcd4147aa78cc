//! Time and memory of causal attention by length, one head.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Instant;

use burn::tensor::{Device, Tensor};
use rekindle_harness::worker::{Failure, Outcome};
use rekindle_performer::{Favor, FeatureFunction, Kernel};
use rekindle_shared::data::Streams;
use serde::{Deserialize, Serialize};

use crate::attention::{Method, attend};
use crate::vectors::inputs;

/// Dimensions of the head.
const D: usize = 64;
/// Longest sequence whose gradients are timed: softmax keeps matrices of all pairs for them.
const LONGEST_WITH_GRADIENTS: usize = 1024;

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Speed {
    pub(crate) method: Method,
    pub(crate) length: usize,
}

/// Linear attention beside softmax, at lengths that double.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Scaling {
    pub(crate) method: Method,
    pub(crate) lengths: Vec<usize>,
}

impl Speed {
    pub(crate) fn run(&self, seed: u64, device: &Device) -> Result<Outcome, Failure> {
        let favor = self.method.features(D, seed, device)?;
        let of = |device: &Device| inputs(Streams::new(seed), 0, [self.length, D], 1.0, device);
        let mut measurements = BTreeMap::new();
        let mut add = |name: &str, value: f64| measurements.insert(name.to_owned(), value);

        // Threads and what the allocator takes once are not part of it.
        let few = inputs(Streams::new(seed), 1, [128, D], 1.0, device);
        forward(favor.as_ref(), self.method, &few)?;
        let inputs = of(device);
        let before = resident_peak();
        forward(favor.as_ref(), self.method, &inputs)?;
        if let (Some(before), Some(after)) = (before, resident_peak()) {
            add("forward_bytes", after.saturating_sub(before) as f64);
        }
        add("forward_seconds", least(|| forward(favor.as_ref(), self.method, &inputs))?);
        if self.length <= LONGEST_WITH_GRADIENTS {
            let device = device.clone().autodiff();
            let favor = self.method.features(D, seed, &device)?;
            let inputs = of(&device);
            let both = || {
                let tracked = inputs.clone().map(Tensor::require_grad);
                black_box(attend(favor.as_ref(), self.method, tracked)?.sum().backward());
                Ok(())
            };
            add("both_seconds", least(both)?);
        }
        Ok(Outcome { measurements, ..Outcome::default() })
    }
}

impl Scaling {
    pub(crate) fn run(&self, seed: u64, device: &Device) -> Result<Outcome, Failure> {
        let favor = self.method.features(D, seed, device)?;
        let mut times = Vec::new();
        for &length in &self.lengths {
            let inputs = inputs(Streams::new(seed), 0, [length, D], 1.0, device);
            let softmax = least(|| forward(None, Method::Softmax, &inputs))?;
            times.push((length as f64, softmax, least(|| forward(favor.as_ref(), self.method, &inputs))?));
        }
        let mut measurements = BTreeMap::new();
        let mut add = |name: &str, value: f64| measurements.insert(name.to_owned(), value);
        // From the last but two: of two neighbors alone the noise would be as large as what is asked for.
        if let [.., before, _, last] = times[..] {
            let slope = |of: fn((f64, f64, f64)) -> f64| (of(last) / of(before)).ln() / (last.0 / before.0).ln();
            add("slope", slope(|times| times.2));
            add("softmax_slope", slope(|times| times.1));
            add("speedup", last.1 / last.2);
        }
        if let Some(crossover) = crossover(&times) {
            add("crossover", crossover);
        }
        Ok(Outcome { measurements, ..Outcome::default() })
    }
}

/// The length at which the second time falls below the first for good, between two measured ones by their logarithms.
fn crossover(times: &[(f64, f64, f64)]) -> Option<f64> {
    let ahead = |(_, softmax, linear): &(f64, f64, f64)| (softmax / linear).ln();
    let after = times.iter().rposition(|times| ahead(times) < 0.0).map_or(0, |last| last + 1);
    let next = times.get(after)?;
    let Some(before) = after.checked_sub(1).map(|before| &times[before]) else { return Some(next.0) };
    let share = -ahead(before) / (ahead(next) - ahead(before));
    Some((before.0.ln() + share * (next.0 / before.0).ln()).exp())
}

fn forward(favor: Option<&Favor>, method: Method, inputs: &[Tensor<4>; 3]) -> Result<(), Failure> {
    black_box(attend(favor, method, inputs.clone())?);
    Ok(())
}

/// Seconds, the least of so many runs that they take about 0.15 s, three at least.
fn least(mut run: impl FnMut() -> Result<(), Failure>) -> Result<f64, Failure> {
    let mut time = || -> Result<f64, Failure> {
        let start = Instant::now();
        run()?;
        Ok(start.elapsed().as_secs_f64())
    };
    let mut shortest = time()?;
    let n = (0.15 / shortest.max(1e-6)).clamp(3.0, 100.0) as usize;
    for _ in 0..n {
        shortest = shortest.min(time()?);
    }
    Ok(shortest)
}

/// The highest resident size of the process so far, in bytes, where the system tells it.
fn resident_peak() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

/// The paper's positive features, as many as twice the dimensions.
pub(crate) const POSITIVE: Method = Method::Favor { kernel: Kernel::Positive, n_features: 2 * D };
/// ReLU features of as many directions.
pub(crate) const RELU: Method = Method::Favor { kernel: Kernel::Generalized(FeatureFunction::Relu), n_features: 2 * D };

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
