use serde::{Deserialize, Serialize};

use super::{PermutedTasks, RotatedTasks, SplitTasks};
use crate::data::{DatasetError, LabeledImages};

/// What makes the tasks of a stream, and in which order: enough to build the stream again from the same data set.
///
/// Its serialized form belongs into the record of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum TaskOrder {
    /// Each task with a permutation of the pixels of its own.
    Permuted(PermutedTasks),
    /// Each task with classes of its own.
    Split(SplitTasks),
    /// Each task turned by an angle of its own.
    Rotated(RotatedTasks),
}

impl TaskOrder {
    /// The number of tasks.
    pub fn n_tasks(&self) -> usize {
        match self {
            Self::Permuted(order) => order.n_tasks,
            Self::Split(order) => order.classes.len(),
            Self::Rotated(order) => order.degrees.len(),
        }
    }

    /// Refuses an order without tasks, or one that does not fit images like these.
    pub(super) fn validate(&self, images: &LabeledImages) -> Result<(), DatasetError> {
        if self.n_tasks() == 0 {
            return Err(DatasetError::Config { name: "the number of tasks", rule: "at least 1", value: 0.0 });
        }
        match self {
            Self::Permuted(_) => Ok(()),
            Self::Split(order) => order.validate(images.n_classes()),
            Self::Rotated(order) => order.validate(),
        }
    }

    /// What a task is called.
    pub(super) fn name(&self, task: usize) -> String {
        match self {
            Self::Permuted(order) => order.name(task),
            Self::Split(order) => order.name(task),
            Self::Rotated(order) => order.name(task),
        }
    }

    /// The data set's classes by the label that a task's images have for them.
    pub(super) fn classes(&self, task: usize, n_classes: usize) -> Vec<usize> {
        match self {
            Self::Permuted(_) | Self::Rotated(_) => (0..n_classes).collect(),
            Self::Split(order) => order.label_classes(task, n_classes),
        }
    }

    /// The indices of the images that belong to a task.
    pub(super) fn members(&self, task: usize, images: &LabeledImages) -> Vec<usize> {
        match self {
            Self::Permuted(_) | Self::Rotated(_) => (0..images.len()).collect(),
            Self::Split(order) => order.members(task, images.labels()),
        }
    }

    /// A task's images as the task shows them.
    pub(super) fn shown(&self, task: usize, images: LabeledImages) -> Result<LabeledImages, DatasetError> {
        match self {
            Self::Permuted(order) => order.shown(task, images),
            Self::Split(order) => order.shown(task, images),
            Self::Rotated(order) => order.shown(task, images),
        }
    }
}

impl From<PermutedTasks> for TaskOrder {
    fn from(order: PermutedTasks) -> Self {
        Self::Permuted(order)
    }
}

impl From<SplitTasks> for TaskOrder {
    fn from(order: SplitTasks) -> Self {
        Self::Split(order)
    }
}

impl From<RotatedTasks> for TaskOrder {
    fn from(order: RotatedTasks) -> Self {
        Self::Rotated(order)
    }
}
