use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use crate::data::{DatasetError, LabeledImages, Stream, Streams};

/// The labels of split tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskLabels {
    /// From 0 in each task, in the order in which the task lists its classes: for a network with a head for each task.
    #[default]
    PerTask,
    /// Those of the data set: for a network with one head over all classes.
    Kept,
}

/// Tasks that share the classes of a data set out among them (Zenke et al., 2017).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SplitTasks {
    /// The classes of each task. Classes in no task are left out.
    pub classes: Vec<Vec<usize>>,
    /// What becomes of the labels.
    pub labels: TaskLabels,
}

impl SplitTasks {
    /// Tasks with these classes, and labels of their own.
    pub fn new(classes: Vec<Vec<usize>>) -> Self {
        Self { classes, labels: TaskLabels::default() }
    }

    /// Tasks with equally many classes, in label order: 0 and 1, 2 and 3, ... for 5 tasks of 10 classes.
    ///
    /// # Errors
    ///
    /// [`DatasetError::Config`] if `n_tasks` does not divide `n_classes`.
    pub fn even(n_classes: usize, n_tasks: usize) -> Result<Self, DatasetError> {
        Self::of((0..n_classes).collect(), n_tasks)
    }

    /// Tasks with equally many classes, in an order drawn from [`Stream::Tasks`] of the [`Streams`] of this root seed.
    ///
    /// # Errors
    ///
    /// As [`even`](Self::even).
    pub fn shuffled(n_classes: usize, n_tasks: usize, seed: u64) -> Result<Self, DatasetError> {
        let mut order: Vec<_> = (0..n_classes).collect();
        order.shuffle(&mut Streams::new(seed).stream(Stream::Tasks));
        Self::of(order, n_tasks)
    }

    /// The same tasks with other labels.
    #[must_use]
    pub fn with_labels(self, labels: TaskLabels) -> Self {
        Self { labels, ..self }
    }

    fn of(order: Vec<usize>, n_tasks: usize) -> Result<Self, DatasetError> {
        if n_tasks == 0 || order.is_empty() || !order.len().is_multiple_of(n_tasks) {
            let rule = "a divisor of the number of classes";
            return Err(DatasetError::Config { name: "the number of tasks", rule, value: n_tasks as f64 });
        }
        Ok(Self::new(order.chunks(order.len() / n_tasks).map(<[_]>::to_vec).collect()))
    }

    pub(super) fn validate(&self, n_classes: usize) -> Result<(), DatasetError> {
        let refused = |name, rule, value: usize| Err(DatasetError::Config { name, rule, value: value as f64 });
        let mut taken = vec![false; n_classes];
        for classes in &self.classes {
            if classes.is_empty() {
                return refused("the number of classes of a task", "at least 1", 0);
            }
            for &class in classes {
                match taken.get_mut(class) {
                    None => return refused("a class of a task", "below the number of classes", class),
                    Some(true) => return refused("a class of a task", "in one task only", class),
                    Some(taken) => *taken = true,
                }
            }
        }
        Ok(())
    }

    pub(super) fn name(&self, task: usize) -> String {
        let classes = &self.classes[task];
        let word = if classes.len() == 1 { "class" } else { "classes" };
        format!("{word} {}", classes.iter().map(usize::to_string).collect::<Vec<_>>().join(", "))
    }

    pub(super) fn label_classes(&self, task: usize, n_classes: usize) -> Vec<usize> {
        match self.labels {
            TaskLabels::PerTask => self.classes[task].clone(),
            TaskLabels::Kept => (0..n_classes).collect(),
        }
    }

    pub(super) fn members(&self, task: usize, labels: &[usize]) -> Vec<usize> {
        (0..labels.len()).filter(|&index| self.classes[task].contains(&labels[index])).collect()
    }

    pub(super) fn shown(&self, task: usize, images: LabeledImages) -> Result<LabeledImages, DatasetError> {
        let classes = &self.classes[task];
        match self.labels {
            TaskLabels::Kept => Ok(images),
            TaskLabels::PerTask => {
                let place = |label: &usize| classes.iter().position(|class| class == label);
                let labels = images.labels().iter().filter_map(place).collect();
                images.with_classes(labels, classes.len())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_shared_out_evenly() {
        assert_eq!(SplitTasks::even(6, 3).unwrap().classes, [[0, 1], [2, 3], [4, 5]]);
        let shuffled = SplitTasks::shuffled(6, 2, 1).unwrap();
        assert_eq!(shuffled, SplitTasks::shuffled(6, 2, 1).unwrap());
        let mut all = shuffled.classes.concat();
        all.sort_unstable();
        assert_eq!(all, [0, 1, 2, 3, 4, 5]);
        assert_ne!(SplitTasks::shuffled(100, 10, 1).unwrap(), SplitTasks::shuffled(100, 10, 2).unwrap());
        let error = SplitTasks::even(10, 3).unwrap_err();
        assert_eq!(error.to_string(), "the number of tasks has to be a divisor of the number of classes, got 3");
        assert!(SplitTasks::even(10, 0).is_err() && SplitTasks::even(0, 1).is_err());
    }

    #[test]
    fn classes_that_do_not_fit_are_refused() {
        let message = |classes| SplitTasks::new(classes).validate(3).unwrap_err().to_string();
        assert_eq!(message(vec![vec![0], vec![]]), "the number of classes of a task has to be at least 1, got 0");
        assert_eq!(message(vec![vec![0, 3]]), "a class of a task has to be below the number of classes, got 3");
        assert_eq!(message(vec![vec![0, 1], vec![2, 1]]), "a class of a task has to be in one task only, got 1");
        assert_eq!(SplitTasks::new(vec![vec![2], vec![0]]).validate(3), Ok(()));
    }

    #[test]
    fn a_task_is_named_by_its_classes() {
        let order = SplitTasks::new(vec![vec![3, 1], vec![2]]);
        assert_eq!((order.name(0), order.name(1)), ("classes 3, 1".into(), "class 2".into()));
    }
}
