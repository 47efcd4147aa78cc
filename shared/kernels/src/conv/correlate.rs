use std::borrow::Cow;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::Instructions;
use super::direct::Direct;
use super::gathered::Gathered;
use super::geometry::Geometry;
use super::padded::Padded;
use super::plan::{Part, Plan};
use super::tile::{Start, blocks};
use super::turned::turned;

/// The output, `[batch, channels out, height, width]`.
pub(crate) fn forward(
    arch: impl Instructions,
    g: &Geometry,
    x: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
) -> Vec<f32> {
    assert!(x.len() == g.input_len() && weight.len() == g.weight_len());
    assert!(bias.is_none_or(|bias| bias.len() == g.groups * g.out_channels));
    let plan = Plan::forward(g);
    // All terms of an output channel lie side by side, in the order of the taps.
    correlate(arch, &plan, x, vec![Cow::Borrowed(weight)], bias)
}

/// The input's gradient, `[batch, channels in, height, width]`.
pub(crate) fn backward_input(arch: impl Instructions, g: &Geometry, weight: &[f32], grad: &[f32]) -> Vec<f32> {
    assert!(grad.len() == g.output_len() && weight.len() == g.weight_len());
    let plan = Plan::backward_input(g);
    let weights = plan.parts.iter().map(|part| Cow::Owned(turned(&plan, part, weight))).collect();
    correlate(arch, &plan, grad, weights, None)
}

fn correlate(
    arch: impl Instructions,
    plan: &Plan,
    source: &[f32],
    weights: Vec<Cow<'_, [f32]>>,
    bias: Option<&[f32]>,
) -> Vec<f32> {
    let lanes = arch.run(Lanes);
    let blocks = blocks(plan.out_channels, lanes);
    let len = plan.batch * plan.groups * plan.out_channels * plan.out[0] * plan.out[1];
    let mut out = Vec::with_capacity(len);
    let run = Run { plan, lanes, blocks, weights, source, bias, out: Shared(out.as_mut_ptr()) };
    match run.gathers() {
        true => Gathered::new(&run).compute(arch),
        false => Direct::new(&run).compute(arch),
    }
    // SAFETY: the tasks of either together have written every row of every output plane.
    #[allow(unsafe_code)]
    unsafe {
        out.set_len(len);
    }
    out
}

/// The number of floats in a vector.
struct Lanes;

impl WithSimd for Lanes {
    type Output = usize;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> usize {
        S::F32_LANES
    }
}

/// A correlation to be computed: what both ways of doing it have in common.
pub(super) struct Run<'a> {
    pub plan: &'a Plan,
    /// Floats in a vector.
    pub lanes: usize,
    /// Blocks of output channels.
    pub blocks: Vec<(usize, usize)>,
    /// For each part, `[group][channel out][channel in, tap]`.
    weights: Vec<Cow<'a, [f32]>>,
    source: &'a [f32],
    bias: Option<&'a [f32]>,
    out: Shared,
}

/// An output that tasks write in pieces of their own.
struct Shared(*mut f32);

// SAFETY: no two tasks write the same element, and nothing is read that another task writes.
#[allow(unsafe_code)]
unsafe impl Sync for Shared {}

impl Run<'_> {
    /// Whether rows are so short that gathering pixels into full vectors beats vectors that end in a row.
    fn gathers(&self) -> bool {
        let width = self.plan.size()[1];
        let short = self.plan.parts.iter().any(|part| part.size[1] < self.lanes);
        short || self.plan.out_channels * (width.next_multiple_of(self.lanes) - width) > 10 * width
    }

    /// Into how many shares of the output channels each of `all` tasks is divided, so that every thread has some.
    pub(super) fn shares(&self, all: usize) -> usize {
        match rayon::current_num_threads() {
            1 => 1,
            threads => (2 * threads).div_ceil(all).min(self.blocks.len()),
        }
    }

    /// The blocks of output channels of one share.
    pub(super) fn share(&self, share: usize, shares: usize) -> &[(usize, usize)] {
        let each = self.blocks.len().div_ceil(shares);
        let first = (share * each).min(self.blocks.len());
        &self.blocks[first..(first + each).min(self.blocks.len())]
    }

    /// The source planes of one group of one image from `channel` on.
    pub(super) fn planes(&self, image: usize, group: usize, channel: usize) -> &[f32] {
        let plan = self.plan;
        let plane = plan.source.size[0] * plan.source.size[1];
        let first = (image * plan.groups + group) * plan.in_channels;
        &self.source[(first + channel) * plane..(first + plan.in_channels) * plane]
    }

    /// Where the weights of one group and part begin that meet the source's `channel`, and the length of a row of them.
    pub(super) fn weights(&self, part: usize, group: usize, channel: usize) -> (*const f32, usize) {
        let taps = self.plan.parts[part].taps.len();
        let row = self.plan.in_channels * taps;
        (self.weights[part][group * self.plan.out_channels * row + channel * taps..].as_ptr(), row)
    }

    /// What the sums that take up `channel` first start from.
    pub(super) fn start(&self, group: usize, channel: usize) -> Start {
        match (channel, self.bias) {
            (0, None) => Start::Zero,
            (0, Some(bias)) => Start::Bias(bias[group * self.plan.out_channels..].as_ptr()),
            _ => Start::Output,
        }
    }

    /// Where a row of outputs begins.
    #[allow(unsafe_code)]
    pub(super) fn out_row(&self, image: usize, group: usize, channel: usize, part: &Part, row: usize) -> *mut f32 {
        let plan = self.plan;
        let plane = (image * plan.groups + group) * plan.out_channels + channel;
        let at = (plane * plan.out[0] + part.first[0] + row * plan.step[0]) * plan.out[1] + part.first[1];
        debug_assert!(row < part.size[0] && channel < plan.out_channels);
        // SAFETY: within the output.
        unsafe { self.out.0.add(at) }
    }

    /// Input channels that are taken at once, when the first-level cache has room for `most` of them.
    pub(super) fn channels(&self, most: usize) -> usize {
        self.plan.in_channels.div_ceil(self.plan.in_channels.div_ceil(most.max(1)))
    }
}

/// The offsets of all terms of `channels` channels in a padded source.
pub(super) fn offsets(part: &Part, padded: &Padded, channels: usize) -> Vec<u32> {
    (0..channels).flat_map(|channel| part.taps.iter().map(move |tap| padded.offset(channel, tap))).collect()
}

/// Runs tasks that are fixed by the shape, many at a time where they are small.
pub(super) fn each_task(tasks: usize, run: impl Fn(usize) + Sync + Send) {
    match rayon::current_num_threads() {
        1 => (0..tasks).for_each(run),
        _ if tasks == 1 => run(0),
        threads => (0..tasks).into_par_iter().with_min_len(tasks / (16 * threads)).for_each(run),
    }
}

/// # Safety
///
/// `values.len()` floats, `step` apart, can be written from `to` on.
#[allow(unsafe_code)]
#[inline(always)]
pub(super) unsafe fn write_strided(values: &[f32], to: *mut f32, step: usize) {
    // SAFETY: the caller's promise.
    unsafe {
        if step == 1 {
            let (fours, rest) = values.as_chunks::<4>();
            for (i, four) in fours.iter().enumerate() {
                to.add(4 * i).cast::<[f32; 4]>().write(*four);
            }
            for (i, value) in rest.iter().enumerate() {
                to.add(4 * fours.len() + i).write(*value);
            }
            return;
        }
        for (i, value) in values.iter().enumerate() {
            to.add(i * step).write(*value);
        }
    }
}
