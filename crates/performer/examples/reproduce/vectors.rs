//! Normal numbers of a cell's streams.

use burn::tensor::{Device, Tensor, TensorData};
use rand::RngExt;
use rand_distr::StandardNormal;
use rekindle_shared::data::{Stream, Streams};

/// Queries, keys and values of one head, `[1, 1, length, d]`; queries and keys have standard deviation `deviation`.
pub(crate) fn inputs(
    streams: Streams,
    number: u64,
    [length, d]: [usize; 2],
    deviation: f32,
    device: &Device,
) -> [Tensor<4>; 3] {
    let mut rng = streams.substream(Stream::Data, number);
    [deviation, deviation, 1.0].map(|deviation| {
        let values: Vec<f32> = (0..length * d).map(|_| deviation * rng.sample::<f32, _>(StandardNormal)).collect();
        Tensor::from_data(TensorData::new(values, [1, 1, length, d]), device)
    })
}
