use std::f64::consts::{PI, TAU};

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Beta, Exp1};

use super::shapes::normal;
use super::stream;
use crate::{IdError, Points};

/// The benchmark manifolds of Hein and Audibert (2005) and Campadelli et al. (2015), in scikit-dimension's definitions and names.
///
/// ```
/// use rekindle_intrinsic_dimension::data::Manifold;
///
/// for manifold in Manifold::ALL {
///     let points = manifold.sample(100, 0)?;
///     assert_eq!(points.dim(), manifold.columns());
///     assert!(manifold.dimension() <= manifold.columns());
/// }
/// # Ok::<(), rekindle_intrinsic_dimension::IdError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Manifold {
    /// The sphere S¹⁰.
    M1Sphere,
    /// An affine space of 3 dimensions in R⁵.
    M2Affine,
    /// A concentrated figure that is easily taken for one of 3 dimensions.
    M3Nonlinear,
    /// A nonlinear manifold of 4 dimensions in R⁸.
    M4Nonlinear,
    /// A closed helix.
    M5aHelix,
    /// A surface of helices.
    M5bHelix,
    /// A nonlinear manifold of 6 dimensions in R³⁶.
    M6Nonlinear,
    /// The Swiss roll.
    M7Roll,
    /// A highly curved manifold of 12 dimensions in R⁷².
    M8Nonlinear,
    /// The cube of 20 dimensions.
    M9Affine,
    /// The surface of a cube, 10 dimensions.
    M10aCubic,
    /// The surface of a cube, 17 dimensions.
    M10bCubic,
    /// The surface of a cube, 24 dimensions.
    M10cCubic,
    /// The surface of a cube, 70 dimensions.
    M10dCubic,
    /// A Möbius band that is twisted ten times.
    M11Moebius,
    /// The standard normal law in R²⁰.
    M12Norm,
    /// A surface of the shape of an S.
    M13aScurve,
    /// A helix.
    M13bSpiral,
    /// A curved manifold of 10 dimensions with a density that is far from uniform.
    Mbeta,
    /// A nonlinearly embedded manifold of 18 dimensions.
    Mn1Nonlinear,
    /// A nonlinearly embedded manifold of 24 dimensions.
    Mn2Nonlinear,
    /// A paraboloid of 3 dimensions with a multivariate Burr law.
    Mp1Paraboloid,
    /// A paraboloid of 6 dimensions.
    Mp2Paraboloid,
    /// A paraboloid of 9 dimensions.
    Mp3Paraboloid,
}

use Manifold::*;

impl Manifold {
    /// All of them.
    pub const ALL: [Self; 24] = [
        M1Sphere,
        M2Affine,
        M3Nonlinear,
        M4Nonlinear,
        M5aHelix,
        M5bHelix,
        M6Nonlinear,
        M7Roll,
        M8Nonlinear,
        M9Affine,
        M10aCubic,
        M10bCubic,
        M10cCubic,
        M10dCubic,
        M11Moebius,
        M12Norm,
        M13aScurve,
        M13bSpiral,
        Mbeta,
        Mn1Nonlinear,
        Mn2Nonlinear,
        Mp1Paraboloid,
        Mp2Paraboloid,
        Mp3Paraboloid,
    ];

