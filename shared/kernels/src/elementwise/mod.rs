//! Activations and their derivatives on slices.
//!
//! Every task is fixed by the shape, and every sum has a fixed order: the bits depend neither on the number of threads
//! nor on the instruction set.

mod math;
mod softmax;
pub(crate) mod waves;

use std::mem::MaybeUninit;

use pulp::Arch;
use rayon::prelude::*;

use crate::output::written;
use crate::simd::vectorize;

/// About how many values a task works on at a time: their 16 KiB stay in the first cache.
const CHUNK: usize = 4096;
/// From how many values on tasks are spread over threads: below, waking one costs more than it saves.
const PARALLEL: usize = 8 * CHUNK;

/// An operation of the kernels; its derivative comes with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Activation {
    /// `e^x`
    Exp,
    /// `x Φ(x)`
    Gelu,
    /// `x σ(2u)`, u = √(2/π) (x + 0.044715 x³), which is `x (1 + tanh u) / 2`
    GeluApproximate,
    /// `x - ln Σ e^x` over the last dimension
    LogSoftmax,
    /// `σ(x) = 1 / (1 + e^-x)`
    Sigmoid,
    /// `x σ(x)`
    Silu,
    /// `e^x / Σ e^x` over the last dimension
    Softmax,
    /// `tanh x`
    Tanh,
}

impl Activation {
    /// Whether the derivative is computed from the output, not from the input.
    pub(crate) fn derives_from_output(self) -> bool {
        match self {
            Self::Exp | Self::LogSoftmax | Self::Sigmoid | Self::Softmax | Self::Tanh => true,
            Self::Gelu | Self::GeluApproximate | Self::Silu => false,
        }
    }

    /// How many values a task gets: whole rows where the operation is one of rows.
    fn chunk(self, row: usize) -> usize {
        match self {
            Self::LogSoftmax | Self::Softmax => row * (CHUNK / row).max(1),
            _ => CHUNK,
        }
    }

    /// Replaces every value by the operation's.
    fn apply(self, arch: Arch, row: usize, values: &mut [f32]) {
        match self {
            Self::Exp => map(arch, values, math::exp),
            Self::Gelu => map(arch, values, gelu),
            Self::GeluApproximate => map(arch, values, gelu_approximate),
            Self::LogSoftmax => softmax::log_softmax(arch, row, values),
            Self::Sigmoid => map(arch, values, math::sigmoid),
            Self::Silu => map(arch, values, silu),
            Self::Softmax => softmax::softmax(arch, row, values),
            Self::Tanh => map(arch, values, math::tanh),
        }
    }

    /// Replaces every gradient of the output by that of the input.
    fn differentiate(self, arch: Arch, row: usize, saved: &[f32], gradients: &mut [f32]) {
        match self {
            Self::Exp => zip(arch, saved, gradients, exp_gradient),
            Self::Gelu => zip(arch, saved, gradients, gelu_gradient),
            Self::GeluApproximate => zip(arch, saved, gradients, gelu_approximate_gradient),
            Self::LogSoftmax => softmax::log_softmax_gradient(arch, row, saved, gradients),
            Self::Sigmoid => zip(arch, saved, gradients, sigmoid_gradient),
            Self::Silu => zip(arch, saved, gradients, silu_gradient),
            Self::Softmax => softmax::softmax_gradient(arch, row, saved, gradients),
            Self::Tanh => zip(arch, saved, gradients, tanh_gradient),
        }
    }
}

/// The activation of `x`, whose last dimension has `row` values (at least 1).
pub(crate) fn forward(arch: Arch, activation: Activation, row: usize, x: &[f32]) -> Vec<f32> {
    copied(x, activation.chunk(row), |_, chunk| activation.apply(arch, row, chunk))
}

/// [`forward`] in the place of its input.
pub(crate) fn forward_in_place(arch: Arch, activation: Activation, row: usize, x: &mut [f32]) {
    each_chunk(x, activation.chunk(row), |_, chunk| activation.apply(arch, row, chunk));
}

/// The gradients of the input from those of the output; `saved` is the output where
/// [`Activation::derives_from_output`], else the input.
pub(crate) fn backward(arch: Arch, activation: Activation, row: usize, saved: &[f32], gradients: &[f32]) -> Vec<f32> {
    assert_eq!(saved.len(), gradients.len());
    copied(gradients, activation.chunk(row), |start, chunk| {
        activation.differentiate(arch, row, &saved[start..][..chunk.len()], chunk);
    })
}

