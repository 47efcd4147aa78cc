use std::collections::HashSet;

use burn::module::{Module, ModuleVisitor, Param, ParamId};
use burn::tensor::Tensor;
use thiserror::Error;

use super::{Observation, Parameter, ParameterKind, parameters};

/// The parameters that multiply a layer's input: those of kind [`ParameterKind::Weight`].
pub fn layer_weights<M: Module>(module: &M) -> Vec<Parameter> {
    parameters(module).into_iter().filter(|parameter| parameter.kind == ParameterKind::Weight).collect()
}

/// The weights of `module` that no observation covers: what a recording of layer inputs has missed.
///
/// [`require_observed`] makes an error of those that matter.
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

/// Checks that the input of every layer that `protected` accepts was observed.
///
/// `protected` is asked about each weight of `module` ([`layer_weights`]), by path, type and identifier. Whatever the
/// module and the way in which its inputs were observed, a layer that is left out without being meant to is an error:
///
/// - `Linear`, `Conv1d` and `Conv2d` report where a network calls them by [`Layer::run`](super::Layer::run) inside
///   [`observe`](super::observe). Inside Burn's own attention, transformer and recurrent modules they are called by
///   `forward`: only `capture_layers` (feature `capture`) sees them there.
/// - Other kinds never report: embeddings, transposed, deformable and three-dimensional convolutions, low-rank factors,
///   matrices of a type of one's own. `capture_layers` sees a matrix that an input is multiplied by, whatever its type,
///   but none of the rest.
/// - A layer that is called several times is covered by one call. So are tied weights, at each of their paths; one that
///   is not covered is named at each path that `protected` accepts.
///
/// A module without weights passes, and so does one of which nothing is protected.
///
/// # Errors
///
/// [`UnobservedError`] with the paths of the layers and the ways out.
///
/// ```
/// use burn::{nn::LinearConfig, tensor::{Device, Tensor}};
/// use rekindle_shared::model::{Layer, observe, require_observed};
///
/// let device = Device::flex();
/// let heads = [LinearConfig::new(2, 2).init(&device), LinearConfig::new(2, 2).init(&device)];
/// let (_, seen) = observe(|| heads[0].run(Tensor::<2>::ones([1, 2], &device)));
/// let error = require_observed(&heads, &seen, |_| true).unwrap_err();
/// assert_eq!(error.uncalled, ["1.weight"]);
/// require_observed(&heads, &seen, |layer| !layer.path.starts_with("1."))?;
/// # Ok::<(), rekindle_shared::model::UnobservedError>(())
/// ```
pub fn require_observed<M: Module>(
    module: &M,
    observations: &[Observation],
    protected: impl Fn(&Parameter) -> bool,
) -> Result<(), UnobservedError> {
    let missed = unobserved(module, observations).into_iter().filter(|weight| protected(weight));
    let (reporting, others): (Vec<_>, Vec<_>) = missed.partition(reports);
    if reporting.is_empty() && others.is_empty() {
        return Ok(());
    }
    Err(UnobservedError {
        uncalled: reporting.into_iter().map(|weight| weight.path).collect(),
        unreporting: others.into_iter().map(|weight| format!("{} ({})", weight.path, owner(&weight))).collect(),
    })
}

/// Layers to be protected whose input nobody saw.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
#[error("{}", self.message())]
pub struct UnobservedError {
    /// Paths of weights of `Linear`, `Conv1d` and `Conv2d`.
    pub uncalled: Vec<String>,
    /// Paths of other weights, each with the type that owns it: `embedding.weight (Embedding)`.
    pub unreporting: Vec<String>,
}

impl UnobservedError {
    fn message(&self) -> String {
        let Self { uncalled, unreporting } = self;
        let mut parts = Vec::new();
        if !uncalled.is_empty() {
            parts.push(format!(
                "no call of {} was seen: call them by `Layer::run` inside `observe`, on its thread, or take \
                 `capture_layers` (feature `capture`), which sees weights that only multiply inputs",
                uncalled.join(", ")
            ));
        }
        if !unreporting.is_empty() {
            parts.push(format!(
                "{} can't be observed by `Layer::run`, which is for Linear, Conv1d and Conv2d",
                unreporting.join(", ")
            ));
        }
        let path = uncalled.first().or(unreporting.first()).and_then(|first| first.split(' ').next());
        let path = path.unwrap_or_default();
        format!("{}; or leave layers unprotected: `|layer| layer.path != \"{path}\"`", parts.join("; "))
    }
}

/// Identifiers of the float tensors of `module` that take no gradient: what to leave unprotected, since it can't change.
///
/// On a device without autodiff that is all of them. Parameters that were not initialized yet are.
///
/// ```
/// use burn::{module::Module, nn::LinearConfig, tensor::Device};
/// use rekindle_shared::model::{frozen, layer_weights};
///
/// let device = Device::flex().autodiff();
/// let layers = [LinearConfig::new(2, 2).init(&device).no_grad(), LinearConfig::new(2, 2).init(&device)];
/// let frozen = frozen(&layers);
/// let free: Vec<_> = layer_weights(&layers).into_iter().filter(|layer| !frozen.contains(&layer.id)).collect();
/// assert_eq!(free[0].path, "1.weight");
/// ```
pub fn frozen<M: Module>(module: &M) -> HashSet<ParamId> {
    #[derive(Default)]
    struct Frozen(HashSet<ParamId>);
    impl ModuleVisitor for Frozen {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if !param.is_require_grad() {
                self.0.insert(param.id);
            }
        }
    }
    let mut frozen = Frozen::default();
    module.visit(&mut frozen);
    frozen.0
}

/// Whether [`Layer::run`](super::Layer::run) reports the inputs of this weight, which it does of `Linear`, `Conv1d` and `Conv2d`.
pub fn reports(weight: &Parameter) -> bool {
    // The factors that Burn's LoRA adds to a layer are at longer paths, with the same owner.
    let own = weight.path.rsplit('.').next() == Some("weight");
    own && matches!(weight.module.as_str(), "Linear" | "Conv1d" | "Conv2d")
}

fn owner(weight: &Parameter) -> &str {
    if weight.module.is_empty() { "of no struct" } else { &weight.module }
}
