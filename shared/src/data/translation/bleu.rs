use std::collections::HashMap;

use burn::config::Config;
use thiserror::Error;

use super::tokenize_13a;

/// Longest n-grams.
const N: usize = 4;

/// How [`bleu`] compares.
#[derive(Config, Debug)]
pub struct BleuConfig {
    /// Whether case makes no difference (sacreBLEU's `-lc`). Default no.
    #[config(default = false)]
    pub lowercase: bool,
}

/// BLEU of a corpus and what it is made of.
#[derive(Debug, Clone, PartialEq)]
pub struct Bleu {
    /// BLEU-4, from 0 to 100.
    pub score: f64,
    /// Precisions of 1-grams to 4-grams, from 0 to 100; smoothed where nothing matches.
    pub precisions: [f64; N],
    /// From 0 to 1.
    pub brevity_penalty: f64,
    /// Tokens of the hypotheses.
    pub hypothesis_length: usize,
    /// Tokens of the references, of each sentence those of the one nearest in length.
    pub reference_length: usize,
}

/// Why [`bleu`] could not compare.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BleuError {
    /// Another number of hypotheses than of sentences with references.
    #[error("{hypotheses} hypotheses do not fit references of {references} sentences: there has to be one for each")]
    Lengths {
        /// Hypotheses.
        hypotheses: usize,
        /// Sentences with references.
        references: usize,
    },
    /// A sentence without reference.
    #[error("sentence {0} has no reference: each needs at least one")]
    NoReference(usize),
    /// Nothing to compare.
    #[error("there are no sentences: BLEU needs at least one")]
    Empty,
}

/// BLEU-4 of a corpus (Papineni et al. 2002): the geometric mean of the clipped precisions of 1-grams to 4-grams, times
/// exp(1 − r/c) where the hypotheses have fewer tokens, c, than the references, r.
///
/// Counts and lengths are sums over the corpus. Tokens are those of [`tokenize_13a`]; where no n-gram of a length matches,
/// its precision is 1/(2ᵏ · n-grams) for the k-th such length, and where nothing matches at all, BLEU is 0. This is what
/// sacreBLEU gives with the signature `case:mixed|eff:no|tok:13a|smooth:exp`, with `lowercase` `case:lc`.
///
/// `references` has one or more for each hypothesis.
///
/// # Errors
///
/// [`BleuError`] for a hypothesis without a reference or the other way around, and for no sentences.
///
/// ```
/// use rekindle_shared::data::translation::{BleuConfig, bleu};
///
/// let found = bleu(&["the cat sat on the mat ."], &[["The cat sat on the mat."]], &BleuConfig::new())?;
/// assert!((found.score - 80.91).abs() < 0.01);
/// # Ok::<(), rekindle_shared::data::translation::BleuError>(())
/// ```
pub fn bleu<H: AsRef<str>, R: AsRef<[T]>, T: AsRef<str>>(
    hypotheses: &[H],
    references: &[R],
    config: &BleuConfig,
) -> Result<Bleu, BleuError> {
    let lengths = (hypotheses.len(), references.len());
    if lengths.0 != lengths.1 {
        return Err(BleuError::Lengths { hypotheses: lengths.0, references: lengths.1 });
    }
    if hypotheses.is_empty() {
        return Err(BleuError::Empty);
    }
    let tokens = |line: &str| match config.lowercase {
        true => tokenize_13a(&line.to_lowercase()),
        false => tokenize_13a(line),
    };
    let mut counts = Counts::default();
    for (sentence, (hypothesis, references)) in hypotheses.iter().zip(references).enumerate() {
        let references: Vec<_> = references.as_ref().iter().map(|line| tokens(line.as_ref())).collect();
        if references.is_empty() {
            return Err(BleuError::NoReference(sentence));
        }
        counts.add(&tokens(hypothesis.as_ref()), &references);
    }
    Ok(counts.bleu())
}

#[derive(Default)]
struct Counts {
    matches: [usize; N],
    totals: [usize; N],
    hypothesis: usize,
    reference: usize,
}

