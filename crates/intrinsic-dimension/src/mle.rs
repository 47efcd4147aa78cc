use crate::{Aggregate, Estimate, IdError, KnnTable};

/// What the sum of k - 1 logarithms is divided by.
///
/// In locally uniform data of dimension m that sum is a Gamma(k - 1, rate m) variable. So k - 1 is right where inverses are
/// averaged, and k - 2 where the estimates themselves are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Normalizer {
    /// k - 1: unbiased for 1/m.
    #[default]
    KMinus1,
    /// k - 2: unbiased for m; needs k of at least 3.
    KMinus2,
}

/// The maximum-likelihood estimator of Levina and Bickel.
///
/// m(x) = ( 1/(k-1) Σ_{j<k} log(T_k(x) / T_j(x)) )⁻¹ with T_j(x) the distance to the j-th neighbor, and by default the
/// inverse of the mean inverse over all points (MacKay and Ghahramani), as in the paper.
///
/// ```
/// use rekindle_intrinsic_dimension::{Knn, Mle, data};
///
/// let table = Knn::new(20).search(&data::cube(1000, 2, 0)?)?;
/// let estimate = Mle::new().fit(&table)?;
/// assert!((estimate.dimension - 2.0).abs() < 0.15);
/// // The numbers of the paper's Table 1 are lower by (k-2)/(k-1).
/// assert!((Mle::pope_code().fit(&table)?.dimension / estimate.dimension - 18.0 / 19.0).abs() < 1e-12);
/// # Ok::<(), rekindle_intrinsic_dimension::IdError>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Mle {
    k: Option<usize>,
    normalizer: Normalizer,
    aggregate: Aggregate,
}

impl Mle {
    /// All neighbors of the table, k - 1, inverse mean: each where it is right.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The authors' code: k - 2 together with the inverse mean, which is low by the factor (k-2)/(k-1).
    ///
    /// For comparison with the paper's Table 1 only: 0.5 at k = 3, 0.95 at k = 20.
    #[must_use]
    pub fn pope_code() -> Self {
        Self::new().with_normalizer(Normalizer::KMinus2)
    }

    /// Neighbors to use. Default all in the table.
    #[must_use]
    pub fn with_k(self, k: usize) -> Self {
        Self { k: Some(k), ..self }
    }

    /// Default [`Normalizer::KMinus1`].
    #[must_use]
    pub fn with_normalizer(self, normalizer: Normalizer) -> Self {
        Self { normalizer, ..self }
    }

    /// Default [`Aggregate::InverseMean`].
    #[must_use]
    pub fn with_aggregate(self, aggregate: Aggregate) -> Self {
        Self { aggregate, ..self }
    }

    /// The dimension of the rows of `table`.
    ///
    /// # Errors
    ///
    /// [`IdError::KTooSmall`] for k below 2, or 3 with [`Normalizer::KMinus2`]; [`IdError::TableTooNarrow`];
    /// [`IdError::ZeroDistance`]; [`IdError::Ties`] if the estimate is infinite.
    pub fn fit(&self, table: &KnnTable) -> Result<Estimate, IdError> {
        let k = self.k.unwrap_or(table.k());
        let least = if self.normalizer == Normalizer::KMinus1 { 2 } else { 3 };
        if k < least {
            return Err(IdError::KTooSmall { k, least });
        }
        table.require(k)?;
        table.require_positive()?;
        let divisor = (k + 1 - least) as f64;
        let inverse = |row| log_ratios(&table.distances(row)[..k]) / divisor;
        Estimate::of_inverses((0..table.n()).map(inverse).collect(), self.aggregate)
    }
}

/// Σ_{j<k} log(T_k / T_j).
pub(crate) fn log_ratios(distances: &[f64]) -> f64 {
    let (last, others) = distances.split_last().expect("k is at least 1");
    others.iter().map(|distance| (last / distance).ln()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(distances: &[f64]) -> KnnTable {
        KnnTable::from_distances(distances.to_vec(), distances.len()).unwrap()
    }

    #[test]
    fn distances_1_2_4_give_the_values_worked_by_hand() {
        let table = table(&[1.0, 2.0, 4.0]);
        assert!((log_ratios(table.distances(0)) - 2.0794415).abs() < 1e-7);
        assert!((Mle::new().fit(&table).unwrap().dimension - 0.961797).abs() < 1e-6);
        assert!((Mle::pope_code().fit(&table).unwrap().dimension - 0.480898).abs() < 1e-6);
    }

    /// T_j = r^(j/m): the sum is (ln r / m) k (k-1) / 2.
    #[test]
    fn geometric_distances_give_the_dimension_in_closed_form() {
        for (m, k, r) in [(3.0, 10, 1.7_f64), (12.0, 20, 1.1), (1.0, 4, 5.0)] {
            let distances: Vec<f64> = (1..=k).map(|j| r.powf(f64::from(j) / m)).collect();
            let dimension = Mle::new().fit(&table(&distances)).unwrap().dimension;
            assert!((dimension - 2.0 * m / (f64::from(k) * r.ln())).abs() < 1e-9, "{dimension}");
        }
    }

    #[test]
    fn too_few_neighbors_are_refused() {
        let one = table(&[1.0]);
        assert_eq!(Mle::new().fit(&one).err(), Some(IdError::KTooSmall { k: 1, least: 2 }));
        let two = table(&[1.0, 2.0]);
        assert_eq!(Mle::pope_code().fit(&two).err(), Some(IdError::KTooSmall { k: 2, least: 3 }));
        assert_eq!(Mle::new().with_k(3).fit(&two).err(), Some(IdError::TableTooNarrow { wanted: 3, k: 2 }));
        assert_eq!(Mle::new().fit(&table(&[0.0, 2.0])).err(), Some(IdError::ZeroDistance(1)));
        assert_eq!(Mle::new().fit(&table(&[2.0, 2.0])).err(), Some(IdError::Ties(1)));
    }
}
