//! Next-token prediction of a chain whose matrix changes: which attention can forget.

use std::collections::BTreeMap;

use burn::module::Module;
use burn::nn::Initializer;
use burn::nn::loss::CrossEntropyLossConfig;
use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::{Device, Int, Tensor, TensorData};
use rand_chacha::ChaCha8Rng;
use rekindle_harness::Results;
use rekindle_harness::worker::{Context, Failure, Outcome};
use rekindle_rfa::{Kernel, RfaConfig, resample};
use rekindle_shared::data::{Stream, Streams};
use rekindle_shared::model::{n_trained, try_init_seeded};
use rekindle_shared::networks::{Decoder, DecoderConfig, SoftmaxAttentionConfig};
use serde::{Deserialize, Serialize};

use crate::chain::{Chain, Matrices};
use crate::layers::{Attention, RecencyAttention};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case")]
pub(crate) enum Method {
    /// Who knows the chain; learns nothing.
    Bayes,
    Softmax,
    /// Softmax with learned slopes.
    Recency,
    Rfa {
        kernel: Kernel,
        gate: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Learner {
    pub(crate) method: Method,
    pub(crate) chain: Chain,
    pub(crate) length: usize,
    pub(crate) n_features: usize,
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
    /// One token longer than what is predicted from.
    sequences: Vec<Vec<usize>>,
}

impl Learner {
    pub(crate) fn cost(&self) -> f64 {
        if self.method == Method::Bayes { 0.1 } else { 0.02 * self.steps as f64 }
    }

    fn draw(&self, matrices: &Matrices, rng: &mut ChaCha8Rng) -> Batch {
        let sequence = |_| self.chain.sequence(self.length + 1, matrices, rng);
        Batch { sequences: (0..self.batch_size).map(sequence).collect() }
    }

    pub(crate) fn run(&self, seed: u64, context: &Context, device: &Device) -> Result<Outcome, Failure> {
        let streams = Streams::new(seed);
        let matrices = self.chain.matrices(&mut streams.stream(Stream::Tasks));
        let mut results = match self.method {
            Method::Bayes => Results::default(),
            _ => {
                let decoder = DecoderConfig::new(self.chain.n_tokens, self.length)
                    .with_d_model(self.d_model)
                    .with_n_layers(self.n_layers);
                let model = try_init_seeded(streams.seed_of(Stream::Init), device, |device| {
                    decoder.init(|layer| self.attention(layer as u64, streams, device), device)
                })?;
                self.learn(model, &matrices, streams, context, device)?
            }
        };
        let (best, right) = self.best(&matrices, streams);
        let mut add = |name: &str, value: f64| results.metrics.insert(name.to_owned(), value);
        if self.method == Method::Bayes {
            add("test_loss", best);
            add("token_accuracy", right);
        } else if let Some(loss) = results.metrics.get("test_loss").copied() {
            results.metrics.insert("excess".to_owned(), loss - best);
        }
        Ok(Outcome { results, ..Outcome::default() })
    }

    fn attention(&self, layer: u64, streams: Streams, device: &Device) -> Result<Attention, Failure> {
        let (kernel, gate) = match self.method {
            Method::Rfa { kernel, gate } => (kernel, gate),
            Method::Recency => {
                return Ok(Attention::Recency(RecencyAttention::new(self.d_model, self.n_heads, device)));
            }
            Method::Softmax | Method::Bayes => {
                return Ok(Attention::Softmax(SoftmaxAttentionConfig::new(self.d_model, self.n_heads).init(device)?));
            }
        };
        let config = RfaConfig::new(self.d_model, self.n_heads)
            .with_dropout(0.0)
            // As the other layers of the decoder.
            .with_initializer(Initializer::XavierUniform { gain: 1.0 })
            .with_kernel(kernel)
            .with_gate(gate)
            .with_n_features(self.n_features)
            .with_seed(streams.seed_of(Stream::Method).wrapping_add(layer));
        Ok(Attention::Rfa(config.init_causal(device)?))
    }

    fn learn(
        &self,
        mut model: Decoder<Attention>,
        matrices: &Matrices,
        streams: Streams,
        context: &Context,
        device: &Device,
    ) -> Result<Results, Failure> {
        let mut optimizer = AdamConfig::new().with_beta_2(0.98).with_epsilon(1e-9).init();
        let mut rng = streams.stream(Stream::Batches);
        let (mut curve, mut sum) = (Vec::new(), 0.0);
        let every = self.steps.div_ceil(N_POINTS);
        for step in 0..self.steps {
            model = resample(model, step as u64);
            let batch = self.draw(matrices, &mut rng);
            let (logits, targets) = self.predict(&model, &batch, device)?;
            let error = CrossEntropyLossConfig::new().init(device).forward(logits, targets);
            sum += error.clone().into_scalar::<f64>();
            let grads = GradientsParams::from_grads(error.backward(), &model);
            model = optimizer.step(self.learning_rate, model, grads);
            if (step + 1) % every == 0 {
                curve.push(sum / every as f64);
                sum = 0.0;
            }
            context.progress(step + 1, self.steps);
        }
        let n_params = n_trained(&model);
        let (loss, accuracy) = self.test(&model.valid(), matrices, streams, &device.clone().without_autodiff())?;
        let diverged = !curve.iter().all(|loss| loss.is_finite());
        let metrics = [("test_loss", loss), ("token_accuracy", accuracy), ("n_params", n_params as f64)];
        let metrics = metrics.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Ok(Results { diverged, metrics, curves: BTreeMap::from([("loss".to_owned(), curve)]), ..Results::default() })
    }

    /// Logits `[batch * length, n_tokens]`, and the tokens that came.
    fn predict(
        &self,
        model: &Decoder<Attention>,
        batch: &Batch,
        device: &Device,
    ) -> Result<(Tensor<2>, Tensor<1, Int>), Failure> {
        let tokens = |from: usize| -> Vec<i32> {
            let of = |sequence: &Vec<usize>| sequence[from..][..self.length].to_vec();
            batch.sequences.iter().flat_map(of).map(|token| token as i32).collect()
        };
        let inputs = TensorData::new(tokens(0), [self.batch_size, self.length]);
        let logits = model.forward(Tensor::from_data(inputs, device))?;
        let logits = logits.reshape([self.batch_size * self.length, self.chain.n_tokens]);
        Ok((logits, Tensor::from_data(&tokens(1)[..], device)))
    }

    /// Nats and accuracy of the test's batches.
    fn test(
        &self,
        model: &Decoder<Attention>,
        matrices: &Matrices,
        streams: Streams,
        device: &Device,
    ) -> Result<(f64, f64), Failure> {
        let mut rng = streams.stream(Stream::Data);
        let (mut loss, mut right) = (0.0, 0.0);
        for _ in 0..N_TEST {
            let (logits, targets) = self.predict(model, &self.draw(matrices, &mut rng), device)?;
            let error = CrossEntropyLossConfig::new().init(device).forward(logits.clone(), targets.clone());
            loss += error.into_scalar::<f64>();
            right += logits.argmax(1).squeeze_dim::<1>(1).equal(targets).float().mean().into_scalar::<f64>();
        }
        Ok((loss / N_TEST as f64, right / N_TEST as f64))
    }

    /// The same of who knows the chain.
    fn best(&self, matrices: &Matrices, streams: Streams) -> (f64, f64) {
        let mut rng = streams.stream(Stream::Data);
        let (mut loss, mut right) = (0.0, 0.0);
        for _ in 0..N_TEST {
            for sequence in self.draw(matrices, &mut rng).sequences {
                for (p, &token) in self.chain.best(&sequence, matrices).iter().zip(&sequence[1..]) {
                    let likeliest = (0..p.len()).max_by(|&a, &b| p[a].total_cmp(&p[b]));
                    loss -= p[token].ln();
                    right += f64::from(u8::from(likeliest == Some(token)));
                }
            }
        }
        let n = (N_TEST * self.batch_size * self.length) as f64;
        (loss / n, right / n)
    }
}
