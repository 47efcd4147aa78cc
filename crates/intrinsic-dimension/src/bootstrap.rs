use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::error::setting;
use crate::{Estimate, IdError};

/// Percentile intervals by resampling the rows of a table that stays as it is.
///
/// What is drawn again is the terms of the rows, never the reference set: leaving points out would move the neighbors
/// away and change the scale that is measured. So the interval says how far the estimate would move with other anchors
/// of the same data at the same scale. It knows nothing of the bias of a finite sample, and it takes the rows for
/// independent; neighbors share distances, which makes it somewhat too narrow.
///
/// ```
/// use rekindle_intrinsic_dimension::{Bootstrap, Knn, Mle, data};
///
/// let points = data::cube(500, 3, 0)?;
/// let estimate = Mle::new().fit(&Knn::new(10).search(&points)?)?;
/// let interval = estimate.interval(&Bootstrap::new().with_seed(1))?;
/// assert!(interval.low < estimate.dimension && estimate.dimension < interval.high);
/// # Ok::<(), rekindle_intrinsic_dimension::IdError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bootstrap {
    /// Resamples. Default 1000.
    pub reps: usize,
    /// Share of the resamples inside. Default 0.95.
    pub level: f64,
    /// Seed of the draws. Default 0.
    pub seed: u64,
}

/// The middle of a bootstrap distribution.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Standard deviation of the resampled estimates.
    pub standard_error: f64,
}

impl Default for Bootstrap {
    fn default() -> Self {
        Self { reps: 1000, level: 0.95, seed: 0 }
    }
}

impl Bootstrap {
    /// 1000 resamples, 95 %.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Resamples, at least 2.
    #[must_use]
    pub fn with_reps(self, reps: usize) -> Self {
        Self { reps, ..self }
    }

    /// Share of the resamples inside, between 0 and 1.
    #[must_use]
    pub fn with_level(self, level: f64) -> Self {
        Self { level, ..self }
    }

    /// Seed of the draws.
    #[must_use]
    pub fn with_seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }
}

impl Estimate {
    /// The percentile interval of [`dimension`](Self::dimension).
    ///
    /// # Errors
    ///
    /// [`IdError::InvalidSetting`] for fewer than 2 resamples or a level that is not between 0 and 1;
    /// [`IdError::TooFewPoints`] for fewer than 3 rows; [`IdError::Ties`] if a resample has no finite estimate.
    pub fn interval(&self, bootstrap: &Bootstrap) -> Result<Interval, IdError> {
        let Bootstrap { reps, level, seed } = *bootstrap;
        setting("reps", "at least 2", reps as f64, reps >= 2)?;
        setting("level", "between 0 and 1", level, level > 0.0 && level < 1.0)?;
        let n = self.terms.len();
        if n < 3 {
            return Err(IdError::TooFewPoints(n));
        }
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut drawn = vec![0.0; n];
        let resample = |_| {
            drawn.iter_mut().for_each(|term| *term = self.terms[rng.random_range(0..n)]);
            self.rule.combine(&mut drawn)
        };
        let mut estimates: Vec<f64> = (0..reps).map(resample).collect();
        if estimates.iter().any(|estimate| !estimate.is_finite()) {
            return Err(IdError::Ties(self.pointwise.iter().filter(|m| m.is_infinite()).count()));
        }
        estimates.sort_unstable_by(f64::total_cmp);
        let mean = estimates.iter().sum::<f64>() / reps as f64;
        let variance = estimates.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (reps - 1) as f64;
        let tail = 0.5 * (1.0 - level);
        Ok(Interval {
            low: quantile(&estimates, tail),
            high: quantile(&estimates, 1.0 - tail),
            standard_error: variance.sqrt(),
        })
    }
}

/// By linear interpolation between order statistics.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let at = share * (sorted.len() - 1) as f64;
    let (low, high) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
    low + (high - low) * at.fract()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Aggregate;

    #[test]
    fn the_interval_is_that_of_the_normal_law_for_a_mean() {
        let terms: Vec<f64> = (0..400).map(|i| f64::from(i % 20)).collect();
        let estimate = Estimate::of_dimensions(terms, Aggregate::Mean).unwrap();
        let interval = estimate.interval(&Bootstrap::new().with_reps(4000)).unwrap();
        let error = (399.0_f64 / 12.0).sqrt() / 20.0;
        assert!((interval.standard_error / error - 1.0).abs() < 0.05, "{interval:?}");
        assert!((interval.high - interval.low) / (2.0 * 1.96 * error) - 1.0 < 0.05, "{interval:?}");
        assert_eq!(estimate.interval(&Bootstrap::new()), estimate.interval(&Bootstrap::new()));
    }

    #[test]
    fn settings_out_of_range_are_refused() {
        let estimate = Estimate::of_dimensions(vec![1.0, 2.0], Aggregate::Mean).unwrap();
        assert!(matches!(
            estimate.interval(&Bootstrap::new().with_reps(1)),
            Err(IdError::InvalidSetting { name: "reps", .. })
        ));
        assert!(matches!(
            estimate.interval(&Bootstrap::new().with_level(95.0)),
            Err(IdError::InvalidSetting { name: "level", .. })
        ));
        assert_eq!(estimate.interval(&Bootstrap::new()), Err(IdError::TooFewPoints(2)));
    }
}
