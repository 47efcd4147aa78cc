use crate::estimate::Rule;
use crate::{Estimate, IdError, KnnTable};

/// The estimator from the ratio of two farther neighbors (Denti et al. 2022), which looks at a larger scale than [`TwoNn`](crate::TwoNn).
///
/// In locally uniform data of dimension m, μ = T_n2/T_n1 has the density
/// m (μᵐ - 1)^(n2-n1-1) / (B(n2-n1, n1) μ^((n2-1)m+1)). The estimate is its maximum-likelihood m over all rows: the root of
/// N/m + (n2-n1-1) Σ log μ / (1 - μ⁻ᵐ) - (n2-1) Σ log μ. For (1, 2) that is N / Σ log μ.
///
/// ```
/// use rekindle_intrinsic_dimension::{Gride, Knn, data};
///
/// let table = Knn::new(16).search(&data::cube(1000, 2, 0)?)?;
/// assert!((Gride::new(8, 16).fit(&table)?.dimension - 2.0).abs() < 0.15);
/// # Ok::<(), rekindle_intrinsic_dimension::IdError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gride {
    n1: usize,
    n2: usize,
    unbiased: bool,
}

impl Gride {
    /// The ratio of the distances to the `n2`-th and the `n1`-th neighbor.
    #[must_use]
    pub fn new(n1: usize, n2: usize) -> Self {
        Self { n1, n2, unbiased: false }
    }

    /// N - 1 in place of N in the first term, which is unbiased for (1, 2). Default off.
    ///
    /// DADApy and scikit-dimension do so. They also drop ratios above 20 times the width of the distribution, as coming
    /// from overlapping points; this does not.
    #[must_use]
    pub fn with_unbiased(self, unbiased: bool) -> Self {
        Self { unbiased, ..self }
    }

    /// The dimension of the rows of `table`. Rows where both neighbors are equally far have likelihood 0 for every
    /// dimension when n2 > n1 + 1; they are left out, and their pointwise estimate is infinite.
    ///
    /// # Errors
    ///
    /// [`IdError::InvalidSetting`] unless 1 ≤ n1 < n2; [`IdError::TableTooNarrow`]; [`IdError::ZeroDistance`];
    /// [`IdError::TooFewPoints`] for one row where `unbiased`; [`IdError::Ties`] if ties leave no row, or one where `unbiased`.
    pub fn fit(&self, table: &KnnTable) -> Result<Estimate, IdError> {
        crate::error::setting("n1", "at least 1 and below n2", self.n1 as f64, 1 <= self.n1 && self.n1 < self.n2)?;
        table.require(self.n2)?;
        let zeros = (0..table.n()).filter(|&row| table.distances(row)[self.n1 - 1] == 0.0).count();
        if zeros > 0 {
            return Err(IdError::ZeroDistance(zeros));
        }
        let log_mu = |row| {
            let distances = table.distances(row);
            (distances[self.n2 - 1] / distances[self.n1 - 1]).ln()
        };
        let log_mu: Vec<f64> = (0..table.n()).map(log_mu).collect();
        let alone = Self { unbiased: false, ..*self };
        let of_row = |&term: &f64| if term > 0.0 { alone.root(&[term], 1.0) } else { f64::INFINITY };
        let pointwise = log_mu.iter().map(of_row).collect();
        let tells = |term: &f64| *term > 0.0 || self.n2 == self.n1 + 1;
        let terms: Vec<f64> = log_mu.iter().copied().filter(tells).collect();
        if terms.len() == log_mu.len() && terms.len() < 1 + usize::from(self.unbiased) {
            return Err(IdError::TooFewPoints(terms.len()));
        }
        Estimate::new(pointwise, terms, Rule::Gride(*self))
    }

    pub(crate) fn combine(&self, log_mu: &[f64]) -> f64 {
        let n = log_mu.len() as f64 - f64::from(u8::from(self.unbiased));
        if n < 1.0 { f64::NAN } else { self.root(log_mu, n) }
    }