    /// Name in scikit-dimension, dimension, columns.
    fn facts(self) -> (&'static str, usize, usize) {
        match self {
            M1Sphere => ("M1_Sphere", 10, 11),
            M2Affine => ("M2_Affine_3to5", 3, 5),
            M3Nonlinear => ("M3_Nonlinear_4to6", 4, 6),
            M4Nonlinear => ("M4_Nonlinear", 4, 8),
            M5aHelix => ("M5a_Helix1d", 1, 3),
            M5bHelix => ("M5b_Helix2d", 2, 3),
            M6Nonlinear => ("M6_Nonlinear", 6, 36),
            M7Roll => ("M7_Roll", 2, 3),
            M8Nonlinear => ("M8_Nonlinear", 12, 72),
            M9Affine => ("M9_Affine", 20, 20),
            M10aCubic => ("M10a_Cubic", 10, 11),
            M10bCubic => ("M10b_Cubic", 17, 18),
            M10cCubic => ("M10c_Cubic", 24, 25),
            M10dCubic => ("M10d_Cubic", 70, 71),
            M11Moebius => ("M11_Moebius", 2, 3),
            M12Norm => ("M12_Norm", 20, 20),
            M13aScurve => ("M13a_Scurve", 2, 3),
            M13bSpiral => ("M13b_Spiral", 1, 13),
            Mbeta => ("Mbeta", 10, 40),
            Mn1Nonlinear => ("Mn1_Nonlinear", 18, 72),
            Mn2Nonlinear => ("Mn2_Nonlinear", 24, 96),
            Mp1Paraboloid => ("Mp1_Paraboloid", 3, 12),
            Mp2Paraboloid => ("Mp2_Paraboloid", 6, 21),
            Mp3Paraboloid => ("Mp3_Paraboloid", 9, 30),
        }
    }

