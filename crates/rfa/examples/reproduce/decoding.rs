//! Time and memory of a decoded token after t others: a state that stays as it is, and a cache of keys and values that grows.

use std::collections::BTreeMap;
use std::hint::black_box;

use burn::tensor::module::attention;
use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{Device, Tensor};
use rekindle_harness::measure::{crossover, least};
use rekindle_harness::worker::{Failure, Outcome};
use rekindle_rfa::{CausalInput, RfaHeads, RfaHeadsConfig, RfaState};
use rekindle_shared::data::Streams;
use serde::{Deserialize, Serialize};

use crate::attention::logits;
use crate::vectors::inputs;

/// Heads, dimensions of each, and directions.
const HEADS: usize = 8;
const D: usize = 64;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Memory {
    /// Keys and values of all tokens before.
    Cache,
    State {
        gate: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Decoding {
    pub(crate) memory: Memory,
    /// Tokens before.
    pub(crate) t: usize,
}

/// Where a state is faster than a cache.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Overtaking {
    pub(crate) gate: bool,
    pub(crate) lengths: Vec<usize>,
}

/// What is kept of the tokens before.
enum Kept {
    Cache { key: Tensor<4>, value: Tensor<4> },
    State { heads: RfaHeads, state: Box<RfaState>, gate: bool },
}

impl Kept {
    fn new(memory: Memory, t: usize, seed: u64, device: &Device) -> Result<Self, Failure> {
        let [query, key, value] = inputs(Streams::new(seed), [HEADS, t, D], device);
        Ok(match memory {
            Memory::Cache => Self::Cache { key, value },
            Memory::State { gate } => {
                let heads = RfaHeadsConfig::new(HEADS, D).with_n_features(D).with_seed(seed).init(device)?;
                let logits = logits(&query);
                let input = CausalInput::new(query, key, value);
                let (_, state) = heads.causal(if gate { input.gate(logits) } else { input }, None)?;
                Self::State { heads, state: Box::new(state), gate }
            }
        })
    }

    /// Seconds a token. The cache is read, not extended: how fast that is would be up to who keeps it.
    fn seconds(&self, seed: u64, device: &Device) -> Result<f64, Failure> {
        let token = inputs(Streams::new(seed ^ 1), [HEADS, 1, D], device);
        const TOKENS: usize = 10;
        let run = || -> Result<(), Failure> {
            for _ in 0..TOKENS {
                match self {
                    Self::Cache { key, value } => {
                        let options = AttentionModuleOptions::default();
                        let [query, ..] = token.clone();
                        black_box(attention(query, key.clone(), value.clone(), None, None, options));
                    }
                    Self::State { heads, state, gate } => {
                        let logits = gate.then(|| logits(&token[0]).squeeze_dim::<2>(2));
                        let [query, key, value] = token.clone().map(|x| x.squeeze_dim::<3>(2));
                        black_box(heads.step(query, key, value, logits, Some((**state).clone()))?);
                    }
                }
            }
            Ok(device.sync()?)
        };
        Ok(least(0.08, run)? / TOKENS as f64)
    }

    fn bytes(&self) -> f64 {
        let values = match self {
            Self::Cache { key, value } => key.shape().num_elements() + value.shape().num_elements(),
            Self::State { state, .. } => state.s().shape().num_elements() + state.z().shape().num_elements(),
        };
        (values * size_of::<f32>()) as f64
    }
}

impl Decoding {
    pub(crate) fn run(&self, seed: u64, device: &Device) -> Result<Outcome, Failure> {
        let kept = Kept::new(self.memory, self.t, seed, device)?;
        let measurements = BTreeMap::from([
            ("token_seconds".to_owned(), kept.seconds(seed, device)?),
            ("bytes".to_owned(), kept.bytes()),
        ]);
        Ok(Outcome { measurements, ..Outcome::default() })
    }
}

impl Overtaking {
    pub(crate) fn run(&self, seed: u64, device: &Device) -> Result<Outcome, Failure> {
        let mut times = Vec::new();
        for &t in &self.lengths {
            let seconds = |memory| Kept::new(memory, t, seed, device)?.seconds(seed, device);
            times.push((t as f64, seconds(Memory::Cache)?, seconds(Memory::State { gate: self.gate })?));
        }
        let mut measurements = BTreeMap::new();
        if let Some(crossover) = crossover(&times) {
            measurements.insert("crossover".to_owned(), crossover);
        }
        if let [first, .., last] = times[..] {
            measurements.insert("speedup".to_owned(), last.1 / last.2);
            measurements.insert("growth".to_owned(), last.2 / first.2);
        }
        Ok(Outcome { measurements, ..Outcome::default() })
    }
}
