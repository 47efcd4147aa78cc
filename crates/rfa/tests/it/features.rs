//! The closed forms of the kernels, and what holds for any directions.

use burn::tensor::{Device, Tensor};
use rekindle_rfa::{Kernel, Projection, RfaHeads, RfaHeadsConfig};

use crate::reference::{KERNELS, host, random};

const D: usize = 4;

fn heads(kernel: Kernel, m: usize, projection: Projection, seed: u64) -> RfaHeads {
    let config = RfaHeadsConfig::new(1, D).with_n_features(m).with_kernel(kernel).with_projection(projection);
    config.with_normalize_qk(false).with_seed(seed).init(&Device::flex()).unwrap()
}

fn vector(x: [f32; D]) -> Tensor<4> {
    Tensor::<1>::from_floats(x, &Device::flex()).reshape([1, 1, 1, D])
}

fn score(heads: &RfaHeads, x: [f32; D], y: [f32; D]) -> f64 {
    let [x, y] = [x, y].map(|x| heads.features(vector(x)).unwrap());
    (x * y).sum().into_scalar::<f64>()
}

/// Mean and variance of the estimate over draws.
fn moments(kernel: Kernel, m: usize, projection: Projection, [x, y]: [[f32; D]; 2], n: u64) -> (f64, f64) {
    let estimates: Vec<f64> = (0..n).map(|seed| score(&heads(kernel, m, projection, seed), x, y)).collect();
    let mean = estimates.iter().sum::<f64>() / n as f64;
    (mean, estimates.iter().map(|e| (e - mean).powi(2)).sum::<f64>() / (n - 1) as f64)
}

const E1: [f32; D] = [1.0, 0.0, 0.0, 0.0];
const E2: [f32; D] = [0.0, 1.0, 0.0, 0.0];
const MINUS_E1: [f32; D] = [-1.0, 0.0, 0.0, 0.0];

#[test]
fn gaussian_features_have_length_one_and_see_differences_alone() {
    for projection in [Projection::Iid, Projection::Orthogonal] {
        for m in [1, 3, 64] {
            let heads = heads(Kernel::Gaussian, m, projection, 5);
            let device = Device::flex();
            let x = random([1, 1, 20, D], 3.0, &device);
            let features = heads.features(x).unwrap();
            for length in host(&(features.clone() * features).sum_dim(3)) {
                assert!((length - 1.0).abs() < 1e-5, "{length}");
            }
            let (x, y) = ([0.3, -0.5, 0.2, 0.9], [-0.4, 0.1, 0.8, 0.0]);
            let moved = |v: [f32; D]| [v[0] + 0.7, v[1] - 1.1, v[2] + 0.2, v[3] + 0.4];
            let plain = score(&heads, x, y);
            assert!((score(&heads, moved(x), moved(y)) - plain).abs() < 1e-5);
            assert!((score(&heads, x.map(|v| -v), y.map(|v| -v)) - plain).abs() < 1e-6);
        }
    }
}

/// Equal: 1 without variance. Orthogonal: e⁻¹ and (1 - e⁻²)²/128 for D = 64. Opposite: e⁻² and (1 - e⁻⁴)²/128.
#[test]
fn mean_and_variance_of_gaussian_scores_are_the_closed_forms() {
    assert!((score(&heads(Kernel::Gaussian, 64, Projection::Iid, 3), E1, E1) - 1.0).abs() < 1e-6);
    for (y, kernel, variance) in [(E2, 0.367_879, 0.005_841_0), (MINUS_E1, 0.135_335, 0.007_528_9)] {
        let n = 3000;
        let (mean, actual) = moments(Kernel::Gaussian, 64, Projection::Iid, [E1, y], n);
        let standard_error = (variance / n as f64).sqrt();
        assert!((mean - kernel).abs() < 4.0 * standard_error, "{mean}, not {kernel}");
        // The variance of a variance: 2 / n of its square, about.
        assert!((actual / variance - 1.0).abs() < 4.0 * (2.0 / n as f64).sqrt(), "{actual}, not {variance}");
        let (mean, orthogonal) = moments(Kernel::Gaussian, 64, Projection::Orthogonal, [E1, y], n);
        assert!((mean - kernel).abs() < 4.0 * standard_error, "{mean}, not {kernel}");
        assert!(orthogonal < 0.7 * variance, "{orthogonal} is not below {variance}");
    }
}

#[test]
fn arc_cosine_scores_have_the_closed_form_of_their_angle() {
    for (degrees, kernel) in
        [(0.0_f32, 0.5), (60.0, 0.304_498_9), (90.0, 0.159_154_9), (120.0, 0.054_498_9), (180.0, 0.0)]
    {
        let (sin, cos) = degrees.to_radians().sin_cos();
        let y = [cos, sin, 0.0, 0.0];
        for projection in [Projection::Iid, Projection::Orthogonal] {
            let actual = score(&heads(Kernel::ArcCos, 200_000, projection, 1), E1, y);
            // Four standard errors at 0 degrees: √1.25 / √200,000 each.
            assert!((actual - kernel).abs() < 0.01, "{projection:?}, {degrees}: {actual}, not {kernel}");
        }
    }
    let x = [0.6, 1.2, -0.4, 2.0];
    let heads = heads(Kernel::ArcCos, 30, Projection::Orthogonal, 1);
    assert!(host(&heads.features(vector(x)).unwrap()).iter().all(|&feature| feature >= 0.0));
    // Homogeneous: |x| is a factor.
    let ratio = score(&heads, x.map(|v| 3.0 * v), E2) / score(&heads, x, E2);
    assert!((ratio - 3.0).abs() < 1e-4, "{ratio}");
}

/// exp(-|σ ∘ (x - y)|² / 2τ²)
#[test]
fn sigma_and_tau_make_the_bandwidth() {
    let device = Device::flex();
    let config = RfaHeadsConfig::new(1, D).with_n_features(200_000).with_normalize_qk(false).with_tau(2.0);
    let mut heads = config.init(&device).unwrap();
    let sigma = Tensor::<2>::from_floats([[1.0, 0.5, 2.0, 3.0]], &device);
    heads.sigma = Some(burn::module::Param::from_tensor(sigma));
    let (x, y) = ([0.5, -1.0, 0.3, 0.0], [0.1, 0.8, 0.0, 0.4]);
    let square = 0.4_f64.powi(2) + 0.9_f64.powi(2) + 0.6_f64.powi(2) + 1.2_f64.powi(2);
    let (actual, expected) = (score(&heads, x, y), (-square / 8.0).exp());
    assert!((actual - expected).abs() < 0.01, "{actual}, not {expected}");
    let plain = config.with_learn_sigma(false).init(&device).unwrap();
    assert!(plain.sigma.is_none());
}

#[test]
fn any_number_of_directions_can_be_had() {
    let device = Device::flex();
    for kernel in KERNELS {
        for (d, m) in [(1, 1), (1, 5), (4, 3), (3, 4), (16, 7), (7, 16)] {
            for projection in [Projection::Iid, Projection::Orthogonal] {
                let config = RfaHeadsConfig::new(2, d).with_n_features(m).with_kernel(kernel);
                let heads = config.with_projection(projection).init(&device).unwrap();
                let features = heads.features(random([1, 2, 5, d], 1.0, &device)).unwrap();
                assert_eq!(features.dims(), [1, 2, 5, heads.n_features()]);
            }
        }
    }
}
