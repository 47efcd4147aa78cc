use burn::tensor::Tensor;
use burn::tensor::activation::log_softmax;

use crate::entropy::entropy_of;
use crate::{Objective, TentConfig};

/// The loss of a batch with what the report and the checks need, all still on the device.
pub(crate) struct Loss {
    /// Mean over the rows that are learned from, `[1]`.
    pub(crate) loss: Tensor<1>,
    /// Mean entropy of all rows, below autodiff, `[1]`.
    pub(crate) entropy: Tensor<1>,
    /// Share of the rows that are learned from, below autodiff, `[1]`.
    pub(crate) kept: Tensor<1>,
    /// Mean probabilities, below autodiff, `[n_classes]`.
    pub(crate) probabilities: Tensor<1>,
}

impl Loss {
    pub(crate) fn of(logits: Tensor<2>, config: &TentConfig) -> Self {
        let [n_rows, n_classes] = logits.dims();
        let log = log_softmax(logits, 1);
        let entropy = entropy_of(&log);
        let per_row = match config.objective {
            Objective::Entropy => entropy.clone(),
            // -log p of the most likely class; the choice of that class has no gradient.
            Objective::PseudoLabel { .. } => log.clone().max_dim(1).squeeze_dim(1).neg(),
        };
        let (loss, kept) = match mask(&log, &entropy, n_classes, config) {
            None => (per_row.mean(), Tensor::ones([1], &entropy.device().inner())),
            Some(mask) => {
                let share = mask.clone().mean();
                // A row that is left out may have an infinite loss, which 0 times would make NaN of.
                let masked = per_row.mask_fill(mask.clone().equal_elem(0.0), 0.0);
                let kept = (share.clone() * n_rows as f32).clamp_min(1.0);
                (masked.sum() / kept, share.inner())
            }
        };
        let probabilities = log.inner().exp().mean_dim(0).squeeze_dim(0);
        Self { loss, entropy: entropy.inner().mean(), kept, probabilities }
    }
}

/// 1 for each row to learn from and 0 for the others, `[rows]`, without a gradient; none where nothing is left out.
fn mask(log: &Tensor<2>, entropy: &Tensor<1>, n_classes: usize, config: &TentConfig) -> Option<Tensor<1>> {
    let certain = config.entropy_threshold.map(|share| {
        let threshold = share * (n_classes as f64).ln();
        entropy.clone().detach().lower_elem(threshold).float()
    });
    let confident = match config.objective {
        Objective::PseudoLabel { min_confidence } if min_confidence > 0.0 => {
            let confidence: Tensor<1> = log.clone().detach().max_dim(1).exp().squeeze_dim(1);
            Some(confidence.greater_equal_elem(min_confidence).float())
        }
        _ => None,
    };
    match (certain, confident) {
        (Some(certain), Some(confident)) => Some(certain * confident),
        (certain, confident) => certain.or(confident),
    }
}
