use pulp::{Simd, WithSimd};

use super::Instructions;
use super::correlate::{Run, each_task, offsets, write_strided};
use super::padded::Padded;
use super::plan::Part;
use super::scratch::{odd_lines, with_scratch};
use super::tile::{Product, Vector, multiply};

/// Bytes of the padded source that a task keeps in the second-level cache.
const SOURCE: usize = 192 << 10;
/// Bytes of it that one pass over the output channels finds in the first-level cache.
const NEAR: usize = 16 << 10;
/// Bytes of a channel's row, about, that a few vectors of outputs read.
const LINES: usize = 160;

/// A correlation whose vectors are pixels of one row, read where they lie in the padded source.
///
/// The last vector of a row overlaps the one before where the row isn't a multiple of a vector: both compute the same.
pub(super) struct Direct<'a> {
    run: &'a Run<'a>,
    padded: Padded,
    /// Input channels that are taken at once.
    channels: usize,
    /// Output rows of a tile, and tiles of an image.
    rows: usize,
    tiles: usize,
    shares: usize,
    /// Offsets and vectors of each part.
    parts: Vec<(Vec<u32>, Vec<Vector>)>,
    /// Floats of an output channel's tile where it is staged; 0 where it is written at once.
    stage: usize,
}

impl<'a> Direct<'a> {
    pub(super) fn new(run: &'a Run<'a>) -> Self {
        let plan = run.plan;
        let [height, width] = plan.size();
        let channels = run.channels(NEAR / (LINES * (plan.reach[0] + 1)));
        let per_row = 4 * channels * plan.source.phases.len() * (width + plan.reach[1]);
        let mut rows = (SOURCE / per_row).saturating_sub(plan.reach[0]).clamp(1, height);
        let (threads, planes) = (rayon::current_num_threads(), plan.batch * plan.groups);
        if threads > 1 && planes * height.div_ceil(rows) < 4 * threads {
            rows = rows.min(height.div_ceil((4 * threads).div_ceil(planes)).max(4));
        }
        let tiles = height.div_ceil(rows);
        let padded = Padded::new(plan, rows, 0);
        // Sums that are taken up again must not overlap, and strided outputs are not side by side.
        let overlap = plan.parts.iter().any(|part| !part.size[1].is_multiple_of(run.lanes));
        let staged = plan.step[1] != 1 || (channels < plan.in_channels && overlap);
        let vectors = |part: &Part| vectors(run, part, &padded, rows, staged);
        let parts: Vec<_> = plan.parts.iter().map(|part| (offsets(part, &padded, channels), vectors(part))).collect();
        let most = parts.iter().map(|part| part.1.len()).max().unwrap_or(0);
        let stage = if staged { odd_lines(most * run.lanes) } else { 0 };
        Self { run, padded, channels, rows, tiles, shares: run.shares(planes * tiles), parts, stage }
    }

    pub(super) fn compute(&self, arch: impl Instructions) {
        let plan = self.run.plan;
        let source = self.channels * self.padded.plane;
        let stage = plan.parts.len() * plan.out_channels * self.stage;
        each_task(plan.batch * plan.groups * self.tiles * self.shares, |task| {
            with_scratch(source + stage, |scratch| {
                let (source, stage) = scratch.split_at_mut(source);
                arch.run(Task { direct: self, task, source, stage });
            });
        });
    }
}

fn vectors(run: &Run<'_>, part: &Part, padded: &Padded, rows: usize, staged: bool) -> Vec<Vector> {
    let [height, width] = part.size;
    let mut vectors = Vec::new();
    for row in 0..rows.min(height) {
        for col in columns(width, run.lanes) {
            let out = match staged {
                true => vectors.len() * run.lanes,
                false => row * run.plan.step[0] * run.plan.out[1] + col,
            };
            vectors.push(Vector { source: (row * padded.pitch + col) as u32, out: out as u32 });
        }
    }
    vectors
}

/// Where the vectors of a row of `width` pixels begin.
#[inline(always)]
fn columns(width: usize, lanes: usize) -> impl Iterator<Item = usize> {
    (0..width.div_ceil(lanes)).map(move |i| (i * lanes).min(width - lanes))
}

/// One tile of one group of one image, and a share of its output channels.
struct Task<'a> {
    direct: &'a Direct<'a>,
    task: usize,
    source: &'a mut [f32],
    stage: &'a mut [f32],
}

impl WithSimd for Task<'_> {
    type Output = ();

    #[allow(unsafe_code)]
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Direct { run, padded, channels, rows, tiles, shares, ref parts, stage } = *self.direct;
        let plan = run.plan;
        let (plane, rest) = (self.task / (tiles * shares), self.task % (tiles * shares));
        let (image, group) = (plane / plan.groups, plane % plan.groups);
        let (first, share) = (rest / shares * rows, rest % shares);
        let blocks = run.share(share, shares);
        self.source.fill(0.0);
        for channel in (0..plan.in_channels).step_by(channels) {
            let now = channels.min(plan.in_channels - channel);
            padded.copy(&plan.source, run.planes(image, group, channel), now, first, self.source);
            for (p, (part, (offsets, vectors))) in plan.parts.iter().zip(parts).enumerate() {
                let rows = rows.min(part.size[0].saturating_sub(first));
                if rows == 0 {
                    continue;
                }
                let taps = part.taps.len();
                let (out, out_row) = match stage {
                    0 => (run.out_row(image, group, 0, part, first), plan.out[0] * plan.out[1]),
                    _ => (self.stage[p * plan.out_channels * stage..].as_mut_ptr(), stage),
                };
                let (weights, weight_row) = run.weights(p, group, channel);
                let product = Product {
                    source: self.source.as_ptr(),
                    offsets: &offsets[..now * taps],
                    vectors: &vectors[..rows * part.size[1].div_ceil(run.lanes)],
                    weights,
                    weight_row,
                    start: run.start(group, channel),
                    out,
                    out_row,
                };
                // SAFETY: vectors end within a row of the padded source, whose taps reach no farther than the plan's
                // `reach`, and within a row of the output or a place of their own on the stage; they overlap only where
                // all channels are taken at once.
                unsafe { multiply(simd, &product, blocks) };
            }
        }
        if stage == 0 {
            return;
        }
        for (p, part) in plan.parts.iter().enumerate() {
            let width = part.size[1];
            let per_row = width.div_ceil(run.lanes);
            for channel in blocks.iter().flat_map(|&(first, height)| first..first + height) {
                let values = &self.stage[(p * plan.out_channels + channel) * stage..][..stage];
                for row in 0..rows.min(part.size[0].saturating_sub(first)) {
                    let out = run.out_row(image, group, channel, part, first + row);
                    let values = values[row * per_row * run.lanes..].chunks_exact(run.lanes);
                    for (col, values) in columns(width, run.lanes).zip(values) {
                        // SAFETY: columns of this part, in a row of this task.
                        unsafe { write_strided(values, out.add(col * plan.step[1]), plan.step[1]) };
                    }
                }
            }
        }
    }
}
