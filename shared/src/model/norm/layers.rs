use burn::module::{Flag, Module, ModuleVisitor, Param, ParamId};
use burn::tensor::Tensor;

use crate::model::walk::{Path, running_states};

/// What a norm layer normalizes over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NormKind {
    /// Over the batch: the only kind whose output for a sample depends on the others, and the only one with running
    /// statistics.
    Batch,
    /// Over the features of a sample.
    Layer,
    /// Over groups of channels of a sample.
    Group,
    /// Over each channel of a sample.
    Instance,
    /// By the root mean square of the features of a sample, without a mean.
    Rms,
    /// Another type with `Norm` in its name.
    Other,
}

impl NormKind {
    /// By the bare type name that a traversal of a module gives; none for a type without `Norm` in its name.
    pub(crate) fn of(type_name: &str) -> Option<Self> {
        let known = [
            ("BatchNorm", Self::Batch),
            ("LayerNorm", Self::Layer),
            ("GroupNorm", Self::Group),
            ("InstanceNorm", Self::Instance),
            ("RmsNorm", Self::Rms),
            ("Norm", Self::Other),
        ];
        known.into_iter().find(|(name, _)| type_name.contains(name)).map(|(_, kind)| kind)
    }
}

/// A norm layer of a module.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct NormLayer {
    /// Field names from the root joined by dots, such as `blocks.1.bn2`; empty if the module is a norm layer itself.
    pub path: String,
    /// What it normalizes over.
    pub kind: NormKind,
    /// The scale γ. None in layers without affine parameters.
    pub scale: Option<ParamId>,
    /// The shift β. None in layers without one: RMS norm, layer norm without bias.
    pub shift: Option<ParamId>,
    /// Running mean and variance of a batch norm.
    pub running: Vec<ParamId>,
    /// Whether a batch norm is set to normalize by the batch on an autodiff device. False for the other kinds.
    pub training: bool,
}

impl NormLayer {
    /// γ and β, as far as the layer has them.
    pub fn affine(&self) -> impl Iterator<Item = ParamId> {
        self.scale.into_iter().chain(self.shift)
    }
}

/// Every norm layer of `module` in the order of its fields.
///
/// A norm layer is a struct with `Norm` in its type name and, directly in it, a scale (`gamma`, `weight` or `scale`), a shift (`beta`, `bias`
/// or `shift`) or running statistics, or one of Burn's own types. Burn's traversal gives bare type names: a type of yours
/// named `BatchNorm` counts as a batch norm. Nothing is initialized, read back or changed.
///
/// ```
/// use burn::{nn::BatchNormConfig, tensor::Device};
/// use rekindle_shared::model::{NormKind, norm_layers};
///
/// let blocks = vec![BatchNormConfig::new(4).init(&Device::flex())];
/// let layers = norm_layers(&blocks);
/// assert_eq!((layers[0].path.as_str(), layers[0].kind), ("0", NormKind::Batch));
/// assert_eq!(layers[0].affine().count(), 2);
/// ```
pub fn norm_layers<M: Module>(module: &M) -> Vec<NormLayer> {
    let running = running_states(module);
    let mut list = List { path: Path::default(), found: Vec::new() };
    module.visit(&mut list);
    let mut layers = list.found;
    for layer in &mut layers {
        layer.running.retain(|id| running.contains(id));
    }
    let stock = |kind| kind != NormKind::Other;
    layers.retain(|layer| stock(layer.kind) || layer.affine().next().is_some() || !layer.running.is_empty());
    layers
}

struct List {
    path: Path,
    found: Vec<NormLayer>,
}

impl List {
    /// The layer whose field is being visited, listed when its first field is entered.
    fn layer(&mut self) -> Option<&mut NormLayer> {
        let (kind, path) = (NormKind::of(self.path.innermost()?)?, self.path.parent());
        // Not always the last: a norm layer may have another one in it, and a field behind that.
        let at = self.found.iter().rposition(|layer| layer.path == path).unwrap_or_else(|| {
            let (scale, shift, running) = (None, None, Vec::new());
            self.found.push(NormLayer { path, kind, scale, shift, running, training: false });
            self.found.len() - 1
        });
        self.found.get_mut(at)
    }
}

impl ModuleVisitor for List {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
        self.layer();
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let field = self.path.owner().0.to_owned();
        let Some(layer) = self.layer() else { return };
        match field.as_str() {
            "gamma" | "weight" | "scale" => layer.scale = Some(param.id),
            "beta" | "bias" | "shift" => layer.shift = Some(param.id),
            _ => layer.running.push(param.id),
        }
    }

    fn visit_flag(&mut self, flag: &Param<Flag>) {
        if let Some(layer) = self.layer() {
            layer.training |= flag.is_enabled();
        }
    }
}
