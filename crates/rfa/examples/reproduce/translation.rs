//! Translation of Multi30k, German to English, with RFA in the decoder's causal and cross attention.

use std::collections::BTreeMap;
use std::time::Instant;

use burn::grad_clipping::GradientClippingConfig;
use burn::module::Module;
use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Tensor};
use rand::Rng;
use rekindle_harness::Results;
use rekindle_harness::worker::{Context, Failure, Outcome};
use rekindle_rfa::resample;
use rekindle_shared::data::translation::{BleuConfig, END, START, batches_by_length, bleu};
use rekindle_shared::data::{Stream, Streams};
use rekindle_shared::model::{seeded, try_init_seeded};
use rekindle_shared::networks::{
    DecodingConfig, EncoderDecoderConfig, Positions, SoftmaxAttentionConfig, beam_search, greedy,
};
use serde::{Deserialize, Serialize};

use crate::bilingual::{Batch, Corpus, Pair};
use crate::translator::{Method, Refused, Translator};

/// Most tokens of a sentence, with start or end.
const MAX_LENGTH: usize = 64;
/// Sentences that are decoded together.
const DECODED: usize = 100;
const BEAM: usize = 4;

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Translation {
    pub(crate) method: Method,
    /// Pairs to train with.
    pub(crate) n_train: usize,
    /// Of a word of the vocabularies.
    pub(crate) min_frequency: usize,
    pub(crate) d_model: usize,
    pub(crate) n_heads: usize,
    /// Of the encoder, and of the decoder.
    pub(crate) n_layers: usize,
    pub(crate) expansion: usize,
    pub(crate) dropout: f64,
    pub(crate) tied: bool,
    pub(crate) epochs: usize,
    /// Sentences of a batch.
    pub(crate) batch_size: usize,
    /// At the end of the warm-up; it falls with the inverse square root of the step.
    pub(crate) learning_rate: f64,
    pub(crate) warm_up: usize,
    pub(crate) label_smoothing: f64,
    /// Largest norm of a parameter's gradient.
    pub(crate) clip: f32,
}

impl Translation {
    /// About in seconds.
    pub(crate) fn cost(&self) -> f64 {
        let n_steps = self.epochs * self.n_train.div_ceil(self.batch_size);
        n_steps as f64 * if self.method == Method::Softmax { 0.2 } else { 0.3 }
    }

    pub(crate) fn run(&self, seed: u64, context: &Context, device: &Device) -> Result<Outcome, Failure> {
        let corpus = Corpus::multi30k(&context.data, self.n_train, self.min_frequency)?;
        Ok(Outcome { results: self.learn(&corpus, seed, context, device)?, ..Outcome::default() })
    }

    fn build(&self, corpus: &Corpus, streams: Streams, device: &Device) -> Result<Translator, Refused> {
        let [n_source, n_target] = corpus.vocabularies.each_ref().map(|vocabulary| vocabulary.len());
        let config = EncoderDecoderConfig::new(n_source, n_target, MAX_LENGTH)
            .with_d_model(self.d_model)
            .with_n_encoder_layers(self.n_layers)
            .with_n_decoder_layers(self.n_layers)
            .with_expansion(self.expansion)
            .with_dropout(self.dropout)
            .with_tied(self.tied)
            .with_positions(Positions::Sinusoidal);
        let sizes = [self.d_model, self.n_heads];
        // Directions of their own in every place.
        let place = |i: usize| streams.seed_of(Stream::Method).wrapping_add(i as u64);
        try_init_seeded(streams.seed_of(Stream::Init), device, |device| {
            let encoder = SoftmaxAttentionConfig::new(self.d_model, self.n_heads).with_causal(false);
            config.init(
                |_| Ok(encoder.init(device)?),
                |layer| self.method.causal(sizes, false, place(2 * layer), device),
                |layer| self.method.cross(sizes, place(2 * layer + 1), device),
                device,
            )
        })
    }

