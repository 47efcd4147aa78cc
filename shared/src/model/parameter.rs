use std::collections::HashSet;

use burn::Tensor;
use burn::module::{Module, ModuleVisitor, Param, ParamId};

use super::walk::{Path, running_states};

/// What a float tensor of a module is for.
///
/// The rules, first match first; *owner* is the struct whose field the tensor is, known by its bare type name:
///
/// | kind | rule |
/// | --- | --- |
/// | [`RunningStatistic`](Self::RunningStatistic) | a Burn `RunningState`, whatever its name |
/// | [`NormScale`](Self::NormScale) | field `gamma`, `weight` or `scale` of an owner with `Norm` in its name |
/// | [`NormShift`](Self::NormShift) | field `beta`, `bias` or `shift` of an owner with `Norm` in its name |
/// | [`Bias`](Self::Bias) | field `bias` or `biases`, or a name that begins with `bias_` or ends in `_bias` |
/// | [`Weight`](Self::Weight) | field `weight` or `weights`, likewise; any other tensor of rank 2 or more |
/// | [`Other`](Self::Other) | the rest: scalars and vectors such as the slope of a `PRelu` |
///
/// This covers Burn's linear, convolution, transposed and deformable convolution, embedding, norm, recurrent (their
/// gates are linear layers) and attention modules. A struct of one's own falls under the same rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ParameterKind {
    /// A matrix or kernel that multiplies its input, embeddings and adapter factors included.
    Weight,
    /// An additive vector outside a norm layer.
    Bias,
    /// The scale γ of a norm layer.
    NormScale,
    /// The shift β of a norm layer.
    NormShift,
    /// A statistic that training-mode forward passes update; no parameter in the sense of an optimizer.
    RunningStatistic,
    /// None of these.
    Other,
}

/// A float tensor of a module: where it is, and what it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Parameter {
    /// Field names from the root joined by dots, with the index of a `Vec`, array or tuple: `blocks.1.bn2.gamma`.
    pub path: String,
    /// The identifier by which gradients and optimizer states are filed. Tied weights have it in common.
    pub id: ParamId,
    /// What it is for.
    pub kind: ParameterKind,
    /// Its shape. A linear layer's weight is `[in, out]` in Burn.
    pub shape: Vec<usize>,
    /// Bare type name of the struct or enum that owns it, such as `Linear`; empty for a parameter outside of one.
    pub module: String,
}

impl Parameter {
    /// Number of elements.
    pub fn n_elements(&self) -> usize {
        self.shape.iter().product()
    }
}

/// Every float tensor of `module` in the order of its fields, running statistics included.
///
/// Nothing is initialized, read back or changed. A tied weight is listed at each of its places.
///
/// ```
/// use burn::{nn::LinearConfig, tensor::Device};
/// use rekindle_shared::model::{ParameterKind, parameters};
///
/// let layer = LinearConfig::new(3, 2).init(&Device::flex());
/// let kinds: Vec<_> = parameters(&layer).into_iter().map(|p| (p.path, p.kind, p.shape)).collect();
/// assert_eq!(kinds, [
///     ("weight".into(), ParameterKind::Weight, vec![3, 2]),
///     ("bias".into(), ParameterKind::Bias, vec![2]),
/// ]);
/// ```
pub fn parameters<M: Module>(module: &M) -> Vec<Parameter> {
    let mut list = List { path: Path::default(), running: running_states(module), found: Vec::new() };
    module.visit(&mut list);
    list.found
}

/// Identifiers of the parameters that `keep` accepts, each once, in the order of the module's fields.
///
/// Running statistics are never selected. `ParamGroup::from_ids` turns the result into a group of Burn's.
///
/// ```
/// use burn::{nn::LinearConfig, tensor::Device};
/// use rekindle_shared::model::{ParameterKind, select};
///
/// let layer = LinearConfig::new(3, 2).init(&Device::flex());
/// let biases = select(&layer, |parameter| parameter.kind == ParameterKind::Bias);
/// assert_eq!(biases, [layer.bias.as_ref().unwrap().id]);
/// ```
pub fn select<M: Module>(module: &M, keep: impl Fn(&Parameter) -> bool) -> Vec<ParamId> {
    let mut seen = HashSet::new();
    parameters(module)
        .into_iter()
        .filter(|parameter| parameter.kind != ParameterKind::RunningStatistic && keep(parameter))
        .map(|parameter| parameter.id)
        .filter(|id| seen.insert(*id))
        .collect()
}

struct List {
    path: Path,
    running: HashSet<ParamId>,
    found: Vec<Parameter>,
}

impl ModuleVisitor for List {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let (field, module) = self.path.owner();
        let kind = match self.running.contains(&param.id) {
            true => ParameterKind::RunningStatistic,
            false => kind(field, module, D),
        };
        self.found.push(Parameter {
            path: self.path.dotted(),
            id: param.id,
            kind,
            shape: param.lazy_shape().to_vec(),
            module: module.to_owned(),
        });
    }
}

fn kind(field: &str, module: &str, rank: usize) -> ParameterKind {
    if module.contains("Norm") {
        match field {
            "gamma" | "weight" | "scale" => return ParameterKind::NormScale,
            "beta" | "bias" | "shift" => return ParameterKind::NormShift,
            _ => {}
        }
    }
    if names(field, "bias", "biases") {
        ParameterKind::Bias
    } else if rank >= 2 || names(field, "weight", "weights") {
        ParameterKind::Weight
    } else {
        ParameterKind::Other
    }
}

/// Whether `field` is `one` or `many`, or has `one` as its first or last word.
fn names(field: &str, one: &str, many: &str) -> bool {
    let rest = field.strip_prefix(one).filter(|rest| rest.starts_with('_'));
    field == one || field == many || rest.is_some() || field.strip_suffix(one).is_some_and(|rest| rest.ends_with('_'))
}
