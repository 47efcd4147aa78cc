//! Products of blocks of points in `f32`, and how far the distances they give can be from the true ones.

use std::ops::Range;

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use rayon::prelude::*;

use crate::{IdError, Points, Scalar};

/// Rows and columns of a block of products.
pub(crate) const BLOCK: usize = 1024;
/// Coordinates multiplied at once. The sums of the pieces are added here, so that the rounding bound grows with
/// `DEPTH` + dim / `DEPTH` instead of dim, whatever order the multiplication adds in.
const DEPTH: usize = 1024;
/// Unit roundoff of `f32`.
const UNIT: f64 = 1.0 / (1u32 << 24) as f64;
/// What is added to ε beside the error of the products.
const OTHERS: f64 = 12.0 * UNIT;

/// The coordinates y = scale (x - center) in `f32`, |y| ≤ 1, in which products are taken.
///
/// For rows a and b let N = ‖y‖² and g the computed product. Then the true squared distance, times scale², lies within
/// ε (N_a + N_b) + tiny of N_a + N_b - 2g, where ε adds up
/// - γ_m = m u / (1 - m u), m = `DEPTH` + dim / `DEPTH` + 2: the products and their sums (|a·b| ≤ (N_a + N_b) / 2, twice);
/// - 4.1 u: y is (x - center) rounded, which moves each point by at most 1.01 u ‖y‖;
/// - 4.2 u: rounding N_a + N_b - 2g itself and what goes into it;
///
/// and tiny covers products that underflow. The center keeps N small where the data lie far from the origin; the power
/// of two `scale` keeps products in range.
#[derive(Debug)]
pub(crate) struct Frame {
    center: Vec<f64>,
    scale: f64,
    epsilon: f64,
    tiny: f64,
    /// Relative error allowed to a squared distance computed directly, and to rounding a limit to `f32`.
    slack: f64,
}

/// Points, and the parts of the bounds on their distances that belong to each alone.
#[derive(Debug)]
pub(crate) struct Side<'a, T: Scalar> {
    pub(crate) points: &'a Points<'a, T>,
    /// (1 - ε) N - tiny.
    pub(crate) lower: Vec<f32>,
    /// (1 + ε) N + tiny.
    pub(crate) upper: Vec<f32>,
}

/// Memory of one thread.
#[derive(Debug, Default)]
pub(crate) struct Workspace {
    left: Vec<f32>,
    right: Vec<f32>,
    part: Vec<f32>,
    /// Products `[rows of a, rows of b]`, row after row.
    pub(crate) gram: Vec<f32>,
    /// The same, transposed.
    pub(crate) turned: Vec<f32>,
}

