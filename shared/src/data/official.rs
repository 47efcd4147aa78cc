use rekindle_harness::data::Located;

use super::{Cifar100Labels, DatasetError, LabeledImages, read_cifar_10, read_cifar_100, read_idx_images};

/// The part of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Split {
    /// For training.
    Train,
    /// For the final test.
    Test,
}

/// Reads a data set of the registry: `mnist`, `fashion-mnist`, `cifar-10` or `cifar-100` (fine labels).
///
/// Hashes are not checked here, see [`verify`](super::verify).
///
/// # Errors
///
/// [`DatasetError::NoLoader`] for another data set, [`DatasetError::Malformed`] or [`DatasetError::Size`] for files that
/// do not hold what they should (also where the files of the two splits are swapped), [`DatasetError::Read`] for files
/// that can't be read.
pub fn load(located: &Located, split: Split) -> Result<LabeledImages, DatasetError> {
    let name = located.dataset().name.as_str();
    match name {
        "mnist" | "fashion-mnist" => {
            let part = match split {
                Split::Train => "train",
                Split::Test => "t10k",
            };
            let images = located.path(&format!("{part}-images-idx3-ubyte.gz"));
            let labels = located.path(&format!("{part}-labels-idx1-ubyte.gz"));
            let images = read_idx_images(name, &images, &labels, 10)?;
            let shape = images.shape();
            if (shape.height, shape.width) != (28, 28) {
                let found = shape.len();
                return Err(DatasetError::Size {
                    name: name.into(),
                    what: "pixels an image",
                    expected: 28 * 28,
                    found,
                });
            }
            counted(images, if split == Split::Train { 60_000 } else { 10_000 })
        }
        "cifar-10" => match split {
            Split::Train => {
                let files: Vec<_> = (1..=5).map(|i| located.path(&format!("data_batch_{i}.bin"))).collect();
                counted(read_cifar_10(&files)?, 50_000)
            }
            Split::Test => counted(read_cifar_10(&[located.path("test_batch.bin")])?, 10_000),
        },
        "cifar-100" => load_cifar_100(located, split, Cifar100Labels::Fine),
        other => Err(DatasetError::NoLoader(other.into())),
    }
}

/// Reads CIFAR-100 with the labels asked for.
///
/// # Errors
///
/// As [`load`].
pub fn load_cifar_100(located: &Located, split: Split, labels: Cifar100Labels) -> Result<LabeledImages, DatasetError> {
    let (file, n) = match split {
        Split::Train => ("train.bin", 50_000),
        Split::Test => ("test.bin", 10_000),
    };
    counted(read_cifar_100(&[located.path(file)], labels)?, n)
}

fn counted(images: LabeledImages, expected: usize) -> Result<LabeledImages, DatasetError> {
    if images.len() == expected {
        Ok(images)
    } else {
        Err(DatasetError::Size { name: images.name().into(), what: "images", expected, found: images.len() })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rekindle_harness::data::{DataDir, Registry, verify};

    use super::*;
    use crate::data::Normalization;
    use crate::data::idx::tests::{gzip, idx};

    /// The official files where REKINDLE_DATA names a folder that has them.
    fn real(dataset: &str) -> Option<Located> {
        if std::env::var_os("REKINDLE_DATA").is_none() {
            println!("skipped: REKINDLE_DATA is not set");
            return None;
        }
        DataDir::resolve(None).locate(dataset).inspect_err(|missing| println!("skipped: {missing}")).ok()
    }

    #[test]
    fn mnist_is_read() {
        let Some(located) = real("mnist") else { return };
        assert!(verify(&located, false).is_ok());
        let (train, test) = (load(&located, Split::Train).unwrap(), load(&located, Split::Test).unwrap());
        assert_eq!(train.labels()[..10], [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]);
        assert_eq!(train.label_counts(), [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]);
        assert_eq!(test.labels()[..5], [7, 2, 1, 0, 4]);
        close(&Normalization::of(&train), &Normalization::mnist());
    }

    #[test]
    fn fashion_mnist_is_read() {
        let Some(located) = real("fashion-mnist") else { return };
        assert!(verify(&located, false).is_ok());
        let (train, test) = (load(&located, Split::Train).unwrap(), load(&located, Split::Test).unwrap());
        assert_eq!(train.labels()[..5], [9, 0, 0, 3, 0]);
        assert_eq!((train.label_counts(), test.label_counts()), (vec![6000; 10], vec![1000; 10]));
        assert_eq!(test.labels()[..5], [9, 2, 1, 1, 6]);
        close(&Normalization::of(&train), &Normalization::fashion_mnist());
    }

    #[test]
    fn cifar_10_is_read() {
        let Some(located) = real("cifar-10") else { return };
        assert!(verify(&located, false).is_ok());
        let (train, test) = (load(&located, Split::Train).unwrap(), load(&located, Split::Test).unwrap());
        assert_eq!(train.labels()[..5], [6, 9, 9, 4, 1]);
        assert_eq!((train.label_counts(), test.label_counts()), (vec![5000; 10], vec![1000; 10]));
        assert_eq!(test.labels()[..5], [3, 8, 8, 0, 6]);
        assert_eq!(train.image(0)[..3], [59, 43, 50], "the first red pixels of the well-known frog");
        close(&Normalization::of(&train), &Normalization::cifar_10());
    }

    fn close(computed: &Normalization, constants: &Normalization) {
        for (a, b) in computed.mean().iter().zip(constants.mean()).chain(computed.std().iter().zip(constants.std())) {
            assert!((a - b).abs() < 1e-4, "{computed:?} {constants:?}");
        }
    }

    #[test]
    fn swapped_splits_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let mnist = folder.path().join("mnist");
        fs::create_dir_all(&mnist).unwrap();
        for (part, n) in [("train", 10_000), ("t10k", 60_000)] {
            let images = gzip(&idx(&[n, 28, 28], &vec![0; n as usize * 784]));
            fs::write(mnist.join(format!("{part}-images-idx3-ubyte.gz")), images).unwrap();
            let labels = gzip(&idx(&[n], &vec![0; n as usize]));
            fs::write(mnist.join(format!("{part}-labels-idx1-ubyte.gz")), labels).unwrap();
        }
        let located = DataDir::in_folders(Registry::builtin(), [folder.path().into()]).locate("mnist").unwrap();
        let size = |expected, found| DatasetError::Size { name: "mnist".into(), what: "images", expected, found };
        assert_eq!(load(&located, Split::Train), Err(size(60_000, 10_000)));
        assert_eq!(load(&located, Split::Test), Err(size(10_000, 60_000)));
        // Images of one split with labels of the other.
        fs::rename(mnist.join("t10k-labels-idx1-ubyte.gz"), mnist.join("train-labels-idx1-ubyte.gz")).unwrap();
        assert!(matches!(load(&located, Split::Train), Err(DatasetError::Malformed { offset: 4, .. })));
    }
}
