use burn::module::Module;
use burn::tensor::Tensor;
use rekindle_shared::model::{BatchStatistics, NormKind, NormState, norm_layers, norm_state, read, restore_norm_state};

use crate::TentError;
use crate::figures::{finite_check, non_finite_input};
use crate::forward::{onto, prepared, run};

/// Predictions by other statistics than the source's, without any update of parameters: the baselines of Tent.
///
/// [`BatchStatistics::Batch`] is "BN" in the paper's Table 2 (Schneider et al., NeurIPS 2020; Nado et al., 2020),
/// `Mixture` BN with α, `Prior` Schneider's N, `Ema` a moving average over the stream.
///
/// ```
/// use burn::nn::{BatchNormConfig, LinearConfig};
/// use burn::tensor::{Device, Distribution, Tensor};
/// use rekindle_tent::{BatchStatistics, NormAdaptation};
///
/// let device = Device::flex();
/// let model = (LinearConfig::new(4, 8).init(&device), BatchNormConfig::new(8).init(&device), LinearConfig::new(8, 3).init(&device));
/// let mut norm = NormAdaptation::new(&model, BatchStatistics::Batch)?;
/// let batch = Tensor::<2>::random([32, 4], Distribution::Default, &device);
/// let logits = norm.predict(batch, |(first, norm, last), x| last.forward(norm.forward(first.forward(x))))?;
/// assert_eq!(logits.dims(), [32, 3]);
/// # Ok::<(), rekindle_tent::TentError>(())
/// ```
#[derive(Debug, Clone)]
pub struct NormAdaptation<M> {
    model: M,
    statistics: BatchStatistics,
    /// The source statistics, to which a moving average returns.
    source: std::sync::Arc<NormState>,
    /// Whether `forward` was seen to call batch norms by Burn's own `forward`, which takes a replay to mix.
    #[cfg(feature = "capture")]
    replays: bool,
}

impl<M: Module> NormAdaptation<M> {
    /// With a copy of `model`, which itself stays as it is.
    ///
    /// # Errors
    ///
    /// [`TentError::Statistics`] for a number out of range, [`TentError::NoBatchNorm`] without a batch norm: the other
    /// norms have no statistics to choose.
    pub fn new(model: &M, statistics: BatchStatistics) -> Result<Self, TentError> {
        let statistics = statistics.validate()?;
        let layers = norm_layers(model);
        if !layers.iter().any(|layer| layer.kind == NormKind::Batch) {
            return Err(TentError::NoBatchNorm { layers: layers.into_iter().map(|layer| layer.path).collect() });
        }
        let model = prepared(model, statistics).no_grad();
        let source = norm_state(&model).into();
        Ok(Self {
            model,
            statistics,
            source,
            #[cfg(feature = "capture")]
            replays: false,
        })
    }

    /// Logits of a batch, below autodiff.
    ///
    /// With the feature `capture`, mixed statistics need nothing of the network: where it calls a batch norm by Burn's own
    /// `forward`, it is recorded and carried out on the CPU, all weights passing through the host on each call
    /// (`rekindle_shared::model::replay_with`).
    ///
    /// # Shapes
    ///
    /// - `input`: `[batch, ..]`
    /// - output: as `forward` returns them, `[rows, n_classes]`
    ///
    /// # Errors
    ///
    /// [`TentError::OutsideOfScope`] if mixed statistics are asked of batch norms that `forward` calls by Burn's own
    /// `forward`; with the feature `capture`, `TentError::Replay` if it reads tensors back.
    /// [`TentError::EmptyBatch`], [`TentError::TooFewClasses`]. A moving average refuses what is not finite, in
    /// the input or the logits, and is then as before; other statistics don't look, and a NaN of the input gives NaN logits.
    pub fn predict<const D: usize>(
        &mut self,
        input: Tensor<D>,
        forward: impl Fn(&M, Tensor<D>) -> Tensor<2>,
    ) -> Result<Tensor<2>, TentError> {
        let input = onto(&self.model, input)?;
        let Some(before) = self.moving_state() else {
            return self.logits(input, &forward);
        };
        let result = self.logits(input.clone(), &forward).and_then(|logits| {
            let checks = vec![finite_check(&input), finite_check(&logits)];
            match read(checks).iter().all(|check| check.is_finite()) {
                true => Ok(logits),
                false => Err(non_finite_input(input).unwrap_or(TentError::NonFinite { what: "logits" })),
            }
        });
        if result.is_err() {
            self.restore(&before);
        }
        result
    }

    /// Sets a moving average back to the source statistics.
    pub fn reset(&mut self) {
        self.restore(&self.source.clone());
    }

    #[cfg(not(feature = "capture"))]
    fn logits<const D: usize>(
        &self,
        input: Tensor<D>,
        forward: &impl Fn(&M, Tensor<D>) -> Tensor<2>,
    ) -> Result<Tensor<2>, TentError> {
        Ok(run(&self.model, self.statistics, input, forward)?.inner())
    }

    #[cfg(feature = "capture")]
    fn logits<const D: usize>(
        &mut self,
        input: Tensor<D>,
        forward: &impl Fn(&M, Tensor<D>) -> Tensor<2>,
    ) -> Result<Tensor<2>, TentError> {
        if !self.replays {
            let before = self.moving_state();
            match run(&self.model, self.statistics, input.clone(), forward) {
                Err(TentError::OutsideOfScope { .. }) => self.replays = true,
                result => return Ok(result?.inner()),
            }
            // A moving average has moved in the layers that did take part.
            if let Some(before) = before {
                self.restore(&before);
            }
        }
        crate::forward::replay(&self.model, self.statistics, input, forward)
    }

    /// What a forward pass changes that counts: the running statistics, where a moving average lives in them.
    fn moving_state(&self) -> Option<NormState> {
        matches!(self.statistics, BatchStatistics::Ema { .. }).then(|| norm_state(&self.model))
    }

    fn restore(&mut self, state: &NormState) {
        let restored = restore_norm_state(self.model.clone(), state);
        self.model = restored.expect("a state of this very model fits it");
    }
}
