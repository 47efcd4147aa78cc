//! Softmax and log-softmax of rows.

use pulp::Arch;

use super::math::exp_negative;
use super::{map, vectorized};

/// How many partial sums a row has, whatever the instruction set, so that each gives the same bits.
const LANES: usize = 16;

/// Replaces each row of `values` by its softmax.
pub(super) fn softmax(arch: Arch, row: usize, values: &mut [f32]) {
    vectorized(
        arch,
        values,
        #[inline(always)]
        |values| {
            for row in values.chunks_exact_mut(row) {
                shift(row);
            }
        },
    );
    // Over all rows at once: short ones would leave most of a vector idle.
    map(arch, values, exp_negative);
    vectorized(
        arch,
        values,
        #[inline(always)]
        |values| {
            for row in values.chunks_exact_mut(row) {
                let sum = reduce(row, 0.0, identity, add);
                for value in row {
                    *value /= sum;
                }
            }
        },
    );
}

/// Replaces each row of `values` by the logarithm of its softmax.
pub(super) fn log_softmax(arch: Arch, row: usize, values: &mut [f32]) {
    vectorized(
        arch,
        values,
        #[inline(always)]
        |values| {
            for row in values.chunks_exact_mut(row) {
                shift(row);
                let log_sum = reduce(row, 0.0, exp_negative, add).ln();
                for value in row {
                    *value -= log_sum;
                }
            }
        },
    );
}

/// The gradients of the input, in the place of those of the output y: `y (dy - Σ y dy)`.
pub(super) fn softmax_gradient(arch: Arch, row: usize, y: &[f32], gradients: &mut [f32]) {
    vectorized(
        arch,
        gradients,
        #[inline(always)]
        |gradients| {
            for (gradients, y) in gradients.chunks_exact_mut(row).zip(y.chunks_exact(row)) {
                for (gradient, y) in gradients.iter_mut().zip(y) {
                    *gradient *= y;
                }
                let sum = reduce(gradients, 0.0, identity, add);
                for (gradient, y) in gradients.iter_mut().zip(y) {
                    *gradient = y.mul_add(-sum, *gradient);
                }
            }
        },
    );
}

/// The gradients of the input, in the place of those of the output y: `dy - e^y Σ dy`.
pub(super) fn log_softmax_gradient(arch: Arch, row: usize, y: &[f32], gradients: &mut [f32]) {
    vectorized(
        arch,
        gradients,
        #[inline(always)]
        |gradients| {
            for (gradients, y) in gradients.chunks_exact_mut(row).zip(y.chunks_exact(row)) {
                let sum = reduce(gradients, 0.0, identity, add);
                for (gradient, &y) in gradients.iter_mut().zip(y) {
                    *gradient = exp_negative(y).mul_add(-sum, *gradient);
                }
            }
        },
    );
}

/// Subtracts the largest value of the row from each.
#[inline(always)]
fn shift(row: &mut [f32]) {
    let largest = reduce(row, f32::NEG_INFINITY, identity, larger);
    for value in row {
        *value -= largest;
    }
}

/// All `each(value)` joined, in an order that only the row's length decides.
#[inline(always)]
fn reduce(row: &[f32], start: f32, each: impl Fn(f32) -> f32, join: impl Fn(f32, f32) -> f32) -> f32 {
    let mut lanes = [start; LANES];
    let (blocks, rest) = row.as_chunks::<LANES>();
    for block in blocks {
        for (lane, &value) in lanes.iter_mut().zip(block) {
            *lane = join(*lane, each(value));
        }
    }
    for (lane, &value) in lanes.iter_mut().zip(rest) {
        *lane = join(*lane, each(value));
    }
    let mut width = LANES;
    while width > 1 {
        width /= 2;
        let (low, high) = lanes.split_at_mut(width);
        for (low, &mut high) in low.iter_mut().zip(high) {
            *low = join(*low, high);
        }
    }
    lanes[0]
}

#[inline(always)]
fn identity(x: f32) -> f32 {
    x
}

#[inline(always)]
fn add(a: f32, b: f32) -> f32 {
    a + b
}

/// A NaN loses; the sum finds it.
#[inline(always)]
fn larger(a: f32, b: f32) -> f32 {
    if b > a { b } else { a }
}