    fn learn(&self, corpus: &Corpus, seed: u64, context: &Context, device: &Device) -> Result<Results, Failure> {
        let streams = Streams::new(seed);
        let mut model = self.build(corpus, streams, device)?;
        let clip = Some(GradientClippingConfig::Norm(self.clip));
        let mut optimizer = AdamConfig::new().with_beta_2(0.98).with_epsilon(1e-9).with_grad_clipping(clip).init();
        let mut order = streams.stream(Stream::Batches);
        let lengths: Vec<_> = corpus.train.iter().map(Pair::length).collect();
        let n_steps = self.epochs * corpus.train.len().div_ceil(self.batch_size);
        let (mut step, mut losses, mut validation) = (0, Vec::new(), Vec::new());
        let plain = device.clone().without_autodiff();
        for _ in 0..self.epochs {
            let mut sum = 0.0;
            let batches = batches_by_length(&lengths, self.batch_size, &mut order)?;
            for indices in &batches {
                // New directions for every step.
                model = resample(model, step as u64);
                let pairs: Vec<_> = indices.iter().map(|&i| &corpus.train[i]).collect();
                let batch = Batch::new(&pairs, device);
                let dropout = streams.substream(Stream::Method, 1 + step as u64).next_u64();
                let loss = seeded(dropout, device, || self.loss(&model, batch))?;
                sum += loss.clone().into_scalar::<f64>();
                let grads = GradientsParams::from_grads(loss.backward(), &model);
                step += 1;
                model = optimizer.step(self.learning_rate_of(step), model, grads);
                context.progress(step, n_steps + n_steps / 10);
            }
            losses.push(sum / batches.len() as f64);
            validation.push(validate(&model.valid(), &corpus.validation, &plain)?);
        }
        let model = model.valid();
        let mut metrics = BTreeMap::from([
            ("validation_loss".to_owned(), validation.last().copied().unwrap_or(f64::NAN)),
            ("train_loss".to_owned(), losses.last().copied().unwrap_or(f64::NAN)),
        ]);
        for (name, beam) in [("bleu_greedy", 1), ("bleu", BEAM)] {
            metrics.insert(name.to_owned(), test(&model, corpus, beam, &plain)?);
        }
        let diverged = !losses.iter().chain(&validation).all(|loss| loss.is_finite());
        let curves = BTreeMap::from([("loss".to_owned(), losses), ("validation_loss".to_owned(), validation)]);
        Ok(Results { diverged, metrics, curves, ..Results::default() })
    }

    /// From 1 on.
    fn learning_rate_of(&self, step: usize) -> f64 {
        let share = step as f64 / self.warm_up as f64;
        self.learning_rate * share.min(share.sqrt().recip())
    }

    /// Cross entropy with smoothed labels, in nats a token.
    fn loss(&self, model: &Translator, batch: Batch) -> Result<Tensor<1>, Failure> {
        let n_tokens = batch.n_tokens as f64;
        let logs = log_probabilities(model, &batch)?;
        let right = logs.clone().gather(1, batch.next.unsqueeze_dim(1));
        let smoothed = right * (1.0 - self.label_smoothing) + logs.mean_dim(1) * self.label_smoothing;
        Ok((smoothed.squeeze_dim::<1>(1) * batch.weights).sum().neg() / n_tokens)
    }
}

/// `[batch * length, n_words]`
fn log_probabilities(model: &Translator, batch: &Batch) -> Result<Tensor<2>, Failure> {
    let logits = model.forward(batch.source.clone(), Some(batch.mask_pad.clone()), batch.input.clone())?;
    Ok(log_softmax(logits.flatten::<2>(0, 1), 1))
}

/// Cross entropy in nats a token.
fn validate(model: &Translator, pairs: &[Pair], device: &Device) -> Result<f64, Failure> {
    let mut sorted: Vec<_> = pairs.iter().collect();
    sorted.sort_by_key(|pair| pair.length());
    let (mut sum, mut n_tokens) = (0.0, 0);
    for pairs in sorted.chunks(DECODED) {
        let batch = Batch::new(pairs, device);
        let right = log_probabilities(model, &batch)?.gather(1, batch.next.unsqueeze_dim(1));
        sum -= (right.squeeze_dim::<1>(1) * batch.weights).sum().into_scalar::<f64>();
        n_tokens += batch.n_tokens;
    }
    Ok(sum / n_tokens as f64)
}

/// BLEU of the test, whatever the case; a beam of 1 is greedy.
fn test(model: &Translator, corpus: &Corpus, beam: usize, device: &Device) -> Result<f64, Failure> {
    let hypotheses = translate(model, corpus, beam, device)?;
    let references: Vec<_> = corpus.references.iter().map(|line| [line]).collect();
    Ok(bleu(&hypotheses, &references, &BleuConfig::new().with_lowercase(true))?.score)
}

fn translate(model: &Translator, corpus: &Corpus, beam: usize, device: &Device) -> Result<Vec<String>, Failure> {
    let config = DecodingConfig::new(START, END, MAX_LENGTH).with_beam(beam);
    let mut order: Vec<_> = (0..corpus.test.len()).collect();
    order.sort_by_key(|&i| corpus.test[i].source_length());
    let mut hypotheses = vec![String::new(); order.len()];
    for indices in order.chunks(DECODED) {
        let pairs: Vec<_> = indices.iter().map(|&i| &corpus.test[i]).collect();
        let Batch { source, mask_pad, .. } = Batch::new(&pairs, device);
        let targets = match beam {
            1 => greedy(model, source, Some(mask_pad), &config)?,
            _ => beam_search(model, source, Some(mask_pad), &config)?.into_iter().map(|found| found.tokens).collect(),
        };
        for (&i, target) in indices.iter().zip(targets) {
            // One word that matches none, where BLEU would see three.
            hypotheses[i] = corpus.vocabularies[1].decode(&target)?.replace("<unk>", "\u{2047}");
        }
    }
    Ok(hypotheses)
}

