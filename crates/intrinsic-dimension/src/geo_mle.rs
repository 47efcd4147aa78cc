use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use crate::error::setting;
use crate::{Aggregate, Estimate, IdError, KnnTable};

/// The maximum-likelihood estimate extrapolated to a neighborhood of radius 0 (GeoMLE, Gomtsyan et al. 2019).
///
/// For k from k1 to k2, each point's estimate with the normalizer k - 2 and its radius T_k are averaged over
/// subsets of the reference set (the distinct indices among n draws with replacement, about 63 %). A ridge regression
/// of the estimates on (T, T²), weighted by one over their standard deviation over the subsets, gives the value at T = 0.
///
/// The distances are those of one table, filtered by subset. It needs more than k2 neighbors for that:
/// [`required_k`](Self::required_k) says how many.
///
/// The ridge penalizes the coefficients of T and T² in the units of the data, as its authors' code does, so **the
/// estimate depends on the scale of the data**: a penalty that matters in a unit cube is none at all for distances
/// between images. [`with_relative_radii`](Self::with_relative_radii) makes it independent of the scale.
///
/// ```
/// use rekindle_intrinsic_dimension::{GeoMle, Knn, data};
///
/// let points = data::cube(300, 2, 0)?;
/// let geo_mle = GeoMle::new();
/// let table = Knn::new(geo_mle.required_k(300)).search(&points)?;
/// assert!((geo_mle.fit(&table)?.dimension - 2.0).abs() < 0.25);
/// # Ok::<(), rekindle_intrinsic_dimension::IdError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GeoMle {
    k1: usize,
    k2: usize,
    subsets: usize,
    alpha: f64,
    relative_radii: bool,
    aggregate: Aggregate,
    seed: u64,
}

impl Default for GeoMle {
    fn default() -> Self {
        Self { k1: 10, k2: 40, subsets: 20, alpha: 5e-3, relative_radii: false, aggregate: Aggregate::Mean, seed: 0 }
    }
}

impl GeoMle {
    /// k = 10..40, 20 subsets, mean over points. (The command line of the paper's code has k = 20..55.)
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The numbers of neighbors to extrapolate from, both ends included.
    #[must_use]
    pub fn with_k(self, k1: usize, k2: usize) -> Self {
        Self { k1, k2, ..self }
    }

    /// Subsets of the reference set, at least 2. Default 20.
    #[must_use]
    pub fn with_subsets(self, subsets: usize) -> Self {
        Self { subsets, ..self }
    }

    /// Penalty of the ridge. Default 0.005.
    #[must_use]
    pub fn with_alpha(self, alpha: f64) -> Self {
        Self { alpha, ..self }
    }

    /// Measure radii in units of the mean distance to the k2-th neighbor, in place of those of the data. Default off.
    #[must_use]
    pub fn with_relative_radii(self, relative_radii: bool) -> Self {
        Self { relative_radii, ..self }
    }

    /// Default [`Aggregate::Mean`].
    #[must_use]
    pub fn with_aggregate(self, aggregate: Aggregate) -> Self {
        Self { aggregate, ..self }
    }

    /// Seed of the subsets. Default 0.
    #[must_use]
    pub fn with_seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// Neighbors that a table over `n` points should have: fewer than k2 of them are in a subset once in a million times.
    #[must_use]
    pub fn required_k(&self, n: usize) -> usize {
        // k p - 5 sqrt(k p (1-p)) = k2 with p = 1 - 1/e.
        let p = 1.0 - (-1.0_f64).exp();
        let root = 2.5 * (1.0 - p).sqrt() + (6.25 * (1.0 - p) + self.k2 as f64).sqrt();
        ((root * root / p).ceil() as usize + 1).min(n.saturating_sub(1))
    }

