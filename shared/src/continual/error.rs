use thiserror::Error;

use crate::data::{DatasetError, ImageShape};

/// Why a measurement, a baseline or its input was refused.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum ContinualError {
    /// No task at all.
    #[error("an accuracy matrix needs at least 1 task, got 0")]
    NoTasks,
    /// A task past the end.
    #[error("task {task} is out of range: there are {n_tasks}, counted from 0")]
    TaskOutOfRange {
        /// The task.
        task: usize,
        /// The number of tasks.
        n_tasks: usize,
    },
    /// An accuracy that is none.
    #[error("an accuracy is a number from 0 to 1, got {0}")]
    Accuracy(f64),
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
    /// No parameter has a gradient: all are frozen, or the model is not on an autodiff device.
    #[error("no parameter has a gradient: at least one has to require it, on an autodiff device")]
    NoGradients,
    /// Something that has to be finite is not.
    #[error("{0} is not finite")]
    NonFinite(&'static str),
    /// A model that lacks parameters which are protected, or has them in another size: another model.
    #[error("{missing} of {protected} protected parameters are not in the model, or have another size there")]
    Unmatched {
        /// How many don't fit.
        missing: usize,
        /// How many there are.
        protected: usize,
    },
    /// A saved state that can't be one.
    #[error("not a state of EWC: {0}")]
    InvalidState(&'static str),
    /// A buffer in which no sample has room.
    #[error("a buffer of {capacity} bytes holds no sample: one takes {sample} bytes")]
    BufferTooSmall {
        /// What the buffer was to hold, in bytes.
        capacity: usize,
        /// What one sample takes, in bytes.
        sample: usize,
    },
    /// Images of another shape than the buffer's.
    #[error("the buffer holds images of {expected:?}, got {found:?}")]
    ImageShape {
        /// The buffer's.
        expected: ImageShape,
        /// That of the images.
        found: ImageShape,
    },
    /// A task or a label too large to be stored in two bytes.
    #[error("a buffer stores tasks and labels up to 65535, got {0}")]
    TooLarge(usize),
    /// Images that were refused.
    #[error(transparent)]
    Images(#[from] DatasetError),
}
