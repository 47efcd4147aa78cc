use std::cell::RefCell;

/// Floats in a cache line.
const LINE: usize = 16;

/// Lends a buffer of `len` floats that starts at a cache line, kept by the thread from call to call. Its contents are
/// what the last borrower left.
pub(super) fn with_scratch<R>(len: usize, f: impl FnOnce(&mut [f32]) -> R) -> R {
    thread_local! {
        static SCRATCH: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
    }
    SCRATCH.with_borrow_mut(|buffer| {
        if buffer.len() < len + LINE {
            *buffer = vec![0.0; len + LINE];
        }
        let first = buffer.as_ptr().align_offset(4 * LINE).min(LINE);
        f(&mut buffer[first..first + len])
    })
}

/// The least odd number of cache lines that holds `len` floats, in floats: planes this far apart don't compete for the
/// same few sets of a cache.
pub(super) fn odd_lines(len: usize) -> usize {
    (len.div_ceil(LINE) | 1) * LINE
}