    /// The dimension of the rows of `table`. A negative extrapolation counts as 0.
    ///
    /// # Errors
    ///
    /// [`IdError::NoIndices`]; [`IdError::InvalidSetting`] unless 3 ≤ k1, k1 + 2 ≤ k2, at least 2 subsets and a
    /// penalty above 0; [`IdError::ZeroDistance`]; if a subset holds fewer than k2 of a row's neighbors,
    /// [`IdError::TableTooNarrow`], or [`IdError::InvalidSetting`] where no wider table would help; [`IdError::Ties`] if k neighbors of a row are equally far.
    pub fn fit(&self, table: &KnnTable) -> Result<Estimate, IdError> {
        setting("k1", "at least 3 and at most k2 - 2", self.k1 as f64, 3 <= self.k1 && self.k1 + 2 <= self.k2)?;
        setting("subsets", "at least 2", self.subsets as f64, self.subsets >= 2)?;
        setting("alpha", "above 0 and finite", self.alpha, self.alpha > 0.0 && self.alpha.is_finite())?;
        table.require_indices()?;
        table.require(self.k2)?;
        table.require_positive()?;
        let subsets: Vec<Vec<bool>> = (0..self.subsets).map(|subset| self.subset(table, subset as u64)).collect();
        let farthest = |row| table.distances(row)[self.k2 - 1];
        let mean_radius = (0..table.n()).map(farthest).sum::<f64>() / table.n() as f64;
        let unit = if self.relative_radii { mean_radius } else { 1.0 };
        let fits: Result<Vec<f64>, IdError> =
            (0..table.n()).into_par_iter().map(|row| self.fit_row(table, row, unit, &subsets)).collect();
        Estimate::of_dimensions(fits?, self.aggregate)
    }

    /// Which points are in a subset.
    fn subset(&self, table: &KnnTable, subset: u64) -> Vec<bool> {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(subset);
        let mut chosen = vec![false; table.n_points];
        for _ in 0..table.n_reference() {
            chosen[table.reference[rng.random_range(0..table.n_reference())]] = true;
        }
        chosen
    }

    fn fit_row(&self, table: &KnnTable, row: usize, unit: f64, subsets: &[Vec<bool>]) -> Result<f64, IdError> {
        let n_k = self.k2 - self.k1 + 1;
        let (mut estimates, mut radii) = (vec![Vec::with_capacity(subsets.len()); n_k], vec![0.0; n_k]);
        let neighbors = table.neighbors(row).ok_or(IdError::NoIndices)?;
        for subset in subsets {
            let inside = neighbors.iter().zip(table.distances(row)).filter(|(point, _)| subset[**point as usize]);
            let distances: Vec<f64> = inside.map(|(_, distance)| *distance).take(self.k2).collect();
            if distances.len() < self.k2 {
                // A table of all other points cannot be wider.
                let wider = table.k() + 1 < table.n_reference();
                setting("k2", "about half of the points at most, for subsets to hold as many", self.k2 as f64, wider)?;
                return Err(IdError::TableTooNarrow { wanted: table.k() + 1, k: table.k() });
            }
            // Σ_{j<k} log(T_k / T_j) = (k - 1) log T_k - Σ_{j<k} log T_j.
            let mut sum = 0.0;
            for (j, distance) in distances.iter().enumerate() {
                let (k, log) = (j + 1, distance.ln());
                if k >= self.k1 {
                    let logs = j as f64 * log - sum;
                    if logs <= 0.0 {
                        return Err(IdError::Ties(1));
                    }
                    estimates[k - self.k1].push((k - 2) as f64 / logs);
                    radii[k - self.k1] += distance / (unit * subsets.len() as f64);
                }
                sum += log;
            }
        }
        let (means, deviations): (Vec<f64>, Vec<f64>) = estimates.iter().map(|of_k| mean_and_deviation(of_k)).unzip();
        let weight = |deviation: &f64| if deviations.contains(&0.0) { 1.0 } else { 1.0 / deviation };
        let weights: Vec<f64> = deviations.iter().map(weight).collect();
        Ok(ridge_intercept(&radii, &means, &weights, self.alpha).max(0.0))
    }
}

fn mean_and_deviation(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    (mean, (values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0)).sqrt())
}

