use std::cell::RefCell;
use std::collections::HashSet;

use burn::module::{Module, ParamId};
use burn::nn::BatchNorm;
use burn::tensor::Tensor;

use super::{BatchStatistics, NormKind, NormLayer, StatisticsError, norm_layers};

/// What batch norms normalize by inside a scope, and the scales γ of those that were called.
struct Scope {
    statistics: BatchStatistics,
    seen: HashSet<ParamId>,
}

thread_local! {
    static SCOPE: RefCell<Option<Scope>> = const { RefCell::new(None) };
}

/// Runs `f` with every batch norm that is called through [`Layer::run`](crate::model::Layer::run), or is an
/// [`AdaptiveBatchNorm`](super::AdaptiveBatchNorm), normalizing by `statistics` on this thread, and returns beside its
/// result the identifiers of the scales γ of the layers that did.
///
/// It works with Burn's own batch norm, with gradients, on any device, and whatever the layers' training flags say.
/// Running statistics stay as they are, but for [`BatchStatistics::Ema`], whose average lives in them. Layers that are
/// called by `forward` don't take part: [`batch_norms_outside`] finds them. Scopes nest, the inner one counts.
///
/// # Errors
///
/// As [`BatchStatistics::validate`]; `f` is not called then.
///
/// ```
/// use burn::{nn::BatchNormConfig, tensor::{Device, Tensor}};
/// use rekindle_shared::model::{BatchStatistics, Layer, batch_norms_outside, normalize_with};
///
/// let device = Device::flex();
/// let norm = BatchNormConfig::new(1).init(&device); // mean 0, variance 1
/// let input = Tensor::<2>::from_floats([[1.0], [3.0]], &device); // mean 2, variance 1
/// let half = BatchStatistics::Mixture { alpha: 0.5 };
/// let (output, seen) = normalize_with(half, || norm.run(input.clone()))?;
/// output.into_data().assert_approx_eq::<f32>(&[[0.0], [2.0]].into(), Default::default());
/// assert!(batch_norms_outside(&norm, &seen).is_empty());
/// # Ok::<(), rekindle_shared::model::StatisticsError>(())
/// ```
pub fn normalize_with<R>(
    statistics: BatchStatistics,
    f: impl FnOnce() -> R,
) -> Result<(R, HashSet<ParamId>), StatisticsError> {
    /// Puts the outer scope back, also when `f` panics.
    struct Outer(Option<Scope>);
    impl Drop for Outer {
        fn drop(&mut self) {
            let outer = self.0.take();
            SCOPE.with(|scope| *scope.borrow_mut() = outer);
        }
    }
    let scope = Scope { statistics: statistics.validate()?, seen: HashSet::new() };
    let outer = Outer(SCOPE.with(|current| current.borrow_mut().replace(scope)));
    let result = f();
    let seen = SCOPE.with(|scope| scope.borrow_mut().take()).map(|scope| scope.seen).unwrap_or_default();
    drop(outer);
    Ok((result, seen))
}

/// The batch norms of `module` that took no part in a scope: those whose calls, or types, to change.
pub fn batch_norms_outside<M: Module>(module: &M, seen: &HashSet<ParamId>) -> Vec<NormLayer> {
    let mut layers = norm_layers(module);
    layers.retain(|layer| layer.kind == NormKind::Batch && layer.scale.is_some_and(|scale| !seen.contains(&scale)));
    layers
}

/// The output of `norm` by the statistics of the scope that this thread is in; none outside of one.
pub(crate) fn scoped<const D: usize>(norm: &BatchNorm, input: &Tensor<D>) -> Option<Tensor<D>> {
    let statistics = SCOPE.with(|scope| {
        let mut scope = scope.borrow_mut();
        let scope = scope.as_mut()?;
        scope.seen.insert(norm.gamma.id);
        Some(scope.statistics)
    })?;
    Some(statistics.normalize(norm, input.clone()))
}
