use burn::module::{Module, ParamGroup, ParamId};
use burn::optim::{GradientsParams, ModuleOptimizer};
use burn::tensor::Tensor;
use rekindle_shared::model::{
    BatchStatistics, NormLayer, NormState, RunningStatistics, deep_copy, norm_state, restore_norm_state,
    restore_running_statistics, running_statistics, with_source_statistics,
};

use crate::collapse::Monitor;
use crate::figures::{Figures, finite_check, non_finite_input, squared_norm};
use crate::forward::{onto, prepared, run};
use crate::objective::Loss;
use crate::select::Selection;
use crate::{Adapted, Fallback, Logits, Outcome, Report, Reset, SmallBatch, TentConfig, TentError, Totals};

/// A model that adapts to the batches it predicts, by [`TentConfig::init`].
///
/// For each batch: normalize by its statistics, predict, and take a step on the entropy of the predictions over the scale
/// γ and the shift β of the norm layers (§3). Everything else is frozen, and computes no gradients of its weights.
pub struct Tent<M> {
    pub(crate) config: TentConfig,
    pub(crate) model: M,
    pub(crate) optimizer: ModuleOptimizer,
    pub(crate) progress: Progress,
    /// The optimizer as it came.
    fresh: ModuleOptimizer,
    /// γ, β and running statistics of the source.
    source: NormState,
    source_statistics: RunningStatistics,
    adapted: Vec<ParamId>,
    layers: Vec<NormLayer>,
}

/// What changes from batch to batch, beside model and optimizer.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Progress {
    pub(crate) totals: Totals,
    pub(crate) monitor: Monitor,
    pub(crate) since_reset: u64,
    pub(crate) stopped: bool,
    pub(crate) n_classes: Option<usize>,
}

impl<M: Module> Tent<M> {
    pub(crate) fn new(config: TentConfig, model: &M, optimizer: ModuleOptimizer) -> Result<Self, TentError> {
        let Selection { layers, ids: adapted } = Selection::of(model, config.exclude.as_ref())?;
        let model = prepared(model, config.statistics).no_grad();
        let model = model.set_require_grad_group(ParamGroup::from_ids(adapted.clone()), true);
        let (source, source_statistics) = (norm_state(&model), running_statistics(&model));
        let (fresh, progress) = (optimizer.clone(), Progress::default());
        Ok(Self { config, model, optimizer, progress, fresh, source, source_statistics, adapted, layers })
    }

    /// Predicts a batch and learns from it.
    ///
    /// `forward` computes the logits with the model that it is given; it is called once a step, and once more where the
    /// options ask for it. The input may be on any device, with or without autodiff.
    ///
    /// # Shapes
    ///
    /// - `input`: `[batch, ..]`
    /// - `forward` returns `[rows, n_classes]`, a row a sample, or several (the pixels of a segmentation)
    ///
    /// # Errors
    ///
    /// [`TentError`] for an empty batch, logits of fewer than two classes or another number of classes than before,
    /// inputs, logits or gradients that are not finite, a `forward` that uses another model, or mixed statistics that a batch norm
    /// can't take. Model, statistics, optimizer and counts are then as before the call.
    pub fn adapt<const D: usize>(
        &mut self,
        input: Tensor<D>,
        forward: impl Fn(&M, Tensor<D>) -> Tensor<2>,
    ) -> Result<Adapted, TentError> {
        let input = onto(&self.model, input)?;
        let before = (norm_state(&self.model), self.optimizer.clone(), self.progress.clone());
        let result = self.adapt_on(input.clone(), &forward);
        if result.is_err() {
            (self.optimizer, self.progress) = (before.1, before.2);
            self.restore(&before.0);
        }
        result.map_err(|error| match error {
            TentError::NonFinite { .. } => non_finite_input(input).unwrap_or(error),
            error => error,
        })
    }

