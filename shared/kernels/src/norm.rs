//! Batch norm over cells of the tensor: slices of neighboring values, each place of which is a column.
//!
//! Within a cell each column is summed by itself, in f32; the columns of a channel and the cells are added in f64, in an
//! order that only the shape fixes: the threads don't change a bit.

mod grid;
#[cfg(test)]
mod tests;

use crate::output::written;
use crate::simd::vectorize;
use grid::{Cell, Columns, Output};
use pulp::Arch;

pub(crate) use grid::Grid;

/// Scale, shift and statistics by channel.
#[derive(Clone, Copy)]
pub(crate) struct Channels<'a> {
    pub(crate) gamma: &'a [f32],
    pub(crate) mean: &'a [f32],
    pub(crate) variance: &'a [f32],
    pub(crate) epsilon: f64,
}

impl Channels<'_> {
    /// 1/σ of a channel.
    fn inverse_deviation(&self, channel: usize) -> f64 {
        inverse_deviation(self.variance[channel] as f64, self.epsilon)
    }

    /// γ/σ of a channel.
    fn scale(&self, channel: usize) -> f32 {
        (self.gamma[channel] as f64 * self.inverse_deviation(channel)) as f32
    }
}

/// What [`forward_train`] returns: the output, the mean and the biased variance.
pub(crate) struct Normalized {
    pub(crate) output: Vec<f32>,
    pub(crate) mean: Vec<f32>,
    pub(crate) variance: Vec<f32>,
}

/// The gradients of a backward pass; `x` only where it is asked for.
pub(crate) struct Gradients {
    pub(crate) x: Option<Vec<f32>>,
    pub(crate) gamma: Vec<f32>,
    pub(crate) beta: Vec<f32>,
}

/// (x - mean) / √(variance + ε) · γ + β with the statistics of `x`.
pub(crate) fn forward_train(
    arch: Arch,
    grid: &Grid,
    x: &[f32],
    gamma: &[f32],
    beta: &[f32],
    epsilon: f64,
) -> Normalized {
    let mut channels = Vec::new();
    let output = |output: &Output<'_>| {
        channels = grid.by_channel(
            |cell| moments(arch, cell, x),
            |channel, cells| {
                let (mean, variance) = merge(cells);
                let scale = gamma[channel] as f64 * inverse_deviation(variance, epsilon);
                Affine { mean: mean as f32, variance: variance as f32, scale: scale as f32, shift: beta[channel] }
            },
            |cell, channels| normalize(arch, cell, x, channels, output),
        );
    };
    let output = written_cells(grid, output);
    Normalized {
        output,
        mean: channels.iter().map(|channel| channel.mean).collect(),
        variance: channels.iter().map(|channel| channel.variance).collect(),
    }
}

/// (x - mean) / √(variance + ε) · γ + β with given statistics.
pub(crate) fn forward(arch: Arch, grid: &Grid, x: &[f32], beta: &[f32], channels: Channels<'_>) -> Vec<f32> {
    let Channels { mean, variance, .. } = channels;
    let affine: Vec<_> = (0..grid.channels)
        .map(|c| Affine { mean: mean[c], variance: variance[c], scale: channels.scale(c), shift: beta[c] })
        .collect();
    written_cells(grid, |output| {
        grid.for_each(|cell| normalize(arch, cell, x, &affine[cell.channels.clone()], output));
    })
}

