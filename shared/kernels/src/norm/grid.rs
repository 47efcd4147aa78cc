//! The cells of a tensor of images, and who computes them.

use rayon::prelude::*;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ops::{Deref, DerefMut, Range};

/// Slices of a cell: as many values of a column are added in f32.
const SLICES: usize = 64;
/// Columns of a slice, at most: a few arrays as long stay in the first-level cache.
const COLUMNS: usize = 512;
/// Fewer values than this are computed where they are.
const SERIAL: usize = 1 << 15;

/// The tensor `[images, channels, pixels]` as slices of at most [`COLUMNS`] neighboring values.
///
/// The channels are cut into units, each of one channel or of as many as fit into a slice. A slice is a part of one
/// channel of an image, or a unit of an image, or as many whole images as fit. A cell is [`SLICES`] slices of a unit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Grid {
    pub(crate) images: usize,
    pub(crate) channels: usize,
    pub(crate) pixels: usize,
}

/// Some slices of a unit.
pub(super) struct Cell {
    pub(super) channels: Range<usize>,
    /// Which of the unit's slices.
    slices: Range<usize>,
    /// The index range of the unit in the first row of whole images.
    columns: Range<usize>,
    row_len: usize,
    len: usize,
    /// Neighboring columns of one channel in a slice.
    run: usize,
}

impl Cell {
    /// The index range of each slice of the cell.
    #[inline(always)]
    pub(super) fn slices(&self) -> impl Iterator<Item = Range<usize>> {
        let parts = self.columns.len().div_ceil(COLUMNS);
        self.slices.clone().map(move |slice| {
            let (row, part) = (slice / parts, slice % parts);
            let start = row * self.row_len + self.columns.start + part * COLUMNS;
            start..(start + COLUMNS).min(row * self.row_len + self.columns.end).min(self.len)
        })
    }

    /// Values that a channel has in this cell.
    pub(super) fn per_channel(&self) -> usize {
        self.slices().map(|slice| slice.len()).sum::<usize>() / self.channels.len()
    }
}

impl Grid {
    /// Images, channels and pixels of a tensor `[images, channels, ...]`.
    pub(crate) fn new(shape: &[usize]) -> Self {
        Self { images: shape[0], channels: shape[1], pixels: shape[2..].iter().product() }
    }

    pub(super) fn len(&self) -> usize {
        self.images * self.channels * self.pixels
    }

    /// Values of one channel.
    pub(super) fn per_channel(&self) -> usize {
        self.images * self.pixels
    }

    /// Images that are side by side in a slice.
    fn images_per_row(&self) -> usize {
        (COLUMNS / (self.channels * self.pixels)).clamp(1, self.images)
    }

    fn channels_per_unit(&self) -> usize {
        (COLUMNS / self.pixels).max(1)
    }

    fn units(&self) -> usize {
        self.channels.div_ceil(self.channels_per_unit())
    }

    fn slices_per_unit(&self) -> usize {
        self.images.div_ceil(self.images_per_row()) * self.pixels.div_ceil(COLUMNS)
    }

    fn cells_per_unit(&self) -> usize {
        self.slices_per_unit().div_ceil(SLICES)
    }

    fn unit(&self, unit: usize) -> Range<usize> {
        let channels = self.channels_per_unit();
        unit * channels..((unit + 1) * channels).min(self.channels)
    }

    fn cell(&self, unit: usize, index: usize) -> Cell {
        let channels = self.unit(unit);
        let images = self.images_per_row();
        let row_len = images * self.channels * self.pixels;
        let columns = if images > 1 { 0..row_len } else { channels.start * self.pixels..channels.end * self.pixels };
        let slices = index * SLICES..((index + 1) * SLICES).min(self.slices_per_unit());
        Cell { channels, slices, columns, row_len, len: self.len(), run: self.pixels.min(COLUMNS) }
    }

