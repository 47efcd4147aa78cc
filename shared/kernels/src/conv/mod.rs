//! Direct 2-d convolution on f32 slices in NCHW order, forward and backward, without im2col.
//!
//! All three passes come down to one register tile ([`tile`]): `out[m, v] += Σₖ weights[k, m] · source[offset(k) + v]`,
//! where `v` runs over the lanes of a few vectors and the offsets are a table.
//!
//! - Forward and input gradient ([`correlate`]): vectors are pixels of a zero-padded copy of some rows of an image, split
//!   by stride phase, in which each tap (channel, ky, kx) is the same pixel moved by a constant.
//! - Weight gradient ([`weight`]): vectors are channels of a pixel-major copy, the table runs over the pixels, and the
//!   output gradient stands in the place of the weights.
//!
//! Every output value is summed in an order that its geometry alone decides.

mod correlate;
mod direct;
mod gathered;
mod geometry;
mod interleave;
mod padded;
mod plan;
mod scratch;
mod tile;
mod turned;
mod weight;

use pulp::{Arch, WithSimd};

pub(crate) use correlate::{backward_input, forward};
pub(crate) use geometry::Geometry;
pub(crate) use weight::{backward_bias, backward_weight};

/// What an operation is run with: an instruction set of the processor.
pub(crate) trait Instructions: Copy + Send + Sync {
    /// Runs `operation` compiled for these instructions.
    fn run<Op: WithSimd>(self, operation: Op) -> Op::Output;
}

impl Instructions for Arch {
    #[inline(always)]
    fn run<Op: WithSimd>(self, operation: Op) -> Op::Output {
        self.dispatch(operation)
    }
}

#[cfg(test)]
mod tests;
