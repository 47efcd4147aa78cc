//! The inputs that a layer's weight is multiplied with: the columns of its representation matrix R.

use burn::tensor::{Slice, Tensor, s};
use rekindle_shared::model::{Geometry, LayerInput};

/// Most numbers to unfold at once, 16 MB.
const CHUNK: usize = 1 << 22;

/// Calls `visit` with the columns of R, one row each, `[groups, columns, inputs of a group]`, in pieces of bounded size.
///
/// A linear layer gives its rows; a convolution a row for each image and position of the kernel, in the order in which
/// its weight is flattened: channels of the group, then kernel. Nothing for an input of another kind.
pub(crate) fn columns<E>(input: &LayerInput, mut visit: impl FnMut(Tensor<3>) -> Result<(), E>) -> Result<(), E> {
    let (images, geometry) = match input {
        LayerInput::Linear(rows) => return visit(rows.clone().unsqueeze_dim(0)),
        LayerInput::Conv1d(signals, line) => (signals.clone().unsqueeze_dim(2), plane(line)),
        LayerInput::Conv2d(images, geometry) => (images.clone(), geometry.clone()),
        _ => return Ok(()),
    };
    let [n_images, channels, height, width] = images.dims();
    let [out_height, out_width] = positions(&geometry, [height, width]);
    let for_each_image = channels * geometry.kernel.iter().product::<usize>() * out_height * out_width;
    let chunk = (CHUNK / for_each_image.max(1)).max(1);
    for start in (0..n_images).step_by(chunk) {
        visit(unfold(images.clone().narrow(0, start, chunk.min(n_images - start)), &geometry))?;
    }
    Ok(())
}

/// A convolution over a line as one over a plane of height 1.
fn plane(line: &Geometry<1>) -> Geometry<2> {
    let ([kernel], [stride], [padding], [dilation]) = (line.kernel, line.stride, line.padding, line.dilation);
    Geometry {
        kernel: [1, kernel],
        stride: [1, stride],
        padding: [(0, 0), padding],
        dilation: [1, dilation],
        groups: line.groups,
    }
}

/// Positions of the kernel in each dimension; none where it does not fit.
fn positions(geometry: &Geometry<2>, size: [usize; 2]) -> [usize; 2] {
    [0, 1].map(|axis| {
        let padded = size[axis] + geometry.padding[axis].0 + geometry.padding[axis].1;
        let span = geometry.dilation[axis] * (geometry.kernel[axis] - 1) + 1;
        if padded < span { 0 } else { (padded - span) / geometry.stride[axis] + 1 }
    })
}

/// `[batch, channels, height, width]` to `[groups, batch * positions, channels / groups * kernel]`.
///
/// By slices, one for each element of the kernel: half the time of Burn's `unfold4d`, which convolves with one-hot kernels.
fn unfold(images: Tensor<4>, geometry: &Geometry<2>) -> Tensor<3> {
    let [n_images, channels, height, width] = images.dims();
    let out = positions(geometry, [height, width]);
    let n_positions = out[0] * out[1];
    let [kernel_height, kernel_width] = geometry.kernel;
    let inputs = channels / geometry.groups * kernel_height * kernel_width;
    if n_positions == 0 {
        return Tensor::zeros([geometry.groups, 0, inputs], &images.device());
    }
    let padded = match geometry.padding {
        [(0, 0), (0, 0)] => images,
        [rows, columns] => images.pad([(0, 0), (0, 0), rows, columns], 0.0),
    };
    let range = |axis: usize, element: usize| {
        let start = element * geometry.dilation[axis];
        Slice::from_range_stepped(
            start..start + (out[axis] - 1) * geometry.stride[axis] + 1,
            geometry.stride[axis] as isize,
        )
    };
    let mut elements = Vec::with_capacity(kernel_height * kernel_width);
    for y in 0..kernel_height {
        for x in 0..kernel_width {
            elements.push(padded.clone().slice([s![..], s![..], range(0, y), range(1, x)]));
        }
    }
    Tensor::stack::<5>(elements, 2)
        .reshape([n_images, geometry.groups, inputs, n_positions])
        .permute([1, 0, 3, 2])
        .reshape([geometry.groups, n_images * n_positions, inputs])
}

