use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use crate::data::{DatasetError, Stream, Streams};

/// Which of a task's training images are kept for validation.
///
/// A fraction of n images is ⌊fraction · n⌋ of them.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Validation {
    /// None.
    #[default]
    None,
    /// The first ones, in the order of the data set: 0.1 of MNIST is the 6,000 of Permuted MNIST.
    First {
        /// In `[0, 1)`.
        fraction: f64,
    },
    /// Some drawn at random, in every task with a draw of its own from [`Stream::Tasks`].
    Drawn {
        /// In `[0, 1)`.
        fraction: f64,
        /// Root seed of the [`Streams`].
        seed: u64,
    },
}

impl Validation {
    pub(super) fn validate(self) -> Result<(), DatasetError> {
        let value = self.fraction();
        if (0.0..1.0).contains(&value) {
            return Ok(());
        }
        Err(DatasetError::Config { name: "the fraction for validation", rule: "at least 0 and below 1", value })
    }

    fn fraction(self) -> f64 {
        match self {
            Self::None => 0.0,
            Self::First { fraction } | Self::Drawn { fraction, .. } => fraction,
        }
    }

    /// The places in `members` that are for training, and those for validation, both in ascending order.
    pub(super) fn split(self, task: usize, members: Vec<usize>) -> (Vec<usize>, Vec<usize>) {
        let n = (self.fraction() * members.len() as f64 + ROUNDING).floor() as usize;
        let mut chosen: Vec<_> = (0..members.len()).collect();
        if let Self::Drawn { seed, .. } = self {
            chosen.shuffle(&mut Streams::new(seed).substream(Stream::Tasks, VALIDATION + task as u64));
        }
        let (mut validation, mut train) = (chosen[..n].to_vec(), chosen[n..].to_vec());
        validation.sort_unstable();
        train.sort_unstable();
        let at = |places: Vec<usize>| places.into_iter().map(|place| members[place]).collect();
        (at(train), at(validation))
    }
}

/// 0.29 of 100 is 29, though the product in binary is a little below.
const ROUNDING: f64 = 1e-9;

/// The substreams below are the permutations'.
const VALIDATION: u64 = 1 << 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_images_are_kept_in_order() {
        let split = |validation: Validation| validation.split(0, vec![3, 5, 6, 8, 9]);
        assert_eq!(split(Validation::None), (vec![3, 5, 6, 8, 9], vec![]));
        assert_eq!(split(Validation::First { fraction: 0.5 }), (vec![6, 8, 9], vec![3, 5]));
        let (train, validation) = Validation::First { fraction: 0.29 }.split(0, (0..100).collect());
        assert_eq!((train.len(), validation.len()), (71, 29));
        let (train, validation) = Validation::First { fraction: 0.1 }.split(0, (0..60_000).collect());
        assert_eq!((validation, train), ((0..6_000).collect(), (6_000..60_000).collect()), "MNIST");
    }

    #[test]
    fn drawn_images_differ_between_tasks_and_none_is_lost() {
        let split = |seed, task| Validation::Drawn { fraction: 0.05, seed }.split(task, (0..1000).collect());
        let (train, validation) = split(1, 0);
        assert_eq!((train.len(), validation.len()), (950, 50));
        let mut all = [train, validation.clone()].concat();
        all.sort_unstable();
        assert_eq!(all, (0..1000).collect::<Vec<_>>());
        assert_eq!(split(1, 0).1, validation);
        assert_ne!(split(1, 1).1, validation);
        assert_ne!(split(2, 0).1, validation);
    }

    #[test]
    fn a_fraction_below_one_leaves_images_for_training() {
        for fraction in [-0.1, 1.0, f64::NAN] {
            assert!(matches!(Validation::First { fraction }.validate(), Err(DatasetError::Config { .. })));
        }
        assert_eq!(Validation::None.validate(), Ok(()));
    }
}
