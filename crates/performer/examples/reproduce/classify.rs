//! A classifier of sequences of bytes.

use std::collections::BTreeMap;
use std::time::Instant;

use burn::module::Module;
use burn::nn::loss::CrossEntropyLossConfig;
use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::{Device, Tensor};
use rekindle_harness::worker::{Context, Failure, Outcome};
use rekindle_harness::{Results, named};
use rekindle_performer::redraw_every;
use rekindle_shared::data::{Batches, BatchesConfig, Stream, Streams};
use rekindle_shared::language::Trained;
use rekindle_shared::model::{n_trained, try_init_seeded};
use rekindle_shared::networks::{Positions, SequenceClassifier, SequenceClassifierConfig};
use serde::{Deserialize, Serialize};

use crate::layers::{Attention, Layers};
use crate::sequences::{Batch, Sequences};

/// Points of the curve.
const N_POINTS: usize = 20;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Classify {
    /// A data set of the registry: of gray images, or `imdb`.
    pub(crate) data: String,
    pub(crate) layers: Layers,
    /// Bytes that are looked at; what follows is cut off. That of the images where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) length: Option<usize>,
    pub(crate) d_model: usize,
    pub(crate) n_heads: usize,
    pub(crate) n_layers: usize,
    pub(crate) steps: usize,
    pub(crate) batch_size: usize,
    pub(crate) learning_rate: f64,
    /// Sequences of the test set that are tested on, from the first, where not all are.
    pub(crate) n_test: Option<usize>,
}

impl Classify {
    pub(crate) fn run(&self, seed: u64, context: &Context, device: &Device) -> Result<Outcome, Failure> {
        let longest = self.length.unwrap_or(usize::MAX);
        let [train, test] = Sequences::load(&self.data, longest, context)?;
        let length = longest.min(train.longest().max(test.longest()));
        let streams = Streams::new(seed);
        let sizes = SequenceClassifierConfig::new(256, length, train.n_classes)
            .with_d_model(self.d_model)
            .with_n_layers(self.n_layers)
            .with_positions(Positions::Sinusoidal);
        let model = try_init_seeded(streams.seed_of(Stream::Init), device, |device| {
            let attention = |layer| self.layers.init(layer, [self.d_model, self.n_heads], false, streams, device);
            sizes.init(attention, device)
        })?;
        let n_trained = n_trained(&model);
        let start = Instant::now();
        let trained = self.learn(model, &train, streams, context, device)?;
        let seconds = start.elapsed().as_secs_f64() / self.steps as f64;
        let accuracy = self.accuracy(&trained.model.valid(), &test, &device.clone().without_autodiff())?;
        let results = Results {
            diverged: trained.diverged(),
            metrics: named([("test_accuracy", accuracy), ("parameters", n_trained as f64)]),
            curves: BTreeMap::from([("loss".to_owned(), trained.curve(N_POINTS))]),
            ..Results::default()
        };
        Ok(Outcome { results, measurements: named([("step_seconds", seconds)]), ..Outcome::default() })
    }

    fn learn(
        &self,
        mut model: SequenceClassifier<Attention>,
        train: &Sequences,
        streams: Streams,
        context: &Context,
        device: &Device,
    ) -> Result<Trained<SequenceClassifier<Attention>>, Failure> {
        let mut optimizer = AdamConfig::new().with_beta_2(0.98).with_epsilon(1e-9).init();
        let loss = CrossEntropyLossConfig::new().init(device);
        let mut losses = Vec::with_capacity(self.steps);
        let batches = BatchesConfig::new(self.batch_size).init(train.len(), &streams)?;
        for (step, indices) in in_turn(&batches).take(self.steps).enumerate() {
            context.progress(step, self.steps);
            model = redraw_every(model, self.layers.redraw(), step as u64);
            let Batch { tokens, mask_pad, labels } = train.batch(&indices, device);
            let error = loss.forward(model.forward(tokens, mask_pad)?, labels);
            losses.push(error.clone().inner());
            let grads = GradientsParams::from_grads(error.backward(), &model);
            // Up in the first twentieth, then down to nothing.
            let done = (step + 1) as f64 / self.steps as f64;
            let rate = self.learning_rate * (20.0 * done).min(1.0) * (1.0 - (done - 0.05).max(0.0) / 0.95);
            model = optimizer.step(rate, model, grads);
        }
        Ok(Trained { model, losses: Tensor::cat(losses, 0).into_data().iter().collect() })
    }

    fn accuracy(
        &self,
        model: &SequenceClassifier<Attention>,
        test: &Sequences,
        device: &Device,
    ) -> Result<f64, Failure> {
        let n_test = self.n_test.map_or(test.len(), |n| n.min(test.len()));
        let indices: Vec<usize> = (0..n_test).collect();
        let mut right = 0.0;
        for part in indices.chunks(self.batch_size) {
            let Batch { tokens, mask_pad, labels } = test.batch(part, device);
            let guesses = model.forward(tokens, mask_pad)?.argmax(1).squeeze_dim::<1>(1);
            right += guesses.equal(labels).float().sum().into_scalar::<f64>();
        }
        Ok(right / n_test as f64)
    }
}

/// The batches of one epoch after the other.
fn in_turn(batches: &Batches) -> impl Iterator<Item = Vec<usize>> {
    (0..).flat_map(|epoch| batches.epoch(epoch))
}