    /// Sums over each cell, what a channel makes of the sums of its cells, and a last pass over each cell with what its
    /// channels made; returned is the latter, by channel.
    pub(super) fn by_channel<P: Send + Sync>(
        &self,
        reduce: impl Fn(&Cell) -> Vec<[f64; 2]> + Sync,
        channel: impl Fn(usize, &mut dyn Iterator<Item = (f64, [f64; 2])>) -> P + Sync,
        apply: impl Fn(&Cell, &[P]) + Sync,
    ) -> Vec<P> {
        let cells = self.cells_per_unit();
        let channels = |unit: usize, sums: &[Vec<[f64; 2]>]| -> Vec<P> {
            let owned = self.unit(unit);
            let cells: Vec<_> = (0..cells).map(|index| self.cell(unit, index).per_channel() as f64).collect();
            owned
                .clone()
                .map(|c| channel(c, &mut cells.iter().zip(sums).map(|(n, sums)| (*n, sums[c - owned.start]))))
                .collect()
        };
        let made: Vec<Vec<P>> = if self.units() >= 4 * rayon::current_num_threads() {
            // One task a unit: its values are in cache when the last pass comes.
            self.map(self.units(), |unit| {
                let sums: Vec<_> = (0..cells).map(|index| reduce(&self.cell(unit, index))).collect();
                let made = channels(unit, &sums);
                (0..cells).for_each(|index| apply(&self.cell(unit, index), &made));
                made
            })
        } else {
            let all = self.units() * cells;
            let sums = self.map(all, |i| reduce(&self.cell(i / cells, i % cells)));
            let made: Vec<_> = sums.chunks(cells).enumerate().map(|(unit, sums)| channels(unit, sums)).collect();
            self.map(all, |i| apply(&self.cell(i / cells, i % cells), &made[i / cells]));
            made
        };
        made.into_iter().flatten().collect()
    }

    /// Calls `apply` with each cell.
    pub(super) fn for_each(&self, apply: impl Fn(&Cell) + Sync) {
        let cells = self.cells_per_unit();
        self.map(self.units() * cells, |i| apply(&self.cell(i / cells, i % cells)));
    }

    /// The results of `count` tasks of equal size that share the grid.
    fn map<T: Send>(&self, count: usize, f: impl Fn(usize) -> T + Sync + Send) -> Vec<T> {
        if self.len() < SERIAL {
            return (0..count).map(f).collect();
        }
        (0..count).into_par_iter().with_min_len(SERIAL * count / self.len()).map(f).collect()
    }
}

/// One value for each column of a cell.
pub(super) struct Columns {
    values: [f32; COLUMNS],
    len: usize,
}

impl Columns {
    #[inline(always)]
    pub(super) fn zeros(cell: &Cell) -> Self {
        Self { values: [0.0; COLUMNS], len: cell.columns.len().min(COLUMNS) }
    }

    /// A channel's value in each of its columns.
    #[inline(always)]
    pub(super) fn spread(cell: &Cell, value: impl Fn(usize) -> f32) -> Self {
        let mut columns = Self::zeros(cell);
        for (run, channel) in columns.chunks_exact_mut(cell.run).zip(cell.channels.clone().cycle()) {
            run.fill(value(channel));
        }
        columns
    }

    /// The sum over the columns of each channel.
    #[inline(always)]
    pub(super) fn by_channel(&self, cell: &Cell) -> Vec<f64> {
        let mut sums = vec![0.0; cell.channels.len()];
        for image in self.chunks_exact(cell.run * sums.len()) {
            for (channel, run) in sums.iter_mut().zip(image.chunks_exact(cell.run)) {
                *channel += sum(run);
            }
        }
        sums
    }
}

impl Deref for Columns {
    type Target = [f32];

    #[inline(always)]
    fn deref(&self) -> &[f32] {
        &self.values[..self.len]
    }
}

impl DerefMut for Columns {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.values[..self.len]
    }
}

#[inline(always)]
fn sum(values: &[f32]) -> f64 {
    let (chunks, rest) = values.as_chunks::<8>();
    let mut lanes = [0.0; 8];
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane += *value as f64;
        }
    }
    lanes.iter().sum::<f64>() + rest.iter().map(|value| *value as f64).sum::<f64>()
}

/// The output that the cells write, each its own slices.
pub(super) struct Output<'a> {
    start: *mut MaybeUninit<f32>,
    len: usize,
    values: PhantomData<&'a mut [MaybeUninit<f32>]>,
}

// SAFETY: what the pointer leads to is exclusively borrowed, and the slices are disjoint.
#[allow(unsafe_code)]
unsafe impl Sync for Output<'_> {}

impl<'a> Output<'a> {
    pub(super) fn new(values: &'a mut [MaybeUninit<f32>]) -> Self {
        Self { start: values.as_mut_ptr(), len: values.len(), values: PhantomData }
    }

    /// A slice of a cell; the caller has the cell to itself and holds one slice at a time.
    #[allow(unsafe_code, clippy::mut_from_ref)]
    #[inline(always)]
    pub(super) fn slice(&self, slice: &Range<usize>) -> &mut [MaybeUninit<f32>] {
        assert!(slice.start <= slice.end && slice.end <= self.len);
        // SAFETY: in bounds; a pass gives each cell to one call, and slices are disjoint.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(slice.start), slice.len()) }
    }
}
