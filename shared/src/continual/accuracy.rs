use serde::{Deserialize, Serialize};

use super::ContinualError;

/// Test accuracies A over a sequence of T tasks: row t after training on task t, column i on the test images of task i.
///
/// Accuracies are in `[0, 1]`, tasks are counted from 0 (in formulas, as in the papers, from 1). Entries can be left out;
/// a measure is `None` where an entry that it needs was.
///
/// ```
/// use rekindle_shared::continual::AccuracyMatrix;
///
/// let mut accuracies = AccuracyMatrix::new(2)?;
/// accuracies.set(0, 0, 0.9)?;
/// accuracies.set_row(1, &[0.8, 0.7])?;
/// assert!((accuracies.average_accuracy().unwrap() - 0.75).abs() < 1e-12);
/// assert!((accuracies.backward_transfer().unwrap() + 0.10).abs() < 1e-12);
/// assert_eq!(accuracies.forward_transfer(), None);
/// # Ok::<(), rekindle_shared::continual::ContinualError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Entries")]
pub struct AccuracyMatrix {
    entries: Vec<Vec<Option<f64>>>,
    untrained: Vec<Option<f64>>,
}

impl AccuracyMatrix {
    /// A matrix for this many tasks, with no entry yet.
    ///
    /// # Errors
    ///
    /// [`ContinualError::NoTasks`] for 0.
    pub fn new(n_tasks: usize) -> Result<Self, ContinualError> {
        match n_tasks {
            0 => Err(ContinualError::NoTasks),
            _ => Ok(Self { entries: vec![vec![None; n_tasks]; n_tasks], untrained: vec![None; n_tasks] }),
        }
    }

    /// The number of tasks T.
    pub fn n_tasks(&self) -> usize {
        self.entries.len()
    }

    /// Enters the accuracy on task `tested` after training on task `trained`; an earlier entry is replaced.
    ///
    /// # Errors
    ///
    /// [`ContinualError::TaskOutOfRange`] or [`ContinualError::Accuracy`].
    pub fn set(&mut self, trained: usize, tested: usize, accuracy: f64) -> Result<(), ContinualError> {
        self.check(trained)?;
        self.check(tested)?;
        self.entries[trained][tested] = Some(checked(accuracy)?);
        Ok(())
    }

    /// Enters the accuracies on the first tasks after training on task `trained`, from task 0 on.
    ///
    /// # Errors
    ///
    /// As [`set`](Self::set), for the first that is refused; those before it are entered.
    pub fn set_row(&mut self, trained: usize, accuracies: &[f64]) -> Result<(), ContinualError> {
        accuracies.iter().enumerate().try_for_each(|(tested, &accuracy)| self.set(trained, tested, accuracy))
    }

    /// Enters the accuracy on task `tested` of the model as it was initialized, for [`forward_transfer`](Self::forward_transfer).
    ///
    /// # Errors
    ///
    /// As [`set`](Self::set).
    pub fn set_untrained(&mut self, tested: usize, accuracy: f64) -> Result<(), ContinualError> {
        self.check(tested)?;
        self.untrained[tested] = Some(checked(accuracy)?);
        Ok(())
    }

    /// An entry; none if it was left out or there is no such task.
    pub fn get(&self, trained: usize, tested: usize) -> Option<f64> {
        *self.entries.get(trained)?.get(tested)?
    }

