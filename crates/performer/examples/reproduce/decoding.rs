//! What the next token costs after so many: softmax reads all keys and values again, linear attention has a state.

use std::hint::black_box;

use burn::tensor::{Device, Int, Tensor};
use rekindle_harness::measure::least;
use rekindle_harness::named;
use rekindle_harness::worker::{Failure, Outcome};
use rekindle_shared::data::{Stream, Streams};
use rekindle_shared::model::try_init_seeded;
use rekindle_shared::networks::{Decoder, DecoderConfig, DecoderState};
use serde::{Deserialize, Serialize};

use crate::layers::{Attention, Layers, State};

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Decoding {
    pub(crate) layers: Layers,
    pub(crate) d_model: usize,
    pub(crate) n_heads: usize,
    pub(crate) n_layers: usize,
    /// Tokens before those that are timed.
    pub(crate) before: usize,
}

/// Tokens that are timed together.
const N_TOKENS: usize = 16;
/// Tokens at a time before them.
const PIECE: usize = 256;

impl Decoding {
    pub(crate) fn run(&self, seed: u64, device: &Device) -> Result<Outcome, Failure> {
        let streams = Streams::new(seed);
        let decoder =
            DecoderConfig::new(256, self.before + N_TOKENS).with_d_model(self.d_model).with_n_layers(self.n_layers);
        let model = try_init_seeded(streams.seed_of(Stream::Init), device, |device| {
            let attention = |layer| self.layers.init(layer, [self.d_model, self.n_heads], true, streams, device);
            decoder.init(attention, device)
        })?;
        let mut state = model.init_state(1, device)?;
        let mut left = self.before;
        while left > 0 {
            let n = left.min(PIECE);
            model.forward_state(Tensor::<2, Int>::ones([1, n], device), &mut state)?;
            left -= n;
        }
        let seconds = least(0.5, || decode(&model, state.clone(), device))? / N_TOKENS as f64;
        let bytes: usize = state.layers.iter().map(n_bytes).sum();
        let measurements = named([("token_seconds", seconds), ("state_bytes", bytes as f64)]);
        Ok(Outcome { measurements, ..Outcome::default() })
    }
}

/// Tokens, each the one that was likeliest after the one before it.
fn decode(model: &Decoder<Attention>, mut state: DecoderState<State>, device: &Device) -> Result<(), Failure> {
    let mut token = Tensor::<2, Int>::ones([1, 1], device);
    for _ in 0..N_TOKENS {
        token = model.forward_state(token, &mut state)?.argmax(2).squeeze_dim::<2>(2);
    }
    black_box(token.into_data());
    Ok(())
}

fn n_bytes(state: &State) -> usize {
    match state {
        State::Softmax(state) => state.n_bytes(),
        State::Performer(state) => state.n_bytes(),
    }
}
