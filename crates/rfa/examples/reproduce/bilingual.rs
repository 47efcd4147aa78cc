//! Sentences of two languages as tokens, in batches.

use burn::tensor::{Bool, Device, Int, Tensor};
use rekindle_harness::worker::Failure;
use rekindle_shared::data::DataDir;
use rekindle_shared::data::translation::{
    END, Language, Multi30kPart, ParallelText, START, Vocabulary, load_multi30k, pad_tokens,
};

/// Texts to train with, to choose by, to test with, and the words of both languages.
#[derive(Debug)]
pub(crate) struct Corpus {
    pub(crate) vocabularies: [Vocabulary; 2],
    pub(crate) train: Vec<Pair>,
    pub(crate) validation: Vec<Pair>,
    pub(crate) test: Vec<Pair>,
    /// The test's targets as they are.
    pub(crate) references: Vec<String>,
}

/// A sentence and its translation.
#[derive(Debug, Clone)]
pub(crate) struct Pair {
    /// With [`END`].
    source: Vec<usize>,
    /// Without [`START`] and [`END`].
    target: Vec<usize>,
}

/// Some pairs, filled up.
#[derive(Debug)]
pub(crate) struct Batch {
    /// `[batch, n_source]`
    pub(crate) source: Tensor<2, Int>,
    /// `[batch, n_source]`
    pub(crate) mask_pad: Tensor<2, Bool>,
    /// `[batch, length]`, from [`START`] on.
    pub(crate) input: Tensor<2, Int>,
    /// `[batch * length]`: what follows each token, up to [`END`].
    pub(crate) next: Tensor<1, Int>,
    /// `[batch * length]`: 1, and 0 at padding.
    pub(crate) weights: Tensor<1>,
    /// Tokens that are no padding.
    pub(crate) n_tokens: usize,
}

impl Corpus {
    /// German to English.
    pub(crate) fn multi30k(data: &DataDir, n_train: usize, min_frequency: usize) -> Result<Self, Failure> {
        let located = data.locate("multi30k").map_err(Failure::data)?;
        let load = |part| load_multi30k(&located, part, [Language::German, Language::English]).map_err(Failure::data);
        let [train, validation, test] =
            [load(Multi30kPart::Train)?, load(Multi30kPart::Validation)?, load(Multi30kPart::Test2016)?];
        Self::new([&train, &validation, &test], n_train, min_frequency)
    }

    /// Of the first `n_train` lines to train with.
    pub(crate) fn new(
        [train, validation, test]: [&ParallelText; 3],
        n_train: usize,
        min_frequency: usize,
    ) -> Result<Self, Failure> {
        let n_train = n_train.min(train.len());
        let words = |lines: &[String]| Vocabulary::new(&lines[..n_train], min_frequency);
        let vocabularies = [words(train.source())?, words(train.target())?];
        let pairs = |text: &ParallelText, n: usize| {
            let pair = |(source, target): (&String, &String)| Pair {
                source: [vocabularies[0].encode(source), vec![END]].concat(),
                target: vocabularies[1].encode(target),
            };
            text.source().iter().zip(text.target()).take(n).map(pair).collect::<Vec<_>>()
        };
        Ok(Self {
            train: pairs(train, n_train),
            validation: pairs(validation, validation.len()),
            test: pairs(test, test.len()),
            references: test.target().to_vec(),
            vocabularies,
        })
    }
}

impl Pair {
    /// By which batches are sorted: padding of targets costs most.
    pub(crate) fn length(&self) -> usize {
        self.target.len() * 1000 + self.source.len()
    }

    pub(crate) fn source_length(&self) -> usize {
        self.source.len()
    }
}

impl Batch {
    pub(crate) fn new(pairs: &[&Pair], device: &Device) -> Self {
        let sources: Vec<_> = pairs.iter().map(|pair| &pair.source[..]).collect();
        let with = |before: &[usize], after: &[usize]| {
            let target = |pair: &&Pair| [before, &pair.target, after].concat();
            pad_tokens(&pairs.iter().map(target).collect::<Vec<_>>(), device)
        };
        let (source, input, next) = (pad_tokens(&sources, device), with(&[START], &[]), with(&[], &[END]));
        let [batch, length] = next.tokens.dims();
        Self {
            source: source.tokens,
            mask_pad: source.mask_pad,
            input: input.tokens,
            weights: next.mask_pad.bool_not().float().reshape([batch * length]),
            next: next.tokens.reshape([batch * length]),
            n_tokens: pairs.iter().map(|pair| pair.target.len() + 1).sum(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_goes_in_from_the_start_and_is_asked_for_up_to_the_end() {
        let pairs =
            [Pair { source: vec![7, END], target: vec![5, 6] }, Pair { source: vec![8, 9, END], target: vec![4] }];
        let batch = Batch::new(&pairs.iter().collect::<Vec<_>>(), &Device::flex());
        let ids = |tokens: Tensor<2, Int>| tokens.into_data().iter::<i64>().collect::<Vec<_>>();
        let [start, end] = [START as i64, END as i64];
        assert_eq!(ids(batch.source), [7, end, 0, 8, 9, end]);
        assert_eq!(ids(batch.input), [start, 5, 6, start, 4, 0]);
        assert_eq!(ids(batch.next.unsqueeze()), [5, 6, end, 4, end, 0]);
        assert_eq!(batch.weights.into_data().iter::<f32>().collect::<Vec<_>>(), [1.0, 1.0, 1.0, 1.0, 1.0, 0.0]);
        assert_eq!(
            batch.mask_pad.into_data().iter::<bool>().collect::<Vec<_>>(),
            [false, false, true, false, false, false]
        );
        assert_eq!(batch.n_tokens, 5);
    }
}
