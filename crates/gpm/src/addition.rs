//! What a task adds to the memory: Eqs. 5, 8 and 9, and the caps on them.

use crate::basis::Basis;
use crate::collect::Gathered;
use crate::layer::LayerMemory;
use crate::moments::Residual;
use crate::rank::rank;
use crate::scale::{combined, importance};
use crate::{GpmConfig, GpmError, LayerReport};

/// Bytes of a number in a basis.
pub(crate) const BYTES: usize = size_of::<f32>();

/// What a task adds to a layer, group by group.
pub(crate) struct Addition {
    groups: Vec<GroupAddition>,
}

struct GroupAddition {
    basis: Basis,
    residual: Residual,
    /// Directions that the threshold asks for.
    wanted: usize,
    /// Those that are kept.
    kept: usize,
}

impl Addition {
    pub(crate) fn of(
        layer: &LayerMemory,
        gathered: &Gathered,
        config: &GpmConfig,
        task: usize,
    ) -> Result<Self, GpmError> {
        let threshold = layer.threshold.unwrap_or(config.threshold) + config.threshold_increment * task as f64;
        let mut groups = Vec::with_capacity(gathered.groups.len());
        for (group, moments) in gathered.groups.iter().enumerate() {
            let basis = layer.bases.get(group).cloned().unwrap_or_else(|| Basis::empty(layer.dim));
            let residual = moments.beyond(&basis).ok_or_else(|| GpmError::NoConvergence(layer.path.clone()))?;
            let Residual { energies, covered, total, .. } = &residual;
            let wanted = rank(energies, *covered, *total, threshold, config.rank_rule, task == 0);
            let room = config.max_rank.map_or(usize::MAX, |most| most.saturating_sub(basis.rank()));
            groups.push(GroupAddition { basis, residual, wanted, kept: wanted.min(room) });
        }
        Ok(Self { groups })
    }

    /// Leaves out what does not fit into `max_bytes` of all layers, the smallest shares of a layer's energy first.
    pub(crate) fn cap(additions: &mut [Self], max_bytes: usize) {
        let held = |group: &GroupAddition| group.basis.rank() * group.basis.dim * BYTES;
        let mut room = max_bytes.saturating_sub(additions.iter().flat_map(|layer| &layer.groups).map(held).sum());
        let mut candidates = Vec::new();
        for (layer, addition) in additions.iter_mut().enumerate() {
            for (at, group) in addition.groups.iter_mut().enumerate() {
                let shares = group.residual.energies.iter().map(|energy| energy / group.residual.total);
                candidates.extend(shares.take(group.kept).map(|share| (share, layer, at)));
                group.kept = 0;
            }
        }
        candidates.sort_by(|(a, ..), (b, ..)| b.total_cmp(a));
        for (_, layer, group) in candidates {
            let group = &mut additions[layer].groups[group];
            let bytes = group.basis.dim * BYTES;
            if bytes <= room {
                room -= bytes;
                group.kept += 1;
            }
        }
    }

    /// Puts the additions into the layer's bases.
    pub(crate) fn apply(self, layer: &mut LayerMemory, scale: Option<f64>) -> LayerReport {
        let sum = |of: fn(&GroupAddition) -> f64| self.groups.iter().map(of).sum::<f64>();
        let total = sum(|group| group.residual.total);
        let held = sum(|group| group.residual.covered + group.residual.energies[..group.kept].iter().sum::<f64>());
        let added = self.groups.iter().map(|group| group.kept).sum();
        let left_out = self.groups.iter().map(|group| group.wanted - group.kept).sum();
        layer.hold(self.groups.into_iter().map(|group| group.extended(scale)).collect());
        LayerReport {
            path: layer.path.clone(),
            n_directions: layer.n_directions(),
            rank: layer.rank(),
            added,
            left_out,
            retained: if total > 0.0 { (held / total).min(1.0) } else { 1.0 },
        }
    }
}

impl GroupAddition {
    /// M ← [M, U₁ … U_k].
    fn extended(self, scale: Option<f64>) -> Basis {
        let Self { mut basis, residual, kept, .. } = self;
        match scale {
            None => basis.importance.resize(basis.rank() + kept, 1.0),
            Some(alpha) => {
                let along = residual.along.iter().chain(&residual.energies[..kept]);
                let now = importance(&along.map(|energy| energy.sqrt()).collect::<Vec<_>>(), alpha);
                basis.importance.resize(now.len(), 0.0);
                basis.importance.iter_mut().zip(now).for_each(|(held, now)| *held = combined(*held, now));
            }
        }
        for column in 0..kept {
            basis.vectors.extend(residual.directions.col(column).iter().map(|value| *value as f32));
        }
        basis
    }
}