impl Counts {
    fn add(&mut self, hypothesis: &[String], references: &[Vec<String>]) {
        let length = hypothesis.len();
        self.hypothesis += length;
        // Of two as near, the shorter.
        let nearest = references.iter().map(Vec::len).min_by_key(|&it| (it.abs_diff(length), it));
        self.reference += nearest.unwrap_or(0);
        for n in 1..=N {
            let mut most = HashMap::new();
            for reference in references {
                for (ngram, count) in ngrams(reference, n) {
                    let most = most.entry(ngram).or_insert(0);
                    *most = count.max(*most);
                }
            }
            let clipped = |(ngram, count): (&[String], usize)| count.min(most.get(ngram).copied().unwrap_or(0));
            self.matches[n - 1] += ngrams(hypothesis, n).into_iter().map(clipped).sum::<usize>();
            self.totals[n - 1] += (length + 1).saturating_sub(n);
        }
    }

    fn bleu(&self) -> Bleu {
        let (c, r) = (self.hypothesis as f64, self.reference as f64);
        let brevity_penalty = match self.hypothesis {
            0 => 0.0,
            hypothesis if hypothesis >= self.reference => 1.0,
            _ => (1.0 - r / c).exp(),
        };
        let mut precisions = [0.0; N];
        if self.matches != [0; N] {
            let mut smoothed = 1.0;
            for ((precision, &matches), &total) in precisions.iter_mut().zip(&self.matches).zip(&self.totals) {
                *precision = match (matches, total) {
                    (_, 0) => 0.0,
                    (0, total) => {
                        smoothed *= 2.0;
                        100.0 / (smoothed * total as f64)
                    }
                    (matches, total) => 100.0 * matches as f64 / total as f64,
                };
            }
        }
        // The logarithm of 0 makes the mean 0.
        let mean = (precisions.iter().map(|it| it.ln()).sum::<f64>() / N as f64).exp();
        Bleu {
            score: brevity_penalty * mean,
            precisions,
            brevity_penalty,
            hypothesis_length: self.hypothesis,
            reference_length: self.reference,
        }
    }
}

