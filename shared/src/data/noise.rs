use rand::seq::index;
use rand::{Rng, RngExt};

use super::DatasetError;
use super::images::check_labels;

/// Where a noisy label goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum NoiseTarget {
    /// One of the other classes, each equally likely: the noise rate is the share of wrong labels.
    #[default]
    OtherClass,
    /// Any class, the right one included: of `n` classes one label in `n` stays right by chance.
    AnyClass,
}

/// Which labels are noisy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum NoiseDraw {
    /// ⌊rate · n + ½⌋ labels, drawn without replacement: runs with different seeds have the same amount of noise.
    #[default]
    Exact,
    /// Each label by itself with probability `rate`.
    Independent,
}

/// Symmetric label noise: a share of the labels, whatever their class, is replaced at random.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SymmetricNoise {
    rate: f64,
    target: NoiseTarget,
    draw: NoiseDraw,
}

/// Labels after noise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoisyLabels {
    /// Every label, `[n]`.
    pub labels: Vec<usize>,
    /// The indices of those that changed, in ascending order.
    pub flipped: Vec<usize>,
}

impl SymmetricNoise {
    /// Noise that moves exactly ⌊rate · n + ½⌋ labels to another class.
    ///
    /// # Errors
    ///
    /// [`DatasetError::NoiseRate`] if `rate` is not in `[0, 1]`.
    pub fn new(rate: f64) -> Result<Self, DatasetError> {
        if !(0.0..=1.0).contains(&rate) {
            return Err(DatasetError::NoiseRate(rate));
        }
        Ok(Self { rate, target: NoiseTarget::default(), draw: NoiseDraw::default() })
    }

    /// The same noise with another target.
    #[must_use]
    pub fn with_target(self, target: NoiseTarget) -> Self {
        Self { target, ..self }
    }

    /// The same noise with another draw.
    #[must_use]
    pub fn with_draw(self, draw: NoiseDraw) -> Self {
        Self { draw, ..self }
    }

    /// Draws noisy labels from `labels`.
    ///
    /// # Errors
    ///
    /// [`DatasetError::LabelOutOfRange`] for a label that is no class, [`DatasetError::OneClass`] if labels have to move
    /// to another class and there is none.
    pub fn apply(&self, labels: &[usize], n_classes: usize, rng: &mut impl Rng) -> Result<NoisyLabels, DatasetError> {
        check_labels(labels, n_classes)?;
        if self.target == NoiseTarget::OtherClass && n_classes < 2 {
            return Err(DatasetError::OneClass(n_classes));
        }
        let mut noisy = NoisyLabels { labels: labels.to_vec(), flipped: Vec::new() };
        for i in self.chosen(labels.len(), rng) {
            let label = match self.target {
                NoiseTarget::AnyClass => rng.random_range(0..n_classes),
                NoiseTarget::OtherClass => (labels[i] + rng.random_range(1..n_classes)) % n_classes,
            };
            if label != labels[i] {
                noisy.labels[i] = label;
                noisy.flipped.push(i);
            }
        }
        Ok(noisy)
    }

    fn chosen(&self, n: usize, rng: &mut impl Rng) -> Vec<usize> {
        match self.draw {
            NoiseDraw::Exact => {
                let amount = (self.rate * n as f64 + 0.5).floor() as usize;
                let mut chosen = index::sample(rng, n, amount.min(n)).into_vec();
                chosen.sort_unstable();
                chosen
            }
            NoiseDraw::Independent => (0..n).filter(|_| rng.random_bool(self.rate)).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::data::{Stream, Streams};

    fn noise(rate: f64) -> SymmetricNoise {
        SymmetricNoise::new(rate).unwrap()
    }

    #[test]
    fn a_rate_outside_of_0_to_1_is_refused() {
        for rate in [-0.1, 1.1, f64::INFINITY] {
            assert_eq!(SymmetricNoise::new(rate), Err(DatasetError::NoiseRate(rate)));
        }
        assert!(SymmetricNoise::new(f64::NAN).is_err());
    }

    #[test]
    fn labels_have_to_fit_the_classes() {
        let rng = &mut Streams::new(0).stream(Stream::Labels);
        let error = noise(0.4).apply(&[0, 2], 2, rng).unwrap_err();
        assert_eq!(error, DatasetError::LabelOutOfRange { index: 1, label: 2, n_classes: 2 });
        assert_eq!(noise(0.4).apply(&[0, 0], 1, rng), Err(DatasetError::OneClass(1)));
    }

    #[test]
    fn every_other_class_is_equally_likely() {
        let rng = &mut Streams::new(1).stream(Stream::Labels);
        let noisy = noise(1.0).apply(&[3; 9000], 10, rng).unwrap();
        for class in 0..10 {
            let count = noisy.labels.iter().filter(|&&label| label == class).count();
            // 1,000 expected, standard deviation 30.
            assert!(if class == 3 { count == 0 } else { (850..1150).contains(&count) }, "{class}: {count}");
        }
    }

    #[test]
    fn any_class_and_independent_draws_have_their_shares() {
        let rng = &mut Streams::new(2).stream(Stream::Labels);
        let any = noise(1.0).with_target(NoiseTarget::AnyClass).apply(&[3; 10_000], 10, rng).unwrap();
        assert!((8_850..9_150).contains(&any.flipped.len()), "{}", any.flipped.len());
        let independent = noise(0.4).with_draw(NoiseDraw::Independent).apply(&[3; 10_000], 10, rng).unwrap();
        assert!((3_750..4_250).contains(&independent.flipped.len()), "{}", independent.flipped.len());
        assert_ne!(independent.flipped.len(), 4_000, "an exact number would be a strange coincidence");
    }

    proptest! {
        #[test]
        fn exactly_the_flipped_labels_differ(
            labels in prop::collection::vec(0_usize..7, 0..200),
            rate in 0.0_f64..=1.0,
            seed in any::<u64>(),
            any_class in any::<bool>(),
        ) {
            let target = if any_class { NoiseTarget::AnyClass } else { NoiseTarget::OtherClass };
            let apply = || {
                noise(rate).with_target(target).apply(&labels, 7, &mut Streams::new(seed).stream(Stream::Labels)).unwrap()
            };
            let noisy = apply();
            let differ: Vec<_> = (0..labels.len()).filter(|&i| noisy.labels[i] != labels[i]).collect();
            prop_assert_eq!(&differ, &noisy.flipped);
            prop_assert!(noisy.labels.iter().all(|&label| label < 7));
            let amount = (rate * labels.len() as f64 + 0.5).floor() as usize;
            prop_assert!(differ.len() <= amount && (any_class || differ.len() == amount));
            prop_assert_eq!(apply(), noisy);
        }
    }
}
