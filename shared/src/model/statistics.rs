use std::any::Any;
use std::collections::{BTreeSet, HashMap, HashSet};

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::tensor::{Tensor, s};
use thiserror::Error;

use super::walk::{Path, running_states};

/// The running statistics of a module at one moment, by [`running_statistics`].
#[derive(Debug, Default)]
pub struct RunningStatistics {
    values: HashMap<ParamId, Box<dyn Saved>>,
}

impl RunningStatistics {
    /// How many tensors: two for each batch norm.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether the module had none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }
}

/// Why [`restore_running_statistics`] refused what was saved.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// The module has statistics that were not saved, or saved with another shape: those of another model.
    #[error("no saved running statistics for {}: restore into the model they were saved from or a copy of it", paths.join(", "))]
    Unmatched {
        /// Paths of the statistics that found no counterpart.
        paths: Vec<String>,
    },
}

/// The running statistics of `module` with their last update, detached from what happens to the module later.
///
/// Burn holds the last update of batch-norm statistics back until the next forward pass; it is carried out first.
pub fn running_statistics<M: Module>(module: &M) -> RunningStatistics {
    struct Save {
        running: HashSet<ParamId>,
        saved: RunningStatistics,
    }
    impl ModuleVisitor for Save {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if self.running.contains(&param.id) {
                self.saved.values.insert(param.id, Box::new(param.val().inner()));
            }
        }
    }
    let mut save = Save { running: running_states(module), saved: RunningStatistics::default() };
    module.valid().visit(&mut save);
    save.saved
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
    let running = running_states(&module);
    let mut check = Check { path: Path::default(), running: &running, saved, unmatched: BTreeSet::new() };
    module.visit(&mut check);
    if !check.unmatched.is_empty() {
        return Err(RestoreError::Unmatched { paths: check.unmatched.into_iter().collect() });
    }
    // A pending update would overwrite what is restored at the next forward pass.
    let _ = module.valid();
    Ok(module.map(&mut Restore { saved }))
}

/// A tensor of some rank.
trait Saved: Any + Send + Sync + std::fmt::Debug {
    fn as_any(&self) -> &dyn Any;
}

impl<const D: usize> Saved for Tensor<D> {
    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl RunningStatistics {
    fn get<const D: usize>(&self, id: ParamId) -> Option<&Tensor<D>> {
        self.values.get(&id)?.as_any().downcast_ref()
    }
}

struct Check<'a> {
    path: Path,
    running: &'a HashSet<ParamId>,
    saved: &'a RunningStatistics,
    unmatched: BTreeSet<String>,
}

impl ModuleVisitor for Check<'_> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let fits = |saved: &Tensor<D>| saved.shape() == param.lazy_shape();
        if self.running.contains(&param.id) && !self.saved.get(param.id).is_some_and(fits) {
            self.unmatched.insert(self.path.dotted());
        }
    }
}

struct Restore<'a> {
    saved: &'a RunningStatistics,
}

impl ModuleMapper for Restore<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(saved) = self.saved.get::<D>(param.id) else { return param };
        // Writing into the old value keeps its device, autodiff context and checkpointing strategy.
        param.map(|old| {
            let saved = saved.clone().to_device(&old.device().inner());
            old.slice_assign(s![..], saved)
        })
    }
}
