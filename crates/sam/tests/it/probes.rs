//! Sharpness and curvature of surfaces that are known.

use burn::tensor::Tensor;
use rekindle_sam::probe::{HessianConfig, m_sharpness, sharpness, sharpness_by_ascent};
use rekindle_sam::{Adaptive, Norm, SamConfig, SamError};

use crate::common::*;

fn ascent(rho: f64) -> rekindle_sam::Ascent {
    SamConfig::new().with_rho(rho).ascent().unwrap()
}

/// ½ xᵀ A x
fn form<const N: usize>(a: [[f32; N]; N]) -> impl Fn(&Point) -> Tensor<1> {
    move |point| {
        let x = point.weight.val().reshape([N, 1]);
        let a = Tensor::<2>::from_data(a, &x.device());
        let product: Tensor<1> = x.clone().transpose().matmul(a).matmul(x).flatten(0, 1);
        product * 0.5
    }
}

#[test]
fn sharpness_is_the_rise_to_the_perturbed_weights() {
    let point = Point::new([1.0, 1.0], &device());
    let found = sharpness(&ascent(0.05), &point, quadratic([4.0, 1.0])).unwrap();
    assert!((found.loss - 2.5).abs() < 1e-6 && (found.value() - 0.210_934_7).abs() < 1e-5, "{found:?}");
    assert_eq!(point.at(), [1.0, 1.0]);
}

#[test]
fn more_steps_of_ascent_find_the_worst_point_of_the_ball() {
    // At w = (1, 0.1) with H = diag(1, 40) the gradient is (1, 4), the sphere's worst point lies nearly along y.
    let point = Point::new([1.0, 0.1], &device());
    let loss = quadratic([1.0, 40.0]);
    let rho = 0.5;
    let on_the_sphere = |angle: f64| 0.5 * (1.0 + rho * angle.cos()).powi(2) + 20.0 * (0.1 + rho * angle.sin()).powi(2);
    let worst = (0..100_000).map(|i| on_the_sphere(i as f64 * 6.283_185_3e-5)).fold(0.0, f64::max);
    let one = sharpness(&ascent(rho), &point, &loss).unwrap();
    let many = sharpness_by_ascent(&ascent(rho), &point, 20, &loss).unwrap();
    assert!(one.loss_perturbed < worst - 0.01, "{one:?} {worst}");
    assert!((many.loss_perturbed - worst).abs() < 1e-3, "{many:?} {worst}");
    assert_eq!(many.loss, one.loss);

    // In the cube the worst corner is found at once, and in ASAM's ball a point at least as bad as the first.
    let cube = SamConfig::new().with_rho(rho).with_norm(Norm::LInf).ascent().unwrap();
    let corner = 0.5 * 1.5_f64.powi(2) + 20.0 * 0.6_f64.powi(2);
    assert!((sharpness_by_ascent(&cube, &point, 5, &loss).unwrap().loss_perturbed - corner).abs() < 1e-5);
    let adaptive = SamConfig::new().with_rho(rho).with_adaptive(Some(Adaptive::default())).ascent().unwrap();
    let [one, five] = [1, 5].map(|n| sharpness_by_ascent(&adaptive, &point, n, &loss).unwrap().loss_perturbed);
    assert!(five >= one);
    assert!(sharpness_by_ascent(&cube, &point, 0, &loss).is_err());
}

#[test]
fn m_sharpness_is_the_mean_over_groups() {
    // On linear losses a group's rise is ρ times the norm of its mean slope.
    let point = Point::new([1.0, 2.0], &device());
    let slopes = [[1.0_f32, 0.0], [0.0, 2.0], [-1.0, 1.0]];
    let loss = |point: &Point, range: std::ops::Range<usize>| {
        let n = range.len() as f32;
        linear([0, 1].map(|i| slopes[range.clone()].iter().map(|s| s[i]).sum::<f32>() / n))(point)
    };
    let of = |m| m_sharpness(&ascent(0.5), &point, 3, m, loss).unwrap().value();
    let root = f64::sqrt;
    assert!((of(1) - 0.5 * (1.0 + 2.0 + root(2.0)) / 3.0).abs() < 1e-6);
    assert!((of(2) - 0.5 * (2.0 * root(0.25 + 1.0) + root(2.0)) / 3.0).abs() < 1e-6);
    assert!((of(3) - 0.5).abs() < 1e-6);
    assert!((of(99) - of(3)).abs() < 1e-9);
    assert_eq!(m_sharpness(&ascent(0.5), &point, 3, 0, loss).err(), Some(SamError::EmptyMicroBatch));
    assert_eq!(m_sharpness(&ascent(0.5), &point, 0, 1, loss).err(), Some(SamError::EmptyBatch));
}