    fn adapt_on<const D: usize>(
        &mut self,
        input: Tensor<D>,
        forward: &impl Fn(&M, Tensor<D>) -> Tensor<2>,
    ) -> Result<Adapted, TentError> {
        let batch_size = input.dims()[0];
        let due = match self.config.reset {
            Reset::Every { batches } => self.progress.since_reset >= batches,
            _ => false,
        };
        if due || self.config.episodic && self.progress.since_reset > 0 {
            self.reset();
        }
        self.progress.totals.batches += 1;
        self.progress.totals.samples += batch_size as u64;
        self.progress.since_reset += 1;

        let small = batch_size < self.config.min_batch;
        let adapted = if small || self.progress.stopped {
            let (logits, figures) = self.observe(input, forward)?;
            let outcome = if small { Outcome::SmallBatch } else { Outcome::Stopped };
            self.report(logits, figures, outcome, batch_size)
        } else {
            self.learn(input, forward)?
        };
        if small {
            self.progress.totals.small_batches += 1;
            self.progress.totals.small_batch_samples += batch_size as u64;
        }
        Ok(adapted)
    }

    /// Steps on a batch that is large enough.
    fn learn<const D: usize>(
        &mut self,
        input: Tensor<D>,
        forward: &impl Fn(&M, Tensor<D>) -> Tensor<2>,
    ) -> Result<Adapted, TentError> {
        let batch_size = input.dims()[0];
        let (mut logits, first) = self.step(input.clone(), forward)?;
        let (mut kept, mut probabilities) = (first.kept, first.probabilities.clone());
        for _ in 1..self.config.steps {
            // Without an update the next pass would be this one again.
            if kept == 0.0 {
                break;
            }
            let figures;
            (logits, figures) = self.step(input.clone(), forward)?;
            (kept, probabilities) = (figures.kept, figures.probabilities);
        }
        let outcome = if first.kept > 0.0 { Outcome::Updated } else { Outcome::Filtered };
        if outcome == Outcome::Filtered {
            self.progress.totals.filtered_batches += 1;
        } else if self.config.logits == Logits::AfterUpdate {
            let figures;
            (logits, figures) = self.observe(input.clone(), forward)?;
            probabilities = figures.probabilities;
        }
        let mut adapted = self.report(logits, Figures { probabilities, ..first }, outcome, batch_size);
        if let Some(collapse) = self.config.collapse
            && adapted.report.diversity < collapse.min_diversity
        {
            adapted.report.outcome = Outcome::Collapsed;
            self.progress.totals.collapses += 1;
            if collapse.fallback != Fallback::Report {
                self.reset();
                self.progress.stopped = collapse.fallback == Fallback::Stop;
                adapted.logits = self.observe(input, forward)?.0;
            }
        }
        Ok(adapted)
    }

    /// A forward pass with its update, if a row is learned from. Returns the logits of the pass, below autodiff.
    fn step<const D: usize>(
        &mut self,
        input: Tensor<D>,
        forward: &impl Fn(&M, Tensor<D>) -> Tensor<2>,
    ) -> Result<(Tensor<2>, Figures), TentError> {
        let check = finite_check(&input);
        let logits = run(&self.model, self.config.statistics, input, forward)?;
        self.check_classes(&logits)?;
        let loss = Loss::of(logits.clone(), &self.config);
        if !loss.loss.is_tracked() {
            return Err(TentError::LogitsWithoutGraph);
        }
        let grads = GradientsParams::from_grads(loss.loss.clone().backward(), &self.model);
        if grads.is_empty() {
            return Err(TentError::LogitsWithoutGraph);
        }
        let figures = Figures::read(loss, check, Some(squared_norm(&self.model, &grads)))?;
        if figures.kept > 0.0 {
            self.model = self.optimizer.step(self.config.learning_rate, self.model.clone(), grads);
            self.progress.totals.updates += 1;
        }
        Ok((logits.inner(), figures))
    }

    fn report(&mut self, logits: Tensor<2>, figures: Figures, outcome: Outcome, batch_size: usize) -> Adapted {
        let updated = outcome == Outcome::Updated;
        let momentum = self.config.collapse.unwrap_or_default().momentum;
        let report = Report {
            outcome,
            batch_size,
            entropy: figures.entropy,
            kept: if updated { figures.kept } else { 0.0 },
            gradient_norm: figures.squared_gradient.map(f64::sqrt).filter(|_| updated),
            diversity: self.progress.monitor.observe(&figures.probabilities, momentum),
        };
        Adapted { logits, report }
    }