    /// The rows, each with an entry or none for every task.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[Option<f64>]> {
        self.entries.iter().map(Vec::as_slice)
    }

    /// ACC = 1/T · Σ_i A\[T, i\]: the average accuracy at the end (Lopez-Paz and Ranzato, 2017).
    pub fn average_accuracy(&self) -> Option<f64> {
        self.average_accuracy_after(self.n_tasks() - 1)
    }

    /// The average accuracy on the tasks seen so far, after training on task `trained`: ACC of a sequence that ends there.
    pub fn average_accuracy_after(&self, trained: usize) -> Option<f64> {
        mean((0..=trained).map(|tested| self.get(trained, tested)))
    }

    /// BWT = 1/(T-1) · Σ_{i<T} (A\[T, i\] - A\[i, i\]): what later tasks did to earlier ones (Lopez-Paz and Ranzato, 2017).
    ///
    /// Negative where they were forgotten. `None` for a single task.
    pub fn backward_transfer(&self) -> Option<f64> {
        let last = self.n_tasks() - 1;
        mean((0..last).map(|i| Some(self.get(last, i)? - self.get(i, i)?)))
    }

    /// F = 1/(T-1) · Σ_{i<T} (max_{l<T} A\[l, i\] - A\[T, i\]): what was lost of the best accuracy so far (Chaudhry et al., 2018).
    ///
    /// At most 1, negative where tasks became better. It needs the entries from the diagonal down; as in the paper, one above
    /// it, from before the task was learned, counts where it was measured. `None` for a single task.
    pub fn forgetting(&self) -> Option<f64> {
        let last = self.n_tasks() - 1;
        mean((0..last).map(|i| {
            let learned = (i..last).map(|l| self.get(l, i)).collect::<Option<Vec<_>>>()?;
            let before = (0..i).filter_map(|l| self.get(l, i));
            let best = before.chain(learned).fold(f64::NEG_INFINITY, f64::max);
            Some(best - self.get(last, i)?)
        }))
    }

    /// FWT = 1/(T-1) · Σ_{i>1} (A\[i-1, i\] - b_i): what earlier tasks did for one not yet learned (Lopez-Paz and Ranzato, 2017).
    ///
    /// b_i is the accuracy of the model as initialized ([`set_untrained`](Self::set_untrained)). `None` for a single task.
    pub fn forward_transfer(&self) -> Option<f64> {
        mean((1..self.n_tasks()).map(|i| Some(self.get(i - 1, i)? - self.untrained[i]?)))
    }

    /// LA = 1/T · Σ_i A\[i, i\]: the average accuracy on each task right after it was learned (Riemer et al., 2019).
    pub fn learning_accuracy(&self) -> Option<f64> {
        mean((0..self.n_tasks()).map(|i| self.get(i, i)))
    }

    fn check(&self, task: usize) -> Result<(), ContinualError> {
        match self.n_tasks() {
            n_tasks if task >= n_tasks => Err(ContinualError::TaskOutOfRange { task, n_tasks }),
            _ => Ok(()),
        }
    }
}

fn checked(accuracy: f64) -> Result<f64, ContinualError> {
    if (0.0..=1.0).contains(&accuracy) { Ok(accuracy) } else { Err(ContinualError::Accuracy(accuracy)) }
}

/// None if a term is missing or there is none.
fn mean(terms: impl Iterator<Item = Option<f64>>) -> Option<f64> {
    let terms = terms.collect::<Option<Vec<_>>>().filter(|terms| !terms.is_empty())?;
    Some(terms.iter().sum::<f64>() / terms.len() as f64)
}

/// A matrix as it is read, before it is checked.
#[derive(Deserialize)]
struct Entries {
    entries: Vec<Vec<Option<f64>>>,
    untrained: Vec<Option<f64>>,
}

impl TryFrom<Entries> for AccuracyMatrix {
    type Error = ContinualError;

