use crate::error::setting;
use crate::estimate::Rule;
use crate::{Estimate, IdError, KnnTable};

/// How [`TwoNn`] finds the exponent of the law of the ratios.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum TwoNnMethod {
    /// The slope of -log(1 - F) against log μ through the origin, with F(i) = i/n (Facco et al.).
    #[default]
    Fit,
    /// The likelihood of the ratios kept, the discarded ones known to be larger: r / (Σ log μ_i + (n - r) log μ_r).
    Mle,
    /// The same with r - 1 in place of r, which is unbiased.
    Unbiased,
}

/// The estimator from the two nearest neighbors (Facco et al. 2017).
///
/// In locally uniform data of dimension m the ratio μ = T₂/T₁ has the law F(μ) = 1 - μ⁻ᵐ.
///
/// ```
/// use rekindle_intrinsic_dimension::{Knn, Points, TwoNn, TwoNnMethod};
///
/// let table = Knn::new(2).search(&Points::new(&[0.0, 1.0, 3.0, 7.0], 4, 1)?)?;
/// let two_nn = TwoNn::new().with_discard(0.0);
/// assert!((two_nn.fit(&table)?.dimension - 1.678822).abs() < 1e-6);
/// assert!((two_nn.with_method(TwoNnMethod::Mle).fit(&table)?.dimension - 1.536872).abs() < 1e-6);
/// # Ok::<(), rekindle_intrinsic_dimension::IdError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TwoNn {
    discard: f64,
    method: TwoNnMethod,
}

impl Default for TwoNn {
    fn default() -> Self {
        Self { discard: 0.1, method: TwoNnMethod::Fit }
    }
}

impl TwoNn {
    /// The fit without the largest 10 % of the ratios, as scikit-dimension.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Share of the largest ratios to leave out. Default 0.1.
    ///
    /// The fit always leaves the largest out, whose F = 1 has no logarithm; 0 is what the paper's code does.
    #[must_use]
    pub fn with_discard(self, discard: f64) -> Self {
        Self { discard, ..self }
    }

    /// Default [`TwoNnMethod::Fit`].
    #[must_use]
    pub fn with_method(self, method: TwoNnMethod) -> Self {
        Self { method, ..self }
    }

    /// The dimension of the rows of `table`. Pointwise estimates are 1 / log μ.
    ///
    /// # Errors
    ///
    /// [`IdError::InvalidSetting`] unless 0 ≤ discard < 1, and if it leaves fewer than 2 ratios of more;
    /// [`IdError::TooFewPoints`] if there are no more; [`IdError::KTooSmall`] for a table of one neighbor; [`IdError::ZeroDistance`]; [`IdError::Ties`].
    pub fn fit(&self, table: &KnnTable) -> Result<Estimate, IdError> {
        setting("discard", "at least 0 and below 1", self.discard, self.discard >= 0.0 && self.discard < 1.0)?;
        if table.k() < 2 {
            return Err(IdError::KTooSmall { k: table.k(), least: 2 });
        }
        table.require_positive()?;
        if self.kept(table.n()) < 2 {
            let whole = Self { discard: 0.0, ..*self };
            setting("discard", "so small that 2 ratios are left", self.discard, whole.kept(table.n()) < 2)?;
            return Err(IdError::TooFewPoints(table.n()));
        }
        let log_mu = |row| {
            let distances = table.distances(row);
            (distances[1] / distances[0]).ln()
        };
        let log_mu: Vec<f64> = (0..table.n()).map(log_mu).collect();
        Estimate::new(log_mu.iter().map(|log_mu| 1.0 / log_mu).collect(), log_mu, Rule::TwoNn(*self))
    }

    fn kept(&self, n: usize) -> usize {
        let kept = (n as f64 * (1.0 - self.discard)) as usize;
        if self.method == TwoNnMethod::Fit { kept.min(n - 1) } else { kept }
    }

