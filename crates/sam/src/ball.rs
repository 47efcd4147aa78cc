//! The ball around the weights in which SAM looks for the worst loss: its norm, its radii, its scaling.

use std::collections::HashMap;

use burn::Tensor;
use burn::module::{Module, ModuleVisitor, Param, ParamId};
use burn::optim::GradientsParams;
use rekindle_shared::model::{ParameterKind, flat, parameters, sum, total};

use crate::vector::{ParameterVector, fitted};
use crate::{Adaptive, Norm, SamConfig, SamError};

/// Added to ‖g‖₂ before dividing: a gradient of 0 gives a perturbation of 0.
const TINY: f64 = 1e-12;

/// {ε : ‖T⁻¹ ε / ρ‖ₚ ≤ 1} with a radius ρ and a scaling T for each parameter.
#[derive(Debug)]
pub(crate) struct Ball {
    norm: Norm,
    members: Members,
}

#[derive(Debug)]
enum Members {
    /// Every parameter, with one radius and T = 1.
    All { rho: f64 },
    /// These parameters.
    Listed(HashMap<ParamId, Member>),
}

#[derive(Debug)]
struct Member {
    rho: f64,
    /// The offset η of T = |w| + η; without one T = 1.
    offset: Option<f64>,
    /// The diagonal of T.
    scaling: Option<Tensor<1>>,
}

/// The point of the unit sphere to which a gradient points: `raw / norm` for p = 2, `raw` for p = ∞.
#[derive(Debug)]
pub(crate) struct Steepest {
    raw: ParameterVector,
    inverse: Option<Tensor<1>>,
    /// The dual norm ‖T g‖_q, `[1]`.
    pub(crate) norm: Tensor<1>,
}

impl Ball {
    pub(crate) fn uniform(norm: Norm, rho: f64) -> Self {
        Self { norm, members: Members::All { rho } }
    }

    /// The ball that `config` describes around `model`, with `rho` in place of its own and `factor` on every radius.
    pub(crate) fn new<M: Module>(config: &SamConfig, rho: f64, factor: f64, model: &M) -> Self {
        if config.adaptive.is_none() && config.groups.is_empty() && config.exclude.is_empty() {
            return Self::uniform(config.norm, rho * factor);
        }
        let mut members: HashMap<_, _> = parameters(model)
            .into_iter()
            .filter(|parameter| !config.exclude.iter().any(|selector| selector.matches(parameter)))
            .map(|parameter| {
                let group = config.groups.iter().rev().find(|group| group.select.matches(&parameter));
                let offset = match (config.adaptive, parameter.kind) {
                    (Some(Adaptive::Everything), _) => Some(0.0),
                    (Some(Adaptive::Weights { eta }), ParameterKind::Weight | ParameterKind::NormScale) => Some(eta),
                    _ => None,
                };
                let rho = group.map_or(rho, |group| group.rho) * factor;
                (parameter.id, Member { rho, offset, scaling: None })
            })
            .collect();
        if config.adaptive.is_some() {
            model.visit(&mut Scale(&mut members));
        }
        Self { norm: config.norm, members: Members::Listed(members) }
    }

    fn member(&self, id: ParamId) -> Option<&Member> {
        match &self.members {
            Members::All { .. } => None,
            Members::Listed(members) => members.get(&id),
        }
    }

    fn scaling(&self, id: ParamId) -> Option<&Tensor<1>> {
        self.member(id)?.scaling.as_ref()
    }

    fn rho(&self, id: ParamId) -> f64 {
        match &self.members {
            Members::All { rho } => *rho,
            Members::Listed(members) => members.get(&id).map_or(0.0, |member| member.rho),
        }
    }

    /// Where the loss rises fastest (Eq. 2): the unit vector u that maximizes u · T g, and the rise ‖T g‖_q.
    pub(crate) fn steepest<M: Module>(&self, model: &M, grads: &GradientsParams) -> Result<Steepest, SamError> {
        let member = |id| matches!(self.members, Members::All { .. }) || self.member(id).is_some();
        let mut raw = ParameterVector::gradients(model, grads, member);
        if raw.parts.is_empty() {
            return Err(SamError::NothingToPerturb);
        }
        for (id, part) in &mut raw.parts {
            if let Some(scaling) = self.scaling(*id) {
                *part = part.clone() * scaling.clone();
            }
        }
        Ok(match self.norm {
            Norm::L2 => {
                let norm = raw.norm();
                Steepest { inverse: Some(norm.clone().add_scalar(TINY).recip()), norm, raw }
            }
            Norm::LInf => {
                let norm = total(raw.parts.iter().map(|(_, part)| sum(part.clone().abs())).collect());
                Steepest { inverse: None, norm, raw: raw.map(|part| part.sign()) }
            }
        })
    }

    /// ε = ρ T u for the point u that `steepest` found.
    pub(crate) fn perturbation(&self, steepest: &Steepest) -> ParameterVector {
        let mut radii: Vec<(f64, Tensor<1>)> = Vec::new();
        let moved = |(id, raw): &(ParamId, Tensor<1>)| {
            let rho = self.rho(*id);
            // Moving by a vector of zeros would turn -0.0 into 0.0.
            if rho == 0.0 {
                return None;
            }
            let part = match &steepest.inverse {
                None => raw.clone().mul_scalar(rho),
                Some(inverse) => {
                    let radius = match radii.iter().find(|(known, _)| *known == rho) {
                        Some((_, radius)) => radius.clone(),
                        None => {
                            let radius = inverse.clone().mul_scalar(rho);
                            radii.push((rho, radius.clone()));
                            radius
                        }
                    };
                    raw.clone() * fitted(&radius, raw)
                }
            };
            Some((*id, self.scaled(*id, part)))
        };
        ParameterVector { parts: steepest.raw.parts.iter().filter_map(moved).collect() }
    }

    /// ε = ρ T u for any u.
    pub(crate) fn perturbation_to(&self, unit: &ParameterVector) -> ParameterVector {
        let moved = |(id, part): &(ParamId, Tensor<1>)| {
            let rho = self.rho(*id);
            (rho != 0.0).then(|| (*id, self.scaled(*id, part.clone().mul_scalar(rho))))
        };
        ParameterVector { parts: unit.parts.iter().filter_map(moved).collect() }
    }

    fn scaled(&self, id: ParamId, part: Tensor<1>) -> Tensor<1> {
        match self.scaling(id) {
            Some(scaling) => part * scaling.clone(),
            None => part,
        }
    }

    /// The point of the unit ball nearest to `unit`.
    pub(crate) fn projected(&self, unit: ParameterVector) -> ParameterVector {
        match self.norm {
            Norm::LInf => unit.map(|part| part.clamp(-1.0, 1.0)),
            Norm::L2 => {
                let shrink = unit.norm().add_scalar(TINY).recip().clamp_max(1.0);
                unit.map(|part| part.clone() * fitted(&shrink, &part))
            }
        }
    }
}

impl Steepest {
    /// The point itself.
    pub(crate) fn unit(&self) -> ParameterVector {
        let raw = self.raw.clone();
        match &self.inverse {
            None => raw,
            Some(inverse) => raw.map(|part| part.clone() * fitted(inverse, &part)),
        }
    }
}

/// Fills in T = |w| + η where a member has an offset.
struct Scale<'a>(&'a mut HashMap<ParamId, Member>);

impl ModuleVisitor for Scale<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(member) = self.0.get_mut(&param.id)
            && let Some(eta) = member.offset
        {
            let size = flat(param.val().inner()).abs();
            member.scaling = Some(if eta == 0.0 { size } else { size.add_scalar(eta) });
        }
    }
}
