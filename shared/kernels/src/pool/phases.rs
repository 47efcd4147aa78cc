//! Any window: the padded plane sorted by position modulo the stride, so that the inputs of neighboring windows at one
//! place of the kernel are neighbors in memory, whatever the stride.

use super::{Divisor, Window, exceeds, zeroed};
use crate::simd::vectorize;
use pulp::Arch;
use std::mem::MaybeUninit;
use std::ops::Range;

/// Values of a band's phases, about: they stay in cache.
const BAND: usize = 1 << 13;
/// Windows that are computed together, in registers over all places of the kernel.
const LANES: usize = 16;

/// Scratch for a band of output rows of one plane.
///
/// A phase holds the inputs whose padded row and column are equal modulo the strides. The windows of a band are numbered
/// as if an output row had [`Self::row_len`] of them; those past the output's width hold anything.
pub(super) struct Phases {
    window: Window,
    padding: f32,
    values: Vec<f32>,
    /// Of each window: the largest value, or the sum, or the gradient.
    results: Vec<f32>,
    /// Of each window: the place in the kernel of the largest value.
    places: Vec<u32>,
    row_len: usize,
    /// Rows of a phase.
    rows: usize,
    /// Output rows of a band.
    band: usize,
    /// Where the input columns are in a row of the phases.
    columns: Vec<usize>,
    /// Of each output column: the first column of the kernel that isn't padding. Where no value exceeds -∞, the first one
    /// that isn't padding is the largest.
    first_inside: Vec<u32>,
    /// How far a place of the kernel is from its first one, in the input.
    steps: Vec<usize>,
    /// Where the values begin that the windows have at a place of the kernel, in row-major order.
    starts: Vec<usize>,
}

impl Phases {
    pub(super) fn new(window: &Window, padding: f32) -> Self {
        let Window { kernel, stride, .. } = *window;
        let [height, width] = window.output();
        let row_len = width + (kernel[1] - 1) / stride[1];
        let more_rows = (kernel[0] - 1) / stride[0];
        let phases = stride[0].min(kernel[0]) * stride[1];
        let band = (BAND / (row_len * phases)).saturating_sub(more_rows).clamp(1, height);
        let rows = band + more_rows;
        Self {
            window: *window,
            padding,
            values: vec![padding; rows * row_len * phases + LANES],
            results: vec![0.0; (band * row_len).next_multiple_of(LANES)],
            places: vec![0; (band * row_len).next_multiple_of(LANES)],
            row_len,
            rows,
            band,
            columns: columns(window, rows, row_len),
            first_inside: (0..width).map(|column| window.inside(1, column).start as u32).collect(),
            steps: by_place(window, |row, column| row * window.input[1] + column),
            starts: by_place(window, |row, column| {
                let phase = row % stride[0] * stride[1] + column % stride[1];
                (phase * rows + row / stride[0]) * row_len + column / stride[1]
            }),
        }
    }

    pub(super) fn max(&mut self, arch: Arch, x: &[f32], y: &mut [MaybeUninit<f32>]) {
        let width = self.window.output()[1];
        vectorize(
            arch,
            #[inline(always)]
            || {
                for band in self.bands() {
                    self.load(x, &band);
                    for (lanes, results) in lanes_mut(&mut self.results, windows(&band, self.row_len, width)) {
                        let mut best = [f32::NEG_INFINITY; LANES];
                        for start in &self.starts {
                            for (best, value) in best.iter_mut().zip(&self.values[start + lanes..][..LANES]) {
                                *best = if exceeds(*value, *best) { *value } else { *best };
                            }
                        }
                        *results = best;
                    }
                    let rows = y[band.start * width..band.end * width].chunks_exact_mut(width);
                    for (y, best) in rows.zip(self.results.chunks(self.row_len)) {
                        y.write_copy_of_slice(&best[..width]);
                    }
                }
            },
        );
    }