#[test]
fn the_top_eigenvalue_of_a_quadratic_form_is_found() {
    let device = device();
    let point = Point::new([1.0, -1.0, 0.5], &device);
    // Eigenvalues 3 + √3, 3, 3 - √3 of the path graph's Laplacian plus 2... checked: trace 9, determinant 18.
    let a = [[2.0, -1.0, 0.0], [-1.0, 3.0, -1.0], [0.0, -1.0, 4.0]];
    let top = HessianConfig::new().with_tolerance(1e-5).top_eigenvalue(&point, form(a)).unwrap();
    assert!((top.value - (3.0 + 3.0_f64.sqrt())).abs() < 2e-3, "{top:?}");
    assert!(top.converged && top.residual < 0.1 && top.iterations > 1, "{top:?}");
    assert_eq!(point.at(), [1.0, -1.0, 0.5]);
    let again = HessianConfig::new().with_tolerance(1e-5).top_eigenvalue(&point, form(a)).unwrap();
    assert_eq!(top, again);
}

#[test]
fn the_top_eigenvalue_is_the_most_positive_one() {
    let point = Point::new([0.3, -0.2], &device());
    let top = HessianConfig::new().with_tolerance(1e-5).top_eigenvalue(&point, quadratic([-10.0, 3.0])).unwrap();
    assert!((top.value - 3.0).abs() < 0.02, "{top:?}");
    let negative = HessianConfig::new().with_tolerance(1e-5).top_eigenvalue(&point, quadratic([-2.0, -1.0])).unwrap();
    assert!((negative.value + 1.0).abs() < 0.02, "{negative:?}");
    let flat = HessianConfig::new().top_eigenvalue(&point, linear([1.0, 2.0])).unwrap();
    assert!(flat.value.abs() < 1e-6 && flat.converged, "{flat:?}");
}

#[test]
fn the_iteration_says_when_it_did_not_settle() {
    let point = Point::new([0.3, -0.2], &device());
    let config = HessianConfig::new().with_max_iterations(2).with_tolerance(1e-9);
    let top = config.top_eigenvalue(&point, quadratic([4.0, 3.9])).unwrap();
    assert!(!top.converged && top.iterations == 2, "{top:?}");
    let nan = HessianConfig::new().top_eigenvalue(&point, |p| quadratic([4.0, 1.0])(p) * f32::NAN).unwrap();
    assert!(nan.value.is_nan() && !nan.converged);
    for config in [
        HessianConfig::new().with_h(0.0),
        HessianConfig::new().with_tolerance(f64::NAN),
        HessianConfig::new().with_max_iterations(0),
    ] {
        let error = config.top_eigenvalue(&point, quadratic([4.0, 1.0])).err();
        assert!(matches!(error, Some(SamError::InvalidProbe { .. })));
    }
}

#[test]
fn the_curvature_of_a_network_matches_its_dense_hessian() {
    // The head's bias alone: the Hessian of softmax cross-entropy in it is mean(diag(p) - p pᵀ).
    use burn::module::{Module, ParamGroup};
    let device = device();
    let net = Net::new(0.0, &device);
    let batch = Batch::new(4, 12, &device);
    let bias = net.head.bias.as_ref().unwrap().id;
    let net = net.no_grad().set_require_grad_group(ParamGroup::from_ids(vec![bias]), true);
    let top =
        HessianConfig::new().with_h(1e-2).with_tolerance(1e-5).top_eigenvalue(&net, |net| batch.loss(net)).unwrap();

    let logits = rekindle_shared::model::deep_copy(&net).forward(batch.input.clone());
    let p = vector(burn::tensor::activation::softmax(logits, 1));
    let mut hessian = [[0.0_f64; 3]; 3];
    for row in p.chunks(3) {
        for i in 0..3 {
            for j in 0..3 {
                let (a, b) = (f64::from(row[i]), f64::from(row[j]));
                hessian[i][j] += (if i == j { a } else { 0.0 } - a * b) / 12.0;
            }
        }
    }
    // Dense power iteration in double precision.
    let (mut v, mut value) = ([1.0, -0.3, 0.2], 0.0);
    for _ in 0..1_000 {
        let hv: Vec<f64> = hessian.iter().map(|row| row.iter().zip(&v).map(|(a, b)| a * b).sum()).collect();
        value = hv.iter().map(|x| x * x).sum::<f64>().sqrt();
        (0..3).for_each(|i| v[i] = hv[i] / value);
    }
    assert!((top.value / value - 1.0).abs() < 5e-3, "{top:?} {value}");
}

#[test]
fn probes_leave_model_and_statistics_alone() {
    let device = device();
    let net = Net::new(0.0, &device);
    let batch = Batch::new(4, 12, &device);
    let before = bits(&net);
    let loss = |net: &Net| batch.loss(net);
    sharpness_by_ascent(&ascent(0.5), &net, 3, loss).unwrap();
    m_sharpness(&ascent(0.5), &net, 12, 4, |net, range| batch.loss_of(net, range)).unwrap();
    HessianConfig::new().with_max_iterations(2).top_eigenvalue(&net, loss).unwrap();
    assert_eq!(bits(&net), before);
}
