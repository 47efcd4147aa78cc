use rayon::prelude::*;

use super::plan::{Part, Plan};

/// Where a weight stands: `group · groups + row · rows + channel · channels + tap`.
#[derive(Clone, Copy)]
pub(super) struct Strides {
    pub groups: usize,
    pub rows: usize,
    pub channels: usize,
}

/// Weights of one part in the order in which a register tile reads them: `[group][block of rows][channel, tap][row]`.
pub(super) fn weights(
    plan: &Plan,
    part: &Part,
    blocks: &[(usize, usize)],
    weights: &[f32],
    strides: Strides,
) -> Vec<f32> {
    let taps = part.taps.len();
    let depth = plan.in_channels * taps;
    let mut packed = vec![0.0; plan.groups * plan.out_channels * depth];
    if packed.is_empty() {
        return packed;
    }
    let mut slices = Vec::with_capacity(plan.groups * blocks.len());
    let mut rest = packed.as_mut_slice();
    for group in 0..plan.groups {
        for &(first, height) in blocks {
            let (slice, later) = rest.split_at_mut(height * depth);
            slices.push((&weights[group * strides.groups + first * strides.rows..], height, slice));
            rest = later;
        }
    }
    // All terms of a row lie side by side, in their order.
    let in_order = strides.channels == taps && part.taps.iter().enumerate().all(|(i, tap)| tap.index == i);
    let pack = |(from, height, to): (&[f32], usize, &mut [f32])| {
        if in_order {
            let mut rows: [&[f32]; 8] = [&[]; 8];
            for (m, row) in rows[..height].iter_mut().enumerate() {
                *row = &from[m * strides.rows..];
            }
            return interleave(&rows[..height], to, 1, depth);
        }
        for (channel, to) in to.chunks_exact_mut(taps * height).enumerate() {
            let from = &from[channel * strides.channels..];
            for (tap, to) in part.taps.iter().zip(to.chunks_exact_mut(height)) {
                for (m, to) in to.iter_mut().enumerate() {
                    *to = from[m * strides.rows + tap.index];
                }
            }
        }
    };
    // Small weights are packed sooner than a thread wakes.
    if weights.len() < 1 << 16 {
        slices.into_iter().for_each(pack)
    } else {
        slices.into_par_iter().for_each(pack)
    }
    packed
}

/// Transposes every `stride`-th of some pixels of `rows` into `to[pixel · rows.len() + row]`.
#[inline(always)]
pub(super) fn interleave(rows: &[&[f32]], to: &mut [f32], stride: usize, pixels: usize) {
    if pixels == 0 {
        return;
    }
    let width = rows.len();
    let last = (pixels - 1) * stride + 1;
    let mut first = 0;
    while width - first >= 4 {
        let [a, b, c, d] =
            [&rows[first][..last], &rows[first + 1][..last], &rows[first + 2][..last], &rows[first + 3][..last]];
        let mut pixel = 0;
        // Blocks of four by four, which the compiler turns into shuffles.
        while stride == 1 && pixel + 4 <= pixels {
            for i in pixel..pixel + 4 {
                to[i * width + first..][..4].copy_from_slice(&[a[i], b[i], c[i], d[i]]);
            }
            pixel += 4;
        }
        while pixel < pixels {
            let at = pixel * stride;
            to[pixel * width + first..][..4].copy_from_slice(&[a[at], b[at], c[at], d[at]]);
            pixel += 1;
        }
        first += 4;
    }
    while first < width {
        let row = &rows[first][..last];
        for (to, from) in to[first..].iter_mut().step_by(width).zip(row.iter().step_by(stride)) {
            *to = *from;
        }
        first += 1;
    }
}
