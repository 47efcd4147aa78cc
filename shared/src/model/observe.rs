use std::cell::RefCell;

use burn::module::ParamId;

use super::LayerInput;

/// One call of one layer, as [`observe`] saw it.
#[derive(Debug, Clone)]
pub struct Observation {
    /// Identifier of the layer's weight. A layer called twice gives two observations, and so do layers with tied weights.
    pub weight: ParamId,
    /// Shape of the input as the layer got it, which [`LayerInput::Linear`] doesn't keep. The first dimension is that of the batch.
    pub shape: Vec<usize>,
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
/// [`require_observed`](super::require_observed) tells which ones were missed, and `capture_layers` (feature `capture`)
/// sees them too. Scopes nest: an inner one keeps what it sees to itself. Inputs are references to the tensors that the
/// layers got, so that observing copies nothing and waits for nothing, but keeps them in memory.
pub fn observe<R>(f: impl FnOnce() -> R) -> (R, Vec<Observation>) {
    let outer = Outer::replaced_by(Some(Vec::new()));
    let result = f();
    let seen = SCOPE.with(|scope| scope.borrow_mut().take()).unwrap_or_default();
    drop(outer);
    (result, seen)
}

/// Runs `f` without its layers reporting to the scope that this thread may be in.
#[cfg(feature = "capture")]
pub(super) fn unreported<R>(f: impl FnOnce() -> R) -> R {
    let _outer = Outer::replaced_by(None);
    f()
}

/// A scope that another one stands in for. It comes back when this is dropped, also by a panic.
struct Outer(Option<Vec<Observation>>);

impl Outer {
    fn replaced_by(inner: Option<Vec<Observation>>) -> Self {
        Self(SCOPE.with(|scope| scope.replace(inner)))
    }
}

impl Drop for Outer {
    fn drop(&mut self) {
        SCOPE.set(self.0.take());
    }
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
