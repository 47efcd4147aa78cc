//! Which parameters are adapted.

use burn::module::{Module, ParamGroup, ParamId};
use rekindle_shared::model::{NormLayer, norm_layers, parameters};

use crate::TentError;

/// The norm layers that have something to adapt, and the identifiers of that.
pub(crate) struct Selection {
    pub(crate) layers: Vec<NormLayer>,
    pub(crate) ids: Vec<ParamId>,
}

impl Selection {
    /// Every γ and β of `model` that is not excluded.
    pub(crate) fn of<M: Module>(model: &M, exclude: Option<&ParamGroup>) -> Result<Self, TentError> {
        let mut layers = norm_layers(model);
        if layers.is_empty() {
            return Err(TentError::NoNormLayers { layers: layer_types(model) });
        }
        let listed = parameters(model);
        let excluded = |id: &ParamId| {
            let path = listed.iter().find(|parameter| parameter.id == *id).map(|parameter| parameter.path.as_str());
            exclude.is_some_and(|group| group.matches(id, path))
        };
        let paths = layers.iter().map(|layer| layer.path.clone()).collect();
        let mut ids = Vec::new();
        layers.retain(|layer| {
            let mut any = false;
            for id in layer.affine().filter(|id| !excluded(id)) {
                any = true;
                // Weights that are tied are adapted once.
                if !ids.contains(&id) {
                    ids.push(id);
                }
            }
            any
        });
        match ids.is_empty() {
            true => Err(TentError::NothingToAdapt { layers: paths }),
            false => Ok(Self { layers, ids }),
        }
    }
}

/// Types of the layers of a module, each with the path of its first.
fn layer_types<M: Module>(model: &M) -> Vec<String> {
    let mut types: Vec<(String, String)> = Vec::new();
    for parameter in parameters(model) {
        if !types.iter().any(|(name, _)| *name == parameter.module) {
            let path = parameter.path.rsplit_once('.').map_or("", |(layer, _)| layer).to_owned();
            types.push((parameter.module, path));
        }
    }
    types.into_iter().map(|(name, path)| if path.is_empty() { name } else { format!("{name} ({path})") }).collect()
}
