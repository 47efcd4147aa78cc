use pulp::{Simd, WithSimd};

use super::Instructions;
use super::correlate::{Run, each_task, offsets, write_strided};
use super::padded::Padded;
use super::scratch::{odd_lines, with_scratch};
use super::tile::{Product, Vector, multiply};

/// Terms of a sum that one pass over the output channels takes from a panel in the first-level cache.
const DEPTH: usize = 192;
/// Pixels of a panel, at most (if vectors aren't longer than that).
const PIXELS: usize = 64;

/// A correlation whose vectors are pixels of several short rows, and images, gathered into a panel: a line for each
/// channel and tap.
pub(super) struct Gathered<'a> {
    run: &'a Run<'a>,
    padded: Padded,
    /// Input channels that are taken at once.
    channels: usize,
    /// Rows of outputs in a panel, counted through the images, and panels of all of them.
    rows: usize,
    panels: usize,
    shares: usize,
    /// Of each part.
    offsets: Vec<Vec<u32>>,
    /// Floats from one line of a panel to the next, and lines.
    pitch: usize,
    depth: usize,
}

impl<'a> Gathered<'a> {
    pub(super) fn new(run: &'a Run<'a>) -> Self {
        let plan = run.plan;
        let [height, width] = plan.size();
        let taps = plan.parts.iter().map(|part| part.taps.len()).max().unwrap_or(0).max(1);
        let channels = run.channels(DEPTH / taps);
        let rows = best_rows(width, run.lanes).min(plan.batch * height);
        let panels = (plan.batch * height).div_ceil(rows);
        let padded = Padded::new(plan, rows.min(height), run.lanes);
        Self {
            run,
            padded,
            channels,
            rows,
            panels,
            shares: run.shares(plan.groups * panels),
            offsets: plan.parts.iter().map(|part| offsets(part, &padded, channels)).collect(),
            pitch: odd_lines(rows * width + run.lanes),
            depth: channels * taps,
        }
    }

    pub(super) fn compute(&self, arch: impl Instructions) {
        let plan = self.run.plan;
        let source = self.channels * self.padded.plane;
        let (panel, sums) = (self.depth * self.pitch, plan.out_channels * self.pitch);
        each_task(plan.groups * self.panels * self.shares, |task| {
            with_scratch(source + panel + sums, |scratch| {
                let (source, rest) = scratch.split_at_mut(source);
                let (panel, sums) = rest.split_at_mut(panel);
                arch.run(Task { gathered: self, task, source, panel, sums });
            });
        });
    }
}

/// Rows of `width` pixels that fill vectors best, within the size of a panel.
fn best_rows(width: usize, lanes: usize) -> usize {
    let most = (PIXELS.max(lanes) / width).max(1);
    let fill = |rows: usize| (rows * width) as f64 / (rows * width).next_multiple_of(lanes) as f64;
    (1..=most).max_by(|a, b| fill(*a).total_cmp(&fill(*b))).unwrap_or(1)
}

/// One panel of one group, and a share of its output channels.
struct Task<'a> {
    gathered: &'a Gathered<'a>,
    task: usize,
    source: &'a mut [f32],
    panel: &'a mut [f32],
    sums: &'a mut [f32],
}

impl WithSimd for Task<'_> {
    type Output = ();

    #[allow(unsafe_code)]
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Gathered { run, padded, channels, rows, panels, shares, ref offsets, pitch, depth } = *self.gathered;
        let plan = run.plan;
        let (group, rest) = (self.task / (panels * shares), self.task % (panels * shares));
        let (first, share) = (rest / shares * rows, rest % shares);
        let blocks = run.share(share, shares);
        let lines: Vec<_> = (0..depth as u32).map(|line| line * pitch as u32).collect();
        let vectors: Vec<_> = (0..(rows * plan.size()[1]).div_ceil(run.lanes) as u32)
            .map(|i| i * run.lanes as u32)
            .map(|at| Vector { source: at, out: at })
            .collect();
        self.source.fill(0.0);
        for (p, (part, offsets)) in plan.parts.iter().zip(offsets).enumerate() {
            let [height, width] = part.size;
            let last = (first + rows).min(plan.batch * height);
            if first >= last {
                continue;
            }
            let taps = part.taps.len();
            for channel in (0..plan.in_channels).step_by(channels) {
                let now = channels.min(plan.in_channels - channel);
                let mut at = first;
                while at < last {
                    let (image, row) = (at / height, at % height);
                    let count = (last - at).min(height - row);
                    padded.copy(&plan.source, run.planes(image, group, channel), now, row, self.source);
                    for (line, &offset) in self.panel.chunks_exact_mut(pitch).zip(&offsets[..now * taps]) {
                        let line = &mut line[(at - first) * width..];
                        gather::<S>(&self.source[offset as usize..], padded.pitch, width, line, count);
                    }
                    at += count;
                }
                let (weights, weight_row) = run.weights(p, group, channel);
                let product = Product {
                    source: self.panel.as_ptr(),
                    offsets: &lines[..now * taps],
                    vectors: &vectors[..((last - first) * width).div_ceil(run.lanes)],
                    weights,
                    weight_row,
                    start: run.start(group, channel),
                    out: self.sums.as_mut_ptr(),
                    out_row: pitch,
                };
                // SAFETY: lines of the panel are a vector longer than its pixels, and so are the sums.
                unsafe { multiply(simd, &product, blocks) };
            }
            // Rows that end where the next begins are written at once.
            let together = if plan.step == [1, 1] { height } else { 1 };
            for channel in blocks.iter().flat_map(|&(first, height)| first..first + height) {
                let sums = &self.sums[channel * pitch..];
                let mut at = first;
                while at < last {
                    let count = together.min(height - at % height).min(last - at);
                    let values = &sums[(at - first) * width..][..count * width];
                    let out = run.out_row(at / height, group, channel, part, at % height);
                    // SAFETY: the columns of this part, in rows of this task.
                    unsafe { write_strided(values, out, plan.step[1]) };
                    at += count;
                }
            }
        }
    }
}

/// Copies `count` rows of `width` floats, `pitch` apart, one after the other; up to a vector beyond them is overwritten.
#[allow(unsafe_code)]
#[inline(always)]
fn gather<S: Simd>(source: &[f32], pitch: usize, width: usize, line: &mut [f32], count: usize) {
    let lanes = if width <= 4 { 4 } else { S::F32_LANES };
    assert!(source.len() >= (count - 1) * pitch + width.next_multiple_of(lanes));
    assert!(line.len() >= (count - 1) * width + width.next_multiple_of(lanes));
    let (mut from, mut to) = (source.as_ptr(), line.as_mut_ptr());
    for row in 0..count {
        let mut col = 0;
        while col < width {
            // SAFETY: within what was asserted above.
            unsafe {
                match lanes {
                    4 => to.add(col).cast::<[f32; 4]>().write(from.add(col).cast::<[f32; 4]>().read()),
                    _ => {
                        to.add(col).cast::<S::f32s>().write_unaligned(from.add(col).cast::<S::f32s>().read_unaligned())
                    }
                }
            }
            col += lanes;
        }
        if row + 1 < count {
            // SAFETY: the next row lies within both.
            unsafe {
                from = from.add(pitch);
                to = to.add(width);
            }
        }
    }
}