    pub(crate) fn combine(&self, log_mu: &mut [f64]) -> f64 {
        log_mu.sort_unstable_by(f64::total_cmp);
        let (n, kept) = (log_mu.len(), self.kept(log_mu.len()));
        let log_mu = &log_mu[..kept];
        let censored = || log_mu.iter().sum::<f64>() + (n - kept) as f64 * log_mu[kept - 1];
        match self.method {
            TwoNnMethod::Fit => {
                let (mut xy, mut xx) = (0.0, 0.0);
                for (i, x) in log_mu.iter().enumerate() {
                    xy -= x * (-((i + 1) as f64) / n as f64).ln_1p();
                    xx += x * x;
                }
                xy / xx
            }
            TwoNnMethod::Mle => kept as f64 / censored(),
            TwoNnMethod::Unbiased => (kept - 1) as f64 / censored(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Knn, Points};

    #[test]
    fn four_points_on_a_line_give_the_values_worked_by_hand() {
        let table = Knn::new(2).search(&Points::new(&[0.0, 1.0, 3.0, 7.0], 4, 1).unwrap()).unwrap();
        let two_nn = TwoNn::new().with_discard(0.0);
        let fit = two_nn.fit(&table).unwrap();
        let mu: Vec<f64> = fit.terms.iter().map(|term| term.exp()).collect();
        assert!(mu.iter().zip([3.0, 2.0, 1.5, 1.5]).all(|(mu, expected)| (mu - expected).abs() < 1e-12), "{mu:?}");
        assert!((fit.terms.iter().sum::<f64>() - 2.602690).abs() < 1e-6);
        for (method, expected) in
            [(TwoNnMethod::Fit, 1.678822), (TwoNnMethod::Mle, 1.536872), (TwoNnMethod::Unbiased, 1.152654)]
        {
            let dimension = two_nn.with_method(method).fit(&table).unwrap().dimension;
            assert!((dimension - expected).abs() < 1e-6, "{method:?}: {dimension}");
        }
    }

    #[test]
    fn exact_quantiles_give_the_dimension_whatever_is_discarded() {
        for d in [1.0, 2.5, 20.0] {
            let n = 50;
            let mu = |i: i32| (1.0 - f64::from(i) / f64::from(n)).powf(-1.0 / d);
            // The last ratio is infinite; any large number stands for it.
            let distances = (1..n).map(mu).chain([1e9]).flat_map(|mu| [1.0, mu]).collect();
            let table = KnnTable::from_distances(distances, 2).unwrap();
            for discard in [0.0, 0.1, 0.5] {
                let dimension = TwoNn::new().with_discard(discard).fit(&table).unwrap().dimension;
                assert!((dimension - d).abs() < 1e-9 * d, "{dimension} != {d}");
            }
        }
    }

    #[test]
    fn bad_settings_and_tables_are_refused() {
        let table = |distances: &[f64], k| KnnTable::from_distances(distances.to_vec(), k).unwrap();
        let two = TwoNn::new();
        assert_eq!(two.fit(&table(&[1.0, 2.0, 3.0], 1)).err(), Some(IdError::KTooSmall { k: 1, least: 2 }));
        assert_eq!(two.fit(&table(&[1.0, 2.0], 2)).err(), Some(IdError::TooFewPoints(1)));
        assert_eq!(two.fit(&table(&[1.0; 12], 2)).err(), Some(IdError::Ties(6)));
        assert_eq!(two.fit(&table(&[0.0, 1.0, 1.0, 2.0], 2)).err(), Some(IdError::ZeroDistance(1)));
        for discard in [1.0, 0.9, -0.1, f64::NAN] {
            let refused = two.with_discard(discard).fit(&table(&[1.0; 12], 2));
            assert!(matches!(refused, Err(IdError::InvalidSetting { name: "discard", .. })), "{discard}: {refused:?}");
        }
    }
}
