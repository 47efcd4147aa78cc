use super::{TaskOrder, Validation};
use crate::data::{DatasetError, LabeledImages};

/// One task of a [`TaskStream`].
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    /// What sets it apart, such as `classes 4, 5`.
    pub name: String,
    /// Images for training.
    pub train: LabeledImages,
    /// Images for the choice of a stopping point, if any are kept for it.
    pub validation: Option<LabeledImages>,
    /// Images for testing.
    pub test: LabeledImages,
    /// The data set's class by the task's label, `[n_classes]`.
    pub classes: Vec<usize>,
}

/// One data set as a sequence of tasks.
///
/// A task is made when it is asked for, always the same: the stream holds no copy of an image, and who takes one task
/// after the other has one in memory.
///
/// ```
/// use rekindle_shared::data::{GlyphsConfig, PermutedTasks, Stream, Streams, TaskStream, Validation};
///
/// # fn main() -> Result<(), rekindle_shared::data::DatasetError> {
/// let rng = &mut Streams::new(1).stream(Stream::Data);
/// let glyphs = GlyphsConfig::new().init()?;
/// let (train, test) = (glyphs.sample(100, rng)?, glyphs.sample(50, rng)?);
/// let validation = Validation::First { fraction: 0.1 };
/// let stream = TaskStream::new(PermutedTasks::new(3, 1), validation, &train, &test)?;
/// for task in stream.iter() {
///     let task = task?;
///     assert_eq!((task.train.len(), task.test.len()), (90, 50));
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct TaskStream<'a> {
    order: TaskOrder,
    validation: Validation,
    train: &'a LabeledImages,
    test: &'a LabeledImages,
}

impl<'a> TaskStream<'a> {
    /// The tasks of a data set in this order.
    ///
    /// # Errors
    ///
    /// [`DatasetError::Mismatch`] if `train` and `test` differ in shape or number of classes, [`DatasetError::Config`] for
    /// an order without tasks, with classes that don't fit or an angle that is not finite, and for a fraction outside of
    /// `[0, 1)`.
    pub fn new(
        order: impl Into<TaskOrder>,
        validation: Validation,
        train: &'a LabeledImages,
        test: &'a LabeledImages,
    ) -> Result<Self, DatasetError> {
        let order = order.into();
        train.check_alike(test)?;
        order.validate(train)?;
        validation.validate()?;
        Ok(Self { order, validation, train, test })
    }

    /// The number of tasks.
    pub fn len(&self) -> usize {
        self.order.n_tasks()
    }

    /// Never: a stream has at least one task.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What makes the tasks, for the record.
    pub fn order(&self) -> &TaskOrder {
        &self.order
    }

    /// How images for validation are chosen, for the record.
    pub fn validation(&self) -> Validation {
        self.validation
    }

    /// Makes a task, counted from 0.
    ///
    /// # Errors
    ///
    /// [`DatasetError::TaskOutOfRange`] past the end, [`DatasetError::Empty`] if no image is left for training or testing.
    pub fn task(&self, task: usize) -> Result<Task, DatasetError> {
        if task >= self.len() {
            return Err(DatasetError::TaskOutOfRange { task, n_tasks: self.len() });
        }
        let images = |set: &LabeledImages, members| self.order.shown(task, set.subset(members)?);
        let (train, validation) = self.validation.split(task, self.order.members(task, self.train));
        Ok(Task {
            name: self.order.name(task),
            validation: if validation.is_empty() { None } else { Some(images(self.train, validation)?) },
            train: images(self.train, train)?,
            test: images(self.test, self.order.members(task, self.test))?,
            classes: self.order.classes(task, self.train.n_classes()),
        })
    }

    /// Every task in order, each made when its turn comes.
    ///
    /// # Errors
    ///
    /// Those of [`task`](Self::task), by task.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Result<Task, DatasetError>> + '_ {
        (0..self.len()).map(|task| self.task(task))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{ImageShape, PermutedTasks, RotatedTasks, SplitTasks, TaskLabels};

    const SHAPE: ImageShape = ImageShape { channels: 1, height: 1, width: 2 };

    /// Image `i` has the label `i % 4` and the pixels `2i` and `2i + 1`.
    fn set(n: usize) -> LabeledImages {
        let labels = (0..n).map(|i| i % 4).collect();
        LabeledImages::new("set", SHAPE, (0..2 * n).map(|i| i as u8).collect(), labels, 4).unwrap()
    }

