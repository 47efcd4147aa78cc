//! The rows of the tables.

use burn::module::ParamGroup;
use rekindle_gpm::{GpmConfig, LayerThreshold, RankRule};
use serde::{Deserialize, Serialize};

/// How the tasks are learned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case")]
pub(crate) enum Method {
    /// One after the other, nothing else.
    Sequential,
    /// All at once: the upper bound.
    Joint,
    /// One after the other, after the first only the last layer.
    LastLayer,
    Gpm {
        /// For the weights whose paths contain the name; the last match counts.
        thresholds: Vec<(String, f64)>,
        /// What each task adds to them.
        increment: f64,
        rank_rule: RankRule,
        /// Samples that are shown to the memory.
        n_samples: usize,
    },
    Ewc {
        lambda: f64,
        /// Samples of the Fisher information.
        n_samples: usize,
    },
    /// As many samples of earlier tasks beside each batch.
    Replay { bytes: usize },
    /// Gradients that do not raise the loss on as many samples of earlier tasks.
    Agem { bytes: usize },
}

impl Method {
    /// GPM by thresholds from the first layer on.
    pub(crate) fn gpm(thresholds: &[(&str, f64)], n_samples: usize) -> Self {
        let thresholds = thresholds.iter().map(|(layer, threshold)| ((*layer).to_owned(), *threshold)).collect();
        Self::Gpm { thresholds, increment: 0.0, rank_rule: RankRule::Paper, n_samples }
    }

    /// The same by the authors' rule.
    pub(crate) fn authors_rule(self) -> Self {
        match self {
            Self::Gpm { thresholds, increment, n_samples, .. } => {
                Self::Gpm { thresholds, increment, rank_rule: RankRule::AuthorsCode, n_samples }
            }
            other => other,
        }
    }

    /// The same with thresholds that rise from task to task.
    pub(crate) fn rising(self, increment: f64) -> Self {
        match self {
            Self::Gpm { thresholds, rank_rule, n_samples, .. } => {
                Self::Gpm { thresholds, increment, rank_rule, n_samples }
            }
            other => other,
        }
    }

    /// Time relative to plain training.
    pub(crate) fn cost(&self) -> f64 {
        match self {
            Self::Sequential | Self::LastLayer | Self::Joint => 1.0,
            Self::Ewc { .. } => 1.5,
            Self::Gpm { .. } | Self::Replay { .. } => 2.0,
            Self::Agem { .. } => 2.5,
        }
    }
}

/// The memory of a network whose heads, if it has some, are each of one task.
pub(crate) fn memory(thresholds: &[(String, f64)], increment: f64, rank_rule: RankRule) -> GpmConfig {
    let own = |(path, threshold): &(String, f64)| LayerThreshold::new(ParamGroup::from_predicate(path), *threshold);
    GpmConfig::new()
        .with_thresholds(thresholds.iter().map(own).collect())
        .with_threshold_increment(increment)
        .with_rank_rule(rank_rule)
        .with_exclude(Some(ParamGroup::from_predicate("heads")))
}
