//! The 15 + 4 image corruptions of CIFAR-10-C at five severities, after their formulas and parameters.
//!
//! ```
//! use rekindle_shared::data::corruption::{Corruption, Severity, corrupt};
//! use rekindle_shared::data::{GlyphsConfig, Stream, Streams};
//!
//! # fn main() -> Result<(), rekindle_shared::data::DatasetError> {
//! let clean = GlyphsConfig::new().init()?.sample(100, &mut Streams::new(1).stream(Stream::Data))?;
//! let foggy = corrupt(&clean, Corruption::Fog, Severity::new(5)?, 1)?;
//! assert_eq!(foggy.labels(), clean.labels());
//! # Ok(())
//! # }
//! ```
//!
//! Images are gray or red, green, blue, 16 to 64 pixels a side. The parameters are those for 32 x 32 pixels: on other
//! sizes lengths that the original ties to its side of 32 are tied to the image's, and results are not those of another
//! benchmark (MNIST-C, ImageNet-C). Results are bytes, clipped and truncated as the original's.
//!
//! An image's corruption depends on the seed, the image's index, the corruption and the severity alone: not on the
//! number of threads, and not on the other images. [`Corruption::deviation`] says where a definition is not the
//! original's.

mod blur;
mod color;
mod dct;
mod edges;
mod effect;
mod elastic;
mod filter;
mod frost;
mod glass;
mod jpeg;
mod kind;
mod motion;
mod noise;
mod pixelate;
mod plan;
mod plasma;
mod severity;
mod spatter;
mod water;
mod weather;
mod zoom;

use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

pub use kind::{AnyCorruption, Corruption, ExtraCorruption};
pub use plasma::plasma;
pub use severity::Severity;

use super::{DatasetError, ImageShape, LabeledImages, Stream, Streams};

/// Every image corrupted, in parallel; labels stay.
///
/// # Errors
///
/// [`DatasetError::CorruptionShape`] for images that are not 16 to 64 pixels a side with 1 or 3 channels.
pub fn corrupt(
    images: &LabeledImages,
    corruption: impl Into<AnyCorruption>,
    severity: Severity,
    seed: u64,
) -> Result<LabeledImages, DatasetError> {
    let (kind, shape) = (corruption.into(), images.shape());
    check_shape(shape)?;
    let effect = plan::plan(kind, severity, shape);
    let mut pixels = vec![0; images.pixels().len()];
    let pairs = pixels.par_chunks_exact_mut(shape.len()).zip(images.pixels().par_chunks_exact(shape.len()));
    pairs.enumerate().with_min_len(16).for_each_init(
        || effect.worker(),
        |worker, (index, (out, image))| worker(image, out, &mut stream(seed, kind, severity, index as u64)),
    );
    let name = format!("{}, {kind} {severity}", images.name());
    LabeledImages::new(name, shape, pixels, images.labels().to_vec(), images.n_classes())
}

/// One image corrupted, `[channels, height, width]`: the same as [`corrupt`] makes of it where it has this index.
///
/// # Errors
///
/// As [`corrupt`], and [`DatasetError::Size`] if the number of pixels does not fit the shape.
pub fn corrupt_image(
    pixels: &[u8],
    shape: ImageShape,
    corruption: impl Into<AnyCorruption>,
    severity: Severity,
    seed: u64,
    index: u64,
) -> Result<Vec<u8>, DatasetError> {
    let kind = corruption.into();
    check_shape(shape)?;
    if pixels.len() != shape.len() {
        let (name, expected, found) = (format!("image {index}"), shape.len(), pixels.len());
        return Err(DatasetError::Size { name, what: "pixels", expected, found });
    }
    let mut out = vec![0; shape.len()];
    plan::plan(kind, severity, shape).worker()(pixels, &mut out, &mut stream(seed, kind, severity, index));
    Ok(out)
}

fn check_shape(shape: ImageShape) -> Result<(), DatasetError> {
    let sides = 16..=64;
    if matches!(shape.channels, 1 | 3) && sides.contains(&shape.height) && sides.contains(&shape.width) {
        Ok(())
    } else {
        Err(DatasetError::CorruptionShape(shape))
    }
}

/// The random numbers of one image: the substream numbered 128 · index + 5 · corruption + severity - 1.
fn stream(seed: u64, kind: AnyCorruption, severity: Severity, index: u64) -> ChaCha8Rng {
    let cell = kind.number() * Severity::ALL.len() as u64 + severity.index() as u64;
    Streams::new(seed).substream(Stream::Corruption, index.wrapping_mul(128).wrapping_add(cell))
}
