use std::cmp::Reverse;
use std::collections::HashMap;

use super::tokenize_13a;
use crate::data::DatasetError;

/// The token of padding.
pub const PAD: usize = 0;
/// The token of words that a vocabulary lacks.
pub const UNKNOWN: usize = 1;
/// The token before a sentence.
pub const START: usize = 2;
/// The token after a sentence.
pub const END: usize = 3;

const SPECIAL: [&str; 4] = ["<pad>", "<unk>", "<start>", "<end>"];

/// Tokens of lower-cased words and signs, those of [`tokenize_13a`]: [`PAD`], [`UNKNOWN`], [`START`] and [`END`] first,
/// then words by their frequency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vocabulary {
    words: Vec<String>,
    tokens: HashMap<String, usize>,
}

impl Vocabulary {
    /// The words that are there `min_frequency` times or more; of as frequent ones the first of the alphabet comes first.
    ///
    /// # Errors
    ///
    /// [`DatasetError::Config`] for a `min_frequency` of 0.
    pub fn new<L: AsRef<str>>(lines: impl IntoIterator<Item = L>, min_frequency: usize) -> Result<Self, DatasetError> {
        if min_frequency == 0 {
            return Err(DatasetError::Config { name: "min_frequency", rule: "at least 1", value: 0.0 });
        }
        let mut counts = HashMap::<String, usize>::new();
        for line in lines {
            words(line.as_ref()).for_each(|word| *counts.entry(word).or_default() += 1);
        }
        let mut counts: Vec<_> = counts.into_iter().filter(|&(_, count)| count >= min_frequency).collect();
        counts.sort_by(|a, b| (Reverse(a.1), &a.0).cmp(&(Reverse(b.1), &b.0)));
        let special = SPECIAL.map(str::to_owned).into_iter();
        let words: Vec<_> = special.chain(counts.into_iter().map(|(word, _)| word)).collect();
        let tokens = words.iter().enumerate().map(|(token, word)| (word.clone(), token)).collect();
        Ok(Self { words, tokens })
    }

    /// Tokens, the special ones too.
    #[expect(clippy::len_without_is_empty, reason = "it never is")]
    pub fn len(&self) -> usize {
        self.words.len()
    }

    /// The words by their tokens.
    pub fn words(&self) -> &[String] {
        &self.words
    }

    /// The tokens of a line, without [`START`] and [`END`].
    pub fn encode(&self, line: &str) -> Vec<usize> {
        words(line).map(|word| self.tokens.get(&word).copied().unwrap_or(UNKNOWN)).collect()
    }

    /// The words of tokens, with blanks between; [`PAD`], [`START`] and [`END`] give none.
    ///
    /// # Errors
    ///
    /// [`DatasetError::IndexOutOfRange`] for a token that the vocabulary lacks.
    pub fn decode(&self, tokens: &[usize]) -> Result<String, DatasetError> {
        let shown = tokens.iter().filter(|token| ![PAD, START, END].contains(token));
        let word = |&index: &usize| {
            let error = DatasetError::IndexOutOfRange { index, len: self.len() };
            self.words.get(index).map(String::as_str).ok_or(error)
        };
        Ok(shown.map(word).collect::<Result<Vec<_>, _>>()?.join(" "))
    }
}

fn words(line: &str) -> impl Iterator<Item = String> + use<> {
    tokenize_13a(&line.to_lowercase()).into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_come_by_frequency_then_by_the_alphabet() {
        let lines = ["A dog. A cat.", "The dog, the CAT and a bird."];
        let vocabulary = Vocabulary::new(lines, 2).unwrap();
        let words = ["<pad>", "<unk>", "<start>", "<end>", ".", "a", "cat", "dog", "the"];
        assert_eq!(vocabulary.words(), words);
        assert_eq!(vocabulary.len(), 9);
        assert_eq!(Vocabulary::new(lines, 1).unwrap().len(), 12);
        assert_eq!(vocabulary.encode("A bird, a cat."), [5, UNKNOWN, UNKNOWN, 5, 6, 4]);
        // Words of a text can't be special.
        assert_eq!(vocabulary.encode("<pad>"), [UNKNOWN; 3]);
    }

    #[test]
    fn tokens_give_their_words_back() {
        let vocabulary = Vocabulary::new(["a man's T-shirt ."], 1).unwrap();
        let tokens = [&[START][..], &vocabulary.encode("A man's T-shirt is red."), &[END, PAD]].concat();
        assert_eq!(vocabulary.decode(&tokens).unwrap(), "a man's t-shirt <unk> <unk> .");
        let error = vocabulary.decode(&[8]).unwrap_err();
        assert_eq!(error, DatasetError::IndexOutOfRange { index: 8, len: 8 });
        let error = Vocabulary::new(["a"], 0).unwrap_err().to_string();
        assert_eq!(error, "min_frequency has to be at least 1, got 0");
    }
}
