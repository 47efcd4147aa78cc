use burn::config::Config;
use burn::module::{Module, ParamGroup};
use burn::optim::ModuleOptimizer;
use rekindle_shared::model::BatchStatistics;
use serde::{Deserialize, Serialize};

use crate::collapse::Collapse;
use crate::{Tent, TentError};

/// Options of [`Tent`]; the defaults are those of the authors' code for CIFAR-10-C, with a guard against small batches
/// and one against collapse.
///
/// ```
/// use rekindle_tent::{Reset, TentConfig};
///
/// // EATA's filter, a return to the source model every 1,000 batches.
/// let config = TentConfig::new().with_entropy_threshold(Some(0.4)).with_reset(Reset::Every { batches: 1000 });
/// assert!(config.validate().is_ok());
/// ```
#[derive(Config, Debug)]
pub struct TentConfig {
    /// Learning rate. Default 10⁻³, the paper's with Adam; with SGD and momentum 0.9 on ImageNet it takes 2.5 · 10⁻⁴.
    #[config(default = 1e-3)]
    pub learning_rate: f64,
    /// Forward passes with an update on each batch. Default 1.
    #[config(default = 1)]
    pub steps: usize,
    /// Return to the source model, and a fresh optimizer, before every batch. Default off.
    ///
    /// With one step and [`Logits::BeforeUpdate`] the update is thrown away unused, and the logits are those of the
    /// norm baseline: take two steps, or the logits after the update.
    #[config(default = false)]
    pub episodic: bool,
    /// When to return to the source model in a stream. Default never.
    #[config(default = "Reset::Never")]
    pub reset: Reset,
    /// Which logits a batch gets. Default those before the update, as the paper's.
    #[config(default = "Logits::BeforeUpdate")]
    pub logits: Logits,
    /// What is minimized. Default the entropy.
    #[config(default = "Objective::Entropy")]
    pub objective: Objective,
    /// Only samples whose entropy is below this share of ln(classes) are learned from (EATA takes 0.4). Default all.
    pub entropy_threshold: Option<f64>,
    /// By which statistics batch norm normalizes. Default those of the batch, as the paper.
    ///
    /// Mixtures need batch norms that take part in a scope, see
    /// [`normalize_with`](rekindle_shared::model::normalize_with).
    #[config(default = "BatchStatistics::Batch")]
    pub statistics: BatchStatistics,
    /// Batches below this number of samples are not learned from. Default 16; 1 switches the guard off.
    ///
    /// Batch statistics of few samples are noisy, and entropy minimization on them ends in one class. Layer, group and
    /// instance norms are less sensitive.
    #[config(default = 16)]
    pub min_batch: usize,
    /// How a batch below `min_batch` is predicted. Default with source statistics.
    #[config(default = "SmallBatch::Source")]
    pub small_batch: SmallBatch,
    /// When predictions count as collapsed and what happens then. Default: diversity below 0.3, return to the source.
    #[config(default = "Some(Collapse::default())")]
    pub collapse: Option<Collapse>,
    /// Parameters of norm layers to leave as they are. Default none.
    pub exclude: Option<ParamGroup>,
}

/// When [`Tent`] returns to the source model: γ, β and optimizer as they were in the beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reset {
    /// Only when [`Tent::reset`] is called.
    Never,
    /// After this many batches.
    Every {
        /// At least 1.
        batches: u64,
    },
    /// When [`Tent::begin_domain`] says that the domain changes.
    OnDomainChange,
}

/// Which logits [`Tent::adapt`] returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Logits {
    /// Those of the last forward pass, before its update: one forward pass a step (the paper and its code).
    BeforeUpdate,
    /// Those of the updated model: one more forward pass a batch (the paper's first version).
    AfterUpdate,
}

/// What [`Tent`] minimizes over γ and β.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Objective {
    /// The mean entropy of the predictions, in nats.
    Entropy,
    /// The cross-entropy of each prediction against its own most likely class, where that is likely enough: the
    /// pseudo-label baseline of the paper's Table 2.
    PseudoLabel {
        /// The least probability of the most likely class, in `[0, 1]`.
        min_confidence: f64,
    },
}

/// How [`Tent`] predicts a batch that is too small to learn from.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum SmallBatch {
    /// With the source statistics and γ and β as they are.
    Source,
    /// With the mixture of [`BatchStatistics::Prior`], which needs batch norms that take part in a scope.
    Prior {
        /// N, in samples.
        n: f64,
    },
}

impl TentConfig {
    /// Tent around a copy of `model`, which itself stays as it is: on an autodiff device or a plain one, trained or loaded from a record.
    ///
    /// `optimizer` is any optimizer of Burn: `AdamConfig::new().init()` is the paper's for all but ImageNet. Momentum of
    /// Burn's SGD has a dampening of 0.1 unless told otherwise.
    ///
    /// # Errors
    ///
    /// As [`validate`](Self::validate); [`TentError::NoNormLayers`] and [`TentError::NothingToAdapt`], with the names of
    /// the layers, if there is no γ or β to adapt.
    pub fn init<M: Module>(&self, model: &M, optimizer: impl Into<ModuleOptimizer>) -> Result<Tent<M>, TentError> {
        self.validate()?;
        Tent::new(self.clone(), model, optimizer.into())
    }

    /// Whether every option is in its range.
    ///
    /// # Errors
    ///
    /// [`TentError::Option`] with the option's name, its rule and its value.
    pub fn validate(&self) -> Result<(), TentError> {
        let check = |name: &'static str, holds: bool, rule: &'static str, value: f64| match holds {
            true => Ok(()),
            false => Err(TentError::Option { name, rule, value }),
        };
        let rate = self.learning_rate;
        check("learning_rate", rate.is_finite() && rate >= 0.0, "finite and at least 0", rate)?;
        check("steps", self.steps > 0, "at least 1", 0.0)?;
        check("min_batch", self.min_batch > 0, "at least 1", 0.0)?;
        if let Reset::Every { batches } = self.reset {
            check("reset", batches > 0, "after 1 batch or more", 0.0)?;
        }
        if let Some(threshold) = self.entropy_threshold {
            let rule = "above 0 and at most 1, a share of ln(classes)";
            check("entropy_threshold", threshold > 0.0 && threshold <= 1.0, rule, threshold)?;
        }
        if let Objective::PseudoLabel { min_confidence } = self.objective {
            let rule = "a probability from 0 to 1";
            check("min_confidence", (0.0..=1.0).contains(&min_confidence), rule, min_confidence)?;
        }
        if let Some(Collapse { min_diversity, momentum, .. }) = self.collapse {
            check("min_diversity", (0.0..1.0).contains(&min_diversity), "at least 0 and below 1", min_diversity)?;
            check("collapse momentum", (0.0..1.0).contains(&momentum), "at least 0 and below 1", momentum)?;
        }
        if let SmallBatch::Prior { n } = self.small_batch {
            BatchStatistics::Prior { n }.validate()?;
        }
        self.statistics.validate()?;
        Ok(())
    }
}
