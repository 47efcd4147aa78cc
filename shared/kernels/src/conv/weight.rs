use std::ops::Range;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::Instructions;
use super::geometry::Geometry;
use super::interleave::{Planes, interleave};
use super::padded::Padded;
use super::plan::Plan;
use super::scratch::{odd_lines, with_scratch};
use super::tile::{Product, Start, Vector, blocks, multiply};

/// Pixels that a chunk of images has at least: shorter sums don't repay their share of the reduction.
const CHUNK: usize = 1024;
/// Floats of all partial gradients together, at most, unless one for each chunk is needed.
const PARTIAL: usize = 4 << 20;
/// Tasks that are made where the shape allows, whatever the number of threads, and the multiplications worth one.
const TASKS: usize = 32;
const TASK: usize = 2 << 20;
/// Floats of either operand, the packed input and the output gradient, that a task keeps in the second-level cache.
const PACKED: usize = 32 << 10;
/// Pixels that a pass over the weights takes from the first-level cache.
const NEAR: usize = 256;

/// The weight's gradient, `[channels out, channels in / groups, kernel height, kernel width]`.
pub(crate) fn backward_weight(arch: impl Instructions, g: &Geometry, x: &[f32], grad: &[f32]) -> Vec<f32> {
    assert!(x.len() == g.input_len() && grad.len() == g.output_len());
    let run = arch.run(Prepare { g, x, grad });
    let tasks = run.chunks * g.groups * run.out_shares * run.in_shares;
    let task = |task: usize| {
        with_scratch(run.input_len() + run.grad_len(), |scratch| {
            let (input, grad) = scratch.split_at_mut(run.input_len());
            arch.run(Task { run: &run, task, input, grad })
        })
    };
    let partial: Vec<Vec<f32>> = match rayon::current_num_threads() {
        1 => (0..tasks).map(task).collect(),
        _ => (0..tasks).into_par_iter().map(task).collect(),
    };
    run.reduced(&partial)
}

/// The bias' gradient, `[channels out]`.
pub(crate) fn backward_bias(arch: impl Instructions, g: &Geometry, grad: &[f32]) -> Vec<f32> {
    let (channels, pixels) = (g.groups * g.out_channels, g.out_pixels());
    assert!(grad.len() == channels * g.batch * pixels);
    let channel = |channel: usize| {
        let planes = (0..g.batch).map(|image| &grad[(image * channels + channel) * pixels..][..pixels]);
        planes.map(|plane| arch.run(Sum(plane))).sum::<f64>() as f32
    };
    (0..channels).into_par_iter().map(channel).collect()
}

/// The sum of a plane.
struct Sum<'a>(&'a [f32]);

impl WithSimd for Sum<'_> {
    type Output = f64;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> f64 {
        let mut lanes = [0.0_f32; 32];
        let (blocks, rest) = self.0.as_chunks::<32>();
        for block in blocks {
            for i in 0..32 {
                lanes[i] += block[i];
            }
        }
        let mut sum = 0.0;
        for value in lanes.iter().chain(rest) {
            sum += f64::from(*value);
        }
        sum
    }
}

struct Prepare<'a> {
    g: &'a Geometry,
    x: &'a [f32],
    grad: &'a [f32],
}

/// How the sums over images, output channels and input channels are divided, by shape alone.
struct Run<'a> {
    g: &'a Geometry,
    plan: Plan,
    x: &'a [f32],
    grad: &'a [f32],
    lanes: usize,
    /// Images of a chunk.
    images: usize,
    chunks: usize,
    /// Output channels of a share.
    out_share: usize,
    out_shares: usize,
    /// Input channels that lie side by side for each pixel: a vector of them, or all.
    together: usize,
    /// Blocks of `together` input channels of a share.
    in_share: usize,
    in_shares: usize,
    padded: Padded,
    /// Images and output rows whose pixels are taken at once.
    tile_images: usize,
    tile_rows: usize,
    /// Where each pixel of such a tile stands in the packed input.
    offsets: Vec<u32>,
    /// The vectors of the blocks that are packed at once, and for each lane of one block the place of its channel and tap
    /// within the block's gradient.
    vectors: Vec<Vector>,
    places: Vec<u32>,
    /// Blocks that are packed at once: two where one has an odd number of vectors, as register tiles take pairs.
    at_once: usize,
}

