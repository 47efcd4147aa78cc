use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::ImageShape;
use super::corruption::AnyCorruption;

/// Why data was refused.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum DatasetError {
    /// A data set without samples, or one with images of no pixels.
    #[error("data set `{0}` is empty: it needs at least one sample, one class and one value per sample")]
    Empty(String),
    /// The number of values or labels does not fit the shape.
    #[error("data set `{name}` has {found} {what}, its shape asks for {expected}")]
    Size {
        /// The data set.
        name: String,
        /// What was counted.
        what: &'static str,
        /// How many the shape asks for.
        expected: usize,
        /// How many there are.
        found: usize,
    },
    /// A label that is no class.
    #[error(
        "label {label} of sample {index} is out of range: labels have to be below the number of classes, {n_classes}"
    )]
    LabelOutOfRange {
        /// The sample.
        index: usize,
        /// Its label.
        label: usize,
        /// The number of classes.
        n_classes: usize,
    },
    /// An index past the end of the data set, or more samples asked for than there are.
    #[error("sample {index} is out of range: there are {len}")]
    IndexOutOfRange {
        /// The index asked for.
        index: usize,
        /// The number of samples.
        len: usize,
    },
    /// A value that is NaN, infinite, or outside of its range.
    #[error("value {value} at position {index} is not {rule}")]
    Value {
        /// Its position among all values.
        index: usize,
        /// The value.
        value: f32,
        /// What it has to be.
        rule: &'static str,
    },
    /// A file that does not follow its format.
    #[error("{}: at byte {offset}: {reason}", file.display())]
    Malformed {
        /// The file.
        file: PathBuf,
        /// Where, in the uncompressed bytes.
        offset: u64,
        /// What is wrong there.
        reason: String,
    },
    /// A file that can't be read.
    #[error("cannot read {}: {reason}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// The system's reason.
        reason: String,
    },
    /// A data set of the registry that this loader does not read.
    #[error("no loader for data set `{name}` here: there are {known}")]
    NoLoader {
        /// The data set.
        name: String,
        /// Those that it reads, and where others are read.
        known: &'static str,
    },
    /// A probability outside of `[0, 1]`.
    #[error("a noise rate is a probability from 0 to 1, got {0}")]
    NoiseRate(f64),
    /// Another class was asked for where there is only one.
    #[error("labels can only be moved to another class where there are 2 or more, got {0}")]
    OneClass(usize),
    /// No samples in a batch, or with `drop_last` more than there are.
    #[error(
        "batch size {batch_size} makes no batch of {len} samples: it has to be at least 1, with drop_last at most {len}"
    )]
    BatchSize {
        /// The batch size asked for.
        batch_size: usize,
        /// The number of samples.
        len: usize,
    },
    /// Another number of channels than the images have.
    #[error("a normalization for {normalization} channels does not fit images with {images}")]
    Channels {
        /// Channels of the normalization.
        normalization: usize,
        /// Channels of the images.
        images: usize,
    },
    /// A severity that corruptions don't have.
    #[error("no severity {0}: corruptions have severities 1, 2, 3, 4 and 5")]
    Severity(u8),
    /// A name that no corruption has.
    #[error("no corruption `{0}`: there are {names}", names = names())]
    UnknownCorruption(String),
    /// Images of a shape that corruptions are not defined for.
    #[error(
        "corruptions take images of 16 to 64 pixels a side with 1 or 3 channels, got {} x {} pixels with {} channels",
        .0.height, .0.width, .0.channels
    )]
    CorruptionShape(ImageShape),
    /// Two data sets that have to go together and don't.
    #[error("data sets `{first}` and `{second}` need images of one shape and the same number of classes, got {found}")]
    Mismatch {
        /// Name of the first.
        first: String,
        /// Name of the second.
        second: String,
        /// Shapes and numbers of classes of the two.
        found: String,
    },
    /// A task past the end of its stream.
    #[error("task {task} is out of range: there are {n_tasks}, counted from 0")]
    TaskOutOfRange {
        /// The task asked for.
        task: usize,
        /// The number of tasks.
        n_tasks: usize,
    },
    /// A hyper-parameter out of its range.
    #[error("{name} has to be {rule}, got {value}")]
    Config {
        /// The field.
        name: &'static str,
        /// Its range.
        rule: &'static str,
        /// What it was.
        value: f64,
    },
}

impl DatasetError {
    pub(crate) fn malformed(file: &Path, offset: u64, reason: impl Into<String>) -> Self {
        Self::Malformed { file: file.into(), offset, reason: reason.into() }
    }

    pub(crate) fn no_loader(name: &str, known: &'static str) -> Self {
        Self::NoLoader { name: name.into(), known }
    }

    pub(crate) fn read(file: &Path, source: &io::Error) -> Self {
        Self::Read { file: file.into(), reason: source.to_string() }
    }
}

fn names() -> String {
    AnyCorruption::all().map(AnyCorruption::name).collect::<Vec<_>>().join(", ")
}
