//! A byte language model with each kind of attention, and one of softmax turned into a Performer.

use std::collections::BTreeMap;
use std::time::Instant;

use burn::module::Module;
use burn::nn::attention::{MultiHeadAttention, MultiHeadAttentionConfig};
use burn::tensor::Device;
use rekindle_harness::worker::{Context, Failure, Outcome};
use rekindle_harness::{Results, named};
use rekindle_performer::redraw_every;
use rekindle_shared::data::{ByteText, Stream, Streams};
use rekindle_shared::language::{LanguageTrainingConfig, Prediction, Reading, Schedule, Trained, prediction};
use rekindle_shared::model::{n_trained, try_init_seeded};
use rekindle_shared::networks::{Decoder, DecoderConfig, Positions};
use serde::{Deserialize, Serialize};

use crate::layers::{Attention, Layers};

/// Points of a curve.
const N_POINTS: usize = 20;
/// Windows at a time when a text is tested on.
const TEST_BATCH: usize = 8;

/// A decoder on bytes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Language {
    /// A data set of the registry.
    pub(crate) text: String,
    pub(crate) layers: Layers,
    pub(crate) sizes: Sizes,
    pub(crate) training: Training,
}

/// Softmax trained, turned into a Performer, and trained on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Conversion {
    pub(crate) text: String,
    pub(crate) layers: Layers,
    pub(crate) sizes: Sizes,
    pub(crate) training: Training,
    /// Of the Performer, and of softmax without a change.
    pub(crate) fine_tuning: Training,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Sizes {
    pub(crate) d_model: usize,
    pub(crate) n_heads: usize,
    pub(crate) n_layers: usize,
    pub(crate) expansion: usize,
    pub(crate) dropout: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Training {
    pub(crate) steps: usize,
    pub(crate) batch_size: usize,
    pub(crate) length: usize,
    pub(crate) learning_rate: f64,
    /// With the paper's weight decay and its learning rate that stays (App. A.2).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) paper: bool,
}

impl Training {
    fn config(self) -> LanguageTrainingConfig {
        let config = LanguageTrainingConfig::new(self.steps)
            .with_batch_size(self.batch_size)
            .with_length(self.length)
            .with_learning_rate(self.learning_rate);
        if self.paper { config.with_schedule(Schedule::Constant).with_weight_decay(0.1) } else { config }
    }
}

impl Language {
    pub(crate) fn run(&self, seed: u64, context: &Context, device: &Device) -> Result<Outcome, Failure> {
        let (text, streams) = (text(&self.text, context)?, Streams::new(seed));
        let model = self.sizes.init(self.layers, self.training.length, streams, device)?;
        let n_trained = n_trained(&model);
        let start = Instant::now();
        let steps = self.training.steps;
        let trained = train(model, self.training, self.layers.redraw(), &text, streams, |step| {
            context.progress(step, steps);
        })?;
        let seconds = start.elapsed().as_secs_f64() / steps as f64;
        let [validation, test] =
            [text.validation(), text.test()].map(|part| test(&trained.model, part, self.training.length));
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

impl Conversion {
    pub(crate) fn run(&self, seed: u64, context: &Context, device: &Device) -> Result<Outcome, Failure> {
        let (text, streams, length) = (text(&self.text, context)?, Streams::new(seed), self.training.length);
        let (first, then) = (self.training.steps, self.fine_tuning.steps);
        let progress = |before: usize| move |step| context.progress(before + step, first + 2 * then);
        let softmax = self.sizes.init(Layers::Softmax, length, streams, device)?;
        let softmax = train(softmax, self.training, 0, &text, streams, progress(0))?.model;
        let trained = test(&softmax, text.test(), length)?;

        let performer = self.convert(softmax.clone(), streams, device)?;
        let swapped = test(&performer, text.test(), length)?;
        // Other windows than before.
        let later = Streams::new(streams.seed_of(Stream::Batches));
        let redraw = self.layers.redraw();
        let performer = train(performer, self.fine_tuning, redraw, &text, later, progress(first))?;
        let recovered = test(&performer.model, text.test(), length)?;
        let softmax = train(softmax, self.fine_tuning, 0, &text, later, progress(first + then))?.model;
        let continued = test(&softmax, text.test(), length)?;

        let metrics = [
            ("softmax_bits", trained.bits_per_byte),
            ("swapped_bits", swapped.bits_per_byte),
            ("recovered_bits", recovered.bits_per_byte),
            ("continued_bits", continued.bits_per_byte),
            ("softmax_accuracy", trained.accuracy),
            ("swapped_accuracy", swapped.accuracy),
            ("recovered_accuracy", recovered.accuracy),
            ("drop", swapped.bits_per_byte / trained.bits_per_byte),
            ("gap", recovered.bits_per_byte / continued.bits_per_byte),
        ];
        let results = Results {
            diverged: performer.diverged(),
            metrics: named(metrics),
            curves: BTreeMap::from([("loss".to_owned(), performer.curve(N_POINTS))]),
            ..Results::default()
        };
        Ok(Outcome { results, ..Outcome::default() })
    }

    /// The same decoder with the weights of its attention in Performers.
    fn convert(
        &self,
        softmax: Decoder<Attention>,
        streams: Streams,
        device: &Device,
    ) -> Result<Decoder<Attention>, Failure> {
        let mut decoder = softmax;
        for (layer, block) in decoder.blocks.iter_mut().enumerate() {
            let heads = [self.sizes.d_model, self.sizes.n_heads];
            let Some(config) = self.layers.config(layer, heads, true, streams) else { continue };
            if let Attention::Softmax(attention) = &block.attention {
                let [query, key, value] = attention.projections.clone();
                let output = attention.output.clone();
                let burn = MultiHeadAttentionConfig::new(heads[0], heads[1]).with_dropout(0.0).init(device);
                let burn = MultiHeadAttention { query, key, value, output, ..burn };
                block.attention = Attention::Performer(config.init_from(burn, device)?);
            }
        }
        Ok(decoder)
    }
}

impl Sizes {
    fn init(
        self,
        layers: Layers,
        length: usize,
        streams: Streams,
        device: &Device,
    ) -> Result<Decoder<Attention>, Failure> {
        let decoder = DecoderConfig::new(256, length)
            .with_d_model(self.d_model)
            .with_n_layers(self.n_layers)
            .with_expansion(self.expansion)
            .with_dropout(self.dropout)
            .with_positions(Positions::Sinusoidal);
        try_init_seeded(streams.seed_of(Stream::Init), device, |device| {
            let attention = |layer| layers.init(layer, [self.d_model, self.n_heads], true, streams, device);
            decoder.init(attention, device)
        })
    }
}

fn text(name: &str, context: &Context) -> Result<ByteText, Failure> {
    ByteText::load(&context.data.locate(name).map_err(Failure::data)?).map_err(Failure::data)
}

fn train(
    model: Decoder<Attention>,
    training: Training,
    redraw: u64,
    text: &ByteText,
    streams: Streams,
    progress: impl Fn(usize),
) -> Result<Trained<Decoder<Attention>>, Failure> {
    let before_step = |model, step: usize| {
        progress(step);
        redraw_every(model, redraw, step as u64)
    };
    Ok(training.config().run(model, text.train(), streams, before_step)?)
}

fn test(model: &Decoder<Attention>, text: &[u8], length: usize) -> Result<Prediction, Failure> {
    Ok(prediction(&model.valid(), text, Reading { length, batch_size: TEST_BATCH, stateful: false })?)
}