    #[test]
    fn split_tasks_have_their_classes_with_labels_from_0() {
        let (train, test) = (set(20), set(8));
        let order = SplitTasks::new(vec![vec![3, 1], vec![0]]);
        let stream = TaskStream::new(order.clone(), Validation::First { fraction: 0.2 }, &train, &test).unwrap();
        let tasks = stream.iter().collect::<Result<Vec<_>, _>>().unwrap();
        assert_eq!((tasks.len(), tasks[0].name.as_str()), (2, "classes 3, 1"));
        // Images 1, 3, 5, .. of classes 1, 3, 1, ..: the first two of ten are kept for validation.
        let validation = tasks[0].validation.as_ref().unwrap();
        assert_eq!((validation.labels(), validation.pixels()), (&[1, 0][..], &[2, 3, 6, 7][..]));
        assert_eq!(tasks[0].train.labels(), [1, 0, 1, 0, 1, 0, 1, 0]);
        assert_eq!((tasks[0].train.n_classes(), tasks[0].test.len()), (2, 4));
        assert_eq!((tasks[0].classes.as_slice(), tasks[1].classes.as_slice()), (&[3, 1][..], &[0][..]));
        assert_eq!(tasks[1].test.labels(), [0, 0]);

        let kept = TaskStream::new(order.with_labels(TaskLabels::Kept), Validation::None, &train, &test).unwrap();
        let task = kept.task(0).unwrap();
        assert_eq!((task.test.labels(), task.test.n_classes()), (&[1, 3, 1, 3][..], 4));
        assert_eq!((task.classes, task.validation), (vec![0, 1, 2, 3], None));
    }

    #[test]
    fn all_parts_of_a_task_are_shown_alike() {
        let (train, test) = (set(20), set(8));
        let stream = TaskStream::new(RotatedTasks::new(vec![0.0, 180.0]), Validation::None, &train, &test).unwrap();
        assert_eq!(stream.task(0).unwrap().train, train);
        let turned = stream.task(1).unwrap();
        let swapped = |pixels: &[u8]| pixels.chunks(2).flat_map(|pair| [pair[1], pair[0]]).collect::<Vec<_>>();
        assert_eq!(turned.train.pixels(), swapped(train.pixels()));
        assert_eq!(turned.test.pixels(), swapped(test.pixels()));
        assert_eq!((turned.train.labels(), turned.name.as_str()), (train.labels(), "180 degrees"));
    }

    #[test]
    fn the_record_of_an_order_builds_the_same_stream() {
        let (train, test) = (set(20), set(8));
        let orders: [(TaskOrder, &str); 3] = [
            (PermutedTasks::new(2, 5).into(), r#"{"kind":"permuted","n_tasks":2,"seed":5,"identity_first":false}"#),
            (
                SplitTasks::new(vec![vec![0, 2], vec![1]]).into(),
                r#"{"kind":"split","classes":[[0,2],[1]],"labels":"per_task"}"#,
            ),
            (RotatedTasks::new(vec![0.0, 22.5]).into(), r#"{"kind":"rotated","degrees":[0.0,22.5]}"#),
        ];
        for (order, record) in orders {
            let stream = TaskStream::new(order, Validation::None, &train, &test).unwrap();
            assert_eq!(serde_json::to_string(stream.order()).unwrap(), record);
            let read: TaskOrder = serde_json::from_str(record).unwrap();
            let again = TaskStream::new(read, Validation::None, &train, &test).unwrap();
            assert_eq!(again.task(1), stream.task(1));
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let (train, test) = (set(20), set(8));
        let refused = |order: TaskOrder, validation| TaskStream::new(order, validation, &train, &test).unwrap_err();
        let none = refused(PermutedTasks::new(0, 1).into(), Validation::None);
        assert_eq!(none.to_string(), "the number of tasks has to be at least 1, got 0");
        refused(RotatedTasks::new(vec![f64::INFINITY]).into(), Validation::None);
        refused(SplitTasks::new(vec![vec![4]]).into(), Validation::None);
        refused(PermutedTasks::new(1, 1).into(), Validation::First { fraction: 1.0 });
        let other = LabeledImages::new("other", SHAPE, vec![0, 0], vec![0], 5).unwrap();
        let mismatch = TaskStream::new(PermutedTasks::new(1, 1), Validation::None, &train, &other);
        assert!(matches!(mismatch, Err(DatasetError::Mismatch { .. })));

        let stream = TaskStream::new(PermutedTasks::new(2, 1), Validation::None, &train, &test).unwrap();
        assert_eq!(stream.task(2), Err(DatasetError::TaskOutOfRange { task: 2, n_tasks: 2 }));
        let few = train.take(3).unwrap();
        let stream = TaskStream::new(SplitTasks::even(4, 2).unwrap(), Validation::None, &few, &few).unwrap();
        assert!(stream.task(1).is_ok());
        let stream = TaskStream::new(SplitTasks::even(4, 4).unwrap(), Validation::None, &few, &few).unwrap();
        assert_eq!(stream.task(3), Err(DatasetError::Empty("set".into())));
    }
}
