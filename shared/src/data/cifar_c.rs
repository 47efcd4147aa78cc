use std::path::Path;

use super::corruption::{AnyCorruption, Severity};
use super::npy::{Dtype, NpyFile};
use super::{DatasetError, ImageShape, LabeledImages};

const SHAPE: ImageShape = ImageShape { channels: 3, height: 32, width: 32 };

/// Reads one corruption at one severity from the files of CIFAR-10-C as they are published: `<corruption>.npy` with
/// bytes `[50000, 32, 32, 3]`, a fifth of them for each severity, and `labels.npy` with a label for each image.
///
/// For [`FrostLike`](super::corruption::Corruption::FrostLike) the published `frost.npy` is read, which has photographs
/// of frost. Files of fewer images are read too, if each severity has the same number of them. Only the severity asked
/// for is read from disk.
///
/// # Errors
///
/// [`DatasetError::Read`] if a file can't be read, [`DatasetError::Malformed`] if it is no such array: another shape or
/// type of values, column-major order, truncated, or a label above 9.
pub fn read_cifar_10_c(
    folder: &Path,
    corruption: impl Into<AnyCorruption>,
    severity: Severity,
) -> Result<LabeledImages, DatasetError> {
    read("cifar-10-c", folder, corruption.into(), severity, 10)
}

/// Reads CIFAR-100-C (fine labels), which has the files of CIFAR-10-C.
///
/// # Errors
///
/// As [`read_cifar_10_c`], with labels up to 99.
pub fn read_cifar_100_c(
    folder: &Path,
    corruption: impl Into<AnyCorruption>,
    severity: Severity,
) -> Result<LabeledImages, DatasetError> {
    read("cifar-100-c", folder, corruption.into(), severity, 100)
}

fn read(
    name: &str,
    folder: &Path,
    kind: AnyCorruption,
    severity: Severity,
    n_classes: usize,
) -> Result<LabeledImages, DatasetError> {
    let kind = kind.published_name();
    let mut images = NpyFile::open(&folder.join(format!("{kind}.npy")))?;
    let n = match (images.header().dtype, &images.header().shape[..]) {
        (Dtype::U8, &[n, 32, 32, 3]) if n > 0 && n.is_multiple_of(Severity::ALL.len()) => n,
        _ => return Err(images.unexpected("shape (n, 32, 32, 3) with n a multiple of 5 and type '|u1'")),
    };
    let mut labels = NpyFile::open(&folder.join("labels.npy"))?;
    if labels.header().shape != [n] {
        return Err(labels.unexpected(&format!("shape ({n},), a label for each image of {kind}.npy")));
    }
    let each = n / Severity::ALL.len();
    let first = severity.index() * each;
    let interleaved = images.read_bytes(first * SHAPE.len(), each * SHAPE.len())?;
    let mut pixels = Vec::with_capacity(interleaved.len());
    for image in interleaved.chunks_exact(SHAPE.len()) {
        (0..3).for_each(|channel| pixels.extend(image[channel..].iter().step_by(3)));
    }
    let numbers = labels.read_integers(first, each)?;
    let class = |(i, &label): (usize, &i64)| match usize::try_from(label) {
        Ok(label) if label < n_classes => Ok(label),
        _ => Err(labels.malformed_value(first + i, format!("label {label} is not 0 to {}", n_classes - 1))),
    };
    let classes = numbers.iter().enumerate().map(class).collect::<Result<_, _>>()?;
    LabeledImages::new(format!("{name}, {kind} {severity}"), SHAPE, pixels, classes, n_classes)
}
