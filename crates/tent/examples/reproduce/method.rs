//! The rows of the tables: what predicts a test stream.

use burn::optim::AdamConfig;
use burn::tensor::Tensor;
use rekindle_harness::worker::Failure;
use rekindle_shared::model::Classifier;
use rekindle_tent::{
    BatchStatistics, Collapse, Fallback, NormAdaptation, Objective, TentConfig, Totals, softmax_entropy,
};
use serde::{Deserialize, Serialize};

use crate::plain::{Plain, Target, Updated};
use crate::stream::TestStream;

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case")]
pub(crate) enum Method {
    /// The source model as it is.
    Source,
    /// Other statistics, no update.
    Norm { statistics: BatchStatistics },
    /// Tent, with Adam.
    Tent(Adaptation),
    /// A step of Adam a batch, without Tent's options.
    Plain { updated: Updated, target: Target, learning_rate: f64 },
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Adaptation {
    /// Chosen on the four extra corruptions where none is given.
    pub(crate) learning_rate: Option<f64>,
    pub(crate) objective: Goal,
    pub(crate) steps: usize,
    pub(crate) episodic: bool,
    /// Passes over the stream before it is predicted; 0 is online.
    pub(crate) epochs: usize,
    /// Batches below it are not learned from.
    pub(crate) min_batch: usize,
    /// What happens on a collapse; without, none is looked for.
    pub(crate) fallback: Option<Fallback>,
}

/// What is minimized.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Goal {
    Entropy,
    /// The least confidence is chosen with the learning rate.
    PseudoLabel,
}

impl Adaptation {
    /// Tent as its authors run it: online, a step a batch, without guards.
    pub(crate) const TENT: Self = Self {
        learning_rate: None,
        objective: Goal::Entropy,
        steps: 1,
        episodic: false,
        epochs: 0,
        min_batch: 1,
        fallback: None,
    };
}

/// Tent's parameters and steps with the labels in place of the entropy: what no method without labels can expect to beat.
pub(crate) const ORACLE: Method =
    Method::Plain { updated: Updated::Norms, target: Target::Labels, learning_rate: 1e-3 };

/// The numbers that are chosen on the extra corruptions.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Chosen {
    pub(crate) learning_rate: f64,
    pub(crate) min_confidence: f64,
}

/// What a method made of a stream.
#[derive(Debug, Default)]
pub(crate) struct Evaluation {
    wrong: usize,
    seen: usize,
    entropy: f64,
    /// Error of each batch.
    pub(crate) error_by_batch: Vec<f64>,
    /// Diversity of the predictions after each batch, where the method tells.
    pub(crate) diversity: Vec<f64>,
    pub(crate) totals: Totals,
}

impl Evaluation {
    /// Share of wrong predictions.
    pub(crate) fn error(&self) -> f64 {
        self.wrong as f64 / self.seen as f64
    }

    /// Mean entropy of the predictions, in nats.
    pub(crate) fn entropy(&self) -> f64 {
        self.entropy / self.seen as f64
    }

    fn count(&mut self, logits: Tensor<2>, classes: &[usize]) {
        let predicted = logits.clone().argmax(1).into_data();
        let wrong = predicted.iter::<i64>().zip(classes).filter(|(found, class)| *found != **class as i64).count();
        self.wrong += wrong;
        self.seen += classes.len();
        self.entropy += softmax_entropy(logits).sum().into_scalar::<f64>();
        self.error_by_batch.push(wrong as f64 / classes.len() as f64);
    }
}

impl Method {
    /// Predicts the stream, batch after batch.
    pub(crate) fn evaluate<M: Classifier>(
        self,
        source: &M,
        chosen: Option<Chosen>,
        stream: &TestStream,
    ) -> Result<Evaluation, Failure> {
        let forward = |model: &M, images: Tensor<4>| model.forward(images);
        let mut evaluation = Evaluation::default();
        match self {
            Self::Source => {
                let model = source.valid();
                for batch in stream.batches() {
                    evaluation.count(model.forward(batch.images), &batch.classes);
                }
            }
            Self::Norm { statistics } => {
                let mut norm = NormAdaptation::new(source, statistics)?;
                for batch in stream.batches() {
                    evaluation.count(norm.predict(batch.images, forward)?, &batch.classes);
                }
            }
            Self::Plain { updated, target, learning_rate } => {
                let mut plain = Plain::new(source, updated, target, learning_rate);
                for batch in stream.batches() {
                    let logits = plain.step(batch.images, batch.labels);
                    evaluation.count(logits, &batch.classes);
                }
            }
            Self::Tent(adaptation) => {
                let mut tent = adaptation.config(chosen).init(source, AdamConfig::new().init())?;
                let online = adaptation.epochs == 0;
                for _ in 0..adaptation.epochs.max(1) {
                    for batch in stream.batches() {
                        let adapted = tent.adapt(batch.images, forward)?;
                        evaluation.diversity.push(adapted.report.diversity);
                        if online {
                            evaluation.count(adapted.logits, &batch.classes);
                        }
                    }
                }
                if !online {
                    for batch in stream.batches() {
                        evaluation.count(tent.predict(batch.images, forward)?, &batch.classes);
                    }
                }
                evaluation.totals = tent.totals();
            }
        }
        Ok(evaluation)
    }
}

impl Adaptation {
    fn config(self, chosen: Option<Chosen>) -> TentConfig {
        let fallback = Chosen { learning_rate: 1e-3, min_confidence: 0.0 };
        let chosen = chosen.unwrap_or(fallback);
        let objective = match self.objective {
            Goal::Entropy => Objective::Entropy,
            Goal::PseudoLabel => Objective::PseudoLabel { min_confidence: chosen.min_confidence },
        };
        TentConfig::new()
            .with_learning_rate(self.learning_rate.unwrap_or(chosen.learning_rate))
            .with_objective(objective)
            .with_steps(self.steps)
            .with_episodic(self.episodic)
            .with_min_batch(self.min_batch)
            .with_collapse(self.fallback.map(|fallback| Collapse { fallback, ..Collapse::default() }))
    }
}