    /// Logits below autodiff by the parameters as they are, with their figures.
    fn observe<const D: usize>(
        &mut self,
        input: Tensor<D>,
        forward: &impl Fn(&M, Tensor<D>) -> Tensor<2>,
    ) -> Result<(Tensor<2>, Figures), TentError> {
        let check = finite_check(&input);
        let logits = self.logits(input, forward)?;
        self.check_classes(&logits)?;
        let figures = Figures::read(Loss::of(logits.clone(), &self.config), check, None)?;
        Ok((logits, figures))
    }

    /// Predicts a batch with the parameters as they are, and changes nothing.
    ///
    /// A batch below `min_batch` is predicted as [`adapt`](Self::adapt) would.
    ///
    /// # Shapes
    ///
    /// - `input`: `[batch, ..]`
    /// - output: as `forward` returns them, `[rows, n_classes]`, below autodiff
    ///
    /// # Errors
    ///
    /// As [`adapt`](Self::adapt), but values are not checked: a NaN in the input gives NaN logits.
    pub fn predict<const D: usize>(
        &self,
        input: Tensor<D>,
        forward: impl Fn(&M, Tensor<D>) -> Tensor<2>,
    ) -> Result<Tensor<2>, TentError> {
        self.logits(onto(&self.model, input)?, &forward)
    }

    fn logits<const D: usize>(
        &self,
        input: Tensor<D>,
        forward: &impl Fn(&M, Tensor<D>) -> Tensor<2>,
    ) -> Result<Tensor<2>, TentError> {
        // A forward pass moves running statistics, which the copy has for itself.
        let copy = deep_copy(&self.model).no_grad();
        let small = input.dims()[0] < self.config.min_batch;
        let (model, statistics) = match self.config.small_batch {
            _ if !small => (copy, self.config.statistics),
            SmallBatch::Source => (self.with_source(copy), BatchStatistics::Source),
            SmallBatch::Prior { n } => (self.with_source(copy), BatchStatistics::Prior { n }),
        };
        Ok(run(&model, statistics, input, forward)?.inner())
    }

    /// `copy` with the running statistics of the source, and set to use them.
    fn with_source(&self, copy: M) -> M {
        let restored = restore_running_statistics(copy, &self.source_statistics);
        with_source_statistics(restored.expect("a copy of the model that they were taken from has these statistics"))
    }

    /// Returns to the source model: γ, β, running statistics and optimizer as they were in the beginning.
    ///
    /// Counts go on.
    pub fn reset(&mut self) {
        let state = std::mem::take(&mut self.source);
        self.restore(&state);
        self.source = state;
        self.optimizer = self.fresh.clone();
        self.progress.totals.resets += 1;
        self.progress.since_reset = 0;
        self.progress.stopped = false;
        self.progress.monitor = Monitor::default();
    }

    fn restore(&mut self, state: &NormState) {
        let restored = restore_norm_state(self.model.clone(), state);
        self.model = restored.expect("a state of this very model fits it");
    }

    /// Says that the batches to come are of another domain; a reset with [`Reset::OnDomainChange`], nothing else.
    pub fn begin_domain(&mut self) {
        if self.config.reset == Reset::OnDomainChange && self.progress.since_reset > 0 {
            self.reset();
        }
    }

    fn check_classes(&mut self, logits: &Tensor<2>) -> Result<(), TentError> {
        let found = logits.dims()[1];
        match *self.progress.n_classes.get_or_insert(found) {
            expected if expected != found => Err(TentError::Classes { expected, found }),
            _ => Ok(()),
        }
    }

    /// The model as it is now, on an autodiff device, with gradients of the adapted parameters alone.
    ///
    /// Its running statistics are the source's, or have followed the stream where Burn's batch norm updates them as in
    /// training. To adapt a copy of it, or to keep it, take a [`deep_copy`](rekindle_shared::model::deep_copy).
    pub fn model(&self) -> &M {
        &self.model
    }

    /// The norm layers whose γ or β are adapted.
    pub fn layers(&self) -> &[NormLayer] {
        &self.layers
    }

    /// Identifiers of the adapted parameters.
    pub fn adapted(&self) -> &[ParamId] {
        &self.adapted
    }

    /// Counts since the beginning.
    pub fn totals(&self) -> Totals {
        self.progress.totals
    }

    /// The options.
    pub fn config(&self) -> &TentConfig {
        &self.config
    }
}

impl<M> std::fmt::Debug for Tent<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tent")
            .field("config", &self.config)
            .field("totals", &self.progress.totals)
            .finish_non_exhaustive()
    }
}