impl<'a> WithSimd for Prepare<'a> {
    type Output = Run<'a>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> Run<'a> {
        Run::new(self, S::F32_LANES)
    }
}

impl<'a> Run<'a> {
    fn new(Prepare { g, x, grad }: Prepare<'a>, lanes: usize) -> Self {
        let plan = Plan::forward(g);
        let pixels = g.out_pixels();
        let most = (PARTIAL / g.weight_len()).max(1);
        let images = g.batch.div_ceil((g.batch * pixels / CHUNK).clamp(1, g.batch.min(most)));
        let chunks = g.batch.div_ceil(images);

        let together = g.in_channels.min(lanes);
        let in_blocks = g.in_channels.div_ceil(together);
        let (mut out_share, mut in_share) = (g.out_channels, in_blocks);
        let tasks = (g.batch * pixels).saturating_mul(g.weight_len()) / TASK;
        let tasks = tasks.min(TASKS);
        while chunks * g.groups * g.out_channels.div_ceil(out_share) * in_blocks.div_ceil(in_share) < tasks {
            // Shares of the output channels each pack the input again; shares of the input cost less, down to two blocks,
            // which make pairs of vectors.
            if out_share > 128 || (out_share > 16 && in_share <= 2) {
                out_share = out_share.div_ceil(2).next_multiple_of(8);
            } else if in_share > 1 {
                in_share = in_share.div_ceil(2);
            } else {
                break;
            }
        }

        let phases = plan.source.phases.len();
        let room = (PACKED / out_share).min(PACKED / (together * phases)).max(64);
        let tile_rows = (room / g.output[1]).clamp(1, g.output[0]);
        let tile_images = if pixels < NEAR && tile_rows == g.output[0] { (room / pixels).clamp(1, images) } else { 1 };
        let padded = Padded::new(&plan, tile_rows, 0);
        let image = phases * padded.rows * padded.pitch;
        let offsets = (0..tile_images)
            .flat_map(|i| (0..tile_rows).map(move |row| i * image + row * padded.pitch))
            .flat_map(|row| (0..g.output[1]).map(move |col| ((row + col) * together) as u32))
            .collect();
        let (mut vectors, places) = vectors(&plan, &padded, together, lanes);
        let at_once = if vectors.len() % 2 == 1 && in_share > 1 { 2 } else { 1 };
        if at_once == 2 {
            let region = (tile_images * image * together) as u32;
            let second = vectors.clone().into_iter();
            vectors.extend(second.map(|v| Vector { source: v.source + region, out: v.out + places.len() as u32 }));
        }
        Self {
            g,
            x,
            grad,
            lanes,
            images,
            chunks,
            out_share,
            out_shares: g.out_channels.div_ceil(out_share),
            together,
            in_share,
            in_shares: in_blocks.div_ceil(in_share),
            padded,
            tile_images,
            tile_rows,
            offsets,
            vectors,
            places,
            at_once,
            plan,
        }
    }

    /// Floats of one output channel's partial gradient.
    fn row(&self) -> usize {
        self.in_share * self.places.len()
    }

    /// Floats of a tile's packed input, and two vectors that are read beyond it.
    fn input_len(&self) -> usize {
        (self.at_once * self.tile_images * self.image() + 2 * self.lanes).next_multiple_of(16)
    }

    /// Floats from one output channel of a tile's output gradient to the next, where several images' are put together.
    fn grad_row(&self) -> usize {
        odd_lines(self.tile_images * self.g.out_pixels())
    }

    /// Floats of a tile's output gradient, if it is copied.
    fn grad_len(&self) -> usize {
        if self.tile_images == 1 { 0 } else { self.out_share * self.grad_row() }
    }

