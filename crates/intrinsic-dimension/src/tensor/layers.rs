use burn::module::{Module, ParamId};
use burn::tensor::kind::Basic;
use burn::tensor::{DType, FloatDType, Tensor};
use rekindle_shared::model::{
    LayerInput, Observation, Parameter, deep_copy, layer_weights, observe, reports, with_source_statistics,
};

use super::points::read;
use crate::{IdError, Points};

/// What becomes of the positions of an input: pixels of a convolution, elements of a sequence, calls of a layer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Positions {
    /// A point holds all of them, one after the other; every batch needs as many.
    #[default]
    Flatten,
    /// A point is their mean, with as many columns as there are channels.
    Mean,
}

/// What the layers of a model get, a point for each sample: the features whose dimension changes from layer to layer.
///
/// - *A layer that is called several times*, or whose weight several layers share, is one layer by the name of its first
///   place. Its calls count as positions.
/// - *Samples* are the first dimension of a layer's input. A layer that gets something else, such as positions folded into
///   the batch, is an error: choose the others by [`of`](Self::of).
/// - *Copies.* Behind a ReLU rows can be equal, all zeros most of all. They are distance 0 apart, which a search refuses unless
///   [`Duplicates`](crate::Duplicates) says otherwise: `Remove` measures the distinct ones, and
///   [`KnnTable::n_duplicates`](crate::KnnTable::n_duplicates) says how many there were. A layer of which every row is the same has no dimension: [`IdError::Constant`].
/// - *Memory.* The host holds 4 bytes a column and sample for each layer: choose layers, or [`Positions::Mean`], where that
///   is much.
///
/// ```
/// use burn::module::Module;
/// use burn::nn::{Linear, LinearConfig};
/// use burn::tensor::{Device, Distribution, Tensor, activation::relu};
/// use rekindle_intrinsic_dimension::{Duplicates, Knn, LayerFeatures, Mle};
/// use rekindle_shared::model::Layer;
///
/// #[derive(Module, Debug)]
/// struct Net {
///     hidden: Linear,
///     output: Linear,
/// }
///
/// impl Net {
///     fn forward(&self, x: Tensor<2>) -> Tensor<2> {
///         self.output.run(relu(self.hidden.run(x)))
///     }
/// }
///
/// let device = Device::flex();
/// let net = Net { hidden: LinearConfig::new(3, 64).init(&device), output: LinearConfig::new(64, 2).init(&device) };
/// let batches = (0..4).map(|_| Tensor::random([100, 3], Distribution::Default, &device));
///
/// let mut features = LayerFeatures::new(&net)?;
/// features.observe(&net, batches, |net, x| net.forward(x))?;
/// for (path, points) in features.points()? {
///     println!("{path}: {} points in {} dimensions", points.n(), points.dim());
/// }
/// let knn = Knn::new(10).with_duplicates(Duplicates::Remove);
/// let estimates = features.estimates(|points| Mle::new().fit(&knn.search(points)?))?;
/// assert_eq!(estimates[1].0, "output");
/// assert!((estimates[1].1.dimension - 3.0).abs() < 0.8);
/// # Ok::<(), rekindle_intrinsic_dimension::IdError>(())
/// ```
#[derive(Debug, Clone)]
pub struct LayerFeatures {
    layers: Vec<Gathered>,
    positions: Positions,
    n: usize,
}

#[derive(Debug, Clone)]
struct Gathered {
    path: String,
    weight: ParamId,
    /// Columns, once there are points.
    dim: usize,
    values: Vec<f32>,
}

impl LayerFeatures {
    /// Of every `Linear`, `Conv1d` and `Conv2d`.
    ///
    /// # Errors
    ///
    /// [`IdError::NoLayers`] if there is none.
    pub fn new<M: Module>(model: &M) -> Result<Self, IdError> {
        Self::of(model, reports)
    }