    pub(super) fn avg(&mut self, arch: Arch, divisor: Divisor, x: &[f32], y: &mut [MaybeUninit<f32>]) {
        let width = self.window.output()[1];
        let counts = self.counts(1, divisor);
        vectorize(
            arch,
            #[inline(always)]
            || {
                for band in self.bands() {
                    self.load(x, &band);
                    for (lanes, results) in lanes_mut(&mut self.results, windows(&band, self.row_len, width)) {
                        let mut sums = [0.0; LANES];
                        for start in &self.starts {
                            for (sum, value) in sums.iter_mut().zip(&self.values[start + lanes..][..LANES]) {
                                *sum += value;
                            }
                        }
                        *results = sums;
                    }
                    let rows = y[band.start * width..band.end * width].chunks_exact_mut(width);
                    for ((row, y), sums) in band.zip(rows).zip(self.results.chunks(self.row_len)) {
                        let height = count(&self.window, 0, row, divisor);
                        for ((y, sum), count) in y.iter_mut().zip(sums).zip(&counts) {
                            y.write(sum / (height * count));
                        }
                    }
                }
            },
        );
    }

    pub(super) fn max_backward(&mut self, arch: Arch, x: &[f32], gradient: &[f32], out: &mut [MaybeUninit<f32>]) {
        let Window { input, kernel, stride, padding } = self.window;
        let width = self.window.output()[1];
        let outside = padding[0] * input[1] + padding[1];
        let out = zeroed(out);
        vectorize(
            arch,
            #[inline(always)]
            || {
                for band in self.bands() {
                    self.load(x, &band);
                    for (row, places) in band.clone().zip(self.places.chunks_mut(self.row_len)) {
                        let start = (self.window.inside(0, row).start * kernel[1]) as u32;
                        for (place, first) in places.iter_mut().zip(&self.first_inside) {
                            *place = start + first;
                        }
                    }
                    for (lanes, places) in lanes_mut(&mut self.places, windows(&band, self.row_len, width)) {
                        let (mut best, mut at) = ([f32::NEG_INFINITY; LANES], *places);
                        for (place, start) in self.starts.iter().enumerate() {
                            let values = &self.values[start + lanes..][..LANES];
                            for ((best, at), value) in best.iter_mut().zip(&mut at).zip(values) {
                                let exceeds = exceeds(*value, *best);
                                *best = if exceeds { *value } else { *best };
                                *at = if exceeds { place as u32 } else { *at };
                            }
                        }
                        *places = at;
                    }
                    for (row, places) in band.zip(self.places.chunks(self.row_len)) {
                        let mut start = row * stride[0] * input[1];
                        for (place, g) in places.iter().zip(&gradient[row * width..][..width]) {
                            out[start + self.steps[*place as usize] - outside] += g;
                            start += stride[1];
                        }
                    }
                }
            },
        );
    }

    pub(super) fn avg_backward(
        &mut self,
        arch: Arch,
        divisor: Divisor,
        gradient: &[f32],
        out: &mut [MaybeUninit<f32>],
    ) {
        let width = self.window.output()[1];
        let counts = self.counts(1, divisor);
        let out = zeroed(out);
        vectorize(
            arch,
            #[inline(always)]
            || {
                for band in self.bands() {
                    for (row, shares) in band.clone().zip(self.results.chunks_mut(self.row_len)) {
                        let height = count(&self.window, 0, row, divisor);
                        let (shares, past) = shares.split_at_mut(width);
                        for ((share, g), count) in shares.iter_mut().zip(&gradient[row * width..]).zip(&counts) {
                            *share = g / (height * count);
                        }
                        past.fill(0.0);
                    }
                    self.values.fill(0.0);
                    let shares = &self.results[..windows(&band, self.row_len, width)];
                    for start in &self.starts {
                        for (sum, share) in self.values[*start..].iter_mut().zip(shares) {
                            *sum += share;
                        }
                    }
                    self.unload(&band, out);
                }
            },
        );
    }

    fn bands(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        let (band, height) = (self.band, self.window.output()[0]);
        (0..height).step_by(band).map(move |start| start..(start + band).min(height))
    }

    fn counts(&self, axis: usize, divisor: Divisor) -> Vec<f32> {
        (0..self.window.output()[axis]).map(|i| count(&self.window, axis, i, divisor)).collect()
    }

