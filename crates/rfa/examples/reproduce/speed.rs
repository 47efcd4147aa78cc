//! Time and memory of causal attention by length, one head.

use std::collections::BTreeMap;
use std::hint::black_box;

use burn::tensor::{Device, Tensor};
use rekindle_harness::measure::{crossover, least, resident_peak, slope};
use rekindle_harness::worker::{Failure, Outcome};
use rekindle_rfa::Kernel;
use rekindle_shared::data::Streams;
use serde::{Deserialize, Serialize};

use crate::attention::{Attention, Method};
use crate::vectors::inputs;

/// Dimensions of the head, and directions.
const D: usize = 64;
/// Longest sequence whose gradients are timed: softmax keeps matrices of all pairs for them.
const LONGEST_WITH_GRADIENTS: usize = 1024;

/// About how long a time is measured.
const SECONDS: f64 = 0.08;

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
    // A device may be asked, and not be done.
    Ok(inputs[0].device().sync()?)
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
        add("forward_seconds", least(SECONDS, || forward(&attention, &inputs))?);
        if self.length <= LONGEST_WITH_GRADIENTS {
            let device = device.clone().autodiff();
            let attention = self.method.ready([1, D], seed, &device)?;
            let inputs = of(self.length, &device);
            let both = || -> Result<(), Failure> {
                black_box(attention.attend(inputs.clone().map(Tensor::require_grad))?.sum().backward());
                Ok(device.sync()?)
            };
            add("both_seconds", least(SECONDS, both)?);
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
            let theirs = least(SECONDS, || forward(&softmax, &inputs))?;
            times.push((length as f64, theirs, least(SECONDS, || forward(&linear, &inputs))?));
        }
        let mut measurements = BTreeMap::new();
        let mut add = |name: &str, value: f64| measurements.insert(name.to_owned(), value);
        // From the last but two: of two neighbors alone the noise would be as large as what is asked for.
        if let [.., before, _, last] = times[..] {
            add("slope", slope((before.0, before.2), (last.0, last.2)));
            add("softmax_slope", slope((before.0, before.1), (last.0, last.1)));
            add("speedup", last.1 / last.2);
        }
        if let Some(crossover) = crossover(&times) {
            add("crossover", crossover);
        }
        Ok(Outcome { measurements, ..Outcome::default() })
    }
}