    /// The score falls from +∞ to below 0 and has one root, which bisection finds.
    fn root(&self, log_mu: &[f64], n: f64) -> f64 {
        let sum: f64 = log_mu.iter().sum();
        if self.n2 == self.n1 + 1 {
            return n / (self.n1 as f64 * sum);
        }
        let (between, all) = ((self.n2 - self.n1 - 1) as f64, (self.n2 - 1) as f64);
        let score = |m: f64| {
            let shares: f64 = log_mu.iter().map(|x| x / -(-m * x).exp_m1()).sum();
            n / m + between * shares - all * sum
        };
        // Below the root, since every share is at least its x.
        let mut low = n / (self.n1 as f64 * sum);
        let mut high = low;
        while score(high) > 0.0 {
            high *= 2.0;
        }
        for _ in 0..100 {
            let middle = 0.5 * (low + high);
            if middle <= low || middle >= high || (high - low) < 1e-13 * high {
                break;
            }
            if score(middle) > 0.0 { low = middle } else { high = middle }
        }
        0.5 * (low + high)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Knn, TwoNn, TwoNnMethod, data};

    fn table(distances: &[f64], k: usize) -> KnnTable {
        KnnTable::from_distances(distances.to_vec(), k).unwrap()
    }

    #[test]
    fn the_first_two_neighbors_give_the_two_nn_likelihood() {
        let table = Knn::new(4).search(&data::cube(300, 3, 5).unwrap()).unwrap();
        let (mle, unbiased) = (TwoNnMethod::Mle, TwoNnMethod::Unbiased);
        let two_nn = |method| TwoNn::new().with_discard(0.0).with_method(method).fit(&table).unwrap().dimension;
        let gride = Gride::new(1, 2);
        assert!((gride.fit(&table).unwrap().dimension / two_nn(mle) - 1.0).abs() < 1e-12);
        let of = gride.with_unbiased(true).fit(&table).unwrap().dimension;
        assert!((of / two_nn(unbiased) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn the_estimate_is_the_top_of_the_likelihood() {
        let table = Knn::new(8).search(&data::cube(200, 3, 5).unwrap()).unwrap();
        let (n1, n2) = (2.0, 8.0);
        let fit = Gride::new(2, 8).fit(&table).unwrap();
        let likelihood = |m: f64| {
            let of = |x: &f64| m.ln() + (n2 - n1 - 1.0) * (m * x).exp_m1().ln() - ((n2 - 1.0) * m + 1.0) * x;
            fit.terms.iter().map(of).sum::<f64>()
        };
        let top = likelihood(fit.dimension);
        assert!(top > likelihood(0.999 * fit.dimension) && top > likelihood(1.001 * fit.dimension));
    }

    #[test]
    fn ties_are_left_out_and_bad_settings_refused() {
        let mixed = table(&[1.0, 1.5, 2.0, 1.0, 1.0, 1.0, 1.0, 1.1, 1.6], 3);
        let fit = Gride::new(1, 3).fit(&mixed).unwrap();
        assert_eq!(fit.pointwise[1], f64::INFINITY);
        assert!(fit.dimension.is_finite());
        assert_eq!(Gride::new(1, 3).fit(&table(&[1.0; 6], 3)).err(), Some(IdError::Ties(2)));
        let one = table(&[1.0, 1.5, 2.0], 3);
        assert_eq!(Gride::new(1, 3).with_unbiased(true).fit(&one).err(), Some(IdError::TooFewPoints(1)));
        assert!(Gride::new(1, 3).fit(&one).is_ok());
        assert!(matches!(Gride::new(2, 2).fit(&mixed), Err(IdError::InvalidSetting { name: "n1", .. })));
        assert_eq!(Gride::new(2, 4).fit(&mixed).err(), Some(IdError::TableTooNarrow { wanted: 4, k: 3 }));
    }
}