/// The gradients of [`forward_train`], through the statistics.
pub(crate) fn backward_train(
    arch: Arch,
    grid: &Grid,
    x: &[f32],
    gradient: &[f32],
    channels: Channels<'_>,
    wants_x: bool,
) -> Gradients {
    let per_channel = 1.0 / grid.per_channel() as f64;
    let slope = |channel: usize, cells: CellSums<'_>| {
        let [beta, gamma] = add(cells);
        let inverse = channels.inverse_deviation(channel);
        Slope {
            mean: channels.mean[channel],
            tilt: (inverse as f32 as f64 * gamma * per_channel) as f32,
            offset: (beta * per_channel) as f32,
            scale: channels.scale(channel),
            gamma: gamma as f32,
            beta: beta as f32,
        }
    };
    let reduce = |cell: &Cell| products(arch, cell, x, gradient, channels);
    let mut slopes = Vec::new();
    let x = if wants_x {
        Some(written_cells(grid, |output| {
            slopes = grid.by_channel(reduce, slope, |cell, slopes| descend(arch, cell, x, gradient, slopes, output));
        }))
    } else {
        slopes = grid.by_channel(reduce, slope, |_, _| {});
        None
    };
    Gradients {
        x,
        gamma: slopes.iter().map(|slope| slope.gamma).collect(),
        beta: slopes.iter().map(|slope| slope.beta).collect(),
    }
}

/// The gradient of [`forward`] with respect to its input.
pub(crate) fn backward_x(arch: Arch, grid: &Grid, gradient: &[f32], channels: Channels<'_>) -> Vec<f32> {
    let scales: Vec<_> = (0..grid.channels).map(|channel| channels.scale(channel)).collect();
    written_cells(grid, |output| {
        grid.for_each(|cell| {
            let scale = Columns::spread(cell, |channel| scales[channel]);
            vectorize(
                arch,
                #[inline(always)]
                || {
                    for slice in cell.slices() {
                        for ((out, g), a) in output.slice(&slice).iter_mut().zip(&gradient[slice]).zip(&*scale) {
                            out.write(g * a);
                        }
                    }
                },
            );
        });
    })
}

/// The gradients of [`forward`] with respect to γ and β.
pub(crate) fn backward_affine(
    arch: Arch,
    grid: &Grid,
    x: &[f32],
    gradient: &[f32],
    channels: Channels<'_>,
) -> (Vec<f32>, Vec<f32>) {
    let sums = grid.by_channel(
        |cell| products(arch, cell, x, gradient, channels),
        |_, cells| add(cells).map(|sum| sum as f32),
        |_, _| {},
    );
    (sums.iter().map(|sum| sum[1]).collect(), sums.iter().map(|sum| sum[0]).collect())
}

/// y = (x - mean) · scale + shift of one channel.
///
/// The mean is taken off first, as Burn does: an infinite scale must not meet it.
struct Affine {
    mean: f32,
    variance: f32,
    scale: f32,
    shift: f32,
}

/// dx = ((dy - offset) - (x - mean) · tilt) · scale of one channel, with the gradients of γ and β.
struct Slope {
    mean: f32,
    tilt: f32,
    offset: f32,
    scale: f32,
    gamma: f32,
    beta: f32,
}

/// The two sums of one channel in each of its cells, with the number of the values.
type CellSums<'a> = &'a mut dyn Iterator<Item = (f64, [f64; 2])>;

fn inverse_deviation(variance: f64, epsilon: f64) -> f64 {
    1.0 / (variance + epsilon).sqrt()
}

