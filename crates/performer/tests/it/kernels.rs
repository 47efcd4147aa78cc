//! The closed forms of Lemma 2 and Theorems 1 and 2.

use burn::tensor::{Device, Tensor};
use rekindle_performer::{Favor, Kernel, Projection, RowScaling, redraw};

use crate::reference::projected;

const D: usize = 4;

/// One vector, without the scale d^(-1/4) that features put on.
fn vector(x: [f32; D], device: &Device) -> Tensor<4> {
    Tensor::<1>::from_floats(x, device).reshape([1, 1, 1, D])
}

/// Estimates of the kernel of x and y by every single direction of `m`.
fn single_estimates(kernel: Kernel, [x, y]: [[f32; D]; 2], m: usize) -> Vec<f64> {
    let device = Device::flex();
    let config = projected(kernel, [D, m], Projection::Iid, RowScaling::Chi).with_normalize_inputs(false);
    let favor = config.init(&device).unwrap();
    let product = favor.features(vector(x, &device)).unwrap() * favor.features(vector(y, &device)).unwrap();
    let values: Vec<f64> = product.into_data().iter::<f64>().collect();
    // The features of a direction lie m apart.
    (0..m).map(|i| m as f64 * values[i..].iter().step_by(m).sum::<f64>()).collect()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

const PAIR: [[f32; D]; 2] = [[0.5, -0.3, 0.2, 0.1], [0.1, 0.4, -0.2, 0.3]];

/// x·y = -0.08, |x + y|² = 0.53, |x - y|² = 0.85: means and mean squared errors of one direction.
#[test]
fn mean_squared_errors_are_those_of_lemma_2() {
    let softmax = (-0.08_f64).exp();
    for (kernel, mse) in [(Kernel::Trig, 0.326_823), (Kernel::Positive, 0.595_591), (Kernel::Hyperbolic, 0.122_512)] {
        let m = 100_000;
        let estimates = single_estimates(kernel, PAIR, m);
        let errors: Vec<f64> = estimates.iter().map(|estimate| (estimate - softmax).powi(2)).collect();
        let actual = mean(&errors);
        let spread = mean(&errors.iter().map(|error| (error - actual).powi(2)).collect::<Vec<_>>()).sqrt();
        let standard_error = spread / (m as f64).sqrt();
        assert!((mean(&estimates) - softmax).abs() < 3.0 * (mse / m as f64).sqrt(), "{kernel:?} is biased");
        assert!((actual - mse).abs() < 3.0 * standard_error, "{kernel:?}: {actual}, not {mse} ± {standard_error}");
    }
}

#[test]
fn trig_is_exact_for_equal_vectors_and_positive_for_opposite_ones() {
    let x = [0.6, -0.8, 0.0, 0.0];
    let all_are = |kernel, y, expected: f64| {
        for estimate in single_estimates(kernel, [x, y], 500) {
            assert!((estimate - expected).abs() < 1e-5 * expected, "{kernel:?}: {estimate}");
        }
    };
    all_are(Kernel::Trig, x, 1_f64.exp());
    all_are(Kernel::Positive, x.map(|value| -value), (-1_f64).exp());
    all_are(Kernel::Hyperbolic, x.map(|value| -value), (-1_f64).exp());
}

#[test]
fn orthogonal_directions_are_unbiased_and_better_than_independent_ones() {
    let device = Device::flex();
    let softmax = (-0.08_f64).exp();
    for (kernel, projections) in [
        (Kernel::Positive, [Projection::Orthogonal, Projection::Givens, Projection::Hadamard]),
        (Kernel::Hyperbolic, [Projection::Orthogonal, Projection::Givens, Projection::Hadamard]),
    ] {
        let n = 3000;
        let estimates = |projection| -> Vec<f64> {
            let config = projected(kernel, [D, D], projection, RowScaling::Chi).with_normalize_inputs(false);
            let mut favor: Favor = config.init(&device).unwrap();
            (0..n)
                .map(|step| {
                    favor = redraw(favor.clone(), step);
                    let x = favor.features(vector(PAIR[0], &device)).unwrap();
                    let y = favor.features(vector(PAIR[1], &device)).unwrap();
                    (x * y).sum().into_scalar::<f64>()
                })
                .collect()
        };
        let mse = |estimates: &[f64]| mean(&estimates.iter().map(|e| (e - softmax).powi(2)).collect::<Vec<_>>());
        let independent = mse(&estimates(Projection::Iid));
        for projection in projections {
            let drawn = estimates(projection);
            let error = mse(&drawn);
            let standard_error = (error / n as f64).sqrt();
            // Hadamard directions have a small bias in few dimensions.
            let bias = if projection == Projection::Hadamard { 0.05 } else { 3.5 * standard_error };
            assert!((mean(&drawn) - softmax).abs() < bias, "{projection:?}: {}", mean(&drawn));
            if projection == Projection::Orthogonal {
                assert!(error < independent, "{kernel:?}: {error} is not below {independent}");
            }
        }
        if kernel == Kernel::Positive {
            // Theorem 2: 2 (m - 1) / (m (d + 2)) (SM - exp(-(|x|² + |y|²) / 2))² is the least gain.
            let gain = 6.0 / (4.0 * 6.0) * (softmax - (-0.345_f64).exp()).powi(2);
            let orthogonal = mse(&estimates(Projection::Orthogonal));
            assert!(orthogonal < independent - gain + 0.02, "{orthogonal} {independent} {gain}");
        }
    }
}

/// SMREG / SM for |x + y|² / 2 = w: the mean over rows of length √d.
#[test]
fn rows_of_one_length_estimate_the_regularized_kernel() {
    let device = Device::flex();
    for (w, ratio) in [(0.5, 0.964_77), (1.0, 0.881_01), (2.0, 0.660_40)] {
        let half = (2.0_f32 * w).sqrt() / 2.0;
        let x = [half, 0.0, 0.0, 0.0];
        let config = projected(Kernel::Hyperbolic, [D, 200_000], Projection::Iid, RowScaling::SqrtDim);
        let favor = config.with_normalize_inputs(false).init(&device).unwrap();
        let x = favor.features(vector(x, &device)).unwrap();
        let estimate = (x.clone() * x).sum().into_scalar::<f64>();
        let actual = estimate / f64::from(half * half).exp();
        assert!((actual - ratio).abs() < 0.01, "w = {w}: {actual}, not {ratio}");
    }
}

#[test]
fn features_have_the_signs_and_lengths_of_their_maps() {
    let device = Device::flex();
    for scaling in [RowScaling::Chi, RowScaling::SqrtDim] {
        let x = || vector([1.1, -0.4, 0.7, 0.2], &device);
        let of = |kernel| {
            let config = projected(kernel, [D, 11], Projection::Orthogonal, scaling).with_normalize_inputs(false);
            config.init(&device).unwrap().features(x()).unwrap()
        };
        assert!(of(Kernel::Positive).min().into_scalar::<f32>() > 0.0);
        let hyperbolic = of(Kernel::Hyperbolic);
        assert!(hyperbolic.clone().min().into_scalar::<f32>() > 0.0);
        // exp(u) exp(-u) is the same for every direction, which the sign of a direction does not change.
        let [plus, minus] = [hyperbolic.clone().narrow(3, 0, 11), hyperbolic.narrow(3, 11, 11)];
        let products: Vec<f32> = (plus * minus).into_data().iter().collect();
        assert!(products.iter().all(|p| (p / products[0] - 1.0).abs() < 1e-5), "{products:?}");
        let trig = of(Kernel::Trig);
        let length = (trig.clone() * trig).sum().into_scalar::<f64>();
        assert!((length / 1.9_f64.exp() - 1.0).abs() < 1e-5, "{length}");
    }
}

/// The error falls as m^(-1/2).
#[test]
fn attention_converges_to_softmax() {
    let device = Device::flex();
    let inputs = [0; 3].map(|_| crate::reference::random([1, 1, 64, D], 0.4, &device));
    let [query, key, value] = inputs;
    let softmax = burn::tensor::module::attention(
        query.clone(),
        key.clone(),
        value.clone(),
        None,
        None,
        burn::tensor::ops::AttentionModuleOptions { is_causal: true, ..Default::default() },
    );
    let error = |m: usize| {
        let of = |seed| {
            let config = projected(Kernel::Positive, [D, m], Projection::Orthogonal, RowScaling::Chi);
            let favor = config.with_causal(true).with_seed(seed).init(&device).unwrap();
            let output = favor.attend(query.clone(), key.clone(), value.clone(), None).unwrap();
            (output - softmax.clone()).powi_scalar(2).mean().into_scalar::<f64>()
        };
        mean(&(0..20).map(of).collect::<Vec<_>>()).sqrt()
    };
    let (few, many) = (error(32), error(2048));
    // 64 times as many: an eighth.
    assert!((4.0..16.0).contains(&(few / many)), "{few} {many}");
}
