use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use rayon::prelude::*;

use crate::spectrum::eigenvalues;
use crate::{Aggregate, Estimate, IdError, KnnTable, Points, Scalar, SpectrumRule};

/// Coordinates or points whose products are added at once.
const DEPTH: usize = 512;
/// Columns of the matrix of products that one thread fills.
const STRIP: usize = 128;

/// The linear dimension of the whole data set: the number of principal components that count.
///
/// A curved manifold needs more components than it has dimensions, so this bounds the intrinsic dimension
/// from above at best. Memory is O(min(n, dim)²).
///
/// ```
/// use rekindle_intrinsic_dimension::{Pca, SpectrumRule, data};
///
/// let circle = data::sphere(200, 1, 0)?;
/// assert_eq!(Pca::new(SpectrumRule::Variance { share: 0.95 }).fit(&circle)?.dimension, 2.0);
/// # Ok::<(), rekindle_intrinsic_dimension::IdError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pca {
    rule: SpectrumRule,
}

/// A linear dimension, and the spectrum that it was read from.
#[derive(Debug, Clone, PartialEq)]
pub struct Spectrum {
    /// What the rule says.
    pub dimension: f64,
    /// Eigenvalues of the covariance matrix (n - 1 in the denominator), largest first: the min(n - 1, dim) that can be above 0.
    pub eigenvalues: Vec<f64>,
}

/// The linear dimension of the neighborhood of each point (local PCA).
///
/// The k neighbors of a row, without the point itself as in scikit-dimension, are centered on their mean. k neighbors
/// span at most k - 1 dimensions: choose k well above the dimension expected, and small enough that the
/// neighborhood is flat.
///
/// ```
/// use rekindle_intrinsic_dimension::{Knn, LocalPca, SpectrumRule, data};
///
/// let circle = data::sphere(500, 1, 0)?;
/// let table = Knn::new(10).search(&circle)?;
/// let local = LocalPca::new(SpectrumRule::FukunagaOlsen { alpha: 0.05 });
/// assert_eq!(local.fit(&circle, &table)?.dimension, 1.0);
/// # Ok::<(), rekindle_intrinsic_dimension::IdError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LocalPca {
    rule: SpectrumRule,
    k: Option<usize>,
    aggregate: Aggregate,
}

impl Pca {
    /// Read by `rule`.
    #[must_use]
    pub fn new(rule: SpectrumRule) -> Self {
        Self { rule }
    }

    /// The linear dimension of `points`.
    ///
    /// # Errors
    ///
    /// [`IdError::InvalidSetting`] for a rule's share out of range; [`IdError::TooFewPoints`] for fewer than 3;
    /// [`IdError::Constant`]; [`IdError::TooSmall`]; [`IdError::Eigenvalues`].
    pub fn fit<T: Scalar>(&self, points: &Points<'_, T>) -> Result<Spectrum, IdError> {
        self.rule.check()?;
        if points.n() < 3 {
            return Err(IdError::TooFewPoints(points.n()));
        }
        // Refuses constant data and vanishing squares.
        crate::frame::Frame::new(points, None)?;
        let rows: Vec<&[T]> = (0..points.n()).map(|i| points.row(i)).collect();
        let eigenvalues = covariance_spectrum(&rows, &points.mean())?;
        Ok(Spectrum { dimension: self.rule.dimension(&eigenvalues), eigenvalues })
    }
}

impl LocalPca {
    /// Read by `rule`, from all neighbors of the table, mean over the rows.
    #[must_use]
    pub fn new(rule: SpectrumRule) -> Self {
        Self { rule, k: None, aggregate: Aggregate::Mean }
    }

    /// Neighbors to use. Default all in the table.
    #[must_use]
    pub fn with_k(self, k: usize) -> Self {
        Self { k: Some(k), ..self }
    }

    /// Default [`Aggregate::Mean`].
    #[must_use]
    pub fn with_aggregate(self, aggregate: Aggregate) -> Self {
        Self { aggregate, ..self }
    }

