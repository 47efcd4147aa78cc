//! What the networks have in common: initialization, 3x3 and 1x1 convolutions, global average pooling.

use burn::module::Param;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{Initializer, Linear, LinearConfig, PaddingConfig2d};
use burn::tensor::{Device, Tensor};

/// Normal with variance 2 / fan_in, or 2 / fan_out (He et al. 2015, Eq. 10 and 14).
pub(super) fn he(fan_out_only: bool) -> Initializer {
    Initializer::KaimingNormal { gain: std::f64::consts::SQRT_2, fan_out_only }
}

/// A square convolution without bias that keeps the size at stride 1.
pub(super) fn conv(channels: [usize; 2], kernel: usize, stride: usize, device: &Device) -> Conv2d {
    let padding = kernel / 2;
    Conv2dConfig::new(channels, [kernel, kernel])
        .with_stride([stride, stride])
        .with_padding(PaddingConfig2d::Explicit(padding, padding, padding, padding))
        .with_bias(false)
        .with_initializer(he(true))
        .init(device)
}

/// A linear layer with weights by `initializer` and biases 0.
pub(super) fn linear(widths: [usize; 2], bias: bool, initializer: &Initializer, device: &Device) -> Linear {
    let layer =
        LinearConfig::new(widths[0], widths[1]).with_bias(false).with_initializer(initializer.clone()).init(device);
    Linear { bias: bias.then(|| zeros(widths[1], device)), ..layer }
}

/// A bias that starts at 0.
pub(super) fn zeros(length: usize, device: &Device) -> Param<Tensor<1>> {
    Initializer::Zeros.init([length], device)
}

/// Mean over height and width: `[batch, channels, height, width]` to `[batch, channels]`.
pub(super) fn global_average(maps: Tensor<4>) -> Tensor<2> {
    let [batch, channels, height, width] = maps.dims();
    maps.reshape([batch, channels, height * width]).mean_dim(2).reshape([batch, channels])
}
