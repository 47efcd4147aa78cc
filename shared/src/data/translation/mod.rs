//! Translation: texts that are translations of each other, their words, and BLEU.
//!
//! ```
//! use rekindle_shared::data::translation::{BleuConfig, END, START, Vocabulary, bleu, pad_tokens};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let lines = ["A man sleeps.", "A man sits on a couch.", "A man and a dog."];
//! let vocabulary = Vocabulary::new(lines, 2)?;
//! let tokens = vocabulary.encode("A man barks.");
//! assert_eq!(vocabulary.decode(&tokens)?, "a man <unk> .");
//!
//! let target = [&[START][..], &tokens, &[END]].concat();
//! # let device = burn::prelude::Device::flex();
//! let batch = pad_tokens(&[target, vec![START, END]], &device);
//! assert_eq!(batch.tokens.dims(), [2, 6]);
//!
//! let score = bleu(&["a man sits on the couch ."], &[["A man sits on a couch."]], &BleuConfig::new().with_lowercase(true))?;
//! assert!(score.score > 48.0);
//! # Ok(())
//! # }
//! ```
//!
//! [`load_multi30k`] reads Multi30k, [`read_parallel_text`] any pair of files whose lines go together.

mod bleu;
mod length;
mod multi30k;
mod pad;
mod parallel;
mod tokenize;
mod vocabulary;

pub use bleu::{Bleu, BleuConfig, BleuError, bleu};
pub use length::batches_by_length;
pub use multi30k::{Language, Multi30kPart, load_multi30k};
pub use pad::{PaddedTokens, pad_tokens};
pub use parallel::{ParallelText, read_parallel_text};
pub use tokenize::tokenize_13a;
pub use vocabulary::{END, PAD, START, UNKNOWN, Vocabulary};
