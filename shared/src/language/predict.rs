use burn::tensor::activation::log_softmax;
use burn::tensor::{Int, Tensor};

use super::LanguageError;
use crate::data::{DatasetError, Windows};
use crate::networks::{Decoder, StreamingAttention};

/// How a text is read when a model is tested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// Bytes of a window, which the model sees at once.
    pub length: usize,
    /// Windows at a time; changes no result, except where the state is carried: then so many parts of the text are read
    /// beside each other.
    pub batch_size: usize,
    /// Whether a window goes on with the state of the one before it; otherwise each begins with nothing.
    pub stateful: bool,
}

/// How well a model predicts a text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prediction {
    /// Mean of -log₂ p of the byte that came.
    pub bits_per_byte: f64,
    /// Share of bytes that were the likeliest.
    pub accuracy: f64,
    /// Bytes predicted.
    pub n_bytes: usize,
}

/// How well `model` predicts each byte of `text` from those before it in its window.
///
/// # Errors
///
/// [`LanguageError`] for a text shorter than a window, and those of the decoder.
pub fn prediction<A: StreamingAttention>(
    model: &Decoder<A>,
    text: &[u8],
    reading: Reading,
) -> Result<Prediction, LanguageError<A::Error>> {
    let device = model.head.weight.device();
    let windows = Windows::new(text, reading.length)?;
    if reading.batch_size == 0 || reading.batch_size >= text.len() {
        let (rule, value) = ("at least 1 and below the number of bytes of the text", reading.batch_size as f64);
        return Err(DatasetError::Config { name: "batch_size", rule, value }.into());
    }
    let (mut bits, mut right, mut n_bytes) = (Vec::new(), Vec::new(), 0);
    let mut add = |logits: Tensor<3>, targets: Tensor<2, Int>| {
        let [batch, length, n_tokens] = logits.dims();
        let n = batch * length;
        let (logits, targets) = (logits.reshape([n, n_tokens]), targets.reshape([n, 1]));
        bits.push(nats(logits.clone(), targets.clone()).sum());
        right.push(logits.argmax(1).equal(targets).float().sum());
        n_bytes += n;
    };
    if reading.stateful {
        let mut state = model.init_state(reading.batch_size, &device).map_err(LanguageError::of_attention)?;
        for batch in windows.streams(reading.batch_size, &device) {
            add(model.forward_state(batch.inputs, &mut state)?, batch.targets);
            state = model.next_segment(state);
        }
    } else {
        for batch in windows.in_order(reading.batch_size, &device) {
            add(model.forward(batch.inputs)?, batch.targets);
        }
    }
    let sum = |parts| Tensor::cat(parts, 0).into_data().iter::<f64>().sum::<f64>() / n_bytes as f64;
    Ok(Prediction { bits_per_byte: sum(bits) / std::f64::consts::LN_2, accuracy: sum(right), n_bytes })
}

/// -ln p of each target: `[n, n_tokens]` and `[n, 1]` to `[n, 1]`.
pub(super) fn nats(logits: Tensor<2>, targets: Tensor<2, Int>) -> Tensor<2> {
    -log_softmax(logits, 1).gather(1, targets)
}
