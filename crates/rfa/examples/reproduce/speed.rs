//! Time and memory of causal attention by length, one head.

use std::collections::BTreeMap;
use std::hint::black_box;

use burn::tensor::{Device, Tensor};
use rekindle_harness::worker::{Failure, Outcome};
use rekindle_rfa::Kernel;
use rekindle_shared::data::Streams;
use serde::{Deserialize, Serialize};

use crate::attention::{Attention, Method};
use crate::timing::{crossover, least, resident_peak};
use crate::vectors::inputs;

/// Dimensions of the head, and directions.
const D: usize = 64;
/// Longest sequence whose gradients are timed: softmax keeps matrices of all pairs for them.
const LONGEST_WITH_GRADIENTS: usize = 1024;

pub(crate) const GAUSSIAN: Method = Method::Rfa { kernel: Kernel::Gaussian, n_features: D, gate: false };
pub(crate) const GATED: Method = Method::Rfa { kernel: Kernel::Gaussian, n_features: D, gate: true };
pub(crate) const ARC_COS: Method = Method::Rfa { kernel: Kernel::ArcCos, n_features: D, gate: false };

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

fn forward(attention: &Attention, inputs: &[Tensor<4>; 3]) -> Result<(), Failure> {
    black_box(attention.attend(inputs.clone())?);
    Ok(())
}

impl Speed {
    pub(crate) fn run(&self, seed: u64, device: &Device) -> Result<Outcome, Failure> {
        let attention = self.method.ready([1, D], seed, device)?;
        let of = |length, device: &Device| inputs(Streams::new(seed), [1, length, D], device);
        let mut measurements = BTreeMap::new();
        let mut add = |name: &str, value: f64| measurements.insert(name.to_owned(), value);

        // Threads and what the allocator takes once are not part of it.
        forward(&attention, &of(128, device))?;
        let inputs = of(self.length, device);
        let before = resident_peak();
        forward(&attention, &inputs)?;
        if let (Some(before), Some(after)) = (before, resident_peak()) {
            add("forward_bytes", after.saturating_sub(before) as f64);
        }
        add("forward_seconds", least(|| forward(&attention, &inputs))?);
        if self.length <= LONGEST_WITH_GRADIENTS {
            let device = device.clone().autodiff();
            let attention = self.method.ready([1, D], seed, &device)?;
            let inputs = of(self.length, &device);
            let both = || {
                black_box(attention.attend(inputs.clone().map(Tensor::require_grad))?.sum().backward());
                Ok(())
            };
            add("both_seconds", least(both)?);
        }
        Ok(Outcome { measurements, ..Outcome::default() })
    }
}

impl Scaling {
    pub(crate) fn run(&self, seed: u64, device: &Device) -> Result<Outcome, Failure> {
        let [softmax, linear] = [Method::Softmax, self.method].map(|method| method.ready([1, D], seed, device));
        let (softmax, linear) = (softmax?, linear?);
        let mut times = Vec::new();
        for &length in &self.lengths {
            let inputs = inputs(Streams::new(seed), [1, length, D], device);
            let theirs = least(|| forward(&softmax, &inputs))?;
            times.push((length as f64, theirs, least(|| forward(&linear, &inputs))?));
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
