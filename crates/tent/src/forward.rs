//! A forward pass of a model with the statistics that are wanted.

use std::collections::HashSet;

use burn::module::{Module, ParamId};
use burn::tensor::Tensor;
use rekindle_shared::model::{
    BatchStatistics, batch_norms_outside, deep_copy, normalize_with, with_batch_statistics, with_source_statistics,
};

use crate::TentError;

/// A copy of `model` on its device with autodiff, which shares nothing with it, set to normalize by `statistics`.
pub(crate) fn prepared<M: Module>(model: &M, statistics: BatchStatistics) -> M {
    let copy = deep_copy(model);
    // Burn's batch norm takes the statistics of the batch on an autodiff device alone.
    let plain = copy.devices().iter().any(|device| !device.is_autodiff());
    let copy = if plain { copy.train() } else { copy };
    match statistics {
        BatchStatistics::Batch => with_batch_statistics(copy),
        _ => with_source_statistics(copy),
    }
}

/// The logits of `model`, which is [`prepared`] for these statistics.
pub(crate) fn run<M: Module, const D: usize>(
    model: &M,
    statistics: BatchStatistics,
    input: Tensor<D>,
    forward: &impl Fn(&M, Tensor<D>) -> Tensor<2>,
) -> Result<Tensor<2>, TentError> {
    let logits = if statistics.is_mixture() {
        let (logits, seen) = normalize_with(statistics, || forward(model, input))?;
        all_took_part(model, &seen, statistics)?;
        logits
    } else {
        forward(model, input)
    };
    of_classes(logits)
}

/// The logits of `model` below autodiff, whichever way `forward` calls its batch norms.
#[cfg(feature = "capture")]
pub(crate) fn replay<M: Module, const D: usize>(
    model: &M,
    statistics: BatchStatistics,
    input: Tensor<D>,
    forward: &impl Fn(&M, Tensor<D>) -> Tensor<2>,
) -> Result<Tensor<2>, TentError> {
    let (logits, seen) = rekindle_shared::model::replay_with(statistics, model, input, forward)?;
    all_took_part(model, &seen, statistics)?;
    of_classes(logits.inner())
}

fn all_took_part<M: Module>(model: &M, seen: &HashSet<ParamId>, statistics: BatchStatistics) -> Result<(), TentError> {
    let outside = batch_norms_outside(model, seen);
    if outside.is_empty() {
        return Ok(());
    }
    let layers = outside.into_iter().map(|layer| layer.path).collect();
    Err(TentError::OutsideOfScope { layers, statistics: format!("{statistics:?}") })
}

fn of_classes(logits: Tensor<2>) -> Result<Tensor<2>, TentError> {
    match logits.dims()[1] {
        n_classes @ 0..2 => Err(TentError::TooFewClasses(n_classes)),
        _ => Ok(logits),
    }
}

/// `input` where `model` is, in its autodiff context and off any other graph.
pub(crate) fn onto<M: Module, const D: usize>(model: &M, input: Tensor<D>) -> Result<Tensor<D>, TentError> {
    if input.dims()[0] == 0 {
        return Err(TentError::EmptyBatch);
    }
    let Some(device) = model.devices().into_iter().next() else { return Ok(input) };
    let input = input.inner().to_device(&device.clone().inner()).autodiff();
    Ok(match device.gradient_checkpointing_strategy() {
        Some(strategy) => input.with_gradient_checkpointing_strategy(strategy),
        None => input,
    })
}