fn ngrams(tokens: &[String], n: usize) -> HashMap<&[String], usize> {
    let mut counts = HashMap::new();
    for ngram in tokens.windows(n) {
        *counts.entry(ngram).or_insert(0) += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use rekindle_harness::data::DataDir;

    use super::*;
    use crate::data::translation::{Language, Multi30kPart, load_multi30k};

    /// Sentences of Multi30k, and what became of them.
    const CHANGED: [(&str, &str); 6] = [
        (
            "Five red winter jackets helmets stand in the snow, with snowmobiles in background.",
            "Five people wearing winter jackets and helmets stand in the snow, with snowmobiles in the background.",
        ),
        (
            "mother AND her young song enjoying a beautiful day outside.",
            "A mother and her young song enjoying a beautiful day outside.",
        ),
        ("men wearing black costumes, a city", "Two men wearing black in a city"),
        ("A worker driving heavy equipment a work", "A construction worker is driving heavy equipment at a work site."),
        (
            "An AFRICAN American child is is something UP that those in picture are proud OF.",
            "An African American child is holding something up that those in the picture are proud of.",
        ),
        ("A group of people walk down the is in the through", "A group of people walk down the street in the sun."),
    ];

    fn of(hypotheses: &[&str], references: &[Vec<&str>], lowercase: bool) -> Bleu {
        bleu(hypotheses, references, &BleuConfig::new().with_lowercase(lowercase)).unwrap()
    }

    fn assert_near(found: &Bleu, score: f64, precisions: [f64; 4], brevity_penalty: f64, lengths: [usize; 2]) {
        let expected = [&[score, brevity_penalty][..], &precisions].concat();
        let values = [&[found.score, found.brevity_penalty][..], &found.precisions].concat();
        let near = values.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-9);
        assert!(near, "{found:?}: expected {expected:?}");
        assert_eq!([found.hypothesis_length, found.reference_length], lengths);
    }

    /// The numbers are those of sacreBLEU 2.6.0.
    #[test]
    fn bleu_is_that_of_sacrebleu() {
        let (hypotheses, references): (Vec<_>, Vec<_>) = CHANGED.iter().map(|&(h, r)| (h, vec![r])).unzip();
        let precisions = [85.07462686567165, 60.65573770491803, 43.63636363636363, 32.6530612244898];
        let found = of(&hypotheses, &references, false);
        assert_near(&found, 44.18847564396972, precisions, 0.8485900219960868, [67, 78]);
        let precisions = [91.04477611940298, 73.77049180327869, 58.18181818181818, 48.97959183673469];
        let found = of(&hypotheses, &references, true);
        assert_near(&found, 56.12843863118683, precisions, 0.8485900219960868, [67, 78]);

        // The precisions of 3-grams and 4-grams are smoothed.
        let hypotheses = ["The dog and the cat sat.", "Two men"];
        let references = [vec!["A dog with a cat is sitting."], vec!["Two men are walking."]];
        let precisions = [55.55555555555556, 14.285714285714286, 10.0, 6.25];
        let found = of(&hypotheses, &references, false);
        assert_near(&found, 9.568802664841456, precisions, 0.6411803884299546, [9, 13]);

        // Two references.
        let hypotheses = ["The dog and a cat sat.", "Two men are walking in rain today now."];
        let references = [
            vec!["A dog with a cat is sitting.", "A dog and a cat sat there."],
            vec!["Two men are walking.", "Two men walking in the rain."],
        ];
        let precisions = [81.25, 57.142857142857146, 41.666666666666664, 30.0];
        let found = of(&hypotheses, &references, false);
        assert_near(&found, 49.08217883456866, precisions, 1.0, [16, 15]);

        let hypotheses = ["It costs $1,000.50, \"ok\"? (Yes: 5-year-old's T-shirt & co.) &quot;x&amp;y&quot;"];
        let references = [vec!["It costs $1,000.50, \"OK\"? (Yes: 5-year-old's T-shirt & Co.) \"x&y\""]];
        let precisions = [92.0, 83.33333333333333, 73.91304347826087, 63.63636363636363];
        let found = of(&hypotheses, &references, false);
        assert_near(&found, 77.49224723289701, precisions, 1.0, [25, 25]);
    }

    /// The numbers are those of sacreBLEU 2.6.0.
    #[test]
    fn bleu_is_0_where_there_are_too_few_words_or_none_match() {
        let found = of(&["A man."], &[vec!["A man in a red shirt."]], false);
        assert_near(&found, 0.0, [100.0, 50.0, 50.0, 0.0], 0.2635971381157267, [3, 7]);
        let found = of(&["x y z"], &[vec!["a b c d"]], false);
        assert_near(&found, 0.0, [0.0; 4], 0.7165313105737893, [3, 4]);
        let found = of(&["", ""], &[vec!["a b"], vec!["c"]], false);
        assert_near(&found, 0.0, [0.0; 4], 0.0, [0, 3]);
    }

    /// The numbers are those of sacreBLEU 2.6.0.
    #[test]
    fn bleu_of_a_thousand_sentences_is_that_of_sacrebleu() {
        if std::env::var_os("REKINDLE_DATA").is_none() {
            println!("skipped: REKINDLE_DATA is not set");
            return;
        }
        let Ok(located) = DataDir::resolve(None).locate("multi30k") else {
            println!("skipped: REKINDLE_DATA has no multi30k");
            return;
        };
        let text = load_multi30k(&located, Multi30kPart::Test2016, [Language::German, Language::English]).unwrap();
        // Words left out, doubled, and in upper case.
        let change = |(i, line): (usize, &String)| {
            let mut words = Vec::new();
            for (j, word) in line.split_whitespace().enumerate().filter(|(j, _)| !(i + j).is_multiple_of(5)) {
                words.extend((0..if (i + j).is_multiple_of(7) { 2 } else { 1 }).map(|_| word.to_owned()));
                if (i + j).is_multiple_of(11)
                    && let Some(last) = words.last_mut()
                {
                    *last = last.to_uppercase();
                }
            }
            words.join(" ")
        };
        let hypotheses: Vec<_> = text.target().iter().enumerate().map(change).collect();
        let references: Vec<_> = text.target().iter().map(|line| [line]).collect();
        for (lowercase, score) in [(false, 33.73322650332511), (true, 42.0449428331063)] {
            let found = bleu(&hypotheses, &references, &BleuConfig::new().with_lowercase(lowercase)).unwrap();
            assert!((found.score - score).abs() < 1e-9, "{found:?}");
            assert_eq!([found.hypothesis_length, found.reference_length], [11_808, 12_955]);
        }
    }

    #[test]
    fn sentences_that_do_not_go_together_are_refused() {
        let config = BleuConfig::new();
        let none: [[&str; 1]; 0] = [];
        let error = bleu(&["a"], &none, &config).unwrap_err();
        let message = "1 hypotheses do not fit references of 0 sentences: there has to be one for each";
        assert_eq!(error.to_string(), message);
        assert_eq!(bleu(&[] as &[&str], &none, &config), Err(BleuError::Empty));
        assert_eq!(bleu(&["a"], &[[] as [&str; 0]], &config), Err(BleuError::NoReference(0)));
    }
}
