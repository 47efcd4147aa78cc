use std::path::Path;

use super::npy::{Dtype, NpyFile};
use super::{DatasetError, ImageShape, LabeledImages};

/// Reads gray images and their labels from NumPy archives (`.npz`) of one array of bytes each: `[n, height, width]` and `[n]`.
///
/// # Errors
///
/// [`DatasetError::Read`] if a file can't be read; [`DatasetError::Malformed`] if it is no such archive, is damaged, or has
/// another number of labels than images; [`DatasetError::LabelOutOfRange`] for a label that is no class.
pub fn read_npz_images(
    name: &str,
    images: &Path,
    labels: &Path,
    n_classes: usize,
) -> Result<LabeledImages, DatasetError> {
    let mut pixels = NpyFile::open_npz(images)?;
    let (n, shape) = match (pixels.header().dtype, &pixels.header().shape[..]) {
        (Dtype::U8, &[n, height, width]) => (n, ImageShape { channels: 1, height, width }),
        _ => return Err(pixels.unexpected("shape (n, height, width) and type '|u1'")),
    };
    let mut classes = NpyFile::open_npz(labels)?;
    if (classes.header().dtype, &classes.header().shape[..]) != (Dtype::U8, &[n]) {
        return Err(classes.unexpected(&format!("shape ({n},), a label for each image, and type '|u1'")));
    }
    let values = pixels.read_bytes(0, n * shape.len())?;
    let labels = classes.read_bytes(0, n)?.into_iter().map(usize::from).collect();
    LabeledImages::new(name, shape, values, labels, n_classes)
}