#[cfg(test)]
mod tests {
    use burn::module::Module;
    use burn::nn::conv::{Conv1d, Conv1dConfig, Conv2d, Conv2dConfig};
    use burn::nn::{PaddingConfig1d, PaddingConfig2d};
    use burn::tensor::{Device, Distribution, Tolerance};
    use rekindle_shared::model::{Layer, observe};

    use super::*;

    fn all(input: &LayerInput) -> Tensor<3> {
        let mut pieces = Vec::new();
        columns(input, |piece| {
            pieces.push(piece);
            Ok::<_, ()>(())
        })
        .unwrap();
        Tensor::cat(pieces, 1)
    }

    /// unfold(x) times the flattened weight is the convolution.
    fn check_conv2d(conv: Conv2d, size: [usize; 2]) {
        let device = Device::flex();
        let [out, per_group, ..] = conv.weight.dims();
        let groups = conv.groups;
        let input = Tensor::<4>::random([3, per_group * groups, size[0], size[1]], Distribution::Default, &device);
        let (expected, seen) = observe(|| conv.run(input));
        let [n_images, _, height, width] = expected.dims();
        let rows = all(&seen[0].input);
        let weight = conv.weight.val().reshape([groups, out / groups, rows.dims()[2]]);
        let actual = rows
            .matmul(weight.swap_dims(1, 2))
            .reshape([groups, n_images, height * width, out / groups])
            .permute([1, 0, 3, 2])
            .reshape([n_images, out, height, width]);
        actual.into_data().assert_approx_eq::<f32>(&expected.into_data(), Tolerance::absolute(1e-5));
    }

    #[test]
    fn columns_times_the_flattened_weight_are_the_convolution() {
        let device = Device::flex();
        let config = |channels, kernel| Conv2dConfig::new(channels, kernel).with_bias(false);
        check_conv2d(
            config([3, 4], [3, 3])
                .with_stride([2, 2])
                .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
                .init(&device),
            [7, 6],
        );
        check_conv2d(config([4, 6], [3, 2]).with_groups(2).with_padding(PaddingConfig2d::Same).init(&device), [5, 8]);
        check_conv2d(config([2, 3], [3, 3]).with_dilation([2, 1]).init(&device), [9, 5]);
        check_conv2d(config([5, 2], [1, 1]).with_stride([2, 2]).init(&device), [4, 4]);
        check_conv2d(config([2, 2], [2, 2]).with_padding(PaddingConfig2d::Explicit(0, 1, 2, 0)).init(&device), [4, 4]);
    }

    #[test]
    fn columns_of_a_convolution_over_a_line_are_those_of_a_plane_of_height_one() {
        let device = Device::flex();
        let conv: Conv1d = Conv1dConfig::new(4, 6, 3)
            .with_stride(2)
            .with_groups(2)
            .with_dilation(2)
            .with_padding(PaddingConfig1d::Explicit(2, 1))
            .with_bias(false)
            .init(&device);
        let input = Tensor::<3>::random([2, 4, 11], Distribution::Default, &device);
        let (expected, seen) = observe(|| conv.run(input));
        let length = expected.dims()[2];
        let rows = all(&seen[0].input);
        let weight = conv.valid().weight.val().reshape([2, 3, 6]);
        let actual = rows.matmul(weight.swap_dims(1, 2)).reshape([2, 2, length, 3]).permute([1, 0, 3, 2]);
        actual
            .reshape([2, 6, length])
            .into_data()
            .assert_approx_eq::<f32>(&expected.into_data(), Tolerance::absolute(1e-5));
    }
}