    /// Floats of one image of the packed input.
    fn image(&self) -> usize {
        self.plan.source.phases.len() * self.padded.rows * self.padded.pitch * self.together
    }

    /// Where a tile's output gradient begins, and the length of an output channel's row: where it lies, if the pixels of
    /// one image suffice, else in `copy`, where those of several images follow each other.
    #[inline(always)]
    fn grad<'c>(&'c self, tile: &Tile, outs: &Range<usize>, copy: &'c mut [f32]) -> (&'c [f32], usize) {
        let pixels = self.g.out_pixels();
        let plane = |image: usize, channel: usize| {
            let plane = (image * self.g.groups + tile.group) * self.g.out_channels + outs.start + channel;
            &self.grad[plane * pixels..]
        };
        if self.tile_images == 1 {
            return (&plane(tile.images.start, 0)[tile.rows.start * self.g.output[1]..], pixels);
        }
        let row = self.grad_row();
        for channel in 0..outs.len() {
            for (image, to) in tile.images.clone().zip(copy[channel * row..].chunks_exact_mut(pixels)) {
                to.copy_from_slice(&plane(image, channel)[..pixels]);
            }
        }
        (copy, row)
    }

    /// Packs one block of input channels of a tile, pixel by pixel, with zeros around each image, which `to` had before.
    #[inline(always)]
    fn pack_input(&self, tile: &Tile, block: usize, to: &mut [f32]) {
        let (padded, source, together) = (&self.padded, &self.plan.source, self.together);
        let ([height, width], plane) = (source.size, self.g.in_pixels());
        let first = block * together;
        for (i, image) in tile.images.clone().enumerate() {
            let to = &mut to[i * self.image()..][..self.image()];
            let channel = (image * self.g.groups + tile.group) * self.g.in_channels + first;
            // Lanes beyond the last channel hold anything: their sums are not used.
            let planes = Planes { values: &self.x[channel * plane..], plane, count: self.g.in_channels - first };
            for (phase, &[fy, fx]) in source.phases.iter().enumerate() {
                let (from, until, begin) = padded.columns(source, fx);
                for row in 0..padded.rows {
                    let line = (phase * padded.rows + row) * padded.pitch;
                    let line = &mut to[(line + from) * together..(line + until) * together];
                    let y = ((tile.rows.start + row) * source.stride[0] + fy) as isize - source.begin[0];
                    match y {
                        y if y < 0 || y >= height as isize => line.fill(0.0),
                        y => interleave(planes, y as usize * width + begin, source.stride[1], together, line),
                    }
                }
            }
        }
    }

    /// Adds the chunks' partial gradients in order and puts every lane in its place.
    fn reduced(&self, partial: &[Vec<f32>]) -> Vec<f32> {
        let (g, taps) = (self.g, self.g.taps());
        let mut gradient = vec![0.0; g.weight_len()];
        gradient.par_chunks_mut(g.in_channels * taps).enumerate().for_each(|(out, gradient)| {
            let (group, channel) = (out / g.out_channels, out % g.out_channels);
            let (share, row) = (channel / self.out_share, channel % self.out_share);
            let mut sums = vec![0.0_f32; self.row()];
            for part in 0..self.in_shares {
                let values = |chunk: usize| {
                    let task = ((chunk * g.groups + group) * self.out_shares + share) * self.in_shares + part;
                    &partial[task][row * self.row()..][..self.row()]
                };
                sums.copy_from_slice(values(0));
                for chunk in 1..self.chunks {
                    sums.iter_mut().zip(values(chunk)).for_each(|(sum, value)| *sum += value);
                }
                for (block, sums) in sums.chunks_exact(self.places.len()).enumerate() {
                    let first = (part * self.in_share + block) * self.together * taps;
                    // Lanes of channels that aren't there have places beyond the last.
                    let Some(gradient) = gradient.get_mut(first..) else { break };
                    for (sum, &place) in sums.iter().zip(&self.places) {
                        if let Some(gradient) = gradient.get_mut(place as usize) {
                            *gradient = *sum;
                        }
                    }
                }
            }
        });
        gradient
    }
}

