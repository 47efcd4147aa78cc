/// Channels of an image, one plane after the other.
#[derive(Clone, Copy)]
pub(super) struct Planes<'a> {
    pub values: &'a [f32],
    /// Floats from one channel to the next.
    pub plane: usize,
    /// Channels that there are; later ones are read as the last.
    pub count: usize,
}

/// Puts `width` channels of some pixels side by side: `to[pixel · width + channel]`, from every `stride`-th float of the
/// planes, `first` being the first.
#[inline(always)]
pub(super) fn interleave(from: Planes<'_>, first: usize, stride: usize, width: usize, to: &mut [f32]) {
    let pixels = to.len() / width;
    if pixels == 0 {
        return;
    }
    let last = first + (pixels - 1) * stride;
    assert!((from.count - 1) * from.plane + last < from.values.len());
    let row = |channel: usize| &from.values[channel.min(from.count - 1) * from.plane + first..];
    if width < 4 {
        for channel in 0..width {
            let pixels = row(channel).iter().step_by(stride);
            to[channel..].iter_mut().step_by(width).zip(pixels).for_each(|(to, from)| *to = *from);
        }
        return;
    }
    for channel in (0..width).step_by(4) {
        // The last four overlap the ones before where the width isn't a multiple of four.
        let channel = channel.min(width - 4);
        let rows = [row(channel), row(channel + 1), row(channel + 2), row(channel + 3)].map(<[f32]>::as_ptr);
        let to = to[channel..].as_mut_ptr();
        let whole = match stride {
            1 => pixels / 4 * 4,
            // Eight floats are read for four pixels.
            2 => (pixels - 1) / 4 * 4,
            _ => 0,
        };
        for pixel in (0..whole).step_by(4) {
            // SAFETY: these floats of the rows lie before `last`, and `to` has four channels of each pixel.
            #[allow(unsafe_code)]
            unsafe {
                transpose(rows.map(|row| four(row.add(pixel * stride), stride)), to.add(pixel * width), width);
            }
        }
        for pixel in whole..pixels {
            // SAFETY: as above.
            #[allow(unsafe_code)]
            unsafe {
                let values = rows.map(|row| *row.add(pixel * stride));
                to.add(pixel * width).cast::<[f32; 4]>().write(values);
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
use sse::{four, transpose};

/// With the instructions that every such processor has: the compiler alone takes three times as long.
#[cfg(target_arch = "x86_64")]
mod sse {
    use std::arch::x86_64::{
        __m128, _mm_loadu_ps, _mm_movehl_ps, _mm_movelh_ps, _mm_shuffle_ps, _mm_storeu_ps, _mm_unpackhi_ps,
        _mm_unpacklo_ps,
    };

    /// Four floats, side by side (stride 1) or every second of eight.
    ///
    /// # Safety
    ///
    /// They can be read.
    #[allow(unsafe_code)]
    #[inline(always)]
    pub(super) unsafe fn four(from: *const f32, stride: usize) -> __m128 {
        // SAFETY: every x86-64 processor has the instructions; the rest is the caller's promise.
        unsafe {
            match stride {
                1 => _mm_loadu_ps(from),
                _ => _mm_shuffle_ps::<0b10_00_10_00>(_mm_loadu_ps(from), _mm_loadu_ps(from.add(4))),
            }
        }
    }

    /// Writes the columns of four rows, `width` floats apart.
    ///
    /// # Safety
    ///
    /// Four floats each can be written there.
    #[allow(unsafe_code)]
    #[inline(always)]
    pub(super) unsafe fn transpose([a, b, c, d]: [__m128; 4], to: *mut f32, width: usize) {
        // SAFETY: every x86-64 processor has the instructions; the rest is the caller's promise.
        unsafe {
            let (ab, cd) = (_mm_unpacklo_ps(a, b), _mm_unpacklo_ps(c, d));
            let (ab_high, cd_high) = (_mm_unpackhi_ps(a, b), _mm_unpackhi_ps(c, d));
            _mm_storeu_ps(to, _mm_movelh_ps(ab, cd));
            _mm_storeu_ps(to.add(width), _mm_movehl_ps(cd, ab));
            _mm_storeu_ps(to.add(2 * width), _mm_movelh_ps(ab_high, cd_high));
            _mm_storeu_ps(to.add(3 * width), _mm_movehl_ps(cd_high, ab_high));
        }
    }
}

/// As in [`sse`], for processors on which nothing but the tests gets here.
#[cfg(not(target_arch = "x86_64"))]
#[allow(unsafe_code)]
#[inline(always)]
unsafe fn four(from: *const f32, stride: usize) -> [f32; 4] {
    // SAFETY: the caller's promise.
    std::array::from_fn(|i| unsafe { *from.add(i * stride) })
}

/// As in [`sse`].
#[cfg(not(target_arch = "x86_64"))]
#[allow(unsafe_code)]
#[inline(always)]
unsafe fn transpose(rows: [[f32; 4]; 4], to: *mut f32, width: usize) {
    for i in 0..4 {
        // SAFETY: the caller's promise.
        unsafe { to.add(i * width).cast::<[f32; 4]>().write(rows.map(|row| row[i])) };
    }
}
