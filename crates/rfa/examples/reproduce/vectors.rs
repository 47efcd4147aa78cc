//! Normal numbers of a cell's streams.

use burn::tensor::{Device, Tensor, TensorData};
use rand::RngExt;
use rand_distr::StandardNormal;
use rekindle_shared::data::{Stream, Streams};

/// Normal numbers; `number` tells the draws of a cell apart.
pub(crate) fn normal(streams: Streams, number: u64, shape: [usize; 4], device: &Device) -> Tensor<4> {
    let mut rng = streams.substream(Stream::Data, number);
    let values: Vec<f32> = (0..shape.iter().product()).map(|_| rng.sample::<f32, _>(StandardNormal)).collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}

/// The same of length `norm`.
pub(crate) fn of_norm(norm: f64, x: Tensor<4>) -> Tensor<4> {
    x.clone() / (x.clone() * x).sum_dim(3).sqrt() * norm
}

/// Queries, keys and values, `[1, heads, length, d]`.
pub(crate) fn inputs(streams: Streams, [heads, length, d]: [usize; 3], device: &Device) -> [Tensor<4>; 3] {
    [0, 1, 2].map(|number| normal(streams, number, [1, heads, length, d], device))
}
