use rekindle_harness::data::Located;

use super::corruption::{AnyCorruption, Severity};
use super::{
    Cifar100Labels, DatasetError, LabeledImages, read_cifar_10, read_cifar_10_c, read_cifar_100, read_idx_images,
    read_npz_images,
};

/// The part of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Split {
    /// For training.
    Train,
    /// For the final test.
    Test,
}

/// Reads a data set of the registry: `mnist`, `fashion-mnist`, `cifar-10`, `cifar-100` (fine labels), or `kmnist-test`, whose
/// images are those of the test split.
///
/// `cifar-10-c` has no splits, it is read by [`load_cifar_10_c`].
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
        "kmnist-test" if split == Split::Test => {
            let file = |what: &str| located.path(&format!("kmnist-test-{what}.npz"));
            counted(read_npz_images(name, &file("imgs"), &file("labels"), 10)?, 10_000)
        }
        "cifar-100" => load_cifar_100(located, split, Cifar100Labels::Fine),
        other => Err(DatasetError::no_loader(
            other,
            "mnist, fashion-mnist, cifar-10 and cifar-100, and of kmnist-test the test split; cifar-10-c has `load_cifar_10_c`",
        )),
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

/// Reads the 10,000 test images of CIFAR-10 with one corruption at one severity, as [`read_cifar_10_c`] does.
///
/// # Errors
///
/// As [`read_cifar_10_c`], and [`DatasetError::Size`] if there is another number of images.
pub fn load_cifar_10_c(
    located: &Located,
    corruption: impl Into<AnyCorruption>,
    severity: Severity,
) -> Result<LabeledImages, DatasetError> {
    counted(read_cifar_10_c(located.folder(), corruption, severity)?, 10_000)
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
    use std::fs::{self, File};
    use std::io::{Seek, SeekFrom, Write};
    use std::path::Path;

    use rekindle_harness::data::{DataDir, Registry, verify};

    use super::*;
    use crate::data::Normalization;
    use crate::data::corruption::Corruption;
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
    fn the_corruptions_of_cifar_10_c_are_those_of_the_registry() {
        let registry = Registry::builtin();
        let files = registry.get("cifar-10-c").unwrap().files.iter().map(|file| file.path.clone());
        let names = AnyCorruption::all().map(|kind| format!("{}.npy", kind.published_name()));
        assert_eq!(files.collect::<Vec<_>>(), names.chain(["labels.npy".into()]).collect::<Vec<_>>());
    }

    /// A file of bytes in NumPy's format with zeros, but for the last one.
    fn npy(path: &Path, shape: &str, n: u64, last: u8) {
        let header = format!("{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}");
        let mut file = File::create(path).unwrap();
        file.write_all(&[&b"\x93NUMPY\x01\x00\x76\x00"[..], format!("{header:117}\n").as_bytes()].concat()).unwrap();
        file.seek(SeekFrom::Start(128 + n - 1)).unwrap();
        file.write_all(&[last]).unwrap();
    }

    #[test]
    fn cifar_10_c_is_read_from_files_of_the_registered_sizes() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("cifar-10-c/CIFAR-10-C");
        fs::create_dir_all(&folder).unwrap();
        for kind in AnyCorruption::all() {
            File::create(folder.join(format!("{}.npy", kind.published_name()))).unwrap();
        }
        npy(&folder.join("fog.npy"), "(50000, 32, 32, 3)", 50_000 * 3072, 200);
        npy(&folder.join("labels.npy"), "(50000,)", 50_000, 7);
        let located = DataDir::in_folders(Registry::builtin(), [root.path().into()]).locate("cifar-10-c").unwrap();
        for (file, path) in located.files().filter(|(file, _)| ["fog.npy", "labels.npy"].contains(&&*file.path)) {
            assert_eq!(path.metadata().unwrap().len(), file.bytes);
        }
        let images = load_cifar_10_c(&located, Corruption::Fog, Severity::ALL[4]).unwrap();
        assert_eq!((images.len(), images.labels()[9_999], images.image(9_999)[3071]), (10_000, 7, 200));

        npy(&folder.join("fog.npy"), "(50, 32, 32, 3)", 50 * 3072, 0);
        npy(&folder.join("labels.npy"), "(50,)", 50, 0);
        let few = load_cifar_10_c(&located, Corruption::Fog, Severity::ALL[0]);
        assert!(matches!(few, Err(DatasetError::Size { expected: 10_000, found: 10, .. })), "{few:?}");
        let splits = load(&located, Split::Test).unwrap_err();
        assert!(splits.to_string().contains("load_cifar_10_c"), "{splits}");
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
