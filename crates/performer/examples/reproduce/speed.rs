//! Time and memory of causal attention by length, one head.

use std::collections::BTreeMap;
use std::hint::black_box;

use burn::tensor::{Device, Tensor};
use rekindle_harness::measure::{crossover, least, resident_peak, slope};
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

/// About how long a time is measured.
const SECONDS: f64 = 0.15;

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
        add("forward_seconds", least(SECONDS, || forward(favor.as_ref(), self.method, &inputs))?);
        if self.length <= LONGEST_WITH_GRADIENTS {
            let device = device.clone().autodiff();
            let favor = self.method.features(D, seed, &device)?;
            let inputs = of(&device);
            let both = || -> Result<(), Failure> {
                let tracked = inputs.clone().map(Tensor::require_grad);
                black_box(attend(favor.as_ref(), self.method, tracked)?.sum().backward());
                Ok(device.sync()?)
            };
            add("both_seconds", least(SECONDS, both)?);
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
            let softmax = least(SECONDS, || forward(None, Method::Softmax, &inputs))?;
            times.push((length as f64, softmax, least(SECONDS, || forward(favor.as_ref(), self.method, &inputs))?));
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

fn forward(favor: Option<&Favor>, method: Method, inputs: &[Tensor<4>; 3]) -> Result<(), Failure> {
    black_box(attend(favor, method, inputs.clone())?);
    // A device may be asked, and not be done.
    Ok(inputs[0].device().sync()?)
}

/// The paper's positive features, as many as twice the dimensions.
pub(crate) const POSITIVE: Method = Method::Favor { kernel: Kernel::Positive, n_features: 2 * D };
/// ReLU features of as many directions.
pub(crate) const RELU: Method = Method::Favor { kernel: Kernel::Generalized(FeatureFunction::Relu), n_features: 2 * D };
