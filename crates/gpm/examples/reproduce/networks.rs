//! The networks of the experiments.

use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::pool::{MaxPool2d, MaxPool2dConfig};
use burn::nn::{Initializer, Linear, LinearConfig, PaddingConfig2d};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};
use rekindle_shared::data::ImageShape;
use rekindle_shared::model::Layer;

/// PyTorch's default: uniform within 1 / √fan_in.
pub(crate) fn pytorch() -> Initializer {
    Initializer::KaimingUniform { gain: 1.0 / 3.0_f64.sqrt(), fan_out_only: false }
}

/// Two 3x3 convolutions (16 and 32 filters) with pooling, a linear layer of 128, a head for each task; no biases.
#[derive(Module, Debug)]
pub(crate) struct MultiHead {
    conv1: Conv2d,
    conv2: Conv2d,
    pool: MaxPool2d,
    fc: Linear,
    heads: Vec<Linear>,
}

impl MultiHead {
    pub(crate) fn new(shape: ImageShape, n_tasks: usize, n_classes: usize, device: &Device) -> Self {
        let conv = |channels| {
            Conv2dConfig::new(channels, [3, 3]).with_padding(PaddingConfig2d::Same).with_bias(false).init(device)
        };
        let linear = |from, to| LinearConfig::new(from, to).with_bias(false).init(device);
        Self {
            conv1: conv([shape.channels, 16]),
            conv2: conv([16, 32]),
            pool: MaxPool2dConfig::new([2, 2]).with_strides([2, 2]).init(),
            fc: linear(32 * (shape.height / 4) * (shape.width / 4), 128),
            heads: (0..n_tasks).map(|_| linear(128, n_classes)).collect(),
        }
    }

    pub(crate) fn forward(&self, task: usize, images: Tensor<4>) -> Tensor<2> {
        let x = self.pool.run(relu(self.conv1.run(images)));
        let x = self.pool.run(relu(self.conv2.run(x)));
        self.heads[task].run(relu(self.fc.run(x.flatten(1, 3))))
    }
}
