use std::sync::Mutex;

use pulp::Arch;

use crate::distance::squared_distance;
use crate::error::setting;
use crate::estimate::median;
use crate::frame::{BLOCK, Frame};
use crate::knn::{blocks, diagonals, in_parallel};
use crate::{IdError, KnnTable, Points, Scalar};

/// The correlation dimension (Grassberger and Procaccia 1983): the slope of log C(r), with C(r) the share of pairs of
/// points nearer than r.
///
/// Between the radii that are the median distances to the k1-th and the k2-th neighbor, as in scikit-dimension.
///
/// ```
/// use rekindle_intrinsic_dimension::{CorrelationIntegral, Knn, data};
///
/// let points = data::cube(1000, 2, 0)?;
/// let correlation = CorrelationIntegral::new().fit(&points, &Knn::new(20).search(&points)?)?;
/// assert!((correlation.dimension - 2.0).abs() < 0.2);
/// # Ok::<(), rekindle_intrinsic_dimension::IdError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CorrelationIntegral {
    k1: usize,
    k2: usize,
}

/// A slope of the correlation integral.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Correlation {
    /// log(C(r2) / C(r1)) / log(r2 / r1).
    pub dimension: f64,
    /// The two radii.
    pub radii: [f64; 2],
    /// Pairs nearer than each.
    pub pairs: [u64; 2],
}

impl Default for CorrelationIntegral {
    fn default() -> Self {
        Self { k1: 10, k2: 20 }
    }
}

impl CorrelationIntegral {
    /// Between the medians of T₁₀ and T₂₀.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Between the medians of the distances to the `k1`-th and the `k2`-th neighbor.
    #[must_use]
    pub fn with_k(self, k1: usize, k2: usize) -> Self {
        Self { k1, k2 }
    }

    /// The slope for `points`, with radii from `table`, which may be one of anchors.
    ///
    /// Compares all pairs: as long as a search for neighbors.
    ///
    /// # Errors
    ///
    /// [`IdError::InvalidSetting`] unless 1 ≤ k1 < k2; [`IdError::TableTooNarrow`]; otherwise as [`between`](Self::between).
    pub fn fit<T: Scalar>(&self, points: &Points<'_, T>, table: &KnnTable) -> Result<Correlation, IdError> {
        setting("k1", "at least 1 and below k2", self.k1 as f64, 1 <= self.k1 && self.k1 < self.k2)?;
        table.require(self.k2)?;
        let radius = |k: usize| median(&mut (0..table.n()).map(|row| table.distances(row)[k - 1]).collect::<Vec<_>>());
        Self::between(points, radius(self.k1), radius(self.k2))
    }

    /// The slope between two radii.
    ///
    /// # Errors
    ///
    /// [`IdError::InvalidSetting`] unless 0 < r1 < r2 and some pair is nearer than r1; [`IdError::TooFewPoints`],
    /// [`IdError::Constant`], [`IdError::TooSmall`].
    pub fn between<T: Scalar>(points: &Points<'_, T>, r1: f64, r2: f64) -> Result<Correlation, IdError> {
        setting("r1", "above 0 and below r2", r1, r1 > 0.0 && r1 < r2 && r2.is_finite())?;
        let pairs = count_pairs(points, &[r1, r2])?;
        setting("r1", "so large that some pair of points is nearer", r1, pairs[0] > 0)?;
        let dimension = (pairs[1] as f64 / pairs[0] as f64).ln() / (r2 / r1).ln();
        Ok(Correlation { dimension, radii: [r1, r2], pairs: [pairs[0], pairs[1]] })
    }
}

/// The number of pairs of points nearer than each of some radii, for a correlation integral at all scales.
///
/// # Errors
///
/// [`IdError::TooFewPoints`] for fewer than 3, [`IdError::Constant`], [`IdError::TooSmall`];
/// [`IdError::InvalidSetting`] for a radius that is not above 0 and finite.
pub fn count_pairs<T: Scalar>(points: &Points<'_, T>, radii: &[f64]) -> Result<Vec<u64>, IdError> {
    if points.n() < 3 {
        return Err(IdError::TooFewPoints(points.n()));
    }
    for &radius in radii {
        setting("radius", "above 0 and finite", radius, radius > 0.0 && radius.is_finite())?;
    }
    let frame = Frame::new(points, None)?;
    let side = frame.side(points);
    let blocks = blocks(points.n(), BLOCK);
    let tasks = diagonals(blocks.len());
    let total = Mutex::new(vec![0_u64; radii.len()]);
    in_parallel(tasks.len(), |task, work| {
        let (i, j) = tasks[task];
        let (rows, columns) = (blocks[i].clone(), blocks[j].clone());
        frame.multiply((points, rows.clone()), (points, columns.clone()), work);
        let mut counts = vec![0_u64; radii.len()];
        Arch::new().dispatch(|| {
            for (row, a) in rows.clone().enumerate() {
                // Within a block on the diagonal, the pairs above it.
                let first = if i == j { row + 1 } else { 0 };
                let gram = &work.gram[row * columns.len()..][..columns.len()];
                for (count, &radius) in counts.iter_mut().zip(radii) {
                    let (sure, possible) = (frame.floor(radius), frame.limit(radius));
                    for (column, product) in gram.iter().enumerate().skip(first) {
                        let b = columns.start + column;
                        let twice = 2.0 * product;
                        if (side.upper[a] + side.upper[b]) - twice < sure {
                            *count += 1;
                        } else if (side.lower[a] + side.lower[b]) - twice <= possible {
                            *count += u64::from(squared_distance(points.row(a), points.row(b)).sqrt() < radius);
                        }
                    }
                }
            }
        });
        let mut total = total.lock().expect("no panic inside");
        total.iter_mut().zip(counts).for_each(|(total, count)| *total += count);
    });
    Ok(total.into_inner().expect("no panic inside"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data;

    #[test]
    fn pairs_are_counted_as_by_direct_comparison() {
        let points = data::cube(1500, 3, 7).unwrap();
        let radii = [0.01, 0.1, 0.5];
        let counts = count_pairs(&points, &radii).unwrap();
        for (radius, count) in radii.into_iter().zip(counts) {
            let nearer = |a: usize, b: usize| squared_distance(points.row(a), points.row(b)).sqrt() < radius;
            let direct = (0..1500).flat_map(|a| (0..a).map(move |b| (a, b))).filter(|&(a, b)| nearer(a, b)).count();
            assert_eq!(count, direct as u64);
        }
    }

    #[test]
    fn a_pair_at_the_radius_is_not_nearer() {
        let grid = Points::new(&[0.0, 1.0, 2.0, 3.0], 4, 1).unwrap();
        assert_eq!(count_pairs(&grid, &[1.0, 2.0, 2.5]).unwrap(), [0, 3, 5]);
        assert!(matches!(CorrelationIntegral::between(&grid, 1.0, 2.0), Err(IdError::InvalidSetting { .. })));
        let slope = CorrelationIntegral::between(&grid, 1.5, 2.5).unwrap();
        assert_eq!(slope.dimension, (5.0_f64 / 3.0).ln() / (2.5_f64 / 1.5).ln());
    }
}
