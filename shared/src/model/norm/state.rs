use std::collections::HashSet;

use burn::module::{Flag, Module, ModuleMapper, Param, ParamId};

use super::{NormKind, norm_layers};
use crate::model::RestoreError;
use crate::model::snapshot::Snapshot;
use crate::model::walk::Path;

/// What the norm layers of a module hold at one moment, by [`norm_state`].
#[derive(Debug, Default)]
pub struct NormState {
    snapshot: Snapshot,
}

/// γ, β and running statistics of every norm layer of `module`, detached from what happens to the module later.
///
/// It is what test-time adaptation changes: less than a percent of a network, where a copy of the model would hold it all.
pub fn norm_state<M: Module>(module: &M) -> NormState {
    NormState { snapshot: Snapshot::of(module, ids(module)) }
}

/// Puts the state of the norm layers back into `module`, or into a copy of it, on any device.
///
/// Devices, gradient requirements and checkpointing strategies stay those of `module`. Clones of `module` share its running
/// statistics and see the restored ones too, while their γ and β are their own; a [`deep_copy`](crate::model::deep_copy) shares nothing.
///
/// # Errors
///
/// [`RestoreError::Unmatched`] if a tensor of a norm layer was not saved, or has another shape. Nothing is changed then.
///
/// ```
/// use burn::{nn::BatchNormConfig, tensor::{Device, Distribution, Tensor}};
/// use rekindle_shared::model::{norm_state, restore_norm_state};
///
/// let device = Device::flex().autodiff();
/// let norm = BatchNormConfig::new(2).init(&device);
/// let state = norm_state(&norm);
/// norm.forward(Tensor::<2>::random([8, 2], Distribution::Default, &device));
/// let norm = restore_norm_state(norm, &state)?;
/// assert_eq!(norm.running_mean.value_sync().into_data().try_to_vec::<f32>().unwrap(), [0.0, 0.0]);
/// # Ok::<(), rekindle_shared::model::RestoreError>(())
/// ```
pub fn restore_norm_state<M: Module>(module: M, state: &NormState) -> Result<M, RestoreError> {
    match state.snapshot.unmatched(&module, &ids(&module)) {
        paths if paths.is_empty() => Ok(state.snapshot.restore(module)),
        paths => Err(RestoreError::Unmatched { paths }),
    }
}

fn ids<M: Module>(module: &M) -> HashSet<ParamId> {
    norm_layers(module).iter().flat_map(|layer| layer.affine().chain(layer.running.iter().copied())).collect()
}

/// The module with every batch norm set to normalize by the batch and everything else (dropout) as in evaluation.
///
/// That is the mode for adaptation on an autodiff device: Burn's own layers, called in any way, then use batch statistics,
/// with gradients. Each forward pass also moves the running statistics, which clones share: take a
/// [`deep_copy`](crate::model::deep_copy) first. On a plain device Burn's batch norm always uses its running statistics.
pub fn with_batch_statistics<M: Module>(module: M) -> M {
    set_flags(module, true)
}

/// The module with every batch norm set to its running statistics and everything else (dropout) as in evaluation.
///
/// As `valid`, but on an autodiff device, with gradients.
pub fn with_source_statistics<M: Module>(module: M) -> M {
    set_flags(module, false)
}

fn set_flags<M: Module>(module: M, batch: bool) -> M {
    struct Set {
        path: Path,
        batch: bool,
    }
    impl ModuleMapper for Set {
        fn enter_module(&mut self, name: &str, container: &str) {
            self.path.enter(name, container);
        }
        fn exit_module(&mut self, _name: &str, _container: &str) {
            self.path.exit();
        }
        fn map_flag(&mut self, flag: Param<Flag>) -> Param<Flag> {
            let is_batch_norm = NormKind::of(self.path.owner().1) == Some(NormKind::Batch);
            flag.with_value(self.batch && is_batch_norm)
        }
    }
    module.map(&mut Set { path: Path::default(), batch })
}
