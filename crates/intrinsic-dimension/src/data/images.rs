use pulp::Arch;
use rayon::prelude::*;

use super::shapes::normal;
use super::stream;
use crate::distance::dot;
use crate::error::setting;
use crate::{IdError, Points};

/// Size of images that lie channel after channel, row after row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageSize {
    /// 1 or 3, usually.
    pub channels: usize,
    /// Pixels.
    pub height: usize,
    /// Pixels.
    pub width: usize,
}

impl ImageSize {
    /// Values of an image.
    #[must_use]
    pub fn pixels(&self) -> usize {
        self.channels * self.height * self.width
    }
}

/// Images of a dimension that is known: a random network z → sigmoid(W₂ relu(W₁ z + b₁) + b₂), in place of the paper's GAN.
///
/// The latent z is standard normal in its first d coordinates and 0 in the others, as in the paper, so that the images of a
/// series with growing d come from one network. Their dimension is at most d, and d unless the network folds.
/// Estimates from few images can exceed it.
///
/// ```
/// use rekindle_intrinsic_dimension::data::{ImageGenerator, ImageSize};
///
/// let size = ImageSize { channels: 1, height: 28, width: 28 };
/// let generator = ImageGenerator::new(128, 256, size, 0)?;
/// let images = generator.sample(100, 10, 1)?;
/// assert_eq!((images.n(), images.dim()), (100, 784));
/// assert!(images.values().iter().all(|pixel| (0.0..=1.0).contains(pixel)));
/// # Ok::<(), rekindle_intrinsic_dimension::IdError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct ImageGenerator {
    latent: usize,
    hidden: usize,
    size: ImageSize,
    /// `[hidden, latent]`
    first: Vec<f64>,
    first_bias: Vec<f64>,
    /// `[pixels, hidden]`
    second: Vec<f64>,
    second_bias: Vec<f64>,
}

impl ImageGenerator {
    /// A network with normal weights drawn from `seed`.
    ///
    /// # Errors
    ///
    /// [`IdError::InvalidSetting`] for a latent, hidden or image size of 0.
    pub fn new(latent: usize, hidden: usize, size: ImageSize, seed: u64) -> Result<Self, IdError> {
        for (name, value) in [("latent", latent), ("hidden", hidden), ("pixels", size.pixels())] {
            setting(name, "at least 1", value as f64, value >= 1)?;
        }
        let mut rng = stream(seed, 7);
        let mut weights = |n: usize, scale: f64| normal(&mut rng, n).iter().map(|x| x * scale).collect::<Vec<_>>();
        Ok(Self {
            latent,
            hidden,
            size,
            first: weights(hidden * latent, 1.0),
            first_bias: weights(hidden, 0.5),
            // He's initialization: pixels before the sigmoid have about unit variance.
            second: weights(size.pixels() * hidden, (2.0 / hidden as f64).sqrt()),
            second_bias: weights(size.pixels(), 0.5),
        })
    }