struct Tile {
    group: usize,
    images: Range<usize>,
    rows: Range<usize>,
}

/// A share of the output and input channels of one chunk of images of one group.
struct Task<'a> {
    run: &'a Run<'a>,
    task: usize,
    input: &'a mut [f32],
    grad: &'a mut [f32],
}

impl WithSimd for Task<'_> {
    type Output = Vec<f32>;

    #[allow(unsafe_code)]
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Vec<f32> {
        let (run, g) = (self.run, self.run.g);
        let (task, in_part) = (self.task / run.in_shares, self.task % run.in_shares);
        let (task, out_part) = (task / run.out_shares, task % run.out_shares);
        let (chunk, group) = (task / g.groups, task % g.groups);
        let outs = out_part * run.out_share..((out_part + 1) * run.out_share).min(g.out_channels);
        let in_blocks = g.in_channels.div_ceil(run.together);
        let ins = in_part * run.in_share..((in_part + 1) * run.in_share).min(in_blocks);
        let images = chunk * run.images..((chunk + 1) * run.images).min(g.batch);
        let blocks = blocks(outs.len(), S::F32_LANES);
        let (row, per_block) = (run.row(), run.places.len());
        let mut sums = vec![0.0; run.out_share * row];
        self.input.fill(0.0);
        for first in images.clone().step_by(run.tile_images) {
            for row_first in (0..g.output[0]).step_by(run.tile_rows) {
                let images = first..(first + run.tile_images).min(images.end);
                let rows = row_first..(row_first + run.tile_rows).min(g.output[0]);
                let pixels = images.len() * rows.len() * g.output[1];
                let tile = Tile { group, images, rows };
                let (grad, weight_row) = run.grad(&tile, &outs, self.grad);
                for block in ins.clone().step_by(run.at_once) {
                    let now = run.at_once.min(ins.end - block);
                    for (i, to) in self.input.chunks_mut(run.tile_images * run.image()).take(now).enumerate() {
                        run.pack_input(&tile, block + i, to);
                    }
                    for near in (0..pixels).step_by(NEAR) {
                        let product = Product {
                            source: self.input.as_ptr(),
                            offsets: &run.offsets[near..pixels.min(near + NEAR)],
                            vectors: &run.vectors[..now * per_block / run.lanes],
                            weights: grad[near..].as_ptr(),
                            weight_row,
                            start: Start::Output,
                            out: sums[(block - ins.start) * per_block..].as_mut_ptr(),
                            out_row: row,
                        };
                        // SAFETY: a vector of a run of taps begins within the packed input and ends less than a
                        // vector beyond it, where there are two more; the sums have room for every vector of every
                        // channel.
                        unsafe { multiply(simd, &product, &blocks) };
                    }
                }
            }
        }
        sums
    }
}

/// The vectors of one block of channels (taps side by side in the packed input share them) and the places of their
/// lanes: `channel · taps + tap`, or beyond all channels.
fn vectors(plan: &Plan, padded: &Padded, together: usize, lanes: usize) -> (Vec<Vector>, Vec<u32>) {
    let mut taps = plan.parts[0].taps.clone();
    taps.sort_by_key(|tap| (tap.phase, tap.row, tap.col));
    let (mut vectors, mut places) = (Vec::new(), Vec::new());
    for run in taps.chunk_by(|a, b| (a.phase, a.row, a.col + 1) == (b.phase, b.row, b.col)) {
        let source = ((run[0].phase * padded.rows + run[0].row) * padded.pitch + run[0].col) * together;
        let place =
            |i: usize| run.get(i / together).map_or(u32::MAX, |tap| (i % together * taps.len() + tap.index) as u32);
        for first in (0..run.len() * together).step_by(lanes) {
            vectors.push(Vector { source: (source + first) as u32, out: places.len() as u32 });
            places.extend((first..first + lanes).map(place));
        }
    }
    (vectors, places)
}
