use burn::config::Config;
use burn::module::{Module, ParamGroup};
use serde::{Deserialize, Serialize};

use crate::{GpmError, GpmMemory};

/// Options of a [`GpmMemory`]; the defaults are the paper's where it has the choice.
///
/// ```
/// use burn::module::ParamGroup;
/// use burn::{nn::LinearConfig, tensor::Device};
/// use rekindle_gpm::{GpmConfig, LayerThreshold};
///
/// let model = LinearConfig::new(8, 4).init(&Device::flex().autodiff());
/// // As in the authors' code for Permuted MNIST: the first layer keeps less than the others.
/// let config = GpmConfig::new()
///     .with_threshold(0.99)
///     .with_thresholds(vec![LayerThreshold::new(ParamGroup::from_path("weight"), 0.95)]);
/// assert!(config.init(&model).is_ok());
/// ```
#[derive(Config, Debug)]
pub struct GpmConfig {
    /// Threshold ε in (0, 1]: the share of the energy ‖R‖² of a layer's inputs that its memory has to hold (Eqs. 5
    /// and 9). Default 0.97, which the authors' code has on CIFAR-100.
    ///
    /// Higher protects old tasks better and leaves less room for new ones; 1 keeps every direction that was seen.
    #[config(default = 0.97)]
    pub threshold: f64,
    /// What each task adds to the threshold, up to 1. Default 0; the authors' code has 0.003 on CIFAR-100.
    #[config(default = 0.0)]
    pub threshold_increment: f64,
    /// Thresholds of their own for the weights of some layers; the last match counts. Default none.
    #[config(default = "Vec::new()")]
    pub thresholds: Vec<LayerThreshold>,
    /// How many directions meet the threshold. Default the paper's rule.
    #[config(default = "RankRule::Paper")]
    pub rank_rule: RankRule,
    /// What [`GpmMemory::step`] projects. Default the optimizer's update.
    #[config(default = "Project::Update")]
    pub project: Project,
    /// Parameters that the memory leaves alone: neither protected nor frozen. Default none.
    ///
    /// For heads of which each task has its own, and for layers that no task trains.
    pub exclude: Option<ParamGroup>,
    /// Biases of layers, second factors of LoRA adapters, and whatever is neither a weight nor part of a norm layer. Default
    /// frozen after the first task.
    ///
    /// The paper's networks have none; one that moves changes the outputs of old tasks.
    #[config(default = "Others::FreezeAfterFirstTask")]
    pub biases: Others,
    /// Scales and shifts of norm layers. Default frozen after the first task, as the authors do.
    #[config(default = "Others::FreezeAfterFirstTask")]
    pub norms: Others,
    /// Weights that no memory can protect: of transposed convolutions, embeddings and other layers that are neither
    /// linear nor a convolution of one or two dimensions. Default: refused, by name.
    pub unprotected: Option<Others>,
    /// Soft projection (SGP, Saha & Roy, AAAI 2023): α ≥ 0, by which directions that held little energy stay partly
    /// trainable. Default none: GPM, which is the limit α → ∞.
    pub scale: Option<f64>,
    /// Most directions a layer may hold, for each group of a convolution. Default as many as it has inputs.
    pub max_rank: Option<usize>,
    /// Most bytes that all layers may hold together, 4 for each number. Default no limit.
    ///
    /// What a task adds beyond it is left out, the directions with the smallest share of their layer's energy first.
    pub max_bytes: Option<usize>,
}

impl GpmConfig {
    /// An empty memory for the layers of `model`: every linear layer and convolution that is neither excluded nor frozen.
    ///
    /// # Errors
    ///
    /// A threshold outside (0, 1], a negative or non-finite increment or α, a cap below one direction, a model without
    /// a layer to protect, weights of a kind that can't be protected unless `unprotected` or `exclude` says what to do.
    pub fn init<M: Module>(&self, model: &M) -> Result<GpmMemory, GpmError> {
        for threshold in self.thresholds.iter().map(|own| own.threshold).chain([self.threshold]) {
            if !(threshold > 0.0 && threshold <= 1.0) {
                return Err(GpmError::InvalidThreshold(threshold));
            }
        }
        if !(self.threshold_increment >= 0.0 && self.threshold_increment.is_finite()) {
            return Err(GpmError::InvalidIncrement(self.threshold_increment));
        }
        if let Some(alpha) = self.scale
            && !(alpha >= 0.0 && alpha.is_finite())
        {
            return Err(GpmError::InvalidScale(alpha));
        }
        if self.max_rank == Some(0) {
            return Err(GpmError::CapTooSmall { cap: "max_rank", value: 0, least: 1 });
        }
        GpmMemory::new(self.clone(), model)
    }
}

/// A threshold for some layers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LayerThreshold {
    /// The weights of the layers.
    pub group: ParamGroup,
    /// Their threshold ε, in (0, 1].
    pub threshold: f64,
}

impl LayerThreshold {
    /// Gives the layers whose weights `group` matches the threshold `threshold`.
    pub fn new(group: ParamGroup, threshold: f64) -> Self {
        Self { group, threshold }
    }
}

/// How many directions are kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RankRule {
    /// The fewest that reach the threshold (Eqs. 5 and 9).
    #[default]
    Paper,
    /// After the first task one fewer, as in the authors' code; later tasks as in the paper.
    AuthorsCode,
}

/// What is projected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Project {
    /// The change of the weights that the optimizer makes. Momentum, adaptive step sizes and weight decay can't leave
    /// the allowed directions.
    #[default]
    Update,
    /// The gradient, before the optimizer (Eqs. 6 and 7). The same for SGD without momentum and weight decay; adaptive
    /// step sizes and weight decay lead out of the allowed directions.
    Gradient,
}

/// What happens to parameters that have no layer input to be protected by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Others {
    /// They are trained in the first task and then stay as they are.
    #[default]
    FreezeAfterFirstTask,
    /// They never move.
    Freeze,
    /// They move freely, and with them the outputs of old tasks.
    Free,
}