    /// Latents `[n, d]`, the coordinates that are not 0; each image depends on its own alone.
    ///
    /// # Errors
    ///
    /// [`IdError::InvalidSetting`] unless 1 ≤ d ≤ latent; [`IdError::Empty`] for no image.
    pub fn latents(&self, n: usize, d: usize, seed: u64) -> Result<Points<'static, f64>, IdError> {
        setting("d", "at least 1 and at most the latent size", d as f64, 1 <= d && d <= self.latent)?;
        Points::from_vec(normal(&mut stream(seed, 8), n * d), n, d)
    }

    /// The images of `latents`, in [0, 1].
    ///
    /// # Shapes
    ///
    /// - `latents`: `[n, d]`
    /// - returns `[n, pixels]`
    ///
    /// # Errors
    ///
    /// [`IdError::InvalidSetting`] if the latents have more columns than the network.
    pub fn images(&self, latents: &Points<'_, f64>) -> Result<Points<'static, f32>, IdError> {
        let d = latents.dim();
        setting("d", "at most the latent size", d as f64, d <= self.latent)?;
        let mut values = vec![0.0_f32; latents.n() * self.size.pixels()];
        let arch = Arch::new();
        values.par_chunks_mut(self.size.pixels()).enumerate().for_each(|(i, image)| {
            arch.dispatch(
                #[inline(always)]
                || self.draw(latents.row(i), image),
            );
        });
        Points::from_vec(values, latents.n(), self.size.pixels())
    }

    /// Inlined, so that it is compiled for the vector unit.
    #[inline(always)]
    fn draw(&self, latent: &[f64], image: &mut [f32]) {
        let d = latent.len();
        // Divided by the norm of d unit normals, so that images of every d have one contrast.
        let scale = 1.0 / (d as f64).sqrt();
        let mut hidden = Vec::with_capacity(self.hidden);
        for (weights, bias) in self.first.chunks(self.latent).zip(&self.first_bias) {
            hidden.push((scale * dot(&weights[..d], latent) + bias).max(0.0));
        }
        for ((pixel, weights), bias) in image.iter_mut().zip(self.second.chunks(self.hidden)).zip(&self.second_bias) {
            *pixel = (1.0 / (1.0 + (-dot(weights, &hidden) - bias).exp())) as f32;
        }
    }

    /// `n` images of dimension at most `d`.
    ///
    /// # Errors
    ///
    /// As [`latents`](Self::latents).
    pub fn sample(&self, n: usize, d: usize, seed: u64) -> Result<Points<'static, f32>, IdError> {
        self.images(&self.latents(n, d, seed)?)
    }
}

/// Images of another size, each pixel that of the nearest place (the paper's series of resolutions).
///
/// # Errors
///
/// [`IdError::Columns`] if the images are not of size `from`; [`IdError::InvalidSetting`] for other channels or no pixel.
pub fn resize_nearest(
    images: &Points<'_, f32>,
    from: ImageSize,
    to: ImageSize,
) -> Result<Points<'static, f32>, IdError> {
    if images.dim() != from.pixels() {
        return Err(IdError::Columns { reference: from.pixels(), queries: images.dim() });
    }
    setting("channels", "the same before and after", to.channels as f64, to.channels == from.channels)?;
    setting("pixels", "at least 1", 0.0, to.pixels() >= 1)?;
    let source: Vec<usize> = (0..to.pixels())
        .map(|at| {
            let (x, y, channel) = (at % to.width, at / to.width % to.height, at / (to.width * to.height));
            (channel * from.height + y * from.height / to.height) * from.width + x * from.width / to.width
        })
        .collect();
    let values = (0..images.n()).flat_map(|i| source.iter().map(move |&at| images.row(i)[at])).collect();
    Points::from_vec(values, images.n(), to.pixels())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubling_repeats_pixels_and_halving_undoes_it() {
        let small = ImageSize { channels: 2, height: 1, width: 2 };
        let large = ImageSize { channels: 2, height: 2, width: 4 };
        let images = Points::new(&[1.0_f32, 2.0, 3.0, 4.0], 1, 4).unwrap();
        let doubled = resize_nearest(&images, small, large).unwrap();
        assert_eq!(doubled.values()[..8], [1.0, 1.0, 2.0, 2.0, 1.0, 1.0, 2.0, 2.0]);
        assert_eq!(resize_nearest(&doubled, large, small).unwrap(), images);
        assert!(matches!(resize_nearest(&images, large, small), Err(IdError::Columns { .. })));
    }

    #[test]
    fn latents_of_zero_change_nothing() {
        let size = ImageSize { channels: 1, height: 4, width: 4 };
        let generator = ImageGenerator::new(3, 8, size, 0).unwrap();
        let images = generator.images(&Points::new(&[0.0, 0.0], 1, 2).unwrap()).unwrap();
        assert_eq!(images, generator.images(&Points::new(&[0.0; 3], 1, 3).unwrap()).unwrap());
        assert!(matches!(generator.sample(5, 4, 0), Err(IdError::InvalidSetting { name: "d", .. })));
        assert_eq!(generator.sample(5, 2, 0), generator.sample(5, 2, 0));
    }
}
