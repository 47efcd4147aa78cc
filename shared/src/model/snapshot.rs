//! Tensors of a module at one moment, of any rank, by identifier.

use std::any::Any;
use std::collections::{BTreeSet, HashMap, HashSet};

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::tensor::{Tensor, s};

use super::walk::Path;

/// Values below autodiff, detached from what happens to the module later.
#[derive(Debug, Default)]
pub(crate) struct Snapshot {
    values: HashMap<ParamId, Box<dyn Saved>>,
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

impl Snapshot {
    /// The tensors of `module` with these identifiers, running statistics with their last update.
    pub(crate) fn of<M: Module>(module: &M, ids: HashSet<ParamId>) -> Self {
        struct Save {
            ids: HashSet<ParamId>,
            snapshot: Snapshot,
        }
        impl ModuleVisitor for Save {
            fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
                if self.ids.contains(&param.id) {
                    self.snapshot.values.insert(param.id, Box::new(param.val().inner()));
                }
            }
        }
        let mut save = Save { ids, snapshot: Self::default() };
        // `valid` carries out the update of running statistics that Burn keeps back.
        module.valid().visit(&mut save);
        save.snapshot
    }

    /// Of these tensors, below autodiff.
    #[cfg(feature = "capture")]
    pub(crate) fn from_values<const D: usize>(values: HashMap<ParamId, Tensor<D>>) -> Self {
        Self { values: values.into_iter().map(|(id, value)| (id, Box::new(value) as Box<dyn Saved>)).collect() }
    }

    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }

    fn get<const D: usize>(&self, id: ParamId) -> Option<&Tensor<D>> {
        self.values.get(&id)?.as_any().downcast_ref()
    }

    /// Paths of the tensors among `ids` of which the snapshot has none, or one of another shape.
    pub(crate) fn unmatched<M: Module>(&self, module: &M, ids: &HashSet<ParamId>) -> Vec<String> {
        struct Check<'a> {
            path: Path,
            ids: &'a HashSet<ParamId>,
            snapshot: &'a Snapshot,
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
                if self.ids.contains(&param.id) && !self.snapshot.get(param.id).is_some_and(fits) {
                    self.unmatched.insert(self.path.dotted());
                }
            }
        }
        let mut check = Check { path: Path::default(), ids, snapshot: self, unmatched: BTreeSet::new() };
        module.visit(&mut check);
        check.unmatched.into_iter().collect()
    }

    /// Puts the values back, each on the device, with the autodiff context and the gradient requirement of what it replaces.
    pub(crate) fn restore<M: Module>(&self, module: M) -> M {
        struct Restore<'a>(&'a Snapshot);
        impl ModuleMapper for Restore<'_> {
            fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
                let Some(saved) = self.0.get::<D>(param.id) else { return param };
                // Writing into the old value keeps its device, autodiff context and checkpointing strategy.
                param.map(|old| {
                    let requires_grad = old.is_require_grad();
                    let saved = saved.clone().to_device(&old.device().inner());
                    old.set_require_grad(false).detach().slice_assign(s![..], saved).set_require_grad(requires_grad)
                })
            }
        }
        // A pending update would overwrite restored statistics at the next forward pass.
        let _ = module.valid();
        module.map(&mut Restore(self))
    }
}