/// [`backward`] in the place of the output's gradients.
pub(crate) fn backward_in_place(arch: Arch, activation: Activation, row: usize, saved: &[f32], gradients: &mut [f32]) {
    assert_eq!(saved.len(), gradients.len());
    each_chunk(gradients, activation.chunk(row), |start, chunk| {
        activation.differentiate(arch, row, &saved[start..][..chunk.len()], chunk);
    });
}

#[inline(always)]
fn exp_gradient(y: f32, dy: f32) -> f32 {
    dy * y
}

#[inline(always)]
fn gelu(x: f32) -> f32 {
    x * math::normal(x).0
}

#[inline(always)]
fn gelu_gradient(x: f32, dy: f32) -> f32 {
    let (cdf, density) = math::normal(x);
    dy * x.mul_add(density, cdf)
}

/// 2√(2/π)
const TWICE_SQRT_2_OVER_PI: f32 = 1.595_769;
const CUBIC: f32 = 0.044_715;

/// σ(2u)
#[inline(always)]
fn gelu_approximate_gate(x: f32) -> f32 {
    let square = x * x;
    math::sigmoid(TWICE_SQRT_2_OVER_PI * x * square.mul_add(CUBIC, 1.0))
}

#[inline(always)]
fn gelu_approximate(x: f32) -> f32 {
    x * gelu_approximate_gate(x)
}

#[inline(always)]
fn gelu_approximate_gradient(x: f32, dy: f32) -> f32 {
    let gate = gelu_approximate_gate(x);
    // Products in the order of Burn's graph, so that they overflow where its do.
    let inner = dy * x * (gate * (1.0 - gate)) * TWICE_SQRT_2_OVER_PI;
    dy * gate + inner + inner * CUBIC * (3.0 * (x * x))
}

#[inline(always)]
fn silu(x: f32) -> f32 {
    x * math::sigmoid(x)
}

#[inline(always)]
fn silu_gradient(x: f32, dy: f32) -> f32 {
    let gate = math::sigmoid(x);
    // As above.
    dy * gate + sigmoid_gradient(gate, dy * x)
}

#[inline(always)]
fn sigmoid_gradient(y: f32, dy: f32) -> f32 {
    dy * y * (1.0 - y)
}

#[inline(always)]
fn tanh_gradient(y: f32, dy: f32) -> f32 {
    dy * y.mul_add(-y, 1.0)
}

fn map(arch: Arch, values: &mut [f32], f: impl Fn(f32) -> f32) {
    vectorized(
        arch,
        values,
        #[inline(always)]
        |values| {
            for value in values {
                *value = f(*value);
            }
        },
    );
}

fn zip(arch: Arch, saved: &[f32], gradients: &mut [f32], f: impl Fn(f32, f32) -> f32) {
    vectorized(
        arch,
        gradients,
        #[inline(always)]
        |gradients| {
            for (gradient, &saved) in gradients.iter_mut().zip(saved) {
                *gradient = f(saved, *gradient);
            }
        },
    );
}

/// Runs `f`, an `#[inline(always)]` closure, on `values` with the instructions of `arch`.
fn vectorized(arch: Arch, values: &mut [f32], f: impl Fn(&mut [f32])) {
    vectorize(
        arch,
        #[inline(always)]
        || f(values),
    );
}

/// `change` of each chunk of `values`, with its place in them; a chunk is copied just before, so that the first cache
/// has it.
#[allow(unsafe_code)]
fn copied(values: &[f32], chunk: usize, change: impl Fn(usize, &mut [f32]) + Sync) -> Vec<f32> {
    let write = |out: &mut [MaybeUninit<f32>]| {
        each_chunk(out, chunk, |start, chunk| {
            let len = chunk.len();
            change(start, chunk.write_copy_of_slice(&values[start..][..len]));
        });
    };
    // SAFETY: the chunks make up the whole slice, and each is written before it is changed.
    unsafe { written(values.len(), write) }
}

/// Runs `change` on each chunk of `values`, with its place in them.
fn each_chunk<T: Send>(values: &mut [T], chunk: usize, change: impl Fn(usize, &mut [T]) + Sync) {
    if values.len() < PARALLEL {
        values.chunks_mut(chunk).enumerate().for_each(|(i, values)| change(i * chunk, values));
    } else {
        values.par_chunks_mut(chunk).enumerate().for_each(|(i, values)| change(i * chunk, values));
    }
}

#[cfg(test)]
mod tests;
