use std::mem::MaybeUninit;

/// A vector of `len` values, every one of which `write` puts down: nothing is cleared first.
///
/// # Safety
///
/// `write` initializes every element of the slice that it gets.
#[allow(unsafe_code)]
pub(crate) unsafe fn written(len: usize, write: impl FnOnce(&mut [MaybeUninit<f32>])) -> Vec<f32> {
    let mut values = Vec::with_capacity(len);
    write(&mut values.spare_capacity_mut()[..len]);
    // SAFETY: the caller's promise.
    unsafe { values.set_len(len) };
    values
}
