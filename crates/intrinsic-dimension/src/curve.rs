use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use crate::error::setting;
use crate::{Bootstrap, Estimate, Gride, IdError, Interval, KnnTable, Points, Scalar};

/// Change of an estimate for each doubling above which it is called unstable: 10 %.
const LARGEST_CHANGE: f64 = 0.1;
/// Width of an interval, relative to the estimate, above which it is called unstable.
const LARGEST_WIDTH: f64 = 0.2;

/// An estimate against the number of neighbors, of points, or the scale.
///
/// A dimension is worth stating where the curve is flat. A point of a curve is **unstable** if
/// - towards the point before or after it the estimate changes by more than 10 % for each doubling of `at`, or
/// - its interval, if there is one, is wider than 20 % of the estimate, or
/// - there is no other point to compare it with.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    /// In ascending order of `at`.
    pub points: Vec<CurvePoint>,
}

/// One estimate of a [`Curve`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CurvePoint {
    /// Neighbors or points used.
    pub at: usize,
    /// Mean distance to the farthest neighbor used, where that is what varies.
    pub radius: Option<f64>,
    /// The estimate.
    pub dimension: f64,
    /// Its interval, if asked for.
    pub interval: Option<Interval>,
    /// Whether it depends on `at` or on chance; see [`Curve`].
    pub unstable: bool,
}

impl Curve {
    /// Against the number of neighbors: `fit` is called with each of `ks`.
    ///
    /// ```
    /// use rekindle_intrinsic_dimension::{Curve, Knn, Mle, data};
    ///
    /// let table = Knn::new(20).search(&data::cube(2000, 2, 0)?)?;
    /// let curve = Curve::over_k(&[5, 10, 20], |k| Mle::new().with_k(k).fit(&table), None)?;
    /// assert!(curve.points.iter().all(|point| !point.unstable));
    /// # Ok::<(), rekindle_intrinsic_dimension::IdError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of `fit` and of [`Estimate::interval`].
    pub fn over_k(
        ks: &[usize],
        mut fit: impl FnMut(usize) -> Result<Estimate, IdError>,
        bootstrap: Option<&Bootstrap>,
    ) -> Result<Self, IdError> {
        let mut ks = ks.to_vec();
        ks.sort_unstable();
        ks.dedup();
        let point = |k| CurvePoint::new(k, None, &fit(k)?, bootstrap);
        Ok(Self::judged(ks.into_iter().map(point).collect::<Result<_, _>>()?))
    }

    /// Against the number of points: `fit` is called with random subsets of `points` of the sizes `ns`, each inside the next.
    ///
    /// With fewer points the neighbors are farther, so this is also a curve over the scale. `fit` searches anew.
    ///
    /// # Errors
    ///
    /// [`IdError::InvalidSetting`] for a size above that of `points`; those of `fit` and of [`Estimate::interval`].
    pub fn over_n<T: Scalar>(
        points: &Points<'_, T>,
        ns: &[usize],
        seed: u64,
        mut fit: impl FnMut(&Points<'_, T>) -> Result<Estimate, IdError>,
        bootstrap: Option<&Bootstrap>,
    ) -> Result<Self, IdError> {
        let mut ns = ns.to_vec();
        ns.sort_unstable();
        ns.dedup();
        let largest = ns.last().copied().unwrap_or(0);
        setting("ns", "at most the number of points", largest as f64, largest <= points.n())?;
        let mut order: Vec<usize> = (0..points.n()).collect();
        order.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
        let point = |n| CurvePoint::new(n, None, &fit(&points.select(&order[..n])?)?, bootstrap);
        Ok(Self::judged(ns.into_iter().map(point).collect::<Result<_, _>>()?))
    }

    /// Against the scale, without leaving points out: [`Gride`] with the neighbors (1, 2), (2, 4), (4, 8), …
    ///
    /// # Errors
    ///
    /// Those of [`Gride::fit`] and of [`Estimate::interval`].
    pub fn over_scale(table: &KnnTable, bootstrap: Option<&Bootstrap>) -> Result<Self, IdError> {
        let mut points = Vec::new();
        let mut n2 = 2;
        table.require(n2)?;
        while n2 <= table.k() {
            let radius = (0..table.n()).map(|row| table.distances(row)[n2 - 1]).sum::<f64>() / table.n() as f64;
            points.push(CurvePoint::new(n2, Some(radius), &Gride::new(n2 / 2, n2).fit(table)?, bootstrap)?);
            n2 *= 2;
        }
        Ok(Self::judged(points))
    }

    fn judged(mut points: Vec<CurvePoint>) -> Self {
        let changes: Vec<bool> = points.windows(2).map(|pair| changes(&pair[0], &pair[1])).collect();
        let alone = points.len() < 2;
        for (i, point) in points.iter_mut().enumerate() {
            let before = i.checked_sub(1).and_then(|before| changes.get(before)).copied();
            let after = changes.get(i).copied();
            let wide = |interval: Interval| interval.high - interval.low > LARGEST_WIDTH * point.dimension;
            let moves = before.unwrap_or(false) || after.unwrap_or(false);
            point.unstable = alone || moves || point.interval.is_some_and(wide);
        }
        Self { points }
    }
}

fn changes(a: &CurvePoint, b: &CurvePoint) -> bool {
    let doublings = (b.at as f64 / a.at as f64).log2();
    let change = (b.dimension / a.dimension).ln().abs() / doublings;
    // Two dimensions of 0 have no ratio.
    change.is_nan() || change > (1.0 + LARGEST_CHANGE).ln()
}

impl CurvePoint {
    fn new(
        at: usize,
        radius: Option<f64>,
        estimate: &Estimate,
        bootstrap: Option<&Bootstrap>,
    ) -> Result<Self, IdError> {
        let interval = bootstrap.map(|bootstrap| estimate.interval(bootstrap)).transpose()?;
        Ok(Self { at, radius, dimension: estimate.dimension, interval, unstable: false })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Aggregate, Knn, Mle, data};

