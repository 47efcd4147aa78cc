//! Adaptation without Tent's care: the parameters and the target of choice, a step a batch, to compare with.

use burn::module::ParamGroup;
use burn::nn::loss::CrossEntropyLossConfig;
use burn::optim::{AdamConfig, GradientsParams, ModuleOptimizer};
use burn::tensor::{Int, Tensor};
use rekindle_shared::model::{Classifier, ParameterKind, deep_copy, parameters, select, with_batch_statistics};
use rekindle_tent::softmax_entropy;
use serde::{Deserialize, Serialize};

/// What is updated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Updated {
    /// Scales and shifts of the norm layers, as Tent.
    Norms,
    Everything,
    /// The classifier.
    LastLayer,
}

/// What is minimized.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Target {
    Entropy,
    /// Cross-entropy with the labels of the stream, which no method has that adapts at test time.
    Labels,
}

pub(crate) struct Plain<M> {
    model: M,
    adam: ModuleOptimizer,
    target: Target,
    learning_rate: f64,
}

impl<M: Classifier> Plain<M> {
    pub(crate) fn new(source: &M, updated: Updated, target: Target, learning_rate: f64) -> Self {
        let last = parameters(source).last().map(|parameter| parameter.path.clone()).unwrap_or_default();
        let last_layer = last.rsplit_once('.').map_or("", |(layer, _)| layer);
        let ids = select(source, |parameter| match updated {
            Updated::Norms => matches!(parameter.kind, ParameterKind::NormScale | ParameterKind::NormShift),
            Updated::Everything => true,
            Updated::LastLayer => parameter.path.rsplit_once('.').is_some_and(|(layer, _)| layer == last_layer),
        });
        let model = with_batch_statistics(deep_copy(source)).no_grad();
        let model = model.set_require_grad_group(ParamGroup::from_ids(ids), true);
        Self { model, adam: AdamConfig::new().init(), target, learning_rate }
    }

    /// Logits before the update that follows.
    pub(crate) fn step(&mut self, images: Tensor<4>, labels: Tensor<1, Int>) -> Tensor<2> {
        let logits = self.model.forward(images.autodiff());
        let loss = match self.target {
            Target::Entropy => softmax_entropy(logits.clone()).mean(),
            Target::Labels => {
                CrossEntropyLossConfig::new().init(&logits.device()).forward(logits.clone(), labels.autodiff())
            }
        };
        let grads = GradientsParams::from_grads(loss.backward(), &self.model);
        self.model = self.adam.step(self.learning_rate, self.model.clone(), grads);
        logits.inner()
    }
}
