use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI, PI};

use proptest::prelude::*;

use super::*;

type Exact = fn(f64) -> f64;

/// The elementwise ones, with their value and derivative in f64.
const ELEMENTWISE: [(Activation, Exact, Exact); 6] = [
    (Activation::Exp, f64::exp, f64::exp),
    (Activation::Gelu, |x| x * cdf(x), |x| cdf(x) + x * density(x)),
    (
        Activation::GeluApproximate,
        |x| x * logistic(2.0 * inner(x)),
        |x| {
            let (gate, opposite) = (logistic(2.0 * inner(x)), logistic(-2.0 * inner(x)));
            gate + x * gate * opposite * 2.0 * inner_slope(x)
        },
    ),
    (Activation::Sigmoid, logistic, |x| logistic(x) * logistic(-x)),
    (Activation::Silu, |x| x * logistic(x), |x| logistic(x) * (1.0 + x * logistic(-x))),
    (Activation::Tanh, f64::tanh, |x| x.cosh().powi(-2)),
];
const ROWS: [Activation; 2] = [Activation::LogSoftmax, Activation::Softmax];

fn logistic(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

fn inner(x: f64) -> f64 {
    (2.0 / PI).sqrt() * (x + 0.044715 * x.powi(3))
}

fn inner_slope(x: f64) -> f64 {
    (2.0 / PI).sqrt() * (1.0 + 3.0 * 0.044715 * x.powi(2))
}

fn density(x: f64) -> f64 {
    (-0.5 * x * x).exp() / (2.0 * PI).sqrt()
}

fn cdf(x: f64) -> f64 {
    let tail = 0.5 * erfc(x.abs() * FRAC_1_SQRT_2);
    if x > 0.0 { 1.0 - tail } else { tail }
}

/// The series of erf near 0, else the continued fraction of erfc; z ≥ 0.
fn erfc(z: f64) -> f64 {
    if z < 2.5 {
        let mut term = z;
        let mut sum = z;
        for n in 1..60 {
            term *= -z * z / f64::from(n);
            sum += term / f64::from(2 * n + 1);
        }
        1.0 - FRAC_2_SQRT_PI * sum
    } else {
        let fraction = (1..=120).rev().fold(z, |below, k| z + 0.5 * f64::from(k) / below);
        0.5 * FRAC_2_SQRT_PI * (-z * z).exp() / fraction
    }
}

/// Every instruction set of this machine.
fn instruction_sets() -> Vec<Arch> {
    let mut sets = vec![Arch::Scalar, Arch::new()];
    #[cfg(target_arch = "x86_64")]
    sets.extend(pulp::x86::V3::try_new().map(Arch::V3));
    sets
}

/// Values of every magnitude and both signs: denormals, ±0, ±∞ and NaN among them.
fn sweep(step: usize) -> Vec<f32> {
    let special = [0.0, -0.0, f32::INFINITY, f32::NEG_INFINITY, f32::NAN, f32::MIN, f32::MAX, f32::MIN_POSITIVE];
    let dense = (-4000..4000).map(|i| i as f32 / 200.0);
    (0..=u32::MAX).step_by(step).map(f32::from_bits).chain(special).chain(dense).collect()
}

fn bits(values: &[f32]) -> Vec<u32> {
    // One NaN is as good as another.
    values.iter().map(|v| if v.is_nan() { f32::NAN.to_bits() } else { v.to_bits() }).collect()
}

/// The distance from `exact` in units of the f32 spacing there.
fn ulps(value: f32, exact: f64) -> f64 {
    let rounded = exact as f32;
    if rounded.is_infinite() || value.is_infinite() {
        return if value == rounded { 0.0 } else { f64::INFINITY };
    }
    let size = rounded.abs().max(f32::MIN_POSITIVE);
    (f64::from(value) - exact).abs() / f64::from(size.next_up() - size)
}

/// The documented errors; gradients are for an output gradient of 1.
#[test]
fn errors_are_as_documented() {
    let x = sweep(499);
    let ones = vec![1.0; x.len()];
    for (activation, value, derivative) in ELEMENTWISE {
        let (ulp_bound, gradient_bound) = match activation {
            Activation::Exp => (1.0, None),
            Activation::Gelu => (8.0, Some(1.6e-7)),
            Activation::GeluApproximate => (260.0, Some(2.1e-6)),
            Activation::Sigmoid => (2.2, Some(1.0e-7)),
            Activation::Silu => (3.1, Some(1.1e-6)),
            _ => (2.5, Some(2.0e-7)),
        };
        let y = forward(Arch::new(), activation, 1, &x);
        let saved = if activation.derives_from_output() { &y } else { &x };
        let dx = backward(Arch::new(), activation, 1, saved, &ones);
        let mut worst = (0.0_f64, 0.0_f64);
        for ((&x, &y), &dx) in x.iter().zip(&y).zip(&dx).filter(|((x, _), _)| x.is_finite()) {
            let exact = value(f64::from(x));
            // Products with a denormal factor have its few digits.
            let unscaled = matches!(activation, Activation::Exp | Activation::Sigmoid | Activation::Tanh);
            if unscaled || exact == 0.0 || exact.abs() > 1e-35 || x.abs() < 1.0 {
                worst.0 = worst.0.max(ulps(y, exact));
            } else {
                assert!((f64::from(y) - exact).abs() < 1e-39, "{activation:?}({x}) = {y}");
            }
            // Beyond, the gradient of the approximate GELU is NaN, as Burn's is.
            if gradient_bound.is_some() && x.abs() < 1e18 {
                worst.1 = worst.1.max((f64::from(dx) - derivative(f64::from(x))).abs());
            }
        }
        assert!(worst.0 <= ulp_bound, "{activation:?}: {} ulp", worst.0);
        assert!(worst.1 <= gradient_bound.unwrap_or(0.0), "{activation:?}: gradient {:e}", worst.1);
    }
}

#[test]
fn small_values_keep_their_sign_and_digits() {
    let x = [0.0, -0.0, 1e-45, -1e-45, 1e-38, -1e-38, 3e-5, -3e-5];
    let tanh = forward(Arch::new(), Activation::Tanh, 1, &x);
    assert_eq!(bits(&tanh), bits(&x));
    for activation in [Activation::Gelu, Activation::GeluApproximate, Activation::Silu] {
        let y = forward(Arch::new(), activation, 1, &x);
        assert_eq!(bits(&y[..2]), bits(&x[..2]), "{activation:?}");
    }
}

#[test]
fn exp_overflows_and_underflows_as_it_should() {
    let x = [f32::INFINITY, 88.73, 88.72, -87.4, -103.9, -104.0, f32::NEG_INFINITY, f32::NAN];
    let y = forward(Arch::new(), Activation::Exp, 1, &x);
    assert_eq!(y[..2], [f32::INFINITY; 2]);
    assert!(y[2].is_finite());
    assert!(y[3] > 0.0 && y[3] < f32::MIN_POSITIVE);
    assert_eq!(y[4..7], [f32::from_bits(1), 0.0, 0.0]);
    assert!(y[7].is_nan());
}

fn all() -> impl Iterator<Item = Activation> {
    ELEMENTWISE.into_iter().map(|(activation, ..)| activation).chain(ROWS)
}

/// The four entry points, the ones in place and the others giving the same.
fn run(arch: Arch, activation: Activation, row: usize, x: &[f32], dy: &[f32]) -> (Vec<u32>, Vec<u32>) {
    let y = forward(arch, activation, row, x);
    let saved = if activation.derives_from_output() { &y } else { x };
    let dx = backward(arch, activation, row, saved, dy);
    let (mut x_in_place, mut dy_in_place) = (x.to_vec(), dy.to_vec());
    forward_in_place(arch, activation, row, &mut x_in_place);
    backward_in_place(arch, activation, row, saved, &mut dy_in_place);
    assert_eq!(bits(&y), bits(&x_in_place));
    assert_eq!(bits(&dx), bits(&dy_in_place));
    (bits(&y), bits(&dx))
}

#[test]
fn every_instruction_set_gives_the_same_bits() {
    let x = sweep(99_991);
    let dy: Vec<f32> = x.iter().rev().copied().collect();
    for activation in all() {
        for row in [1, 10, 16, 333] {
            let len = x.len() / row * row;
            let scalar = run(Arch::Scalar, activation, row, &x[..len], &dy[..len]);
            for arch in instruction_sets() {
                let other = run(arch, activation, row, &x[..len], &dy[..len]);
                assert!(other == scalar, "{activation:?}, rows of {row}, {arch:?}");
            }
        }
    }
}

#[test]
fn threads_do_not_change_the_bits() {
    let x: Vec<f32> = (0..3 * PARALLEL).map(|i| (i as f32).sin() * 9.0).collect();
    let dy: Vec<f32> = x.iter().map(|x| x.cos()).collect();
    for (activation, row) in all().flat_map(|activation| [(activation, 12), (activation, PARALLEL)]) {
        let [one, two, seven] = [1, 2, 7].map(|threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool of few threads");
            pool.install(|| run(Arch::new(), activation, row, &x, &dy))
        });
        assert!(one == two && two == seven, "{activation:?}");
    }
}

