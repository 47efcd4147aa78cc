use rand::{Rng, RngExt};
use rand_distr::StandardNormal;

use super::stream;
use crate::{IdError, Points};

/// Uniform points of the cube [0, 1]^d.
///
/// # Errors
///
/// [`IdError::Empty`] for no point or dimension.
pub fn cube(n: usize, d: usize, seed: u64) -> Result<Points<'static, f64>, IdError> {
    let mut rng = stream(seed, 0);
    Points::from_vec((0..n * d).map(|_| rng.random()).collect(), n, d)
}

/// Standard normal points in R^d.
///
/// # Errors
///
/// [`IdError::Empty`] for no point or dimension.
pub fn gaussian(n: usize, d: usize, seed: u64) -> Result<Points<'static, f64>, IdError> {
    Points::from_vec(normal(&mut stream(seed, 1), n * d), n, d)
}

/// Uniform points of the sphere S^d in R^(d+1): dimension d.
///
/// # Errors
///
/// [`IdError::Empty`] for no point.
pub fn sphere(n: usize, d: usize, seed: u64) -> Result<Points<'static, f64>, IdError> {
    let mut values = normal(&mut stream(seed, 2), n * (d + 1));
    values.chunks_mut(d + 1).for_each(normalize);
    Points::from_vec(values, n, d + 1)
}

/// Uniform points of the unit ball in R^d.
///
/// # Errors
///
/// [`IdError::Empty`] for no point or dimension.
pub fn ball(n: usize, d: usize, seed: u64) -> Result<Points<'static, f64>, IdError> {
    let mut rng = stream(seed, 3);
    let mut values = Vec::with_capacity(n * d);
    for _ in 0..n {
        let mut point = normal(&mut rng, d);
        normalize(&mut point);
        let radius = rng.random::<f64>().powf(1.0 / d as f64);
        values.extend(point.iter().map(|x| radius * x));
    }
    Points::from_vec(values, n, d)
}

/// Points of the sphere S² in R³ on a spiral by the golden angle, almost evenly spaced.
///
/// # Errors
///
/// [`IdError::Empty`] for no point.
pub fn fibonacci_sphere(n: usize) -> Result<Points<'static, f64>, IdError> {
    let golden = std::f64::consts::PI * (3.0 - 5.0_f64.sqrt());
    let point = |i: usize| {
        let z = 1.0 - (2 * i + 1) as f64 / n as f64;
        let (radius, angle) = ((1.0 - z * z).sqrt(), golden * i as f64);
        [radius * angle.cos(), radius * angle.sin(), z]
    };
    Points::from_vec((0..n).flat_map(point).collect(), n, 3)
}

/// The image of `points` under a random isometry into R^dim: dimension and distances stay.
///
/// # Errors
///
/// [`IdError::InvalidSetting`] if `dim` is below the number of columns.
pub fn embed(points: &Points<'_, f64>, dim: usize, seed: u64) -> Result<Points<'static, f64>, IdError> {
    let d = points.dim();
    if dim < d {
        return Err(IdError::InvalidSetting { name: "dim", rule: "at least the points' columns", value: dim as f64 });
    }
    let mut rng = stream(seed, 4);
    let mut axes: Vec<Vec<f64>> = Vec::with_capacity(d);
    while axes.len() < d {
        let mut axis = normal(&mut rng, dim);
        // Twice: once leaves what rounding leaves.
        for _ in 0..2 {
            for other in &axes {
                let along: f64 = axis.iter().zip(other).map(|(a, b)| a * b).sum();
                axis.iter_mut().zip(other).for_each(|(a, b)| *a -= along * b);
            }
            normalize(&mut axis);
        }
        axes.push(axis);
    }
    let mut values = vec![0.0; points.n() * dim];
    for (i, image) in values.chunks_mut(dim).enumerate() {
        for (x, axis) in points.row(i).iter().zip(&axes) {
            image.iter_mut().zip(axis).for_each(|(y, a)| *y += x * a);
        }
    }
    Points::from_vec(values, points.n(), dim)
}

pub(super) fn normal(rng: &mut impl Rng, n: usize) -> Vec<f64> {
    (0..n).map(|_| rng.sample(StandardNormal)).collect()
}

fn normalize(vector: &mut [f64]) {
    let norm = vector.iter().map(|x| x * x).sum::<f64>().sqrt();
    vector.iter_mut().for_each(|x| *x /= norm);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_where_they_should_be_and_repeat() {
        let norm = |row: &[f64]| row.iter().map(|x| x * x).sum::<f64>().sqrt();
        for (points, on_sphere) in [(sphere(50, 4, 1), true), (fibonacci_sphere(50), true), (ball(50, 4, 1), false)] {
            let points = points.unwrap();
            for i in 0..50 {
                let norm = norm(points.row(i));
                assert!(if on_sphere { (norm - 1.0).abs() < 1e-12 } else { norm <= 1.0 });
            }
        }
        assert_eq!(cube(5, 2, 9), cube(5, 2, 9));
        assert_ne!(cube(5, 2, 9), cube(5, 2, 8));
        assert_eq!(cube(0, 2, 9), Err(IdError::Empty { n: 0, dim: 2 }));
    }

    #[test]
    fn an_embedding_keeps_distances() {
        let points = gaussian(10, 3, 0).unwrap();
        let image = embed(&points, 40, 1).unwrap();
        for i in 1..10 {
            let distance = |points: &Points<'_, f64>| crate::distance::squared_distance(points.row(0), points.row(i));
            assert!((distance(&points) / distance(&image) - 1.0).abs() < 1e-12);
        }
        assert!(matches!(embed(&points, 2, 1), Err(IdError::InvalidSetting { name: "dim", .. })));
    }
}