impl Frame {
    /// Centered on `reference`, scaled to hold `reference` and `queries`.
    ///
    /// # Errors
    ///
    /// [`IdError::Constant`] if all points coincide, [`IdError::TooSmall`] if squares of differences would vanish.
    pub(crate) fn new<T: Scalar>(reference: &Points<'_, T>, queries: Option<&Points<'_, T>>) -> Result<Self, IdError> {
        let center = reference.mean();
        let deviation = |points: &Points<'_, T>| {
            let of_row = |i| points.row(i).iter().zip(&center).map(|(x, c): (&T, _)| (x.to_f64() - c).abs());
            (0..points.n()).into_par_iter().map(|i| of_row(i).fold(0.0, f64::max)).reduce(|| 0.0, f64::max)
        };
        let largest = queries.map_or(0.0, deviation).max(deviation(reference));
        if largest == 0.0 {
            return Err(IdError::Constant(reference.n()));
        }
        if largest < 1e-140 {
            return Err(IdError::TooSmall(largest));
        }
        let terms = (DEPTH.min(center.len()) + center.len().div_ceil(DEPTH) + 2) as f64;
        Ok(Self {
            scale: (-largest.log2().ceil()).exp2(),
            epsilon: terms * UNIT / (1.0 - terms * UNIT) + OTHERS,
            tiny: (center.len() + 8) as f64 * (-125.0_f64).exp2(),
            slack: (-22.0_f64).exp2() + center.len() as f64 * (-52.0_f64).exp2(),
            center,
        })
    }

    /// The same frame for products that are computed elsewhere, with errors of up to `relative` Σ |aᵢ bᵢ| + `absolute`.
    #[cfg(feature = "burn")]
    pub(crate) fn with_products(self, relative: f64, absolute: f64) -> Self {
        let tiny = self.tiny + 2.0 * absolute;
        Self { epsilon: relative + OTHERS, tiny, ..self }
    }

    /// The product of two points as it should be, and how far a computed one may be from it.
    #[cfg(feature = "burn")]
    pub(crate) fn product<T: Scalar>(&self, a: &[T], b: &[T]) -> (f64, f64) {
        let (mut product, mut norms) = (0.0, 0.0);
        for ((a, b), center) in a.iter().zip(b).zip(&self.center) {
            let (a, b) = (f64::from(self.place(*a, *center)), f64::from(self.place(*b, *center)));
            product += a * b;
            norms += a * a + b * b;
        }
        (product, (self.epsilon * norms + self.tiny) / 2.0)
    }

    #[cfg(feature = "burn")]
    pub(crate) fn dim(&self) -> usize {
        self.center.len()
    }

    pub(crate) fn side<'a, T: Scalar>(&self, points: &'a Points<'a, T>) -> Side<'a, T> {
        let norm = |i: usize| {
            let place = |(x, c): (&T, &f64)| f64::from(self.place(*x, *c));
            points.row(i).iter().zip(&self.center).map(place).map(|y| y * y).sum::<f64>()
        };
        let bounds = |norm: f64| {
            let (lower, upper) = ((1.0 - self.epsilon) * norm, (1.0 + self.epsilon) * norm);
            ((lower - self.tiny) as f32, (upper + self.tiny) as f32)
        };
        let (lower, upper) = (0..points.n()).into_par_iter().map(|i| bounds(norm(i))).unzip();
        Side { points, lower, upper }
    }

    /// A squared distance in the units of the products, rounded up: nothing nearer than `distance` has a larger lower bound.
    pub(crate) fn limit(&self, distance: f64) -> f32 {
        let scaled = distance * self.scale;
        ((scaled * scaled * (1.0 + self.slack)) as f32).max(f32::MIN_POSITIVE)
    }

    /// The same, rounded down: nothing farther than `distance` has a smaller upper bound.
    pub(crate) fn floor(&self, distance: f64) -> f32 {
        let scaled = distance * self.scale;
        (scaled * scaled * (1.0 - self.slack)) as f32
    }

    #[inline(always)]
    fn place<T: Scalar>(&self, x: T, center: f64) -> f32 {
        ((x.to_f64() - center) * self.scale) as f32
    }

    /// Fills `work.gram` with the products of some rows of `a` with some of `b`.
    pub(crate) fn multiply<T: Scalar>(
        &self,
        (a, a_rows): (&Points<'_, T>, Range<usize>),
        (b, b_rows): (&Points<'_, T>, Range<usize>),
        work: &mut Workspace,
    ) {
        let (n_a, n_b, dim) = (a_rows.len(), b_rows.len(), self.center.len());
        work.gram.resize(n_a * n_b, 0.0);
        for start in (0..dim).step_by(DEPTH) {
            let columns = start..dim.min(start + DEPTH);
            let depth = columns.len();
            self.pack(a, a_rows.clone(), columns.clone(), &mut work.left);
            self.pack(b, b_rows.clone(), columns, &mut work.right);
            let left = MatRef::from_row_major_slice(&work.left, n_a, depth);
            let right = MatRef::from_row_major_slice(&work.right, n_b, depth);
            let target = if start == 0 { &mut work.gram } else { &mut work.part };
            target.resize(n_a * n_b, 0.0);
            let product = MatMut::from_row_major_slice_mut(target, n_a, n_b);
            matmul(product, Accum::Replace, left, right.transpose(), 1.0, Par::Seq);
            if start > 0 {
                work.gram.iter_mut().zip(&work.part).for_each(|(sum, part)| *sum += part);
            }
        }
    }

    pub(crate) fn pack<T: Scalar>(
        &self,
        points: &Points<'_, T>,
        rows: Range<usize>,
        columns: Range<usize>,
        into: &mut Vec<f32>,
    ) {
        into.clear();
        let center = &self.center[columns.clone()];
        for i in rows {
            let row = &points.row(i)[columns.clone()];
            into.extend(row.iter().zip(center).map(|(x, c)| self.place(*x, *c)));
        }
    }
}

impl Workspace {
    /// Fills `turned` with the transpose of `gram`, which is `[rows, columns]`.
    pub(crate) fn turn(&mut self, rows: usize, columns: usize) {
        const TILE: usize = 32;
        self.turned.resize(rows * columns, 0.0);
        for i_start in (0..rows).step_by(TILE) {
            for j_start in (0..columns).step_by(TILE) {
                for i in i_start..rows.min(i_start + TILE) {
                    for j in j_start..columns.min(j_start + TILE) {
                        self.turned[j * rows + i] = self.gram[i * columns + j];
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::distance::squared_distance;

    /// The bounds hold for every pair, and are not idle.
    #[track_caller]
    fn assert_bounds_hold(values: &[f64], n: usize) {
        let points = Points::new(values, n, values.len() / n).unwrap();
        let frame = Frame::new(&points, None).unwrap();
        let side = frame.side(&points);
        let mut work = Workspace::default();
        frame.multiply((&points, 0..n), (&points, 0..n), &mut work);
        for i in 0..n {
            for j in 0..n {
                let distance = squared_distance(points.row(i), points.row(j)).sqrt();
                let twice = 2.0 * work.gram[i * n + j];
                let (lower, upper) = ((side.lower[i] + side.lower[j]) - twice, (side.upper[i] + side.upper[j]) - twice);
                assert!(lower <= frame.limit(distance), "{i} {j}: {lower} {}", frame.limit(distance));
                assert!(upper >= frame.floor(distance), "{i} {j}: {upper} {}", frame.floor(distance));
            }
        }
    }

    #[test]
    fn bounds_hold_far_from_the_origin_at_every_scale_and_depth() {
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        for (offset, scale) in [(0.0, 1.0), (1e6, 1.0), (0.0, 1e-130), (3.0, 1e140), (1e8, 1e-6)] {
            for dim in [1, 7, 300, 2500] {
                let values: Vec<f64> = (0..40 * dim).map(|_| (offset + rng.random::<f64>()) * scale).collect();
                if offset == 1e8 && dim == 1 {
                    continue;
                }
                assert_bounds_hold(&values, 40);
            }
        }
    }

    #[test]
    fn bounds_hold_where_near_points_lie_far_from_the_center() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let cluster = |i: usize| if i.is_multiple_of(2) { 1e3 } else { -1e3 };
        let values: Vec<f64> = (0..40 * 9).map(|i| cluster(i / 9) + 1e-9 * rng.random::<f64>()).collect();
        assert_bounds_hold(&values, 40);
    }
}
