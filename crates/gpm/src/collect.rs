use std::collections::HashMap;

use burn::module::ParamId;
use burn::tensor::{DType, FloatDType, Tensor};
use rekindle_shared::model::{LayerInput, Observation};

use crate::GpmError;
use crate::columns::columns;
use crate::layer::LayerMemory;
use crate::moments::Moments;

/// The inputs of a task's layers, gathered batch by batch: the representation matrices R of the paper.
///
/// [`GpmMemory::observe_task`](crate::GpmMemory::observe_task) does it all. By hand, with observations of one's own:
/// [`begin_task`](crate::GpmMemory::begin_task), [`add`](Self::add), [`end_task`](crate::GpmMemory::end_task).
///
/// A layer that is called several times, or whose weight several layers share, gathers what all of its calls got. Memory
/// is that of R Rᵀ, `dim²` numbers of 8 bytes for each layer and group, however many samples there are.
#[derive(Debug, Clone)]
pub struct Collector {
    layers: Vec<Gathered>,
    /// Layers by the weight whose inputs they gather.
    by_weight: HashMap<ParamId, Vec<usize>>,
    n_batches: usize,
}

#[derive(Debug, Clone)]
pub(crate) struct Gathered {
    pub(crate) path: String,
    dim: usize,
    /// One for each group; none before the first batch.
    pub(crate) groups: Vec<Moments>,
}

impl Collector {
    pub(crate) fn new(layers: &[LayerMemory]) -> Self {
        let gathered = |layer: &LayerMemory| Gathered { path: layer.path.clone(), dim: layer.dim, groups: Vec::new() };
        Self {
            layers: layers.iter().map(gathered).collect(),
            by_weight: layers.iter().enumerate().fold(HashMap::new(), |mut by_weight, (at, layer)| {
                by_weight.entry(layer.observed).or_insert_with(Vec::new).push(at);
                by_weight
            }),
            n_batches: 0,
        }
    }

    pub(crate) fn layers(&self) -> &[Gathered] {
        &self.layers
    }

    /// Batches that were added.
    pub fn n_batches(&self) -> usize {
        self.n_batches
    }

    /// Adds what was observed; layers that the memory does not protect are passed over.
    ///
    /// # Errors
    ///
    /// [`GpmError::NonFinite`] for an input with NaN or infinity, [`GpmError::WrongWidth`] for one that does not fit the
    /// layer. Nothing of the batch is added then.
    pub fn add(&mut self, observations: &[Observation]) -> Result<(), GpmError> {
        let layers = |seen: &'_ Observation| self.by_weight.get(&seen.weight).into_iter().flatten().copied();
        let known = observations.iter().flat_map(|seen| layers(seen).map(move |layer| (layer, &seen.input)));
        let known: Vec<_> = known.collect();
        for (layer, input) in &known {
            let layer = &self.layers[*layer];
            let actual = width(input);
            if actual != layer.dim {
                return Err(GpmError::WrongWidth { path: layer.path.clone(), expected: layer.dim, actual });
            }
        }
        if let Some(at) = first_non_finite(known.iter().map(|(_, input)| *input)) {
            return Err(GpmError::NonFinite(self.layers[known[at].0].path.clone()));
        }
        for (layer, input) in known {
            let Gathered { dim, groups, .. } = &mut self.layers[layer];
            let Ok(()) = columns(input, |piece| -> Result<(), std::convert::Infallible> {
                let [n_groups, n_columns, _] = piece.dims();
                groups.resize_with(groups.len().max(n_groups), || Moments::new(*dim));
                let values = piece.cast(FloatDType::F32).into_data();
                let values = values.as_slice::<f32>().unwrap_or(&[]);
                let of_a_group = values.chunks((n_columns * *dim).max(1));
                groups.iter_mut().zip(of_a_group).for_each(|(group, values)| group.add(values));
                Ok(())
            });
        }
        self.n_batches += 1;
        Ok(())
    }
}

/// Inputs of each output.
fn width(input: &LayerInput) -> usize {
    match input {
        LayerInput::Linear(rows) => rows.dims()[1],
        LayerInput::Conv1d(signals, geometry) => signals.dims()[1] / geometry.groups * geometry.kernel[0],
        LayerInput::Conv2d(images, geometry) => {
            images.dims()[1] / geometry.groups * geometry.kernel.iter().product::<usize>()
        }
        _ => 0,
    }
}

/// The first input that is not finite, with one look at the device for all of them.
fn first_non_finite<'a>(inputs: impl Iterator<Item = &'a LayerInput>) -> Option<usize> {
    /// `[1]`: 0 if all are finite, else NaN.
    fn flaw<const D: usize>(values: &Tensor<D>) -> Tensor<1> {
        let length = values.shape().num_elements();
        let flat = values.clone().reshape([1, length as i64]);
        let flat = if flat.dtype() == DType::F64 { flat } else { flat.cast(FloatDType::F32) };
        // By one dimension of two, whose sum is the same for any number of threads.
        (flat * 0.0).sum_dim(1).reshape([1])
    }
    let flaws: Vec<_> = inputs
        .filter_map(|input| match input {
            LayerInput::Linear(rows) => Some(flaw(rows)),
            LayerInput::Conv1d(signals, _) => Some(flaw(signals)),
            LayerInput::Conv2d(images, _) => Some(flaw(images)),
            _ => None,
        })
        .collect();
    let device = flaws.first()?.device();
    let flaws = flaws.into_iter().map(|flaw| flaw.to_device(&device).cast(FloatDType::F32)).collect();
    let flaws = Tensor::cat(flaws, 0).into_data();
    flaws.iter::<f32>().position(|flaw| flaw.is_nan())
}
