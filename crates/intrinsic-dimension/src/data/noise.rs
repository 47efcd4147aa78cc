use rand::RngExt;
use rand::seq::index::sample;
use rand_distr::StandardNormal;

use super::stream;
use crate::error::setting;
use crate::{IdError, Points};

/// `points` with independent normal noise of standard deviation `sd` on every coordinate.
///
/// It raises the dimension seen at scales up to about sd · sqrt(dim).
///
/// # Errors
///
/// [`IdError::InvalidSetting`] unless `sd` is finite and at least 0.
pub fn with_noise(points: &Points<'_, f64>, sd: f64, seed: u64) -> Result<Points<'static, f64>, IdError> {
    setting("sd", "finite and at least 0", sd, sd.is_finite() && sd >= 0.0)?;
    let mut rng = stream(seed, 5);
    let noisy = |x: &f64| x + sd * rng.sample::<f64, _>(StandardNormal);
    Points::from_vec(points.values().iter().map(noisy).collect(), points.n(), points.dim())
}

/// Images with `d` random pixels overwritten by uniform noise in [0, 1], `copies` of each: the paper's series of noise.
///
/// The pixels differ from copy to copy. Image i has the rows i · copies and following.
///
/// # Shapes
///
/// - `images`: `[n, pixels]` in [0, 1]
/// - returns `[n · copies, pixels]`
///
/// # Errors
///
/// [`IdError::InvalidSetting`] if `d` is above the number of pixels or `copies` is 0.
pub fn noise_pixels(
    images: &Points<'_, f32>,
    d: usize,
    copies: usize,
    seed: u64,
) -> Result<Points<'static, f32>, IdError> {
    setting("d", "at most the number of pixels", d as f64, d <= images.dim())?;
    setting("copies", "at least 1", copies as f64, copies >= 1)?;
    let mut rng = stream(seed, 6);
    let mut values = Vec::with_capacity(images.values().len() * copies);
    for i in 0..images.n() {
        for _ in 0..copies {
            let start = values.len();
            values.extend_from_slice(images.row(i));
            for pixel in sample(&mut rng, images.dim(), d) {
                values[start + pixel] = rng.random();
            }
        }
    }
    Points::from_vec(values, images.n() * copies, images.dim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_pixels_change_as_asked_for() {
        let images = Points::new(&[2.0_f32; 40], 2, 20).unwrap();
        let noisy = noise_pixels(&images, 7, 3, 0).unwrap();
        assert_eq!((noisy.n(), noisy.dim()), (6, 20));
        for i in 0..6 {
            assert_eq!(noisy.row(i).iter().filter(|pixel| **pixel <= 1.0).count(), 7);
        }
        assert_ne!(noisy.row(0), noisy.row(1));
        assert_eq!(noise_pixels(&images, 0, 1, 0).unwrap().values(), images.values());
        assert!(matches!(noise_pixels(&images, 21, 1, 0), Err(IdError::InvalidSetting { name: "d", .. })));
    }

    #[test]
    fn noise_has_its_standard_deviation() {
        let zeros = Points::new(&[0.0; 10_000], 100, 100).unwrap();
        let noisy = with_noise(&zeros, 3.0, 1).unwrap();
        let variance = noisy.values().iter().map(|x| x * x).sum::<f64>() / 10_000.0;
        assert!((variance.sqrt() - 3.0).abs() < 0.1);
        assert!(matches!(with_noise(&zeros, -1.0, 1), Err(IdError::InvalidSetting { name: "sd", .. })));
    }
}
