//! Max and average pooling over the planes of an image tensor, `[planes, height, width]`.
//!
//! Three ways: windows of 2 × 2 side by side, the window that is the whole plane, and any other window by [`Phases`].

mod pairs;
mod phases;
#[cfg(test)]
mod tests;
mod whole;

use crate::output::written;
use phases::Phases;
use pulp::Arch;
use rayon::prelude::*;
use std::mem::MaybeUninit;

/// Values that a task reads or writes, at least.
const TASK: usize = 1 << 15;

/// What is pooled: the planes' size and the windows, each as `[height, width]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Window {
    pub(crate) input: [usize; 2],
    pub(crate) kernel: [usize; 2],
    pub(crate) stride: [usize; 2],
    pub(crate) padding: [usize; 2],
}

/// What an average is divided by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Divisor {
    /// The size of the kernel.
    Kernel,
    /// The number of the window's values that aren't padding.
    Inside,
}

impl Window {
    /// `None` where a window could lie in the padding alone, or there is no window.
    pub(crate) fn new(input: [usize; 2], kernel: [usize; 2], stride: [usize; 2], padding: [usize; 2]) -> Option<Self> {
        let possible = |i: usize| {
            input[i] > 0 && stride[i] > 0 && padding[i] < kernel[i] && kernel[i] <= input[i] + 2 * padding[i]
        };
        if !(possible(0) && possible(1)) {
            return None;
        }
        // A stride that leaves one window may be any: one that scratch memory has room for.
        let stride = [0, 1].map(|i| stride[i].min((input[i] + 2 * padding[i] - kernel[i] + 1).max(kernel[i])));
        Some(Self { input, kernel, stride, padding })
    }

    /// `[height, width]` of an output plane.
    pub(crate) fn output(&self) -> [usize; 2] {
        [0, 1].map(|i| (self.input[i] + 2 * self.padding[i] - self.kernel[i]) / self.stride[i] + 1)
    }

    /// Whether there is anything to gain: a plane has some windows, or one over some values.
    pub(crate) fn is_fast(&self) -> bool {
        match self.way() {
            Way::Whole => self.input_len() >= 16,
            Way::Pairs | Way::Phases => self.output_len() >= 4,
        }
    }

    fn input_len(&self) -> usize {
        self.input[0] * self.input[1]
    }

    fn output_len(&self) -> usize {
        self.output().iter().product()
    }

    fn way(&self) -> Way {
        if self.kernel == [2, 2] && self.stride == [2, 2] && self.padding == [0, 0] {
            Way::Pairs
        } else if self.kernel == self.input && self.padding == [0, 0] {
            Way::Whole
        } else {
            Way::Phases
        }
    }

    /// The kernel's range that is inside the input, for a window along one axis.
    fn inside(&self, axis: usize, window: usize) -> std::ops::Range<usize> {
        let start = window * self.stride[axis];
        let padding = self.padding[axis];
        padding.saturating_sub(start)..self.kernel[axis].min(self.input[axis] + padding - start)
    }
}

enum Way {
    Whole,
    Pairs,
    Phases,
}

/// The largest value of each window; of equal ones the first, and a NaN before all.
pub(crate) fn max_forward(arch: Arch, window: &Window, x: &[f32]) -> Vec<f32> {
    let planes = x.len() / window.input_len();
    let x = |plane: usize| &x[plane * window.input_len()..][..window.input_len()];
    match window.way() {
        Way::Whole => each_plane(planes, 1, window.input_len(), || (), |_, plane, y| whole::max(arch, x(plane), y)),
        Way::Pairs => each_plane(
            planes,
            window.output_len(),
            window.input_len(),
            || (),
            |_, plane, y| {
                pairs::max(arch, window, x(plane), y);
            },
        ),
        Way::Phases => {
            let start = || Phases::new(window, f32::NEG_INFINITY);
            each_plane(planes, window.output_len(), window.input_len(), start, |phases, plane, y| {
                phases.max(arch, x(plane), y);
            })
        }
    }
}