    /// Name in scikit-dimension.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.facts().0
    }

    /// Its intrinsic dimension.
    #[must_use]
    pub fn dimension(self) -> usize {
        self.facts().1
    }

    /// Dimension of the space that it lies in.
    #[must_use]
    pub fn columns(self) -> usize {
        self.facts().2
    }

    /// `n` points.
    ///
    /// # Errors
    ///
    /// [`IdError::Empty`] for no point.
    pub fn sample(self, n: usize, seed: u64) -> Result<Points<'static, f64>, IdError> {
        // A stream for each, apart from those of the other generators.
        let mut rng = stream(seed, 100 + self as u64);
        let mut values = Vec::with_capacity(n * self.columns());
        for i in 0..n {
            let start = values.len();
            self.point(&mut rng, i, n, &mut values);
            values.resize(start + self.columns(), 0.0);
        }
        Points::from_vec(values, n, self.columns())
    }

    /// Appends point `i` of `n`, without the zeros that fill it up.
    fn point(self, rng: &mut ChaCha8Rng, i: usize, n: usize, point: &mut Vec<f64>) {
        let d = self.dimension();
        let mut uniform = |scale: f64| scale * rng.random::<f64>();
        match self {
            M1Sphere => {
                let vector = normal(rng, d + 1);
                let norm = vector.iter().map(|x| x * x).sum::<f64>().sqrt();
                point.extend(vector.iter().map(|x| x / norm));
            }
            M2Affine => {
                let p = [uniform(4.0), uniform(4.0), uniform(4.0)];
                point.extend([
                    1.2 * p[0] - 0.5 * p[1] + 3.0,
                    0.5 * p[0] + 0.9 * p[1] - 1.0,
                    -0.5 * p[0] - 0.2 * p[1] + p[2],
                    0.4 * p[0] - 0.9 * p[1] - 0.1 * p[2],
                    1.1 * p[0] - 0.3 * p[1] + 8.0,
                ]);
            }
            M3Nonlinear => {
                let p = [uniform(1.0), uniform(1.0), uniform(1.0), uniform(1.0)];
                point.extend([
                    p[1].powi(2) * (TAU * p[0]).cos(),
                    p[2].powi(2) * (TAU * p[0]).sin(),
                    p[1] + p[2] + (p[1] - p[3]).powi(2),
                    p[1] - 2.0 * p[2] + (p[0] - p[3]).powi(2),
                    -p[1] - 2.0 * p[2] + (p[2] - p[3]).powi(2),
                    p[0].powi(2) - p[1].powi(2) + p[2].powi(2) - p[3].powi(2),
                ]);
            }
            M4Nonlinear | M6Nonlinear | M8Nonlinear => {
                let p: Vec<f64> = (0..d).map(|_| uniform(1.0)).collect();
                for _ in 0..self.columns() / (2 * d) {
                    for j in 0..d {
                        let (sin, cos) = (TAU * p[j]).sin_cos();
                        point.extend([p[(j + 1) % d] * cos, p[(j + 1) % d] * sin]);
                    }
                }
            }
            M5aHelix => {
                let t = uniform(TAU);
                let radius = 2.0 + (8.0 * t).cos();
                point.extend([radius * t.cos(), radius * t.sin(), (8.0 * t).sin()]);
            }
            M5bHelix => {
                let (r, p) = (uniform(10.0 * PI), uniform(10.0 * PI));
                point.extend([r * p.cos(), r * p.sin(), 0.5 * p]);
            }
            M7Roll => {
                let t = 1.5 * PI * (1.0 + uniform(2.0));
                point.extend([t * t.cos(), uniform(21.0), t * t.sin()]);
            }
            M9Affine => point.extend((0..d).map(|_| uniform(5.0) - 2.5)),
            M10aCubic | M10bCubic | M10cCubic | M10dCubic => {
                // The faces one after the other, equally many points on each but the last.
                let face = i / (n / (2 * (d + 1)) + 1);
                point.extend((0..=d).map(|j| {
                    let inside = uniform(1.0);
                    if j == face / 2 { (face % 2) as f64 } else { inside }
                }));
            }
            M11Moebius => {
                let (phi, radius) = (uniform(TAU), uniform(2.0) - 1.0);
                let out = 1.0 + 0.5 * radius * (5.0 * phi).cos();
                point.extend([out * phi.cos(), out * phi.sin(), 0.5 * radius * (5.0 * phi).sin()]);
            }
            M12Norm => point.extend(normal(rng, d)),
            M13aScurve => {
                let t = 3.0 * PI * (uniform(1.0) - 0.5);
                point.extend([t.sin(), uniform(2.0), t.signum() * (t.cos() - 1.0)]);
            }
            M13bSpiral => {
                let t = uniform(10.0 * PI);
                point.extend([100.0 * t.cos(), 100.0 * t.sin(), t]);
            }
            Mbeta => {
                let beta = Beta::new(10.0, 0.5).expect("both parameters are above 0");
                let x: Vec<f64> = (0..d).map(|_| rng.sample(beta)).collect();
                let first = |x: &f64| x * (TAU * x).cos().sin();
                let second = |x: &f64| x * (TAU * x).sin().cos();
                twice(point, x.iter().map(first).chain(x.iter().map(second)).collect());
            }
            Mn1Nonlinear | Mn2Nonlinear => {
                let x: Vec<f64> = (0..d).map(|_| uniform(1.0)).collect();
                let pairs = || x.iter().zip(x.iter().rev());
                let first = pairs().map(|(x, y)| (x * y.cos()).tan());
                let second = pairs().map(|(x, y)| (y * x.sin()).atan());
                twice(point, first.chain(second).collect());
            }
            Mp1Paraboloid | Mp2Paraboloid | Mp3Paraboloid => {
                let first: f64 = rng.sample(Exp1);
                let mut x: Vec<f64> = (0..d).map(|_| 1.0 / (1.0 + rng.sample::<f64, _>(Exp1) / first)).collect();
                x.push(x.iter().map(|x| x * x).sum());
                point.extend(x.iter().copied().chain(x.iter().map(|x| x.sin())).chain(x.iter().map(|x| x * x)));
            }
        }
    }
}

fn twice(point: &mut Vec<f64>, half: Vec<f64>) {
    point.extend_from_slice(&half);
    point.extend(half);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_repeat_and_fill_their_columns() {
        for manifold in Manifold::ALL {
            let points = manifold.sample(150, 4).unwrap();
            assert_eq!(points, manifold.sample(150, 4).unwrap(), "{manifold:?}");
            assert_ne!(points, manifold.sample(150, 5).unwrap(), "{manifold:?}");
        }
        assert_eq!(M1Sphere.sample(0, 0), Err(IdError::Empty { n: 0, dim: 11 }));
    }

    #[test]
    fn every_face_of_a_cube_has_points() {
        let points = M10aCubic.sample(2200, 0).unwrap();
        for j in 0..11 {
            for face in [0.0, 1.0] {
                assert!((0..2200).filter(|&i| points.row(i)[j] == face).count() >= 70);
            }
        }
    }
}
