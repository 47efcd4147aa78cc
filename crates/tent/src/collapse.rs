use serde::{Deserialize, Serialize};

/// When predictions count as collapsed, and what happens then.
///
/// The trivial optimum of the entropy is to predict one class for everything. The signal is the *diversity* of the
/// predictions: the entropy of a moving average of the mean class probabilities, divided by ln(classes). It is 1 where all classes are
/// predicted equally often and 0 where one class is left; 0.24 means that one of ten classes takes 90 %.
///
/// A stream whose labels really are of one kind for a long time looks the same, and is as harmful to batch statistics.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Collapse {
    /// Predictions of lower diversity are collapsed. In `[0, 1)`.
    pub min_diversity: f64,
    /// Share of the past in the moving average, in `[0, 1)`; 0 looks at each batch alone.
    pub momentum: f64,
    /// What happens.
    pub fallback: Fallback,
}

/// What [`Tent`](crate::Tent) does about a collapse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fallback {
    /// Return to the source model, predict the batch again by it, and go on adapting.
    Reset,
    /// The same, but without updates from then on, until [`Tent::reset`](crate::Tent::reset) or another reset: the norm baseline.
    Stop,
    /// Nothing but to say so in the report.
    Report,
}

impl Default for Collapse {
    /// Diversity below 0.3 over about two batches, return to the source.
    fn default() -> Self {
        Self { min_diversity: 0.3, momentum: 0.5, fallback: Fallback::Reset }
    }
}

/// The moving average of the class probabilities.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Monitor {
    pub(crate) average: Vec<f64>,
}

impl Monitor {
    /// Takes up the mean probabilities of a batch, and returns the diversity.
    pub(crate) fn observe(&mut self, probabilities: &[f64], momentum: f64) -> f64 {
        if self.average.len() == probabilities.len() {
            for (average, new) in self.average.iter_mut().zip(probabilities) {
                *average = momentum * *average + (1.0 - momentum) * new;
            }
        } else {
            self.average = probabilities.to_vec();
        }
        diversity(&self.average)
    }
}

/// The entropy of a distribution over its largest possible value, in `[0, 1]`.
pub(crate) fn diversity(probabilities: &[f64]) -> f64 {
    let entropy: f64 = probabilities.iter().filter(|p| **p > 0.0).map(|p| -p * p.ln()).sum();
    entropy / (probabilities.len() as f64).ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn diversity_is_1_for_all_classes_and_0_for_one() {
        assert!((diversity(&[0.1; 10]) - 1.0).abs() < 1e-12);
        assert_eq!(diversity(&[0.0, 1.0, 0.0]), 0.0);
        let mut skewed = [0.1 / 9.0; 10];
        skewed[3] = 0.9;
        assert!((diversity(&skewed) - 0.2366).abs() < 1e-4);
    }

    #[test]
    fn the_average_starts_at_the_first_batch() {
        let mut monitor = Monitor::default();
        assert_eq!(monitor.observe(&[1.0, 0.0], 0.9), 0.0);
        monitor.observe(&[0.0, 1.0], 0.9);
        assert!((monitor.average[0] - 0.9).abs() < 1e-12 && (monitor.average[1] - 0.1).abs() < 1e-12);
    }
}