/// The gradient of each window, at the place of its largest value; of equal ones the first, of NaNs the last.
pub(crate) fn max_backward(arch: Arch, window: &Window, x: &[f32], gradient: &[f32]) -> Vec<f32> {
    let planes = x.len() / window.input_len();
    let x = |plane: usize| &x[plane * window.input_len()..][..window.input_len()];
    let gradient = |plane: usize| &gradient[plane * window.output_len()..][..window.output_len()];
    let len = window.input_len();
    match window.way() {
        Way::Whole => each_plane(
            planes,
            len,
            len,
            || (),
            |_, plane, out| {
                whole::max_backward(arch, x(plane), gradient(plane)[0], out);
            },
        ),
        Way::Pairs => each_plane(
            planes,
            len,
            len,
            || (),
            |_, plane, out| {
                pairs::max_backward(arch, window, x(plane), gradient(plane), out);
            },
        ),
        Way::Phases => {
            let start = || Phases::new(window, f32::NEG_INFINITY);
            each_plane(planes, len, len, start, |phases, plane, out| {
                phases.max_backward(arch, x(plane), gradient(plane), out);
            })
        }
    }
}

/// The mean of each window.
pub(crate) fn avg_forward(arch: Arch, window: &Window, divisor: Divisor, x: &[f32]) -> Vec<f32> {
    let planes = x.len() / window.input_len();
    let x = |plane: usize| &x[plane * window.input_len()..][..window.input_len()];
    match window.way() {
        Way::Whole => each_plane(planes, 1, window.input_len(), || (), |_, plane, y| whole::avg(arch, x(plane), y)),
        Way::Pairs => each_plane(
            planes,
            window.output_len(),
            window.input_len(),
            || (),
            |_, plane, y| {
                pairs::avg(arch, window, x(plane), y);
            },
        ),
        Way::Phases => {
            let start = || Phases::new(window, 0.0);
            each_plane(planes, window.output_len(), window.input_len(), start, |phases, plane, y| {
                phases.avg(arch, divisor, x(plane), y);
            })
        }
    }
}

/// The gradient of each window's mean, spread over its values.
pub(crate) fn avg_backward(arch: Arch, window: &Window, divisor: Divisor, gradient: &[f32]) -> Vec<f32> {
    let planes = gradient.len() / window.output_len();
    let gradient = |plane: usize| &gradient[plane * window.output_len()..][..window.output_len()];
    let len = window.input_len();
    match window.way() {
        Way::Whole => each_plane(
            planes,
            len,
            len,
            || (),
            |_, plane, out| {
                out.fill(MaybeUninit::new(gradient(plane)[0] / len as f32));
            },
        ),
        Way::Pairs => each_plane(
            planes,
            len,
            len,
            || (),
            |_, plane, out| {
                pairs::avg_backward(arch, window, gradient(plane), out);
            },
        ),
        Way::Phases => {
            let start = || Phases::new(window, 0.0);
            each_plane(planes, len, len, start, |phases, plane, out| {
                phases.avg_backward(arch, divisor, gradient(plane), out);
            })
        }
    }
}

/// A vector of `planes` planes of `len` values, each of which `write` fills; `work` is what a plane costs, in values.
fn each_plane<S>(
    planes: usize,
    len: usize,
    work: usize,
    start: impl Fn() -> S + Sync,
    write: impl Fn(&mut S, usize, &mut [MaybeUninit<f32>]) + Sync,
) -> Vec<f32> {
    let per_task = TASK.div_ceil(work);
    let task = |task: usize, values: &mut [MaybeUninit<f32>]| {
        let mut state = start();
        for (i, plane) in values.chunks_exact_mut(len).enumerate() {
            write(&mut state, task * per_task + i, plane);
        }
    };
    let all = |values: &mut [MaybeUninit<f32>]| {
        if planes <= per_task {
            task(0, values);
        } else {
            values.par_chunks_mut(per_task * len).enumerate().for_each(|(i, values)| task(i, values));
        }
    };
    // SAFETY: `write` fills each plane.
    #[allow(unsafe_code)]
    unsafe {
        written(planes * len, all)
    }
}

/// The plane, full of zeros.
fn zeroed(plane: &mut [MaybeUninit<f32>]) -> &mut [f32] {
    plane.fill(MaybeUninit::new(0.0));
    // SAFETY: filled.
    #[allow(unsafe_code)]
    unsafe {
        plane.assume_init_mut()
    }
}

/// Whether `value` takes the place of the largest `best` before it.
#[inline(always)]
fn exceeds(value: f32, best: f32) -> bool {
    (value > best) | value.is_nan()
}

/// All bits set where `condition` holds. With [`select`] in place of `if`: comparisons of random values must not become
/// branches.
#[inline(always)]
fn mask(condition: bool) -> u32 {
    (condition as u32).wrapping_neg()
}

#[inline(always)]
fn select(mask: u32, yes: f32, no: f32) -> f32 {
    f32::from_bits((yes.to_bits() & mask) | (no.to_bits() & !mask))
}