    /// Of the layers that `chosen` accepts, by path and type of their weight.
    ///
    /// # Errors
    ///
    /// [`IdError::NoLayers`] if it accepts none.
    pub fn of<M: Module>(model: &M, chosen: impl Fn(&Parameter) -> bool) -> Result<Self, IdError> {
        let mut layers: Vec<Gathered> = Vec::new();
        for Parameter { path, id: weight, .. } in layer_weights(model).into_iter().filter(chosen) {
            if layers.iter().all(|layer| layer.weight != weight) {
                let path = path.strip_suffix(".weight").unwrap_or(&path).to_owned();
                layers.push(Gathered { path, weight, dim: 0, values: Vec::new() });
            }
        }
        if layers.is_empty() {
            return Err(IdError::NoLayers);
        }
        Ok(Self { layers, positions: Positions::default(), n: 0 })
    }

    /// What becomes of positions. Default [`Positions::Flatten`].
    #[must_use]
    pub fn with_positions(self, positions: Positions) -> Self {
        Self { positions, ..self }
    }

    /// Points so far.
    #[must_use]
    pub fn n(&self) -> usize {
        self.n
    }

    /// Adds what the layers get while `forward` is called for each of `batches`, on a copy of `model` in evaluation mode.
    ///
    /// Layers report where the network calls them by [`Layer::run`](rekindle_shared::model::Layer::run). Of a network that
    /// nobody can change, [`add`](Self::add) takes what `capture_layers` saw.
    ///
    /// # Shapes
    ///
    /// - `batches`: `[samples, ...]` each; what `forward` returns is not used
    ///
    /// # Errors
    ///
    /// As [`add`](Self::add). The batches before stay.
    pub fn observe<M: Module, const D: usize, K: Basic, R>(
        &mut self,
        model: &M,
        batches: impl IntoIterator<Item = Tensor<D, K>>,
        mut forward: impl FnMut(&M, Tensor<D, K>) -> R,
    ) -> Result<(), IdError> {
        let model = with_source_statistics(deep_copy(model)).no_grad();
        for batch in batches {
            let samples = batch.dims()[0];
            let (_, seen) = observe(|| forward(&model, batch));
            self.add(samples, &seen)?;
        }
        Ok(())
    }

    /// Adds what was seen of one batch of `samples`; layers that were not chosen are passed over.
    ///
    /// # Errors
    ///
    /// [`IdError::Unseen`] for layers that were not called. Within [`IdError::Layer`], by its path: [`IdError::NotSamples`]
    /// for an input whose first dimension is another one, [`IdError::Positions`] if the points of earlier batches are
    /// longer or shorter, [`IdError::Ragged`] if calls to be averaged differ, [`IdError::NotFinite`], [`IdError::Device`].
    /// Nothing of the batch is added then.
    pub fn add(&mut self, samples: usize, seen: &[Observation]) -> Result<(), IdError> {
        let calls = |layer: &Gathered| seen.iter().filter(|call| call.weight == layer.weight).collect::<Vec<_>>();
        let calls: Vec<_> = self.layers.iter().map(calls).collect();
        let unseen = self.layers.iter().zip(&calls).filter(|(_, calls)| calls.is_empty());
        let unseen: Vec<String> = unseen.map(|(layer, _)| layer.path.clone()).collect();
        if !unseen.is_empty() {
            return Err(IdError::Unseen(unseen));
        }
        let added: Result<Vec<_>, IdError> =
            self.layers.iter().zip(calls).map(|(layer, calls)| self.rows(layer, samples, &calls)).collect();
        for (layer, (dim, values)) in self.layers.iter_mut().zip(added?) {
            layer.dim = dim;
            layer.values.extend(values);
        }
        self.n += samples;
        Ok(())
    }

