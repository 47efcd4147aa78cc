use burn::nn::{PaddingConfig1d, PaddingConfig2d};

/// Zeros before and after height and width, as Burn's layers resolve them for an input of this size.
pub(super) fn pairs_2d(
    padding: &PaddingConfig2d,
    size: [usize; 2],
    kernel: [usize; 2],
    stride: [usize; 2],
) -> [(usize, usize); 2] {
    match *padding {
        PaddingConfig2d::Valid => [(0, 0); 2],
        PaddingConfig2d::Same => [0, 1].map(|axis| same(size[axis], kernel[axis], stride[axis])),
        PaddingConfig2d::Explicit(top, left, bottom, right) => [(top, bottom), (left, right)],
    }
}

/// Zeros before and after the length.
pub(super) fn pair_1d(padding: &PaddingConfig1d, size: usize, kernel: usize, stride: usize) -> (usize, usize) {
    match *padding {
        PaddingConfig1d::Valid => (0, 0),
        PaddingConfig1d::Same => same(size, kernel, stride),
        PaddingConfig1d::Explicit(left, right) => (left, right),
    }
}

/// Burn's rule for `Same`, which it keeps to itself: an odd zero goes to the end.
fn same(size: usize, kernel: usize, stride: usize) -> (usize, usize) {
    let total = match size.div_ceil(stride) {
        0 => 0,
        positions => ((positions - 1) * stride + kernel).saturating_sub(size),
    };
    (total / 2, total - total / 2)
}
