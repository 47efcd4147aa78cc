//! Windows of 2 × 2 side by side, without padding.

use super::{Window, exceeds, mask, select};
use crate::simd::vectorize;
use pulp::Arch;
use std::mem::MaybeUninit;

type Pairs<T> = [[T; 2]];
type Lanes = [[f32; 2]; LANES];
type LanesOut = [[MaybeUninit<f32>; 2]; LANES];

/// Windows that are computed together.
const LANES: usize = 8;

pub(super) fn max(arch: Arch, window: &Window, x: &[f32], y: &mut [MaybeUninit<f32>]) {
    let larger = |best: f32, value: f32| select(mask(exceeds(value, best)), value, best);
    forward(
        arch,
        window,
        x,
        y,
        #[inline(always)]
        |[a, b], [c, d]| larger(larger(larger(a, b), c), d),
    );
}

pub(super) fn avg(arch: Arch, window: &Window, x: &[f32], y: &mut [MaybeUninit<f32>]) {
    forward(
        arch,
        window,
        x,
        y,
        #[inline(always)]
        |[a, b], [c, d]| (a + b + c + d) / 4.0,
    );
}

pub(super) fn max_backward(arch: Arch, window: &Window, x: &[f32], gradient: &[f32], out: &mut [MaybeUninit<f32>]) {
    backward(
        arch,
        window,
        gradient,
        out,
        #[inline(always)]
        |row, gradient, upper_out, lower_out| {
            let (upper, lower) = rows(window, x, row);
            let ((upper, upper_rest), (lower, lower_rest)) = (upper.as_chunks::<LANES>(), lower.as_chunks());
            let (gradient, gradient_rest) = gradient.as_chunks();
            let ((upper_out, upper_out_rest), (lower_out, lower_out_rest)) =
                (upper_out.as_chunks_mut(), lower_out.as_chunks_mut());
            for (i, g) in gradient.iter().enumerate() {
                (upper_out[i], lower_out[i]) = route(&upper[i], &lower[i], g);
            }
            let rest = gradient_rest.len();
            if rest > 0 {
                let (upper, lower) = route(&padded(upper_rest), &padded(lower_rest), &padded(gradient_rest));
                upper_out_rest.copy_from_slice(&upper[..rest]);
                lower_out_rest.copy_from_slice(&lower[..rest]);
            }
        },
    );
}

pub(super) fn avg_backward(arch: Arch, window: &Window, gradient: &[f32], out: &mut [MaybeUninit<f32>]) {
    backward(
        arch,
        window,
        gradient,
        out,
        #[inline(always)]
        |_, gradient, upper, lower| {
            for ((g, upper), lower) in gradient.iter().zip(upper).zip(lower) {
                let share = [MaybeUninit::new(g / 4.0); 2];
                (*upper, *lower) = (share, share);
            }
        },
    );
}

/// The gradients of some windows, each at the place of its largest value.
#[inline(always)]
fn route(upper: &Lanes, lower: &Lanes, gradient: &[f32; LANES]) -> (LanesOut, LanesOut) {
    let (mut upper_out, mut lower_out) = ([[MaybeUninit::new(0.0); 2]; LANES], [[MaybeUninit::new(0.0); 2]; LANES]);
    let mut best = [0.0; LANES];
    let mut masks = [[0; LANES]; 3];
    // A loop for each step: in one loop the compiler makes branches of the comparisons.
    for i in 0..LANES {
        masks[0][i] = mask(exceeds(upper[i][1], upper[i][0]));
        best[i] = select(masks[0][i], upper[i][1], upper[i][0]);
    }
    for i in 0..LANES {
        masks[1][i] = mask(exceeds(lower[i][0], best[i]));
        best[i] = select(masks[1][i], lower[i][0], best[i]);
    }
    for i in 0..LANES {
        masks[2][i] = mask(exceeds(lower[i][1], best[i]));
    }
    // Bits, not a product: a gradient that isn't finite goes to one place only.
    let masked = |i: usize, mask: u32| MaybeUninit::new(f32::from_bits(gradient[i].to_bits() & mask));
    for i in 0..LANES {
        let [second, third, fourth] = [masks[0][i], masks[1][i], masks[2][i]];
        upper_out[i] = [masked(i, !(second | third | fourth)), masked(i, second & !(third | fourth))];
        lower_out[i] = [masked(i, third & !fourth), masked(i, fourth)];
    }
    (upper_out, lower_out)
}

/// The first lanes from `values`, which are fewer than the lanes.
#[inline(always)]
fn padded<T: Copy + Default>(values: &[T]) -> [T; LANES] {
    let mut lanes = [T::default(); LANES];
    lanes[..values.len()].copy_from_slice(values);
    lanes
}

#[inline(always)]
fn forward(arch: Arch, window: &Window, x: &[f32], y: &mut [MaybeUninit<f32>], f: impl Fn([f32; 2], [f32; 2]) -> f32) {
    vectorize(
        arch,
        #[inline(always)]
        || {
            for (row, y) in y.chunks_exact_mut(window.output()[1]).enumerate() {
                let (upper, lower) = rows(window, x, row);
                for ((upper, lower), y) in upper.iter().zip(lower).zip(y) {
                    y.write(f(*upper, *lower));
                }
            }
        },
    );
}

/// Calls `f` with an output row, its gradient and the two input rows to fill; clears what no window covers.
#[inline(always)]
fn backward(
    arch: Arch,
    window: &Window,
    gradient: &[f32],
    out: &mut [MaybeUninit<f32>],
    f: impl Fn(usize, &[f32], &mut Pairs<MaybeUninit<f32>>, &mut Pairs<MaybeUninit<f32>>),
) {
    let ([_, width], [_, windows]) = (window.input, window.output());
    let zero = MaybeUninit::new(0.0);
    vectorize(
        arch,
        #[inline(always)]
        || {
            let mut row_pairs = out.chunks_exact_mut(2 * width);
            for (row, (out, gradient)) in (&mut row_pairs).zip(gradient.chunks_exact(windows)).enumerate() {
                let (upper, lower) = out.split_at_mut(width);
                let ((upper, upper_end), (lower, lower_end)) = (upper.as_chunks_mut(), lower.as_chunks_mut());
                f(row, gradient, upper, lower);
                upper_end.fill(zero);
                lower_end.fill(zero);
            }
            row_pairs.into_remainder().fill(zero);
        },
    );
}

/// The two input rows of an output row.
#[inline(always)]
fn rows<'a>(window: &Window, x: &'a [f32], row: usize) -> (&'a Pairs<f32>, &'a Pairs<f32>) {
    let width = window.input[1];
    let (upper, lower) = x[2 * row * width..][..2 * width].split_at(width);
    (upper.as_chunks().0, lower.as_chunks().0)
}
