use std::fs;
use std::path::Path;

use super::{DatasetError, ImageShape, LabeledImages};

const SHAPE: ImageShape = ImageShape { channels: 3, height: 32, width: 32 };
const PIXELS: usize = 3 * 32 * 32;

/// Which of the two labels of CIFAR-100 is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Cifar100Labels {
    /// The 100 classes.
    #[default]
    Fine,
    /// The 20 superclasses.
    Coarse,
}

/// A label byte in front of a record's pixels: what it is called and how many values it has.
type LabelByte = (&'static str, usize);

/// Reads binary CIFAR-10 files, one after the other: records of a label and 3,072 pixels, red, green and blue.
///
/// # Errors
///
/// [`DatasetError::Read`] if a file can't be read, [`DatasetError::Malformed`] if it does not end with a whole record or
/// has a label above 9, [`DatasetError::Empty`] without records.
pub fn read_cifar_10(files: &[impl AsRef<Path>]) -> Result<LabeledImages, DatasetError> {
    read("cifar-10", files, &[("label", 10)], 0)
}

/// Reads binary CIFAR-100 files, one after the other: records of a coarse label, a fine label and 3,072 pixels.
///
/// # Errors
///
/// As [`read_cifar_10`], with coarse labels up to 19 and fine labels up to 99.
pub fn read_cifar_100(files: &[impl AsRef<Path>], labels: Cifar100Labels) -> Result<LabeledImages, DatasetError> {
    let wanted = match labels {
        Cifar100Labels::Coarse => 0,
        Cifar100Labels::Fine => 1,
    };
    read("cifar-100", files, &[("coarse label", 20), ("fine label", 100)], wanted)
}

fn read(
    name: &str,
    files: &[impl AsRef<Path>],
    label_bytes: &[LabelByte],
    wanted: usize,
) -> Result<LabeledImages, DatasetError> {
    let (mut pixels, mut labels) = (Vec::new(), Vec::new());
    for file in files {
        let file = file.as_ref();
        let bytes = fs::read(file).map_err(|error| DatasetError::read(file, &error))?;
        parse(&bytes, file, label_bytes, wanted, &mut pixels, &mut labels)?;
    }
    LabeledImages::new(name, SHAPE, pixels, labels, label_bytes[wanted].1)
}

fn parse(
    bytes: &[u8],
    file: &Path,
    label_bytes: &[LabelByte],
    wanted: usize,
    pixels: &mut Vec<u8>,
    labels: &mut Vec<usize>,
) -> Result<(), DatasetError> {
    let record = label_bytes.len() + PIXELS;
    let rest = bytes.len() % record;
    pixels.reserve(bytes.len() / record * PIXELS);
    for (i, record_bytes) in bytes.chunks_exact(record).enumerate() {
        for (j, &(what, n_values)) in label_bytes.iter().enumerate() {
            let label = usize::from(record_bytes[j]);
            if label >= n_values {
                let reason = format!("{what} {label} of record {i} is above {}", n_values - 1);
                return Err(DatasetError::malformed(file, (i * record + j) as u64, reason));
            }
        }
        labels.push(usize::from(record_bytes[wanted]));
        pixels.extend_from_slice(&record_bytes[label_bytes.len()..]);
    }
    if rest != 0 {
        let reason = format!("truncated: the last record has {rest} bytes of {record}");
        return Err(DatasetError::malformed(file, bytes.len() as u64, reason));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use proptest::prelude::*;

    use super::*;

    fn record(labels: &[u8], first_pixel: u8) -> Vec<u8> {
        let pixels = (0..PIXELS).map(|i| (i as u8).wrapping_add(first_pixel));
        labels.iter().copied().chain(pixels).collect()
    }

    fn file(folder: &tempfile::TempDir, name: &str, bytes: &[u8]) -> PathBuf {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    #[test]
    fn files_are_read_one_after_the_other() {
        let folder = tempfile::tempdir().unwrap();
        let a = file(&folder, "a", &[record(&[3], 5), record(&[9], 6)].concat());
        let b = file(&folder, "b", &record(&[0], 7));
        let images = read_cifar_10(&[a, b]).unwrap();
        assert_eq!((images.labels(), images.n_classes()), (&[3, 9, 0][..], 10));
        // Red, green and blue are planes of 1,024 pixels.
        assert_eq!((images.image(2)[0], images.image(2)[1024], images.image(2)[3071]), (7, 7, 6));
    }

    #[test]
    fn both_labels_of_cifar_100_can_be_had() {
        let folder = tempfile::tempdir().unwrap();
        let a = [file(&folder, "a", &[record(&[3, 77], 5), record(&[19, 99], 6)].concat())];
        let (fine, coarse) = (Cifar100Labels::Fine, Cifar100Labels::Coarse);
        assert_eq!(read_cifar_100(&a, fine).unwrap().labels(), [77, 99]);
        assert_eq!(read_cifar_100(&a, coarse).unwrap().labels(), [3, 19]);
        assert_eq!(read_cifar_100(&a, coarse).unwrap().n_classes(), 20);
    }

    #[test]
    fn malformed_files_are_named_with_the_place() {
        let folder = tempfile::tempdir().unwrap();
        let two = [record(&[3], 5), record(&[4], 6)].concat();
        let place = |bytes: &[u8]| match read_cifar_10(&[file(&folder, "x", bytes)]) {
            Err(DatasetError::Malformed { offset, reason, .. }) => (offset, reason),
            other => panic!("{other:?}"),
        };
        assert_eq!(place(&two[..4000]), (4000, "truncated: the last record has 927 bytes of 3073".into()));
        let mut wrong = two.clone();
        wrong[3073] = 10;
        assert_eq!(place(&wrong), (3073, "label 10 of record 1 is above 9".into()));
        // A CIFAR-100 file in the place of a CIFAR-10 file.
        assert_eq!(place(&[record(&[3, 77], 5), record(&[19, 99], 6)].concat()).0, 2 * 3074);
        let empty = read_cifar_10(&[file(&folder, "x", &[])]);
        assert_eq!(empty, Err(DatasetError::Empty("cifar-10".into())));
        let missing = read_cifar_10(&[folder.path().join("missing")]);
        assert!(matches!(missing, Err(DatasetError::Read { .. })));
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..8000)) {
            let (mut pixels, mut labels) = (Vec::new(), Vec::new());
            let parsed = parse(&bytes, Path::new("x"), &[("coarse label", 20), ("fine label", 100)], 1, &mut pixels, &mut labels);
            prop_assert_eq!(pixels.len(), labels.len() * PIXELS);
            if let Err(DatasetError::Malformed { offset, .. }) = parsed {
                prop_assert!(offset <= bytes.len() as u64);
            }
        }
    }
}
