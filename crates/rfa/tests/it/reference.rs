//! Attention by its definition: all pairs, on the host, in double precision.

use std::cell::Cell;

use burn::tensor::{Bool, DType, Device, Tensor, TensorData, activation};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use rekindle_rfa::{Kernel, RfaHeads, RfaHeadsConfig};

pub(crate) const KERNELS: [Kernel; 2] = [Kernel::Gaussian, Kernel::ArcCos];

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

/// Many directions for the few dimensions: no denominator comes near 0, so that what is compared is not noise.
pub(crate) fn config(kernel: Kernel, n_heads: usize) -> RfaHeadsConfig {
    RfaHeadsConfig::new(n_heads, 4).with_kernel(kernel).with_n_features(48).with_tau(1.5).with_seed(7)
}

pub(crate) fn heads(kernel: Kernel, n_heads: usize, chunk: usize, device: &Device) -> RfaHeads {
    config(kernel, n_heads).with_chunk(chunk).init(device).unwrap()
}

/// Queries, keys and values of one sequence and one head.
pub(crate) fn inputs(length: usize, device: &Device) -> [Tensor<4>; 3] {
    [4, 4, 3].map(|width| random([1, 1, length, width], 1.0, device))
}

pub(crate) fn host<const D: usize>(x: &Tensor<D>) -> Vec<f64> {
    x.to_data().iter::<f64>().collect()
}

pub(crate) fn mask(masked: &[bool], device: &Device) -> Tensor<2, Bool> {
    Tensor::<1, Bool>::from_data(masked, device).unsqueeze()
}

/// φ(x) of one head, by the equations.
fn phi(heads: &RfaHeads, x: &[f64]) -> Vec<Vec<f64>> {
    let config = heads.config();
    let (d, m) = (config.d_head, config.n_features as f64);
    let directions = host(&heads.fixed_directions());
    let of = |x: &[f64]| {
        let length = x.iter().map(|x| x * x).sum::<f64>().sqrt() + config.norm_eps;
        let dot = |w: &[f64]| w.iter().zip(x).map(|(w, x)| w * x / length / config.tau).sum::<f64>();
        let u: Vec<f64> = directions.chunks(d).map(dot).collect();
        let features: Vec<f64> = match config.kernel {
            Kernel::Gaussian => u.iter().map(|u| u.sin()).chain(u.iter().map(|u| u.cos())).collect(),
            Kernel::ArcCos => u.iter().map(|u| u.max(0.0)).collect(),
        };
        features.iter().map(|feature| feature / m.sqrt()).collect()
    };
    x.chunks(d).map(of).collect()
}

/// How tokens are weighted: what a query sees, with which weight.
#[derive(Debug, Default, Clone)]
pub(crate) struct Weights {
    pub(crate) causal: bool,
    /// g, one a token.
    pub(crate) gates: Vec<f64>,
    pub(crate) masked: Vec<bool>,
}

impl Weights {
    pub(crate) fn causal() -> Self {
        Self { causal: true, ..Self::default() }
    }

    fn is_masked(&self, i: usize) -> bool {
        self.masked.get(i).copied().unwrap_or(false)
    }

    /// Padding keeps all of the state.
    fn gate(&self, i: usize) -> f64 {
        if self.is_masked(i) { 1.0 } else { self.gates[i] }
    }

    fn of(&self, t: usize, i: usize) -> f64 {
        if self.is_masked(i) || (self.causal && i > t) {
            return 0.0;
        }
        if self.gates.is_empty() {
            return 1.0;
        }
        (1.0 - self.gate(i)) * (i + 1..=t).map(|j| self.gate(j)).product::<f64>()
    }
}

/// The attention of `[1, 1, length, ..]`.
pub(crate) fn attend(heads: &RfaHeads, inputs: &[Tensor<4>; 3], weights: &Weights) -> Vec<f64> {
    let [query, key, value] = inputs.each_ref().map(host);
    let width = inputs[2].dims()[3];
    let (query, key) = (phi(heads, &query), phi(heads, &key));
    let mut output = Vec::new();
    for (t, q) in query.iter().enumerate() {
        let score = |(i, k): (usize, &Vec<f64>)| match weights.of(t, i) {
            0.0 => 0.0,
            weight => weight * q.iter().zip(k).map(|(q, k)| q * k).sum::<f64>(),
        };
        let scores: Vec<f64> = key.iter().enumerate().map(score).collect();
        let total: f64 = scores.iter().sum();
        for column in 0..width {
            let sum: f64 = scores.iter().zip(value.iter().skip(column).step_by(width)).map(|(s, v)| s * v).sum();
            output.push(if total == 0.0 { 0.0 } else { sum / total });
        }
    }
    output
}

/// Causal attention as a tensor with gradients, by the matrix of all pairs; gates are logits.
pub(crate) fn quadratic(heads: &RfaHeads, [q, k, v]: [Tensor<4>; 3], logits: Option<Tensor<3>>) -> Tensor<4> {
    let length = q.dims()[2];
    let (q, k) = (heads.features(q).unwrap(), heads.features(k).unwrap());
    let mut scores = q.matmul(k.transpose()).tril(0);
    if let Some(logits) = logits {
        let up_to = activation::log_sigmoid(logits.clone()).cumsum(2);
        let difference = up_to.clone().unsqueeze_dim::<4>(3) - up_to.unsqueeze_dim::<4>(2);
        let later = Tensor::<2, Bool>::tril_mask([length, length], 0, &difference.device());
        let shape = difference.dims();
        let decay = difference.mask_fill(later.unsqueeze::<4>().expand(shape), -1e4).exp();
        scores = scores * decay * activation::sigmoid(logits.neg()).unsqueeze_dim::<4>(2);
    }
    scores.clone().matmul(v) / scores.sum_dim(3)
}

#[track_caller]
pub(crate) fn assert_close<const D: usize>(actual: &Tensor<D>, expected: &[f64], tolerance: f64, what: &str) {
    let actual = host(actual);
    assert_eq!(actual.len(), expected.len(), "{what}");
    let size = expected.iter().fold(1.0_f64, |size, x| size.max(x.abs()));
    for (i, (a, e)) in actual.iter().zip(expected).enumerate() {
        assert!((a - e).abs() <= tolerance * size, "{what}: {a} is not {e} at {i}, largest {size}");
    }
}

pub(crate) fn double<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    x.cast(DType::F64).detach().require_grad()
}
