//! The source networks.

use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::pool::{MaxPool2d, MaxPool2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, GroupNorm, GroupNormConfig, Linear, LinearConfig, PaddingConfig2d};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};
use rekindle_shared::model::{Classifier, Layer, initialized};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case")]
pub(crate) enum Network {
    /// 3x3 convolutions of 8 and 16 channels with batch norm, averaged over the image.
    TinyCnn,
    /// A residual network of 16, 32 and 64 channels with batch norm.
    #[serde(rename = "resnet")]
    ResNet { depth: usize },
    /// WRN-28-10.
    #[serde(rename = "wrn-28-10")]
    Wrn28x10,
    /// 3x3 convolutions of 16, 32 and 64 channels with group norm, pooled after each.
    GroupNormCnn,
}

/// Convolution, norm, ReLU; twice.
#[derive(Module, Debug)]
pub(crate) struct TinyCnn {
    conv1: Conv2d,
    bn1: BatchNorm,
    conv2: Conv2d,
    bn2: BatchNorm,
    fc: Linear,
}

impl TinyCnn {
    pub(crate) fn new(channels: usize, n_classes: usize, device: &Device) -> Self {
        initialized(Self {
            conv1: conv([channels, 8], device),
            bn1: BatchNormConfig::new(8).init(device),
            conv2: conv([8, 16], device),
            bn2: BatchNormConfig::new(16).init(device),
            fc: LinearConfig::new(16, n_classes).init(device),
        })
    }
}

impl Classifier for TinyCnn {
    fn features(&self, images: Tensor<4>) -> Tensor<2> {
        let maps = relu(self.bn1.run(self.conv1.run(images)));
        average(relu(self.bn2.run(self.conv2.run(maps))))
    }

    fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        self.fc.run(self.features(images))
    }

    fn n_classes(&self) -> usize {
        self.fc.weight.dims()[1]
    }
}

/// Convolution, group norm, ReLU, pooling; three times.
#[derive(Module, Debug)]
pub(crate) struct GroupNormCnn {
    blocks: Vec<GroupNormBlock>,
    fc: Linear,
}

#[derive(Module, Debug)]
struct GroupNormBlock {
    conv: Conv2d,
    gn: GroupNorm,
    pool: MaxPool2d,
}

impl GroupNormCnn {
    pub(crate) fn new(channels: usize, n_classes: usize, device: &Device) -> Self {
        let block = |[input, output]: [usize; 2]| GroupNormBlock {
            conv: conv([input, output], device),
            gn: GroupNormConfig::new(8, output).init(device),
            pool: MaxPool2dConfig::new([2, 2]).with_strides([2, 2]).init(),
        };
        let blocks = [[channels, 16], [16, 32], [32, 64]].map(block).into();
        initialized(Self { blocks, fc: LinearConfig::new(64, n_classes).init(device) })
    }
}

impl Classifier for GroupNormCnn {
    fn features(&self, images: Tensor<4>) -> Tensor<2> {
        let through = |maps, block: &GroupNormBlock| block.pool.run(relu(block.gn.forward(block.conv.run(maps))));
        average(self.blocks.iter().fold(images, through))
    }

    fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        self.fc.run(self.features(images))
    }

    fn n_classes(&self) -> usize {
        self.fc.weight.dims()[1]
    }
}

fn conv(channels: [usize; 2], device: &Device) -> Conv2d {
    let padding = PaddingConfig2d::Explicit(1, 1, 1, 1);
    Conv2dConfig::new(channels, [3, 3]).with_padding(padding).with_bias(false).init(device)
}

fn average(maps: Tensor<4>) -> Tensor<2> {
    let [batch, channels, height, width] = maps.dims();
    maps.reshape([batch, channels, height * width]).mean_dim(2).squeeze_dim(2)
}
