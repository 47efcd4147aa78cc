use burn::module::ParamGroup;
use rekindle_shared::model::{Parameter, ParameterKind};
use serde::{Deserialize, Serialize};

/// Which parameters a radius or an exclusion is meant for.
///
/// By what they are for, or by identifier, path or pattern through Burn's [`ParamGroup`], which converts into one.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Selector {
    /// Matrices and kernels that multiply their input.
    Weights,
    /// Additive vectors outside of norm layers.
    Biases,
    /// Scales and shifts of norm layers.
    Norms,
    /// What a Burn group matches.
    Group(ParamGroup),
}

impl Selector {
    /// Whether the selector means `parameter`.
    pub fn matches(&self, parameter: &Parameter) -> bool {
        match self {
            Self::Weights => parameter.kind == ParameterKind::Weight,
            Self::Biases => parameter.kind == ParameterKind::Bias,
            Self::Norms => matches!(parameter.kind, ParameterKind::NormScale | ParameterKind::NormShift),
            Self::Group(group) => group.matches(&parameter.id, Some(&parameter.path)),
        }
    }
}

impl From<ParamGroup> for Selector {
    fn from(group: ParamGroup) -> Self {
        Self::Group(group)
    }
}