    /// Sorts the rows that a band's windows see into the phases.
    #[inline(always)]
    fn load(&mut self, x: &[f32], band: &Range<usize>) {
        let Window { input: [height, width], stride, .. } = self.window;
        for (row, start) in seen_rows(&self.window, self.rows, self.row_len, band) {
            let values = &mut self.values[start..];
            if row >= height {
                let phases = values.chunks_mut(self.rows * self.row_len).take(stride[1]);
                phases.for_each(|values| values[..self.row_len].fill(self.padding));
            } else if stride[1] == 1 {
                values[self.columns[0]..][..self.columns.len()]
                    .copy_from_slice(&x[row * width..][..self.columns.len()]);
            } else {
                for (column, value) in self.columns.iter().zip(&x[row * width..][..width]) {
                    values[*column] = *value;
                }
            }
        }
    }

    /// Adds the phases to the rows that a band's windows see.
    #[inline(always)]
    fn unload(&self, band: &Range<usize>, out: &mut [f32]) {
        let Window { input: [height, width], stride, .. } = self.window;
        let rows = seen_rows(&self.window, self.rows, self.row_len, band);
        for (row, start) in rows.filter(|(row, _)| *row < height) {
            let (out, values) = (&mut out[row * width..][..width], &self.values[start..]);
            if stride[1] == 1 {
                out.iter_mut().zip(&values[self.columns[0]..][..self.columns.len()]).for_each(|(out, v)| *out += v);
            } else {
                out.iter_mut().zip(&self.columns).for_each(|(out, column)| *out += values[*column]);
            }
        }
    }
}

/// The rows that a band's windows see: the input row, past the last one for padding, and where it starts in the first of
/// its phases.
#[inline(always)]
fn seen_rows(
    window: &Window,
    rows: usize,
    row_len: usize,
    band: &Range<usize>,
) -> impl Iterator<Item = (usize, usize)> {
    let Window { kernel, stride, padding: [above, _], .. } = *window;
    let seen = (band.len() - 1) * stride[0] + kernel[0];
    let first = (band.start * stride[0]).wrapping_sub(above);
    (0..stride[0].min(kernel[0])).flat_map(move |phase| {
        let rows_of_phase = (seen - phase).div_ceil(stride[0]);
        let start = phase * stride[1] * rows * row_len;
        (0..rows_of_phase).map(move |i| (first.wrapping_add(phase + i * stride[0]), start + i * row_len))
    })
}

/// Where the input columns that windows see are in a row of the first phase and, as far on, in those of the others.
fn columns(window: &Window, rows: usize, row_len: usize) -> Vec<usize> {
    let Window { input: [_, width], stride: [_, stride], padding: [_, left], .. } = *window;
    let padded = left..(left + width).min(row_len * stride);
    padded.map(|column| column % stride * rows * row_len + column / stride).collect()
}

/// `f` of each row and column of the kernel.
fn by_place(window: &Window, f: impl Fn(usize, usize) -> usize) -> Vec<usize> {
    let [rows, columns] = window.kernel;
    (0..rows * columns).map(|place| f(place / columns, place % columns)).collect()
}

/// The first `len` elements and what fills the last lanes, with the index of each first lane.
#[inline(always)]
fn lanes_mut<T>(values: &mut [T], len: usize) -> impl Iterator<Item = (usize, &mut [T; LANES])> {
    let chunks = values[..len.next_multiple_of(LANES)].as_chunks_mut().0;
    chunks.iter_mut().enumerate().map(|(i, lanes)| (i * LANES, lanes))
}

/// Windows of a band, up to its last one.
#[inline(always)]
fn windows(band: &Range<usize>, row_len: usize, width: usize) -> usize {
    (band.len() - 1) * row_len + width
}

/// What one axis contributes to the divisor of a window.
#[inline(always)]
fn count(window: &Window, axis: usize, index: usize, divisor: Divisor) -> f32 {
    match divisor {
        Divisor::Kernel => window.kernel[axis] as f32,
        Divisor::Inside => window.inside(axis, index).len() as f32,
    }
}
