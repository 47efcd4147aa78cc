//! Attention by its definition: all pairs, on the host, in double precision.

use std::cell::Cell;

use burn::tensor::{DType, Device, Tensor, TensorData};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use rekindle_performer::{Favor, FavorConfig, FeatureFunction, Kernel, Projection, RowScaling};

/// Every kernel with positive features, and the others.
pub(crate) const KERNELS: [Kernel; 4] =
    [Kernel::Positive, Kernel::Hyperbolic, Kernel::Trig, Kernel::Generalized(FeatureFunction::Relu)];

thread_local! {
    /// Every test has a thread of its own, and so draws the same whatever runs beside it.
    static DRAWS: Cell<u64> = const { Cell::new(0) };
}

/// Normal numbers; others at every call.
pub(crate) fn random<const D: usize>(shape: [usize; D], deviation: f64, device: &Device) -> Tensor<D> {
    let mut rng = ChaCha8Rng::seed_from_u64(DRAWS.replace(DRAWS.get() + 1));
    let n = shape.iter().product();
    let values: Vec<f32> = (0..n).map(|_| (deviation * rng.sample::<f64, _>(StandardNormal)) as f32).collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}

pub(crate) fn favor(kernel: Kernel, d: usize, causal: bool, chunk: usize, device: &Device) -> Favor {
    let config = FavorConfig::new(d).with_n_features(24).with_kernel(kernel).with_causal(causal).with_chunk(chunk);
    config.with_eps(0.0).with_seed(7).init(device).unwrap()
}

/// The logarithm of each score φ(q)·φ(k) and its sign, `[length, length]` of one head.
fn scores(favor: &Favor, query: &[f64], key: &[f64]) -> Vec<(f64, f64)> {
    let d = favor.config().d_head;
    let directions: Vec<f64> = favor.directions().into_data().iter::<f64>().collect();
    let s = (d as f64).powf(-0.25);
    let dots = |x: &[f64]| -> Vec<f64> {
        directions.chunks(d).map(|w| s * w.iter().zip(x).map(|(w, x)| w * x).sum::<f64>()).collect()
    };
    let half = |x: &[f64]| s * s * x.iter().map(|x| x * x).sum::<f64>() / 2.0;
    let mut all = Vec::new();
    for q in query.chunks(d) {
        for k in key.chunks(d) {
            let (u, v, h) = (dots(q), dots(k), half(q) + half(k));
            let pairs = u.iter().zip(&v);
            // Each feature's product as logarithm and sign.
            let terms: Vec<(f64, f64)> = match favor.config().kernel {
                Kernel::Positive => pairs.map(|(u, v)| (u + v - h, 1.0)).collect(),
                Kernel::Hyperbolic => pairs.flat_map(|(u, v)| [(u + v - h, 1.0), (-u - v - h, 1.0)]).collect(),
                Kernel::Trig => pairs.map(|(u, v)| ((u - v).cos().abs().ln() + h, (u - v).cos().signum())).collect(),
                Kernel::Generalized(_) => {
                    let eps = favor.config().kernel_eps;
                    pairs.map(|(u, v)| (((u.max(0.0) + eps) * (v.max(0.0) + eps)).ln(), 1.0)).collect()
                }
            };
            let largest = terms.iter().map(|term| term.0).fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = terms.iter().map(|(log, sign)| sign * (log - largest).exp()).sum();
            all.push((sum.abs().ln() + largest, sum.signum()));
        }
    }
    all
}

/// The attention of `[1, 1, length, ..]`; keys that `masked` says are seen by nobody.
pub(crate) fn attend(favor: &Favor, inputs: &[Tensor<4>; 3], masked: &[bool]) -> Vec<f64> {
    let host = |x: &Tensor<4>| -> Vec<f64> { x.to_data().iter::<f64>().collect() };
    let [query, key, value] = inputs.each_ref().map(host);
    let (n_queries, n_keys, width) = (inputs[0].dims()[2], inputs[1].dims()[2], inputs[2].dims()[3]);
    let scores = scores(favor, &query, &key);
    let mut output = Vec::new();
    for t in 0..n_queries {
        let row = &scores[t * n_keys..][..n_keys];
        let seen: Vec<usize> =
            (0..n_keys).filter(|&i| (!favor.config().causal || i <= t) && !masked.get(i).unwrap_or(&false)).collect();
        let largest = seen.iter().map(|&i| row[i].0).fold(f64::NEG_INFINITY, f64::max);
        let weight = |i: usize| row[i].1 * (row[i].0 - largest).exp();
        let total: f64 = seen.iter().map(|&i| weight(i)).sum();
        for column in 0..width {
            let sum: f64 = seen.iter().map(|&i| weight(i) * value[i * width + column]).sum();
            output.push(if seen.is_empty() { 0.0 } else { sum / total });
        }
    }
    output
}

/// The same as a tensor with gradients, for inputs small enough that features do not overflow.
pub(crate) fn with_gradients(favor: &Favor, [query, key, value]: [Tensor<4>; 3]) -> Tensor<4> {
    let length = query.dims()[2];
    let (query, key) = (favor.features(query).unwrap(), favor.features(key).unwrap());
    let scores = query.matmul(key.transpose());
    let scores = if favor.config().causal { scores.tril(0) } else { scores };
    assert_eq!(scores.dims()[2], length);
    let total = scores.clone().sum_dim(3);
    scores.matmul(value) / total
}

#[track_caller]
pub(crate) fn assert_close(actual: &Tensor<4>, expected: &[f64], tolerance: f64, what: &str) {
    let actual: Vec<f64> = actual.to_data().iter::<f64>().collect();
    assert_eq!(actual.len(), expected.len(), "{what}");
    let size = expected.iter().fold(1.0_f64, |size, x| size.max(x.abs()));
    for (i, (a, e)) in actual.iter().zip(expected).enumerate() {
        assert!((a - e).abs() <= tolerance * size, "{what}: {a} is not {e} at {i}, largest {size}");
    }
}

pub(crate) fn double(inputs: [Tensor<4>; 3]) -> [Tensor<4>; 3] {
    inputs.map(|x| x.cast(DType::F64).detach().require_grad())
}

/// With the projection and scaling of rows.
pub(crate) fn projected(
    kernel: Kernel,
    [d, m]: [usize; 2],
    projection: Projection,
    scaling: RowScaling,
) -> FavorConfig {
    let pairs = if matches!(kernel, Kernel::Hyperbolic | Kernel::Trig) { 2 } else { 1 };
    FavorConfig::new(d)
        .with_n_features(m * pairs)
        .with_kernel(kernel)
        .with_projection(projection)
        .with_row_scaling(scaling)
}