proptest! {
    /// Each value is that of a slice of one: no length treats its last values in another way.
    #[test]
    fn values_do_not_depend_on_the_length(x in prop::collection::vec(-20_f32..20.0, 1..70)) {
        for (activation, ..) in ELEMENTWISE {
            let one_by_one: Vec<f32> = x.iter().flat_map(|&x| forward(Arch::new(), activation, 1, &[x])).collect();
            prop_assert_eq!(bits(&forward(Arch::new(), activation, 1, &x)), bits(&one_by_one));
        }
    }

    #[test]
    fn rows_match_f64(row in 1_usize..80, rows in 1_usize..6, scale in 0.1_f32..60.0, seed in 0_u32..1000) {
        let random = |i: usize, salt: f32| ((i as f32 + seed as f32) * salt).sin();
        let x: Vec<f32> = (0..row * rows).map(|i| scale * random(i, 1.7)).collect();
        let dy: Vec<f32> = (0..row * rows).map(|i| random(i, 2.3)).collect();
        // Half an ulp of x - max x is that much of its exponential.
        let tolerance = 1e-6 + 1.2e-7 * f64::from(scale);
        for arch in instruction_sets() {
            let y = forward(arch, Activation::Softmax, row, &x);
            let dx = backward(arch, Activation::Softmax, row, &y, &dy);
            let log_y = forward(arch, Activation::LogSoftmax, row, &x);
            let log_dx = backward(arch, Activation::LogSoftmax, row, &log_y, &dy);
            for start in (0..x.len()).step_by(row) {
                let exact_sum: f64 = x[start..][..row].iter().map(|&x| f64::from(x).exp()).sum();
                let exact = |i: usize| f64::from(x[i]).exp() / exact_sum;
                let weighted: f64 = (start..start + row).map(|i| exact(i) * f64::from(dy[i])).sum();
                let total: f64 = (start..start + row).map(|i| f64::from(dy[i])).sum();
                for i in start..start + row {
                    let p = exact(i);
                    prop_assert!((f64::from(y[i]) - p).abs() <= tolerance * p + 1e-37);
                    prop_assert!((f64::from(log_y[i]) - p.ln()).abs() <= 1e-6 * (1.0 + p.ln().abs()));
                    prop_assert!((f64::from(dx[i]) - p * (f64::from(dy[i]) - weighted)).abs() <= 2.0 * tolerance * p + 1e-37);
                    prop_assert!((f64::from(log_dx[i]) - (f64::from(dy[i]) - p * total)).abs() <= 1e-5);
                }
            }
        }
    }
}