    /// The dimension of the neighborhoods in `table`, which was made from `points`.
    ///
    /// # Errors
    ///
    /// [`IdError::InvalidSetting`] for a rule's share out of range; [`IdError::KTooSmall`] for k below 3;
    /// [`IdError::TableTooNarrow`], [`IdError::NoIndices`], [`IdError::OtherPoints`], [`IdError::Eigenvalues`].
    pub fn fit<T: Scalar>(&self, points: &Points<'_, T>, table: &KnnTable) -> Result<Estimate, IdError> {
        self.rule.check()?;
        let k = self.k.unwrap_or(table.k());
        if k < 3 {
            return Err(IdError::KTooSmall { k, least: 3 });
        }
        table.require(k)?;
        table.require_points(points.n())?;
        let of_row = |row: usize| {
            let neighbors = &table.neighbors(row).ok_or(IdError::NoIndices)?[..k];
            let rows: Vec<&[T]> = neighbors.iter().map(|&point| points.row(point as usize)).collect();
            let mut mean = vec![0.0; points.dim()];
            for row in &rows {
                mean.iter_mut().zip(*row).for_each(|(mean, x)| *mean += x.to_f64() / k as f64);
            }
            Ok(self.rule.dimension(&covariance_spectrum(&rows, &mean)?))
        };
        let dimensions: Result<Vec<f64>, IdError> = (0..table.n()).into_par_iter().map(of_row).collect();
        Estimate::of_dimensions(dimensions?, self.aggregate)
    }
}

/// The eigenvalues of the covariance of `rows`, from the smaller of the two matrices of products that have them.
fn covariance_spectrum<T: Scalar>(rows: &[&[T]], mean: &[f64]) -> Result<Vec<f64>, IdError> {
    let (n, dim) = (rows.len(), mean.len());
    let size = n.min(dim);
    let mut products = vec![0.0; size * size];
    let mut packed = Vec::new();
    for start in (0..n.max(dim)).step_by(DEPTH) {
        let part = start..n.max(dim).min(start + DEPTH);
        let depth = part.len();
        packed.clear();
        let left = if n < dim {
            for row in rows {
                packed.extend(row[part.clone()].iter().zip(&mean[part.clone()]).map(|(x, c)| x.to_f64() - c));
            }
            MatRef::from_row_major_slice(&packed, n, depth)
        } else {
            for row in &rows[part] {
                packed.extend(row.iter().zip(mean).map(|(x, c)| x.to_f64() - c));
            }
            MatRef::from_row_major_slice(&packed, depth, dim).transpose()
        };
        products.par_chunks_mut(STRIP * size).enumerate().for_each(|(strip, into)| {
            let n_rows = into.len() / size;
            let of_strip = left.subrows(strip * STRIP, n_rows);
            let into = MatMut::from_row_major_slice_mut(into, n_rows, size);
            matmul(into, Accum::Add, of_strip, left.transpose(), 1.0, Par::Seq);
        });
    }
    products.iter_mut().for_each(|product| *product /= (n - 1) as f64);
    let mut values = eigenvalues(&products, size)?;
    values.truncate(dim.min(n - 1));
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Knn, data};

    #[test]
    fn both_matrices_of_products_have_the_same_spectrum() {
        let points = data::cube(40, 39, 3).unwrap();
        let transposed: Vec<f64> =
            (0..39).flat_map(|j| (0..40).map(move |i| (i, j))).map(|(i, j)| points.row(i)[j]).collect();
        let of = |rows: &[&[f64]], dim| covariance_spectrum(rows, &vec![0.0; dim]).unwrap();
        let wide = of(&(0..40).map(|i| points.row(i)).collect::<Vec<_>>(), 39);
        let tall = of(&transposed.chunks(40).collect::<Vec<_>>(), 40);
        assert!(wide.iter().zip(&tall).all(|(a, b)| (a * 39.0 / (b * 38.0) - 1.0).abs() < 1e-9));
    }

    #[test]
    fn a_linear_space_has_its_dimension_whatever_surrounds_it() {
        let points = data::embed(&data::gaussian(300, 7, 1).unwrap(), 600, 2).unwrap();
        let rule = SpectrumRule::FukunagaOlsen { alpha: 0.05 };
        assert_eq!(Pca::new(rule).fit(&points).unwrap().dimension, 7.0);
        let table = Knn::new(40).search(&points).unwrap();
        assert!((LocalPca::new(rule).fit(&points, &table).unwrap().dimension - 7.0).abs() < 0.3);
    }

    #[test]
    fn other_points_and_few_neighbors_are_refused() {
        let points = data::cube(30, 2, 0).unwrap();
        let table = Knn::new(5).search(&points).unwrap();
        let local = LocalPca::new(SpectrumRule::Kaiser);
        let other = data::cube(31, 2, 0).unwrap();
        assert_eq!(local.fit(&other, &table).err(), Some(IdError::OtherPoints { table: 30, points: 31 }));
        assert_eq!(local.with_k(2).fit(&points, &table).err(), Some(IdError::KTooSmall { k: 2, least: 3 }));
        let rule = SpectrumRule::Variance { share: 95.0 };
        assert!(matches!(Pca::new(rule).fit(&points), Err(IdError::InvalidSetting { name: "share", .. })));
    }
}
