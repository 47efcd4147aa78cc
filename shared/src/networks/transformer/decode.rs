use burn::config::Config;
use burn::tensor::activation::log_softmax;
use burn::tensor::{Bool, Int, Tensor};

use super::encoder_decoder::ErrorOf;
use super::parts::integers;
use super::{CrossAttention, EncoderDecoder, EncoderDecoderError, SelfAttention, StreamingAttention};

/// How [`greedy`] and [`beam_search`] make targets.
#[derive(Config, Debug)]
pub struct DecodingConfig {
    /// The token that the decoder begins with.
    pub start: usize,
    /// The token that ends a target.
    pub end: usize,
    /// Most tokens of a target, with the end; at most as many as the network has positions.
    pub max_length: usize,
    /// Hypotheses that [`beam_search`] goes on with. Default 4.
    #[config(default = 4)]
    pub beam: usize,
    /// α of the length penalty ((5 + n) / 6)^α, by which [`beam_search`] divides the log-probability of a target of n
    /// tokens (Wu et al. 2016, Eq. 14); 0 for none, more for longer targets. Default 0.6.
    #[config(default = 0.6)]
    pub length_penalty: f64,
}

/// What a search found.
#[derive(Debug, Clone, PartialEq)]
pub struct Hypothesis {
    /// Its tokens, without start and end.
    pub tokens: Vec<usize>,
    /// The natural logarithm of its probability, with that of the end where it has one.
    pub log_probability: f64,
    /// The log-probability divided by the length penalty.
    pub score: f64,
}

impl DecodingConfig {
    fn check<E, S, C>(&self, model: &EncoderDecoder<E, S, C>) -> Result<(), ErrorOf<E, S, C>>
    where
        E: SelfAttention,
        S: StreamingAttention,
        C: CrossAttention,
    {
        let n_tokens = model.n_target_tokens();
        let of_tokens = || format!("a token below {n_tokens}");
        for (name, valid, rule, value) in [
            ("start", self.start < n_tokens, of_tokens(), self.start as f64),
            ("end", self.end < n_tokens, of_tokens(), self.end as f64),
            ("max_length", self.max_length > 0, "at least 1".to_owned(), self.max_length as f64),
            ("beam", self.beam > 0, "at least 1".to_owned(), self.beam as f64),
            (
                "length_penalty",
                self.length_penalty.is_finite() && self.length_penalty >= 0.0,
                "finite and at least 0".to_owned(),
                self.length_penalty,
            ),
        ] {
            if !valid {
                return Err(EncoderDecoderError::Decoding { name, rule, value });
            }
        }
        let (length, max_length) = (self.max_length, model.max_length());
        match length <= max_length {
            true => Ok(()),
            false => Err(EncoderDecoderError::TooLong { what: "target", length, max_length }),
        }
    }

    /// Of a target of `n` tokens.
    fn penalty(&self, n: usize) -> f64 {
        ((5.0 + n as f64) / 6.0).powf(self.length_penalty)
    }
}

/// Takes the most probable token at each step, for each source, until the end or `max_length` tokens; the tokens come
/// without start and end.
///
/// A target that has ended costs no more. On an autodiff device steps are recorded: decode with `model.valid()`.
///
/// # Shapes
///
/// - `source`, `mask_pad`: `[batch, n_source]`, true at padding
///
/// # Errors
///
/// [`EncoderDecoderError`] for settings out of their range and sequences that are too long, and those of the attentions.
pub fn greedy<E: SelfAttention, S: StreamingAttention, C: CrossAttention>(
    model: &EncoderDecoder<E, S, C>,
    source: Tensor<2, Int>,
    mask_pad: Option<Tensor<2, Bool>>,
    config: &DecodingConfig,
) -> Result<Vec<Vec<usize>>, ErrorOf<E, S, C>> {
    config.check(model)?;
    let (n_sources, device) = (source.dims()[0], source.device());
    let mut state = model.init_state(model.encode(source, mask_pad.clone())?, mask_pad)?;
    let mut targets = vec![Vec::new(); n_sources];
    // Sources whose targets go on, and the last tokens of those.
    let mut open: Vec<usize> = (0..n_sources).collect();
    let mut last = vec![config.start; n_sources];
    for _ in 0..config.max_length {
        let logits = model.forward_state(integers(&last, &device).unsqueeze_dim(1), &mut state)?;
        let best: Vec<usize> = logits.argmax(2).into_data().iter::<i64>().map(|token| token as usize).collect();
        let kept: Vec<usize> = (0..open.len()).filter(|&row| best[row] != config.end).collect();
        if kept.is_empty() {
            break;
        }
        if kept.len() < open.len() {
            state = model.reorder_state(state, &kept)?;
        }
        last = kept.iter().map(|&row| best[row]).collect();
        open = kept.iter().map(|&row| open[row]).collect();
        for (&source, &token) in open.iter().zip(&last) {
            targets[source].push(token);
        }
    }
    Ok(targets)
}

