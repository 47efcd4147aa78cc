//! Sines and cosines of rows beside each other, and their gradients.

use std::mem::MaybeUninit;

use pulp::Arch;
use rayon::prelude::*;

use super::math::{SIN_COS_LIMIT, sin_cos};
use super::{CHUNK, PARALLEL};
use crate::output::written;
use crate::simd::vectorize;

/// For each row x of `row` values (at least 1) `scale` (sin x, cos x), twice as long.
#[allow(unsafe_code)]
pub(crate) fn forward(arch: Arch, row: usize, scale: f32, x: &[f32]) -> Vec<f32> {
    assert!(x.len().is_multiple_of(row));
    let write = |out: &mut [MaybeUninit<f32>]| {
        let task = row * (CHUNK / row).max(1);
        if x.len() < PARALLEL {
            out.chunks_mut(2 * task).zip(x.chunks(task)).for_each(|(out, x)| rows(arch, row, scale, x, out));
        } else {
            out.par_chunks_mut(2 * task).zip(x.par_chunks(task)).for_each(|(out, x)| rows(arch, row, scale, x, out));
        }
    };
    // SAFETY: the tasks make up the whole slice, and each writes all of its rows.
    unsafe { written(2 * x.len(), write) }
}

/// The gradients of x from the output y and its gradients: `y_cos dy_sin - y_sin dy_cos`, in which the scale is.
#[allow(unsafe_code)]
pub(crate) fn backward(arch: Arch, row: usize, y: &[f32], dy: &[f32]) -> Vec<f32> {
    assert!(y.len() == dy.len() && y.len().is_multiple_of(2 * row));
    let write = |out: &mut [MaybeUninit<f32>]| {
        let task = row * (CHUNK / row).max(1);
        if out.len() < PARALLEL {
            let tasks = out.chunks_mut(task).zip(y.chunks(2 * task)).zip(dy.chunks(2 * task));
            tasks.for_each(|((out, y), dy)| gradients(arch, row, y, dy, out));
        } else {
            let tasks = out.par_chunks_mut(task).zip(y.par_chunks(2 * task)).zip(dy.par_chunks(2 * task));
            tasks.for_each(|((out, y), dy)| gradients(arch, row, y, dy, out));
        }
    };
    // SAFETY: as above.
    unsafe { written(y.len() / 2, write) }
}

fn rows(arch: Arch, row: usize, scale: f32, x: &[f32], out: &mut [MaybeUninit<f32>]) {
    let mut large = false;
    vectorize(
        arch,
        #[inline(always)]
        || {
            for (out, x) in out.chunks_exact_mut(2 * row).zip(x.chunks_exact(row)) {
                let (sines, cosines) = out.split_at_mut(row);
                for ((sine, cosine), &x) in sines.iter_mut().zip(cosines).zip(x) {
                    let (sin, cos) = sin_cos(x);
                    sine.write(scale * sin);
                    cosine.write(scale * cos);
                }
                // Also NaN.
                large |= !x.iter().fold(true, |small, x| small & (x.abs() <= SIN_COS_LIMIT));
            }
        },
    );
    if large {
        for (out, x) in out.chunks_exact_mut(2 * row).zip(x.chunks_exact(row)) {
            let (sines, cosines) = out.split_at_mut(row);
            for ((sine, cosine), &x) in sines.iter_mut().zip(cosines).zip(x) {
                if x.abs() <= SIN_COS_LIMIT {
                    continue;
                }
                let (sin, cos) = f64::from(x).sin_cos();
                sine.write(scale * sin as f32);
                cosine.write(scale * cos as f32);
            }
        }
    }
}

