//! Which parameters a memory protects, and what happens to the others.

use std::collections::{HashMap, HashSet};

use burn::module::{Module, ModuleVisitor, Param, ParamId};
use burn::tensor::{Device, Tensor};
use rekindle_shared::model::{Parameter, ParameterKind, frozen, parameters};

use crate::basis::Basis;
use crate::projector::Projector;
use crate::{GpmConfig, GpmError, Others};

/// What a memory holds of one layer.
#[derive(Debug, Clone)]
pub(crate) struct LayerMemory {
    /// Path of the layer; of the first one, where its weight is tied.
    pub(crate) path: String,
    pub(crate) weight: ParamId,
    /// Weight by which its inputs are observed: the same, or the one that a LoRA adapter adds to.
    pub(crate) observed: ParamId,
    /// Inputs that each output has: rows of a linear weight, channels of a group times kernel elements of a convolution.
    pub(crate) dim: usize,
    /// Outputs of a linear layer; none for a convolution.
    pub(crate) outputs: Option<usize>,
    /// One for each group of a convolution, one for a linear layer; none before the first task.
    pub(crate) bases: Vec<Basis>,
    pub(crate) projector: Projector,
    /// Where its weight is, below autodiff, and so the projector.
    pub(crate) device: Device,
    /// Threshold of its own.
    pub(crate) threshold: Option<f64>,
}

impl LayerMemory {
    /// Directions held, of all groups together.
    pub(crate) fn rank(&self) -> usize {
        self.bases.iter().map(Basis::rank).sum()
    }

    /// Replaces the bases, and the projector with them.
    pub(crate) fn hold(&mut self, bases: Vec<Basis>) {
        self.projector = Projector::new(&bases, &self.device);
        self.bases = bases;
    }

    /// Directions there are, of all groups together; before the first task, which shows the groups, of one.
    pub(crate) fn n_directions(&self) -> usize {
        self.dim * self.bases.len().max(1)
    }
}

/// What may become of each parameter.
#[derive(Debug, Clone)]
pub(crate) struct Roles {
    /// Index of the layer whose weight it is.
    pub(crate) layers: HashMap<ParamId, usize>,
    /// Frozen, from the first task on or after it.
    pub(crate) frozen: HashMap<ParamId, Others>,
}

/// The layers of `model` that the memory protects, and the roles of all its parameters.
pub(crate) fn divide<M: Module>(config: &GpmConfig, model: &M) -> Result<(Vec<LayerMemory>, Roles), GpmError> {
    let devices = devices(model);
    // Without autodiff nothing takes a gradient, and every layer may be one that is trained elsewhere.
    let frozen = if devices.values().any(Device::is_autodiff) { frozen(model) } else { HashSet::new() };
    let (mut layers, mut unsupported) = (Vec::new(), Vec::new());
    let mut roles = Roles { layers: HashMap::new(), frozen: HashMap::new() };
    let listed = parameters(model);
    let adapted = listed.iter().filter(|parameter| inputs(parameter).is_some());
    let adapted: HashMap<_, _> = adapted.map(|parameter| (parameter.path.as_str(), parameter.id)).collect();
    for parameter in &listed {
        let id = parameter.id;
        let excluded = |group: &burn::module::ParamGroup| group.matches(&id, Some(&parameter.path));
        if frozen.contains(&id) || config.exclude.as_ref().is_some_and(excluded) {
            continue;
        }
        let others = match parameter.kind {
            ParameterKind::RunningStatistic => continue,
            ParameterKind::NormScale | ParameterKind::NormShift => config.norms,
            // A LoRA adapter adds a b to a weight: a gets the layer's inputs, and while those are protected b has to rest.
            ParameterKind::Weight if matches!(factor(parameter, &adapted), Some((_, "b"))) => config.biases,
            ParameterKind::Weight => match (directions(parameter, &adapted), config.unprotected) {
                (Some((observed, dim)), _) => {
                    // Tied weights are one layer, by the name of its first place.
                    roles.layers.entry(id).or_insert_with(|| {
                        layers.push(layer(config, parameter, observed, dim, &devices[&id]));
                        layers.len() - 1
                    });
                    continue;
                }
                (None, Some(others)) => others,
                (None, None) => {
                    unsupported.push(format!("{} ({})", parameter.path, parameter.module));
                    continue;
                }
            },
            _ => config.biases,
        };
        roles.frozen.insert(id, others);
    }
    if !unsupported.is_empty() {
        return Err(GpmError::UnsupportedWeights(unsupported));
    }
    if layers.is_empty() {
        let mut types: Vec<_> = listed.into_iter().map(|parameter| parameter.module).collect();
        types.sort();
        types.dedup();
        return Err(GpmError::NothingToProtect(types));
    }
    Ok((layers, roles))
}

fn layer(config: &GpmConfig, parameter: &Parameter, observed: ParamId, dim: usize, device: &Device) -> LayerMemory {
    let own = config.thresholds.iter().rfind(|own| own.group.matches(&parameter.id, Some(&parameter.path)));
    LayerMemory {
        path: parameter.path.strip_suffix(".weight").unwrap_or(&parameter.path).to_owned(),
        weight: parameter.id,
        observed,
        dim,
        outputs: match parameter.shape.as_slice() {
            [_, outputs] => Some(*outputs),
            _ => None,
        },
        bases: Vec::new(),
        projector: Projector::Free,
        device: device.clone().inner(),
        threshold: own.map(|own| own.threshold),
    }
}

/// The weight to which a factor of Burn's LoRA adds, and which of the two it is, `a` or `b`.
fn factor<'a>(parameter: &'a Parameter, weights: &HashMap<&str, ParamId>) -> Option<(ParamId, &'a str)> {
    let (place, name) = parameter.path.rsplit_once('.').filter(|_| parameter.module == "LoraAdapter")?;
    Some((*weights.get(place.rsplit_once('.')?.0)?, name))
}

/// The weight by whose identifier the inputs of a parameter are observed, and how many there are; none if they can't be.
fn directions(parameter: &Parameter, weights: &HashMap<&str, ParamId>) -> Option<(ParamId, usize)> {
    match factor(parameter, weights) {
        Some((base, _)) => Some((base, parameter.shape[0])),
        None => Some((parameter.id, inputs(parameter)?)),
    }
}

/// Length of a column of the layer's representation matrix, if its inputs can be seen.
fn inputs(weight: &Parameter) -> Option<usize> {
    match (weight.module.as_str(), weight.shape.as_slice()) {
        ("Linear", [inputs, _]) => Some(*inputs),
        ("Conv1d" | "Conv2d", [_, of_a_group @ ..]) => Some(of_a_group.iter().product()),
        _ => None,
    }
}

/// The device of each parameter, below autodiff.
fn devices<M: Module>(model: &M) -> HashMap<ParamId, Device> {
    #[derive(Default)]
    struct Devices(HashMap<ParamId, Device>);
    impl ModuleVisitor for Devices {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.0.insert(param.id, param.lazy_device());
        }
    }
    let mut devices = Devices::default();
    model.visit(&mut devices);
    devices.0
}
