//! Points of known dimension.

use rekindle_intrinsic_dimension::data::{self, ImageGenerator, ImageSize, Manifold};
use rekindle_intrinsic_dimension::{IdError, Points};
use serde::{Deserialize, Serialize};

/// Latent coordinates of the generator, and units of its hidden layer.
const LATENT: usize = 128;
const HIDDEN: usize = 256;

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case")]
pub(crate) enum Samples {
    /// Uniform in [0, 1]^d.
    Cube { d: usize },
    /// Uniform on S^d.
    Sphere { d: usize },
    /// Normal in R^d under a random linear map into R^columns, which stretches directions unequally.
    Gaussian { d: usize, columns: usize },
    /// Images of a random network.
    Images { images: Images },
    /// The benchmark manifold at this place of `Manifold::ALL`.
    Manifold { index: usize },
}

/// Grey images of `side` x `side` pixels from latents of `d` coordinates, in [0, 1].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Images {
    pub(crate) d: usize,
    pub(crate) side: usize,
    /// Resized to this side, by the nearest pixel.
    pub(crate) resized: Option<usize>,
    /// Random pixels of each image that are overwritten with noise.
    pub(crate) noise_pixels: usize,
}

impl Images {
    pub(crate) fn plain(d: usize, side: usize) -> Self {
        Self { d, side, resized: None, noise_pixels: 0 }
    }

    /// The images of `latents`; the network is that of the seed, whatever `d`.
    pub(crate) fn of(&self, latents: &Points<'_, f64>, seed: u64) -> Result<Points<'static, f32>, IdError> {
        let mut images = generator(self.side, seed)?.images(latents)?;
        if let Some(side) = self.resized {
            images = data::resize_nearest(&images, square(self.side), square(side))?;
        }
        data::noise_pixels(&images, self.noise_pixels, 1, seed)
    }

    pub(crate) fn latents(&self, n: usize, seed: u64) -> Result<Points<'static, f64>, IdError> {
        generator(1, seed)?.latents(n, self.d, seed)
    }
}

impl Samples {
    pub(crate) fn draw(self, n: usize, seed: u64) -> Result<Points<'static, f64>, IdError> {
        match self {
            Self::Cube { d } => data::cube(n, d, seed),
            Self::Sphere { d } => data::sphere(n, d, seed),
            Self::Gaussian { d, columns } => {
                // Rows of a normal matrix, from another seed than the points.
                let map = data::gaussian(d, columns, !seed)?;
                let points = data::gaussian(n, d, seed)?;
                let mut values = vec![0.0; n * columns];
                for (i, image) in values.chunks_mut(columns).enumerate() {
                    for (j, x) in points.row(i).iter().enumerate() {
                        image.iter_mut().zip(map.row(j)).for_each(|(y, weight)| *y += weight * x);
                    }
                }
                Points::from_vec(values, n, columns)
            }
            Self::Images { images } => {
                let points = images.of(&images.latents(n, seed)?, seed)?;
                Points::from_vec(points.values().iter().map(|&x| f64::from(x)).collect(), n, points.dim())
            }
            Self::Manifold { index } => Manifold::ALL[index].sample(n, seed),
        }
    }
}

fn square(side: usize) -> ImageSize {
    ImageSize { channels: 1, height: side, width: side }
}

fn generator(side: usize, seed: u64) -> Result<ImageGenerator, IdError> {
    ImageGenerator::new(LATENT, HIDDEN, square(side), seed)
}