fn gradients(arch: Arch, row: usize, y: &[f32], dy: &[f32], out: &mut [MaybeUninit<f32>]) {
    vectorize(
        arch,
        #[inline(always)]
        || {
            for ((out, y), dy) in out.chunks_exact_mut(row).zip(y.chunks_exact(2 * row)).zip(dy.chunks_exact(2 * row)) {
                let ((sines, cosines), (dy_sines, dy_cosines)) = (y.split_at(row), dy.split_at(row));
                let outer = out.iter_mut().zip(sines).zip(cosines);
                for (((dx, sin), cos), (d_sin, d_cos)) in outer.zip(dy_sines.iter().zip(dy_cosines)) {
                    dx.write(cos * d_sin - sin * d_cos);
                }
            }
        },
    );
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Every instruction set of this machine.
    fn instruction_sets() -> Vec<Arch> {
        let mut sets = vec![Arch::Scalar, Arch::new()];
        #[cfg(target_arch = "x86_64")]
        sets.extend(pulp::x86::V3::try_new().map(Arch::V3));
        sets
    }

    /// Values of every magnitude and both signs: denormals, ±0, ±∞ and NaN among them; and those next to multiples of π/2.
    fn sweep(step: usize) -> Vec<f32> {
        let special = [0.0, -0.0, f32::INFINITY, f32::NEG_INFINITY, f32::NAN, f32::MIN, f32::MAX, SIN_COS_LIMIT];
        let quarters = (-50_000..50_000).map(|n| (f64::from(n) * std::f64::consts::FRAC_PI_2) as f32);
        let dense = (-40_000..40_000).map(|i| i as f32 / 1000.0);
        (0..=u32::MAX).step_by(step).map(f32::from_bits).chain(special).chain(quarters).chain(dense).collect()
    }

    fn bits(values: &[f32]) -> Vec<u32> {
        // One NaN is as good as another.
        values.iter().map(|v| if v.is_nan() { f32::NAN.to_bits() } else { v.to_bits() }).collect()
    }

    #[test]
    fn errors_are_as_documented() {
        let x = sweep(499);
        let y = forward(Arch::new(), 1, 1.0, &x);
        let mut worst = 0.0_f64;
        for (&x, y) in x.iter().zip(y.chunks_exact(2)) {
            let (sin, cos) = f64::from(x).sin_cos();
            for (value, exact) in [(y[0], sin), (y[1], cos)] {
                if !x.is_finite() {
                    assert!(value.is_nan(), "{x}: {value}");
                    continue;
                }
                let size = (exact as f32).abs().max(f32::MIN_POSITIVE);
                let ulps = (f64::from(value) - exact).abs() / f64::from(size.next_up() - size);
                assert!(ulps <= 1.5, "{x:e}: {value:e} is {ulps} ulp off {exact:e}");
                worst = worst.max(ulps);
            }
        }
        assert!(worst > 0.5, "{worst}");
    }

    #[test]
    fn small_values_keep_their_sign_and_digits() {
        let x = [0.0, 1e-45, -1e-45, 1e-38, -1e-38, -1e-20, 1e-5];
        let y = forward(Arch::new(), x.len(), 1.0, &x);
        assert_eq!(bits(&y[..x.len()]), bits(&x));
        assert_eq!(y[x.len()..], [1.0; 7]);
    }

    #[test]
    fn every_instruction_set_gives_the_same_bits() {
        let x = sweep(99_991);
        for row in [1, 7, 16, 100] {
            let len = x.len() / row * row;
            let dy: Vec<f32> = x[..len].iter().rev().chain(&x[..len]).copied().collect();
            let of = |arch| {
                let y = forward(arch, row, 0.125, &x[..len]);
                let dx = backward(arch, row, &y, &dy);
                (bits(&y), bits(&dx))
            };
            let scalar = of(Arch::Scalar);
            for arch in instruction_sets() {
                assert!(of(arch) == scalar, "rows of {row}, {arch:?}");
            }
        }
    }

    #[test]
    fn threads_do_not_change_the_bits() {
        let x: Vec<f32> = (0..3 * PARALLEL).map(|i| (i as f32).sin() * 9.0).collect();
        for row in [12, PARALLEL] {
            let [one, two, seven] = [1, 2, 7].map(|threads| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool of few threads");
                pool.install(|| {
                    let y = forward(Arch::new(), row, 2.0, &x);
                    (bits(&backward(Arch::new(), row, &y, &y)), bits(&y))
                })
            });
            assert!(one == two && two == seven);
        }
    }

    proptest! {
        /// Each value is that of a row of one, whatever lies beside it.
        #[test]
        fn values_do_not_depend_on_the_row(x in prop::collection::vec(-1e5_f32..1e5, 1..70)) {
            let y = forward(Arch::new(), x.len(), 0.5, &x);
            let one_by_one: Vec<f32> = x.iter().flat_map(|&x| forward(Arch::new(), 1, 0.5, &[x])).collect();
            let [sines, cosines] = [0, 1].map(|i| one_by_one.iter().skip(i).step_by(2).copied().collect::<Vec<_>>());
            prop_assert_eq!(bits(&y), bits(&[sines, cosines].concat()));
        }

        #[test]
        fn gradients_match_f64(row in 1_usize..80, rows in 1_usize..6, scale in 0.1_f32..4.0, seed in 0_u32..1000) {
            let random = |i: usize, salt: f32| ((i as f32 + seed as f32) * salt).sin();
            let x: Vec<f32> = (0..row * rows).map(|i| 9.0 * random(i, 1.7)).collect();
            let dy: Vec<f32> = (0..2 * row * rows).map(|i| random(i, 2.3)).collect();
            let dx = backward(Arch::new(), row, &forward(Arch::new(), row, scale, &x), &dy);
            for (i, (&x, &dx)) in x.iter().zip(&dx).enumerate() {
                let at = i / row * 2 * row + i % row;
                let (sin, cos) = f64::from(x).sin_cos();
                let exact = f64::from(scale) * (cos * f64::from(dy[at]) - sin * f64::from(dy[at + row]));
                prop_assert!((f64::from(dx) - exact).abs() <= 1e-6 * f64::from(scale));
            }
        }
    }
}
