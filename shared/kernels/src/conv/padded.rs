use super::plan::{Plan, Source, Tap};
use super::scratch::odd_lines;

/// Sizes of a padded copy of some rows of an image: `[channel][phase][row][pitch]`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Padded {
    pub rows: usize,
    pub pitch: usize,
    /// Floats from one channel to the next.
    pub plane: usize,
}

impl Padded {
    /// For `rows` rows of outputs. `slack` floats beyond a row's end can be read.
    pub(super) fn new(plan: &Plan, rows: usize, slack: usize) -> Self {
        let (rows, pitch) = (rows + plan.reach[0], plan.size()[1] + plan.reach[1]);
        Self { rows, pitch, plane: odd_lines(plan.source.phases.len() * rows * pitch + slack) }
    }

    /// Where `tap` of channel `channel` finds the source of the first output.
    pub(super) fn offset(&self, channel: usize, tap: &Tap) -> u32 {
        (channel * self.plane + (tap.phase * self.rows + tap.row) * self.pitch + tap.col) as u32
    }

    /// Copies the source rows of the output rows from `first` on, `channels` of them at once. What lies to the left and
    /// to the right of them has to be zero in the buffer and stays so.
    #[inline(always)]
    pub(super) fn copy(&self, source: &Source, planes: &[f32], channels: usize, first: usize, buffer: &mut [f32]) {
        let [height, width] = source.size;
        for (phase, &[fy, fx]) in source.phases.iter().enumerate() {
            let (from, to, begin) = self.columns(source, fx);
            if from == to {
                continue;
            }
            for channel in 0..channels {
                let plane = &planes[channel * height * width..][..height * width];
                let buffer = &mut buffer[channel * self.plane + phase * self.rows * self.pitch..];
                for (row, line) in buffer.chunks_exact_mut(self.pitch).take(self.rows).enumerate() {
                    let line = &mut line[from..to];
                    let y = ((first + row) * source.stride[0] + fy) as isize - source.begin[0];
                    match y {
                        y if y < 0 || y >= height as isize => line.fill(0.0),
                        y => copy_strided(line, &plane[y as usize * width..][..width][begin..], source.stride[1]),
                    }
                }
            }
        }
    }

    /// The columns `from..to` of a row that hold source values, and the source column at `from`.
    pub(super) fn columns(&self, source: &Source, phase: usize) -> (usize, usize, usize) {
        let (stride, zeros) = (source.stride[1], source.begin[1] - phase as isize);
        let column = |source_column: isize| {
            let at = (source_column + zeros).max(0) as usize;
            at.div_ceil(stride).min(self.pitch)
        };
        let (from, to) = (column(0), column(source.size[1] as isize));
        (from, to, ((from * stride) as isize - zeros).max(0) as usize)
    }
}

#[inline(always)]
fn copy_strided(to: &mut [f32], from: &[f32], stride: usize) {
    match stride {
        1 => copy(to, &from[..to.len()]),
        2 => {
            // A known stride lets the compiler load whole vectors and shuffle.
            let pairs = from[..to.len() * 2 - 1].chunks(2);
            to.iter_mut().zip(pairs).for_each(|(to, pair)| *to = pair[0]);
        }
        _ => to.iter_mut().zip(from.iter().step_by(stride)).for_each(|(to, from)| *to = *from),
    }
}

/// Copies what may be short: a call costs more than a few floats.
#[inline(always)]
fn copy(to: &mut [f32], from: &[f32]) {
    if to.len() > 64 {
        return to.copy_from_slice(from);
    }
    let ((to, to_rest), (from, from_rest)) = (to.as_chunks_mut::<4>(), from.as_chunks::<4>());
    to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
    to_rest.iter_mut().zip(from_rest).for_each(|(to, from)| *to = *from);
}