/// The value at x = 0 of the weighted fit of y to 1, x, x², the last two coefficients penalized.
fn ridge_intercept(x: &[f64], y: &[f64], weights: &[f64], alpha: f64) -> f64 {
    let total: f64 = weights.iter().sum();
    let mean = |of: &dyn Fn(usize) -> f64| (0..x.len()).map(|i| weights[i] * of(i)).sum::<f64>() / total;
    let (x1, x2, y0) = (mean(&|i| x[i]), mean(&|i| x[i] * x[i]), mean(&|i| y[i]));
    let moment = |a: &dyn Fn(usize) -> f64, b: &dyn Fn(usize) -> f64| total * mean(&|i| a(i) * b(i));
    let (first, second) = (|i: usize| x[i] - x1, |i: usize| x[i] * x[i] - x2);
    let target = |i: usize| y[i] - y0;
    let (a11, a12, a22) = (moment(&first, &first) + alpha, moment(&first, &second), moment(&second, &second) + alpha);
    let (b1, b2) = (moment(&first, &target), moment(&second, &target));
    let determinant = a11 * a22 - a12 * a12;
    let (slope, curve) = ((b1 * a22 - b2 * a12) / determinant, (b2 * a11 - b1 * a12) / determinant);
    y0 - slope * x1 - curve * x2
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Knn, data};

    #[test]
    fn the_intercept_of_a_parabola_is_found_where_the_penalty_is_small() {
        let x: Vec<f64> = (1..=9).map(f64::from).collect();
        let y: Vec<f64> = x.iter().map(|x| 3.0 - 0.2 * x + 0.01 * x * x).collect();
        assert!((ridge_intercept(&x, &y, &[2.0; 9], 1e-9) - 3.0).abs() < 1e-6);
        assert!((ridge_intercept(&x, &y, &[2.0; 9], 1e12) - y.iter().sum::<f64>() / 9.0).abs() < 1e-6);
    }

    /// Ranges of three seeds of the authors' recipe: 1.88-1.93, 4.6-5.0, 8.9-9.1; widened by a seed's spread.
    #[test]
    fn cubes_give_the_values_of_the_authors_recipe() {
        for (d, low, high) in [(2, 1.85, 1.96), (5, 4.5, 5.1), (10, 8.6, 9.4)] {
            let geo_mle = GeoMle::new();
            let fit = |seed| {
                let table = Knn::new(geo_mle.required_k(500)).search(&data::cube(500, d, seed).unwrap()).unwrap();
                geo_mle.with_seed(seed).fit(&table).unwrap().dimension
            };
            for dimension in [fit(0), fit(1), fit(2)] {
                assert!(low < dimension && dimension < high, "{d}: {dimension}");
            }
        }
    }

    #[test]
    fn a_narrow_table_and_bad_settings_are_refused() {
        let table = Knn::new(45).search(&data::cube(300, 2, 0).unwrap()).unwrap();
        assert_eq!(GeoMle::new().fit(&table).err(), Some(IdError::TableTooNarrow { wanted: 46, k: 45 }));
        let setting = |geo_mle: GeoMle| geo_mle.fit(&table).err();
        assert!(matches!(setting(GeoMle::new().with_k(2, 40)), Some(IdError::InvalidSetting { name: "k1", .. })));
        assert!(matches!(
            setting(GeoMle::new().with_subsets(1)),
            Some(IdError::InvalidSetting { name: "subsets", .. })
        ));
        assert!(matches!(setting(GeoMle::new().with_alpha(0.0)), Some(IdError::InvalidSetting { name: "alpha", .. })));
        let distances = KnnTable::from_distances(table.all_distances().to_vec(), 45).unwrap();
        assert_eq!(GeoMle::new().fit(&distances).err(), Some(IdError::NoIndices));
        let few = Knn::new(44).search(&data::cube(45, 2, 0).unwrap()).unwrap();
        assert!(matches!(GeoMle::new().fit(&few), Err(IdError::InvalidSetting { name: "k2", .. })));
    }
}