/// Time of decoding with weights as they were drawn.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct DecodingSpeed {
    pub(crate) translation: Translation,
    /// Sentences decoded together.
    pub(crate) batch_size: usize,
}

impl DecodingSpeed {
    /// About in seconds.
    pub(crate) fn cost(&self) -> f64 {
        if self.batch_size == 1 { 25.0 } else { 5.0 }
    }

    /// Seconds for the test's references, token by token.
    pub(crate) fn run(&self, seed: u64, context: &Context, device: &Device) -> Result<Outcome, Failure> {
        let Translation { n_train, min_frequency, .. } = self.translation;
        let corpus = Corpus::multi30k(&context.data, n_train, min_frequency)?;
        let model = self.translation.build(&corpus, Streams::new(seed), device)?;
        let mut sorted: Vec<_> = corpus.test.iter().collect();
        sorted.sort_by_key(|pair| pair.length());
        let batches: Vec<_> = sorted.chunks(self.batch_size).map(|pairs| Batch::new(pairs, device)).collect();
        decode(&model, &batches[..1])?;
        let start = Instant::now();
        decode(&model, &batches)?;
        let seconds = start.elapsed().as_secs_f64();
        let n_tokens: usize = batches.iter().map(|batch| batch.n_tokens).sum();
        let measurements = BTreeMap::from([("tokens_per_second".to_owned(), n_tokens as f64 / seconds)]);
        Ok(Outcome { measurements, ..Outcome::default() })
    }
}

/// The most probable next token at each step, though it goes on with the reference's.
fn decode(model: &Translator, batches: &[Batch]) -> Result<(), Failure> {
    for batch in batches {
        let memory = model.encode(batch.source.clone(), Some(batch.mask_pad.clone()))?;
        let mut state = model.init_state(memory, Some(batch.mask_pad.clone()))?;
        for position in 0..batch.input.dims()[1] {
            let logits = model.forward_state(batch.input.clone().narrow(1, position, 1), &mut state)?;
            let _read: Vec<i64> = logits.argmax(2).into_data().iter().collect();
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use rekindle_rfa::Kernel;
    use rekindle_shared::backend;
    use rekindle_shared::data::DataDir;
    use rekindle_shared::data::translation::ParallelText;

    use super::*;

    const RFA: Method = Method::Rfa { kernel: Kernel::Gaussian, gate: true, causal_features: 8, cross_features: 16 };

    fn small(method: Method) -> Translation {
        Translation {
            method,
            n_train: 40,
            min_frequency: 1,
            d_model: 32,
            n_heads: 2,
            n_layers: 1,
            expansion: 2,
            dropout: 0.0,
            tied: true,
            epochs: 50,
            batch_size: 10,
            learning_rate: 1e-2,
            warm_up: 10,
            label_smoothing: 0.1,
            clip: 0.5,
        }
    }

    /// Colors of two languages, word by word.
    fn colors() -> Corpus {
        let words = [("rot", "red"), ("blau", "blue"), ("gelb", "yellow"), ("weiß", "white"), ("braun", "brown")];
        let line = |i: usize| (0..4 + i % 2).map(move |j| words[(i / 5_usize.pow(j as u32) + i * j) % 5]);
        let of = |n: usize| {
            let join = |side: fn((&'static str, &'static str)) -> &'static str| {
                (0..n).map(|i| line(i).map(side).collect::<Vec<_>>().join(" ")).collect()
            };
            ParallelText::new("colors", join(|word| word.0), join(|word| word.1)).unwrap()
        };
        Corpus::new([&of(40), &of(10), &of(10)], 40, 1).unwrap()
    }

    fn learn(translation: Translation, seed: u64) -> Results {
        let device = backend::open("flex").unwrap().autodiff();
        let context = Context::detached("flex", DataDir::resolve(None));
        translation.learn(&colors(), seed, &context, &device).unwrap()
    }

    #[test]
    fn every_method_learns_to_translate_colors() {
        for method in [Method::Softmax, Method::EluPlusOne, RFA] {
            let results = learn(small(method), 1);
            let loss = &results.curves["validation_loss"];
            assert!(loss[49] < 0.5 * loss[0], "{method:?}: {loss:?}");
            assert!(results.metrics["bleu"] > 20.0, "{method:?}: {:?}", results.metrics);
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_results_and_another_seed_others() {
        let translation = Translation { epochs: 2, dropout: 0.1, ..small(RFA) };
        assert_eq!(learn(translation, 1), learn(translation, 1));
        assert_ne!(learn(translation, 1).metrics["train_loss"], learn(translation, 2).metrics["train_loss"]);
    }

    #[test]
    fn the_learning_rate_rises_then_falls_by_the_root_of_the_step() {
        let rates = [1, 5, 10, 40].map(|step| small(Method::Softmax).learning_rate_of(step));
        for (rate, expected) in rates.into_iter().zip([1e-3, 5e-3, 1e-2, 5e-3]) {
            assert!((rate - expected).abs() < 1e-12, "{rates:?}");
        }
    }
}
