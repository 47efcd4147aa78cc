//! A byte language model: with a gate, without, and with the state of one segment carried to the next.

use std::collections::BTreeMap;
use std::time::Instant;

use burn::module::Module;
use burn::tensor::Device;
use rekindle_harness::worker::{Context, Failure, Outcome};
use rekindle_harness::{Results, named};
use rekindle_rfa::resample;
use rekindle_shared::data::{ByteText, Stream, Streams};
use rekindle_shared::language::{LanguageTrainingConfig, Reading, prediction};
use rekindle_shared::model::{n_trained, try_init_seeded};
use rekindle_shared::networks::{DecoderConfig, Positions};
use serde::{Deserialize, Serialize};

use crate::translator::Method;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Language {
    /// A data set of the registry.
    pub(crate) text: String,
    pub(crate) method: Method,
    /// Whether a segment goes on with the state of the one before it, in training and in the test.
    pub(crate) stateful: bool,
    pub(crate) d_model: usize,
    pub(crate) n_heads: usize,
    pub(crate) n_layers: usize,
    pub(crate) steps: usize,
    pub(crate) batch_size: usize,
    /// Bytes of a segment.
    pub(crate) length: usize,
    pub(crate) learning_rate: f64,
    /// With the paper's dropout of 0.1, 6,000 steps of warm-up and gradients clipped at 0.25 (from memory).
    pub(crate) paper: bool,
}

/// Points of the curve.
const N_POINTS: usize = 20;

impl Language {
    pub(crate) fn cost(&self) -> f64 {
        0.2 * self.steps as f64
    }

    pub(crate) fn run(&self, seed: u64, context: &Context, device: &Device) -> Result<Outcome, Failure> {
        let files = context.data.locate(&self.text).map_err(Failure::data)?;
        let (text, streams) = (ByteText::load(&files).map_err(Failure::data)?, Streams::new(seed));
        let decoder = DecoderConfig::new(256, self.length)
            .with_d_model(self.d_model)
            .with_n_layers(self.n_layers)
            .with_dropout(if self.paper { 0.1 } else { 0.0 })
            .with_positions(Positions::Sinusoidal);
        let model = try_init_seeded(streams.seed_of(Stream::Init), device, |device| {
            let attention = |layer| {
                let seed = streams.seed_of(Stream::Method).wrapping_add(layer as u64);
                self.method.causal([self.d_model, self.n_heads], self.stateful, seed, device)
            };
            decoder.init(attention, device)
        })?;
        let n_trained = n_trained(&model);

        let training = LanguageTrainingConfig::new(self.steps)
            .with_batch_size(self.batch_size)
            .with_length(self.length)
            .with_learning_rate(self.learning_rate)
            .with_stateful(self.stateful);
        let training = if self.paper { training.with_warmup(6000).with_clip(0.25) } else { training };
        let start = Instant::now();
        let trained = training.run(model, text.train(), streams, |model, step| {
            context.progress(step, self.steps);
            resample(model, step as u64)
        })?;
        let seconds = start.elapsed().as_secs_f64() / self.steps as f64;
        let reading = Reading { length: self.length, batch_size: self.batch_size, stateful: self.stateful };
        let model = trained.model.valid();
        let [validation, test] = [text.validation(), text.test()].map(|part| prediction(&model, part, reading));
        let (validation, test) = (validation?, test?);
        let metrics = [
            ("bits_per_byte", test.bits_per_byte),
            ("accuracy", test.accuracy),
            ("validation_bits", validation.bits_per_byte),
            ("parameters", n_trained as f64),
        ];
        let results = Results {
            diverged: trained.diverged(),
            metrics: named(metrics),
            curves: BTreeMap::from([("loss".to_owned(), trained.curve(N_POINTS))]),
            ..Results::default()
        };
        Ok(Outcome { results, measurements: named([("step_seconds", seconds)]), ..Outcome::default() })
    }
}
