use std::cell::RefCell;
use std::collections::HashSet;

use burn::module::{Module, ParamId};

use super::{LayerInput, Parameter, ParameterKind, parameters};

/// One call of one layer, as [`observe`] saw it.
#[derive(Debug, Clone)]
pub struct Observation {
    /// Identifier of the layer's weight. A layer called twice gives two observations, and so do layers with tied weights.
    pub weight: ParamId,
    /// The input, off the autodiff graph and on the device where it was.
    pub input: LayerInput,
}

thread_local! {
    static SCOPE: RefCell<Option<Vec<Observation>>> = const { RefCell::new(None) };
}

/// Runs `f` and returns, beside its result, the inputs of all layers that it called through
/// [`Layer::run`](super::Layer::run) on this thread, in order.
///
/// Layers that are called by `forward`, among them those inside Burn's attention and recurrent modules, don't report:
/// [`unobserved`] finds them. Scopes nest: an inner one keeps what it sees to itself. Inputs are references to the
/// tensors that the layers got, so that observing copies nothing and waits for nothing, but keeps them in memory.
pub fn observe<R>(f: impl FnOnce() -> R) -> (R, Vec<Observation>) {
    /// Puts the outer scope back, also when `f` panics.
    struct Outer(Option<Vec<Observation>>);
    impl Drop for Outer {
        fn drop(&mut self) {
            let outer = self.0.take();
            SCOPE.with(|scope| *scope.borrow_mut() = outer);
        }
    }
    let outer = Outer(SCOPE.with(|scope| scope.borrow_mut().replace(Vec::new())));
    let result = f();
    let seen = SCOPE.with(|scope| scope.borrow_mut().take()).unwrap_or_default();
    drop(outer);
    (result, seen)
}

/// Records an observation if this thread is observing; otherwise `observation` isn't called.
#[inline]
pub(super) fn report(observation: impl FnOnce() -> Observation) {
    SCOPE.with(|scope| {
        if let Some(seen) = scope.borrow_mut().as_mut() {
            seen.push(observation());
        }
    });
}

/// The parameters that multiply a layer's input: those of kind [`ParameterKind::Weight`].
pub fn layer_weights<M: Module>(module: &M) -> Vec<Parameter> {
    parameters(module).into_iter().filter(|parameter| parameter.kind == ParameterKind::Weight).collect()
}

/// The weights of `module` that no observation covers: what a recording of layer inputs has missed.
///
/// Empty if every layer was called through [`Layer::run`](super::Layer::run). Otherwise the paths name the layers whose
/// calls to change, or to leave out on purpose: embeddings, frozen layers, heads that were not used.
///
/// ```
/// use burn::{nn::LinearConfig, tensor::{Device, Tensor}};
/// use rekindle_shared::model::{Layer, observe, unobserved};
///
/// let device = Device::flex();
/// let layers = [LinearConfig::new(2, 2).init(&device), LinearConfig::new(2, 2).init(&device)];
/// let (_, seen) = observe(|| layers[1].forward(layers[0].run(Tensor::<2>::ones([1, 2], &device))));
/// assert_eq!(unobserved(&layers, &seen)[0].path, "1.weight");
/// ```
pub fn unobserved<M: Module>(module: &M, observations: &[Observation]) -> Vec<Parameter> {
    let seen: HashSet<_> = observations.iter().map(|observation| observation.weight).collect();
    layer_weights(module).into_iter().filter(|weight| !seen.contains(&weight.id)).collect()
}