    fn try_from(read: Entries) -> Result<Self, ContinualError> {
        let n_tasks = read.entries.len();
        let mut matrix = Self::new(n_tasks)?;
        // A row has its place for every task, no more and no fewer.
        if let Some(row) = read.entries.iter().chain([&read.untrained]).find(|row| row.len() != n_tasks) {
            return Err(ContinualError::TaskOutOfRange { task: row.len().max(1) - 1, n_tasks });
        }
        for (trained, row) in read.entries.iter().enumerate() {
            for (tested, accuracy) in row.iter().enumerate().filter_map(|(i, entry)| Some((i, (*entry)?))) {
                matrix.set(trained, tested, accuracy)?;
            }
        }
        for (tested, accuracy) in read.untrained.iter().enumerate().filter_map(|(i, entry)| Some((i, (*entry)?))) {
            matrix.set_untrained(tested, accuracy)?;
        }
        Ok(matrix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(found: Option<f64>, expected: f64) {
        assert!(found.is_some_and(|found| (found - expected).abs() < 1e-12), "{found:?} is not {expected}");
    }

    fn three() -> AccuracyMatrix {
        let mut matrix = AccuracyMatrix::new(3).unwrap();
        matrix.set_row(0, &[0.9, 0.3, 0.2]).unwrap();
        matrix.set_row(1, &[0.95, 0.8, 0.4]).unwrap();
        matrix.set_row(2, &[0.7, 0.6, 0.85]).unwrap();
        matrix
    }

    #[test]
    fn two_tasks_without_the_entry_above_the_diagonal() {
        let mut matrix = AccuracyMatrix::new(2).unwrap();
        matrix.set(0, 0, 0.90).unwrap();
        matrix.set_row(1, &[0.80, 0.70]).unwrap();
        close(matrix.average_accuracy(), 0.75);
        close(matrix.backward_transfer(), -0.10);
        close(matrix.forgetting(), 0.10);
        close(matrix.learning_accuracy(), 0.80);
        assert_eq!((matrix.get(0, 1), matrix.forward_transfer()), (None, None));
    }

    #[test]
    fn three_tasks_by_hand() {
        let mut matrix = three();
        close(matrix.average_accuracy(), 2.15 / 3.0);
        close(matrix.average_accuracy_after(1), 0.875);
        close(matrix.backward_transfer(), (-0.2 - 0.2) / 2.0);
        // Task 0 was best after task 1.
        close(matrix.forgetting(), (0.25 + 0.2) / 2.0);
        close(matrix.learning_accuracy(), 2.55 / 3.0);
        assert_eq!(matrix.forward_transfer(), None);
        matrix.set_untrained(1, 0.1).unwrap();
        assert_eq!(matrix.forward_transfer(), None);
        matrix.set_untrained(2, 0.15).unwrap();
        close(matrix.forward_transfer(), (0.2 + 0.25) / 2.0);
    }

    #[test]
    fn an_accuracy_from_before_the_task_counts_as_the_best() {
        let mut matrix = three();
        matrix.set(0, 1, 0.9).unwrap();
        close(matrix.forgetting(), (0.25 + 0.3) / 2.0);
        // One between the task and the end is needed: it might be the best.
        matrix.entries[1][0] = None;
        assert_eq!(matrix.forgetting(), None);
        close(matrix.backward_transfer(), -0.2);
    }

    #[test]
    fn a_single_task_transfers_nothing() {
        let mut matrix = AccuracyMatrix::new(1).unwrap();
        assert_eq!(matrix.average_accuracy(), None);
        matrix.set(0, 0, 0.5).unwrap();
        matrix.set_untrained(0, 0.1).unwrap();
        close(matrix.average_accuracy(), 0.5);
        close(matrix.learning_accuracy(), 0.5);
        assert_eq!((matrix.backward_transfer(), matrix.forgetting(), matrix.forward_transfer()), (None, None, None));
    }

    #[test]
    fn what_is_no_accuracy_or_no_task_is_refused() {
        assert_eq!(AccuracyMatrix::new(0), Err(ContinualError::NoTasks));
        let mut matrix = three();
        for accuracy in [-0.1, 1.1, f64::INFINITY] {
            assert_eq!(matrix.set(0, 0, accuracy), Err(ContinualError::Accuracy(accuracy)));
        }
        assert!(matrix.set_untrained(0, f64::NAN).is_err());
        let out_of_range = Err(ContinualError::TaskOutOfRange { task: 3, n_tasks: 3 });
        assert_eq!(matrix.set(3, 0, 0.5), out_of_range);
        assert_eq!(matrix.set(0, 3, 0.5), out_of_range);
        assert_eq!(matrix.set_untrained(3, 0.5), out_of_range);
        assert_eq!(matrix.set_row(0, &[0.5; 4]), out_of_range);
        assert_eq!((matrix.get(3, 0), matrix.average_accuracy_after(3)), (None, None));
    }

    #[test]
    fn a_matrix_is_read_as_it_was_written_and_checked() {
        let mut matrix = AccuracyMatrix::new(2).unwrap();
        matrix.set(0, 0, 0.9).unwrap();
        matrix.set_untrained(1, 0.1).unwrap();
        let text = serde_json::to_string(&matrix).unwrap();
        assert_eq!(text, r#"{"entries":[[0.9,null],[null,null]],"untrained":[null,0.1]}"#);
        assert_eq!(serde_json::from_str::<AccuracyMatrix>(&text).unwrap(), matrix);
        for text in [
            r#"{"entries":[],"untrained":[]}"#,
            r#"{"entries":[[1.5]],"untrained":[null]}"#,
            r#"{"entries":[[0.5,0.5]],"untrained":[null]}"#,
            r#"{"entries":[[0.5]],"untrained":[]}"#,
        ] {
            assert!(serde_json::from_str::<AccuracyMatrix>(text).is_err(), "{text}");
        }
    }
}