    fn constant(dimension: f64) -> Result<Estimate, IdError> {
        Estimate::of_dimensions(vec![dimension; 5], Aggregate::Mean)
    }

    #[test]
    fn a_change_of_more_than_a_tenth_for_a_doubling_is_unstable() {
        let of = |dimensions: [f64; 3]| {
            let fit = |k: usize| constant(dimensions[k.ilog2() as usize - 2]);
            let curve = Curve::over_k(&[16, 4, 8], fit, None).unwrap();
            curve.points.iter().map(|point| point.unstable).collect::<Vec<_>>()
        };
        assert_eq!(of([10.0, 10.9, 11.8]), [false; 3]);
        assert_eq!(of([10.0, 11.1, 11.2]), [true, true, false]);
        let curve = Curve::over_k(&[4], |_| constant(2.0), None).unwrap();
        assert!(curve.points[0].unstable);
    }

    #[test]
    fn noise_shows_in_the_curve_over_the_scale() {
        let plane = data::embed(&data::cube(1500, 2, 0).unwrap(), 20, 1).unwrap();
        let clean = Curve::over_scale(&Knn::new(64).search(&plane).unwrap(), None).unwrap();
        let noisy = data::with_noise(&plane, 0.01, 2).unwrap();
        let noisy = Curve::over_scale(&Knn::new(64).search(&noisy).unwrap(), None).unwrap();
        assert!(clean.points.iter().all(|point| !point.unstable), "{clean:?}");
        assert!(noisy.points[0].unstable && noisy.points[0].dimension > 4.0, "{noisy:?}");
        assert!(noisy.points.windows(2).all(|pair| pair[0].radius < pair[1].radius));
    }

    #[test]
    fn subsets_grow_inside_each_other() {
        let points = data::cube(200, 2, 0).unwrap();
        let mut seen: Vec<Vec<f64>> = Vec::new();
        let fit = |subset: &Points<'_, f64>| {
            seen.push(subset.values().to_vec());
            Mle::new().fit(&Knn::new(5).search(subset)?)
        };
        let curve = Curve::over_n(&points, &[50, 100], 3, fit, Some(&Bootstrap::new().with_reps(50))).unwrap();
        assert_eq!(seen[1][..100], seen[0][..]);
        assert!(curve.points.iter().all(|point| point.interval.is_some()));
        let refused = Curve::over_n(&points, &[201], 3, |_| constant(1.0), None);
        assert!(matches!(refused, Err(IdError::InvalidSetting { name: "ns", .. })));
    }
}
