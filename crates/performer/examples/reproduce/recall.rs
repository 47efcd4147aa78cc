//! Associative recall: pairs of a key and its value, then keys whose value is asked for.

use std::collections::BTreeMap;

use burn::module::Module;
use burn::nn::loss::CrossEntropyLossConfig;
use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::{Device, Int, Tensor, TensorData};
use rand::RngExt;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rekindle_harness::Results;
use rekindle_harness::worker::{Context, Failure, Outcome};
use rekindle_performer::{Kernel, redraw_every};
use rekindle_shared::data::{Stream, Streams};
use rekindle_shared::model::try_init_seeded;
use rekindle_shared::networks::{Decoder, DecoderConfig};
use serde::{Deserialize, Serialize};

use crate::layers::{Attention, Layers};

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Recall {
    /// None for softmax.
    pub(crate) kernel: Option<Kernel>,
    pub(crate) n_features: usize,
    /// Steps between new directions; 0 for none.
    pub(crate) redraw: u64,
    /// Keys, each in one pair.
    pub(crate) n_keys: usize,
    pub(crate) n_values: usize,
    pub(crate) length: usize,
    pub(crate) d_model: usize,
    pub(crate) n_heads: usize,
    pub(crate) n_layers: usize,
    pub(crate) steps: usize,
    pub(crate) batch_size: usize,
    pub(crate) learning_rate: f64,
}

/// Batches of the test.
const N_TEST: usize = 8;
/// Points of the curve.
const N_POINTS: usize = 20;

struct Batch {
    /// `[batch, length]`
    tokens: Tensor<2, Int>,
    /// `[batch * asked]`
    answers: Tensor<1, Int>,
}

impl Recall {
    /// Tokens of pairs, one for each combination, then those of keys that are asked for.
    fn n_tokens(&self) -> usize {
        self.n_keys * self.n_values + self.n_keys
    }

    fn n_asked(&self) -> usize {
        self.length - self.n_keys
    }

    /// Every key once with a value, in random order, then random keys.
    fn draw(&self, rng: &mut ChaCha8Rng, device: &Device) -> Batch {
        let (mut tokens, mut answers) = (Vec::new(), Vec::new());
        for _ in 0..self.batch_size {
            let values: Vec<usize> = (0..self.n_keys).map(|_| rng.random_range(0..self.n_values)).collect();
            let mut keys: Vec<usize> = (0..self.n_keys).collect();
            keys.shuffle(rng);
            tokens.extend(keys.iter().map(|&key| (key * self.n_values + values[key]) as i32));
            for _ in 0..self.n_asked() {
                let key = rng.random_range(0..self.n_keys);
                tokens.push((self.n_keys * self.n_values + key) as i32);
                answers.push(values[key] as i32);
            }
        }
        let tokens = TensorData::new(tokens, [self.batch_size, self.length]);
        Batch { tokens: Tensor::from_data(tokens, device), answers: Tensor::from_data(&answers[..], device) }
    }

    pub(crate) fn run(&self, seed: u64, context: &Context, device: &Device) -> Result<Outcome, Failure> {
        let streams = Streams::new(seed);
        let decoder =
            DecoderConfig::new(self.n_tokens(), self.length).with_d_model(self.d_model).with_n_layers(self.n_layers);
        let layers = self.kernel.map_or(Layers::Softmax, |kernel| Layers::Performer {
            kernel,
            n_features: self.n_features,
            redraw: self.redraw,
        });
        let model = try_init_seeded(streams.seed_of(Stream::Init), device, |device| {
            decoder.init(|layer| layers.init(layer, [self.d_model, self.n_heads], true, streams, device), device)
        })?;
        let results = self.learn(model, streams, context, device)?;
        Ok(Outcome { results, ..Outcome::default() })
    }

    fn learn(
        &self,
        mut model: Decoder<Attention>,
        streams: Streams,
        context: &Context,
        device: &Device,
    ) -> Result<Results, Failure> {
        let mut optimizer = AdamConfig::new().with_beta_2(0.98).with_epsilon(1e-9).init();
        let mut rng = streams.stream(Stream::Batches);
        let loss = CrossEntropyLossConfig::new().init(device);
        let (mut curve, mut sum) = (Vec::new(), 0.0);
        let every = self.steps.div_ceil(N_POINTS);
        for step in 0..self.steps {
            model = redraw_every(model, self.redraw, step as u64);
            let batch = self.draw(&mut rng, device);
            let error = loss.forward(self.answer(&model, batch.tokens)?, batch.answers);
            sum += error.clone().into_scalar::<f64>();
            let grads = GradientsParams::from_grads(error.backward(), &model);
            model = optimizer.step(self.learning_rate, model, grads);
            if (step + 1) % every == 0 {
                curve.push(sum / every as f64);
                sum = 0.0;
            }
            context.progress(step + 1, self.steps);
        }
        let accuracy = self.accuracy(&model.valid(), streams, &device.clone().without_autodiff())?;
        let diverged = !curve.iter().all(|loss| loss.is_finite());
        let metrics = BTreeMap::from([
            ("test_accuracy".to_owned(), accuracy),
            ("final_loss".to_owned(), curve.last().copied().unwrap_or(f64::NAN)),
        ]);
        Ok(Results { diverged, metrics, curves: BTreeMap::from([("loss".to_owned(), curve)]), ..Results::default() })
    }

    /// Logits of the values at the keys that are asked for: `[batch * asked, n_values]`.
    fn answer(&self, model: &Decoder<Attention>, tokens: Tensor<2, Int>) -> Result<Tensor<2>, Failure> {
        let logits = model.forward(tokens)?.narrow(1, self.n_keys, self.n_asked()).narrow(2, 0, self.n_values);
        Ok(logits.reshape([self.batch_size * self.n_asked(), self.n_values]))
    }

    fn accuracy(&self, model: &Decoder<Attention>, streams: Streams, device: &Device) -> Result<f64, Failure> {
        let mut rng = streams.stream(Stream::Data);
        let mut right = 0.0;
        for _ in 0..N_TEST {
            let batch = self.draw(&mut rng, device);
            let guesses = self.answer(model, batch.tokens)?.argmax(1).squeeze_dim::<1>(1);
            right += guesses.equal(batch.answers).float().mean().into_scalar::<f64>();
        }
        Ok(right / N_TEST as f64)
    }
}
