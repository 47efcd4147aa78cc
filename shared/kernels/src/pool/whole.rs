//! The window that is the whole plane.

use super::{exceeds, zeroed};
use crate::simd::vectorize;
use pulp::Arch;
use std::mem::MaybeUninit;

const LANES: usize = 16;

pub(super) fn max(arch: Arch, x: &[f32], y: &mut [MaybeUninit<f32>]) {
    y[0].write(x[largest(arch, x)]);
}

pub(super) fn max_backward(arch: Arch, x: &[f32], gradient: f32, out: &mut [MaybeUninit<f32>]) {
    zeroed(out)[largest(arch, x)] = gradient;
}

pub(super) fn avg(arch: Arch, x: &[f32], y: &mut [MaybeUninit<f32>]) {
    let sum = vectorize(
        arch,
        #[inline(always)]
        || {
            let (chunks, rest) = x.as_chunks::<LANES>();
            let mut lanes = [0.0; LANES];
            for chunk in chunks {
                for (lane, value) in lanes.iter_mut().zip(chunk) {
                    *lane += value;
                }
            }
            lanes.iter().chain(rest).sum::<f32>()
        },
    );
    y[0].write(sum / x.len() as f32);
}

/// The place of the last NaN, or else of the first of the largest values.
fn largest(arch: Arch, x: &[f32]) -> usize {
    let best = vectorize(
        arch,
        #[inline(always)]
        || {
            let (chunks, rest) = x.as_chunks::<LANES>();
            let mut lanes = [f32::NEG_INFINITY; LANES];
            for chunk in chunks {
                for (lane, value) in lanes.iter_mut().zip(chunk) {
                    *lane = if exceeds(*value, *lane) { *value } else { *lane };
                }
            }
            lanes.iter().chain(rest).fold(f32::NEG_INFINITY, |best, v| if exceeds(*v, best) { *v } else { best })
        },
    );
    let place =
        if best.is_nan() { x.iter().rposition(|v| v.is_nan()) } else { x.iter().position(|value| *value == best) };
    place.expect("one of the values")
}