/// The best target that a beam search finds for each source.
///
/// At each step the `beam` best hypotheses of a source go on. Those that end among the best `beam` are kept by their score, and so are those
/// that reach `max_length`. The search for a source is over when `beam` have ended, or when none that goes on can overtake the best.
/// A beam of 1 is [`greedy`].
///
/// # Shapes
///
/// - `source`, `mask_pad`: `[batch, n_source]`, true at padding
///
/// # Errors
///
/// As [`greedy`].
pub fn beam_search<E: SelfAttention, S: StreamingAttention, C: CrossAttention>(
    model: &EncoderDecoder<E, S, C>,
    source: Tensor<2, Int>,
    mask_pad: Option<Tensor<2, Bool>>,
    config: &DecodingConfig,
) -> Result<Vec<Hypothesis>, ErrorOf<E, S, C>> {
    config.check(model)?;
    let (n_sources, device) = (source.dims()[0], source.device());
    let mut state = model.init_state(model.encode(source, mask_pad.clone())?, mask_pad)?;
    let mut beams: Vec<Beam> = (0..n_sources).map(Beam::new).collect();
    for _ in 0..config.max_length {
        let hypotheses = beams.iter().flat_map(|beam| &beam.open);
        let (parents, last): (Vec<_>, Vec<_>) =
            hypotheses.map(|it| (it.row, it.tokens.last().copied().unwrap_or(config.start))).unzip();
        if parents.is_empty() {
            break;
        }
        if parents.len() != state.batch() || parents.iter().enumerate().any(|(row, &parent)| row != parent) {
            state = model.reorder_state(state, &parents)?;
        }
        let logits = model.forward_state(integers(&last, &device).unsqueeze_dim(1), &mut state)?;
        let log_probabilities =
            log_softmax(logits.squeeze_dim::<2>(1), 1).into_data().iter::<f32>().collect::<Vec<_>>();
        let mut rows = log_probabilities.chunks_exact(model.n_target_tokens()).enumerate();
        for beam in &mut beams {
            beam.step(&mut rows, config);
        }
    }
    Ok(beams.into_iter().map(|beam| beam.best(config)).collect())
}

/// The hypotheses of a source.
struct Beam {
    open: Vec<Open>,
    ended: usize,
    best: Option<Hypothesis>,
}

/// A hypothesis that goes on, and the row of the state that has seen all but its last token.
#[derive(Clone)]
struct Open {
    row: usize,
    tokens: Vec<usize>,
    log_probability: f64,
}

impl Beam {
    fn new(row: usize) -> Self {
        Self { open: vec![Open { row, tokens: Vec::new(), log_probability: 0.0 }], ended: 0, best: None }
    }

    /// Takes a row of log-probabilities of the next token for each open hypothesis.
    fn step<'a>(&mut self, rows: &mut impl Iterator<Item = (usize, &'a [f32])>, config: &DecodingConfig) {
        let mut candidates = Vec::new();
        for (hypothesis, (row, next)) in self.open.iter().zip(rows) {
            for token in best_tokens(next, config.beam + 1) {
                candidates.push((hypothesis.log_probability + f64::from(next[token]), hypothesis, row, token));
            }
        }
        // Stable: of equals, the one of the better hypothesis and the lower token is first.
        candidates.sort_by(|a, b| b.0.total_cmp(&a.0));
        let (mut open, mut ended) = (Vec::new(), Vec::new());
        for (rank, (log_probability, hypothesis, row, token)) in candidates.into_iter().enumerate() {
            if token != config.end {
                let tokens = hypothesis.tokens.iter().copied().chain([token]).collect();
                open.push(Open { row, tokens, log_probability });
            } else if rank < config.beam {
                ended.push((hypothesis.tokens.clone(), log_probability));
            }
            if open.len() == config.beam {
                break;
            }
        }
        self.open = open;
        for (tokens, log_probability) in ended {
            let n_tokens = tokens.len() + 1;
            self.end(tokens, n_tokens, log_probability, config);
        }
        // A log-probability only falls, and the longest target divides it by most.
        let attainable = self.open.first().map(|it| it.log_probability / config.penalty(config.max_length));
        let is_beaten = self.best.as_ref().is_some_and(|best| attainable.is_none_or(|it| best.score >= it));
        if self.ended >= config.beam || is_beaten {
            self.open.clear();
        }
    }

    fn end(&mut self, tokens: Vec<usize>, n_tokens: usize, log_probability: f64, config: &DecodingConfig) {
        self.ended += 1;
        let score = log_probability / config.penalty(n_tokens);
        if self.best.as_ref().is_none_or(|best| score > best.score) {
            self.best = Some(Hypothesis { tokens, log_probability, score });
        }
    }

    fn best(mut self, config: &DecodingConfig) -> Hypothesis {
        for Open { tokens, log_probability, .. } in std::mem::take(&mut self.open) {
            let n_tokens = tokens.len();
            self.end(tokens, n_tokens, log_probability, config);
        }
        // Only logits that are not numbers leave nothing.
        self.best.unwrap_or(Hypothesis { tokens: Vec::new(), log_probability: f64::NAN, score: f64::NAN })
    }
}

/// The `n` most probable tokens, the best first; of equals, the lower.
fn best_tokens(log_probabilities: &[f32], n: usize) -> Vec<usize> {
    let order = |&a: &usize, &b: &usize| log_probabilities[b].total_cmp(&log_probabilities[a]).then(a.cmp(&b));
    let mut tokens: Vec<usize> = (0..log_probabilities.len()).collect();
    if n < tokens.len() {
        tokens.select_nth_unstable_by(n, order);
        tokens.truncate(n);
    }
    tokens.sort_unstable_by(order);
    tokens
}