    /// The points of each layer, `[n, dim]`, by its path and in the order of the model.
    ///
    /// # Errors
    ///
    /// [`IdError::Empty`] before the first batch.
    pub fn points(&self) -> Result<Vec<(&str, Points<'_, f32>)>, IdError> {
        let layers = self.layers.iter();
        layers.map(|layer| Ok((layer.path.as_str(), Points::new(&layer.values, self.n, layer.dim)?))).collect()
    }

    /// `estimate` of each layer's points, by its path and in the order of the model.
    ///
    /// # Errors
    ///
    /// The first error of `estimate` within [`IdError::Layer`], which names the layer. To go on with the others, take
    /// [`points`](Self::points).
    pub fn estimates<E>(
        &self,
        mut estimate: impl FnMut(&Points<'_, f32>) -> Result<E, IdError>,
    ) -> Result<Vec<(&str, E)>, IdError> {
        let of_layer = |(path, points)| Ok((path, estimate(&points).map_err(|error| within(path, error))?));
        self.points()?.into_iter().map(of_layer).collect()
    }

    /// The columns and values of a layer's rows in one batch.
    fn rows(&self, layer: &Gathered, samples: usize, calls: &[&Observation]) -> Result<(usize, Vec<f32>), IdError> {
        let rows = || {
            let inputs = calls.iter().map(|call| self.of_call(samples, call)).collect::<Result<Vec<_>, _>>()?;
            let rows = self.joined(inputs)?;
            let dim = rows.dims()[1];
            if self.n > 0 && dim != layer.dim {
                return Err(IdError::Positions { expected: layer.dim, found: dim });
            }
            Points::from_vec(read(rows, dim)?, samples, dim).map(|points| (dim, points.into_values()))
        };
        rows().map_err(|error| within(&layer.path, error))
    }

    /// `[samples, columns]` of one call.
    fn of_call(&self, samples: usize, call: &Observation) -> Result<Tensor<2>, IdError> {
        if samples == 0 || call.shape.first() != Some(&samples) {
            return Err(IdError::NotSamples { samples, shape: call.shape.clone() });
        }
        // `[samples, outer, channels, inner]`: positions are outer in rows, inner in maps.
        let split = |channels: usize, last: bool| {
            let positions = call.shape.iter().product::<usize>() / (samples * channels).max(1);
            if last { [samples, positions, channels, 1] } else { [samples, 1, channels, positions] }
        };
        let input = match &call.input {
            LayerInput::Linear(rows) => single(rows).reshape(split(rows.dims()[1], true)),
            LayerInput::Conv1d(signals, _) => single(signals).reshape(split(signals.dims()[1], false)),
            LayerInput::Conv2d(maps, _) => single(maps).reshape(split(maps.dims()[1], false)),
            other => return Err(IdError::Device(format!("an input of a kind that is not known here: {other:?}"))),
        };
        let [_, outer, channels, inner] = input.dims();
        Ok(match self.positions {
            Positions::Flatten => input.reshape([samples, outer * channels * inner]),
            Positions::Mean => input.mean_dim(1).mean_dim(3).reshape([samples, channels]),
        })
    }

    /// The calls of a layer together.
    fn joined(&self, calls: Vec<Tensor<2>>) -> Result<Tensor<2>, IdError> {
        if self.positions == Positions::Flatten {
            return Ok(Tensor::cat(calls, 1));
        }
        let [samples, channels] = calls[0].dims();
        if let Some((row, call)) = calls.iter().enumerate().find(|(_, call)| call.dims()[1] != channels) {
            return Err(IdError::Ragged { row, expected: channels, found: call.dims()[1] });
        }
        Ok(Tensor::stack::<3>(calls, 1).mean_dim(1).reshape([samples, channels]))
    }
}

/// In `f32`, which means are taken in.
fn single<const D: usize>(values: &Tensor<D>) -> Tensor<D> {
    if values.dtype() == DType::F32 { values.clone() } else { values.clone().cast(FloatDType::F32) }
}

fn within(path: &str, error: IdError) -> IdError {
    IdError::Layer { path: path.to_owned(), error: Box::new(error) }
}