fn written_cells(grid: &Grid, write: impl FnOnce(&Output<'_>)) -> Vec<f32> {
    // SAFETY: the cells cover the grid, and each of their slices is written in whole.
    #[allow(unsafe_code)]
    unsafe {
        written(grid.len(), |values| write(&Output::new(values)))
    }
}

fn add(cells: CellSums<'_>) -> [f64; 2] {
    cells.fold([0.0; 2], |[a, b], (_, [c, d])| [a + c, b + d])
}

/// The mean and the biased variance from what [`moments`] gives for each cell.
fn merge(cells: CellSums<'_>) -> (f64, f64) {
    let cells: Vec<_> = cells.collect();
    let count: f64 = cells.iter().map(|(count, _)| count).sum();
    let mean = cells.iter().map(|(_, [sum, _])| sum).sum::<f64>() / count;
    let squares: f64 = cells.iter().map(|(n, [sum, squares])| squares + n * (sum / n - mean).powi(2)).sum();
    (mean, squares / count)
}

/// Σx and Σ(x - mean)² of each channel, about the channel's mean in this cell.
fn moments(arch: Arch, cell: &Cell, x: &[f32]) -> Vec<[f64; 2]> {
    vectorize(
        arch,
        #[inline(always)]
        || {
            let mut sums = Columns::zeros(cell);
            for slice in cell.slices() {
                for (sum, x) in sums.iter_mut().zip(&x[slice]) {
                    *sum += x;
                }
            }
            let count = cell.per_channel() as f64;
            let sums = sums.by_channel(cell);
            let mean = Columns::spread(cell, |channel| (sums[channel - cell.channels.start] / count) as f32);
            let mut squares = Columns::zeros(cell);
            for slice in cell.slices() {
                for ((square, x), mean) in squares.iter_mut().zip(&x[slice]).zip(&*mean) {
                    let centered = x - mean;
                    *square += centered * centered;
                }
            }
            sums.into_iter().zip(squares.by_channel(cell)).map(|(sum, squares)| [sum, squares]).collect()
        },
    )
}

/// Σdy and Σdy·(x - mean)/σ of each channel.
fn products(arch: Arch, cell: &Cell, x: &[f32], gradient: &[f32], channels: Channels<'_>) -> Vec<[f64; 2]> {
    let mean = Columns::spread(cell, |channel| channels.mean[channel]);
    let inverse = Columns::spread(cell, |channel| channels.inverse_deviation(channel) as f32);
    vectorize(
        arch,
        #[inline(always)]
        || {
            let (mut sums, mut products) = (Columns::zeros(cell), Columns::zeros(cell));
            for slice in cell.slices() {
                let sums = sums.iter_mut().zip(products.iter_mut());
                let values = x[slice.clone()].iter().zip(&gradient[slice]);
                for (((sum, product), (x, g)), (mean, inverse)) in sums.zip(values).zip(mean.iter().zip(&*inverse)) {
                    *sum += g;
                    *product += g * ((x - mean) * inverse);
                }
            }
            sums.by_channel(cell)
                .into_iter()
                .zip(products.by_channel(cell))
                .map(|(sum, product)| [sum, product])
                .collect()
        },
    )
}

fn normalize(arch: Arch, cell: &Cell, x: &[f32], channels: &[Affine], output: &Output<'_>) {
    let spread = |f: fn(&Affine) -> f32| Columns::spread(cell, |channel| f(&channels[channel - cell.channels.start]));
    let (mean, scale, shift) = (spread(|c| c.mean), spread(|c| c.scale), spread(|c| c.shift));
    vectorize(
        arch,
        #[inline(always)]
        || {
            for slice in cell.slices() {
                let values = output.slice(&slice).iter_mut().zip(&x[slice]);
                for ((out, x), ((mean, scale), shift)) in values.zip(mean.iter().zip(&*scale).zip(&*shift)) {
                    out.write((x - mean) * scale + shift);
                }
            }
        },
    );
}

fn descend(arch: Arch, cell: &Cell, x: &[f32], gradient: &[f32], slopes: &[Slope], output: &Output<'_>) {
    let spread = |f: fn(&Slope) -> f32| Columns::spread(cell, |channel| f(&slopes[channel - cell.channels.start]));
    let (mean, tilt) = (spread(|s| s.mean), spread(|s| s.tilt));
    let (offset, scale) = (spread(|s| s.offset), spread(|s| s.scale));
    vectorize(
        arch,
        #[inline(always)]
        || {
            for slice in cell.slices() {
                let values = output.slice(&slice).iter_mut().zip(&x[slice.clone()]).zip(&gradient[slice]);
                let lines = mean.iter().zip(&*tilt).zip(offset.iter().zip(&*scale));
                for (((out, x), g), ((mean, tilt), (offset, scale))) in values.zip(lines) {
                    out.write(((g - offset) - (x - mean) * tilt) * scale);
                }
            }
        },
    );
}
