use burn::config::Config;
use burn::grad_clipping::GradientClippingConfig;
use burn::optim::decay::WeightDecayConfig;
use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::predict::nats;
use crate::data::{DatasetError, Stream, Streams, TextBatch, Windows};
use crate::networks::{Decoder, DecoderError, StreamingAttention};

/// How a language model is trained: Adam (β₂ = 0.98, ε = 1e-9), the learning rate rising linearly to its highest.
#[derive(Config, Debug)]
pub struct LanguageTrainingConfig {
    /// Steps, each with one batch.
    pub steps: usize,
    /// Windows of a batch. Default 8.
    #[config(default = 8)]
    pub batch_size: usize,
    /// Bytes of a window. Default 256.
    #[config(default = 256)]
    pub length: usize,
    /// The highest learning rate. Default 1e-3.
    #[config(default = 1e-3)]
    pub learning_rate: f64,
    /// Steps until it is reached. Default 50.
    #[config(default = 50)]
    pub warmup: usize,
    /// Largest norm of a parameter's gradient. Default 0.5.
    #[config(default = 0.5)]
    pub clip: f32,
    /// What becomes of the learning rate then. Default a cosine to nothing.
    #[config(default = "Schedule::Cosine")]
    pub schedule: Schedule,
    /// Share of the weights that adds to their gradients. Default 0.
    #[config(default = 0.0)]
    pub weight_decay: f32,
    /// Whether a batch goes on with the state of the one before it, through which no gradient goes; the text is then read
    /// in order, as many parts beside each other as a batch has windows, and again from its start. Default no: windows from random
    /// places.
    #[config(default = false)]
    pub stateful: bool,
}

/// What becomes of the learning rate after its rise.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Schedule {
    /// It falls to nothing as a cosine does.
    #[default]
    Cosine,
    /// It stays.
    Constant,
}

/// A trained model.
#[derive(Debug, Clone)]
pub struct Trained<M> {
    /// The model.
    pub model: M,
    /// The loss of each step; of a language model in bits a byte.
    pub losses: Vec<f64>,
}

impl<M> Trained<M> {
    /// The means of `n_points` parts of the run, in order; fewer where there are fewer steps.
    pub fn curve(&self, n_points: usize) -> Vec<f64> {
        let each = self.losses.len().div_ceil(n_points.max(1)).max(1);
        self.losses.chunks(each).map(|part| part.iter().sum::<f64>() / part.len() as f64).collect()
    }

    /// Whether a loss was NaN or infinite.
    pub fn diverged(&self) -> bool {
        !self.losses.iter().all(|loss| loss.is_finite())
    }
}

/// Why a language model was not trained or tested.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum LanguageError<E: std::error::Error> {
    /// The model refused a batch.
    #[error(transparent)]
    Decoder(DecoderError<E>),
    /// The text does not fit.
    #[error(transparent)]
    Text(#[from] DatasetError),
}

impl<E: std::error::Error> From<DecoderError<E>> for LanguageError<E> {
    fn from(error: DecoderError<E>) -> Self {
        Self::Decoder(error)
    }
}

impl<E: std::error::Error> LanguageError<E> {
    pub(super) fn of_attention(error: E) -> Self {
        Self::Decoder(DecoderError::Attention(error))
    }
}

impl LanguageTrainingConfig {
    /// Trains `model` on `text`, with batches of the stream [`Stream::Batches`].
    ///
    /// `before_step` gets the model before every step, from step 0 on, and returns the one to train: for attention with new random
    /// features from time to time, and for showing progress.
    ///
    /// # Errors
    ///
    /// [`LanguageError`] for no steps or windows, a text shorter than a window needs, and those of the decoder.
    pub fn run<A: StreamingAttention>(
        &self,
        mut model: Decoder<A>,
        text: &[u8],
        streams: Streams,
        mut before_step: impl FnMut(Decoder<A>, usize) -> Decoder<A>,
    ) -> Result<Trained<Decoder<A>>, LanguageError<A::Error>> {
        let windows = Windows::new(text, self.length)?;
        for (name, value, most) in [("steps", self.steps, usize::MAX), ("batch_size", self.batch_size, text.len() - 1)]
        {
            if value == 0 || value > most {
                let rule = "at least 1, and the batch size below the number of bytes of the text";
                return Err(DatasetError::Config { name, rule, value: value as f64 }.into());
            }
        }
        let device = model.head.weight.device();
        let decay = (self.weight_decay > 0.0).then(|| WeightDecayConfig::new(self.weight_decay));
        let mut optimizer = AdamConfig::new()
            .with_beta_2(0.98)
            .with_epsilon(1e-9)
            .with_weight_decay(decay)
            .with_grad_clipping(Some(GradientClippingConfig::Norm(self.clip)))
            .init();
        let mut rng = streams.stream(Stream::Batches);
        let mut in_order = windows.streams(self.batch_size, &device);
        let mut state = None;
        let mut losses = Vec::with_capacity(self.steps);
        for step in 0..self.steps {
            model = before_step(model, step);
            let TextBatch { inputs, targets } = if self.stateful {
                in_order.next().unwrap_or_else(|| {
                    state = None;
                    in_order = windows.streams(self.batch_size, &device);
                    in_order.next().expect("a text longer than a window has a first one")
                })
            } else {
                windows.draw(self.batch_size, &mut rng, &device)
            };
            let logits = if self.stateful {
                let mut carried = match state.take() {
                    Some(carried) => carried,
                    None => model.init_state(self.batch_size, &device).map_err(LanguageError::of_attention)?,
                };
                let logits = model.forward_state(inputs, &mut carried)?;
                state = Some(model.next_segment(carried));
                logits
            } else {
                model.forward(inputs)?
            };
            let [batch, length, n_tokens] = logits.dims();
            let n = batch * length;
            let loss: Tensor<1> = nats(logits.reshape([n, n_tokens]), targets.reshape([n, 1])).mean();
            losses.push(loss.clone().inner());
            let grads = GradientsParams::from_grads(loss.backward(), &model);
            model = optimizer.step(self.learning_rate(step), model, grads);
        }
        // Read at the end: a step does not wait for the device.
        let nats = Tensor::cat(losses, 0).into_data();
        let losses = nats.iter::<f64>().map(|loss| loss / std::f64::consts::LN_2).collect();
        Ok(Trained { model, losses })
    }

    fn learning_rate(&self, step: usize) -> f64 {
        let rising = ((step + 1) as f64 / self.warmup.max(1) as f64).min(1.0);
        if self.schedule == Schedule::Constant {
            return self.learning_rate * rising;
        }
        let done = step.saturating_sub(self.warmup) as f64 / self.steps.saturating_sub(self.warmup).max(1) as f64;
        self.learning_rate * rising * 0.5 * (1.0 + (std::f64::consts::PI * done).cos())
    }
}
