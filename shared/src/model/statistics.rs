use burn::module::Module;
use thiserror::Error;

use super::snapshot::Snapshot;
use super::walk::running_states;

/// The running statistics of a module at one moment, by [`running_statistics`].
#[derive(Debug, Default)]
pub struct RunningStatistics {
    snapshot: Snapshot,
}

impl RunningStatistics {
    /// How many tensors: two for each batch norm.
    pub fn len(&self) -> usize {
        self.snapshot.len()
    }

    /// Whether the module had none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Why what was saved could not be restored.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// The module has tensors that were not saved, or saved with another shape: those of another model.
    #[error("nothing saved fits {}: restore into the model it was saved from or a copy of it", paths.join(", "))]
    Unmatched {
        /// Paths of the tensors that found no counterpart.
        paths: Vec<String>,
    },
}

/// The running statistics of `module` with their last update, detached from what happens to the module later.
///
/// Burn holds the last update of batch-norm statistics back until the next forward pass; it is carried out first.
pub fn running_statistics<M: Module>(module: &M) -> RunningStatistics {
    RunningStatistics { snapshot: Snapshot::of(module, running_states(module)) }
}

/// Puts saved statistics back into `module`, or into a copy of it, on any device.
///
/// Clones of `module` share its running statistics and see the restored ones too; a
/// [`deep_copy`](super::deep_copy) has its own.
///
/// # Errors
///
/// [`RestoreError::Unmatched`] if a statistic of `module` was not saved, or has another shape. Nothing is changed then.
pub fn restore_running_statistics<M: Module>(module: M, saved: &RunningStatistics) -> Result<M, RestoreError> {
    match saved.snapshot.unmatched(&module, &running_states(&module)) {
        paths if paths.is_empty() => Ok(saved.snapshot.restore(module)),
        paths => Err(RestoreError::Unmatched { paths }),
    }
}
