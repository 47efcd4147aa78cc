use burn::config::Config;
use burn::module::Module;
use burn::nn::conv::Conv2d;
use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor, s};

use super::blocks::{conv, global_average};
use super::error::{NetworkError, positive};
use crate::model::{Classifier, Layer, initialized};

/// Configuration of a [`ResNet`]; the defaults are ResNet-20 for CIFAR-10.
#[derive(Config, Debug)]
pub struct ResNetConfig {
    /// Number of weighted layers on the main path, 6n + 2: 8, 14, 20, 26, 32, ...
    #[config(default = 20)]
    pub depth: usize,
    /// Channels of the first stage; the second has twice, the third four times as many.
    #[config(default = 16)]
    pub width: usize,
    /// Channels of the images.
    #[config(default = 3)]
    pub in_channels: usize,
    /// Number of classes.
    #[config(default = 10)]
    pub n_classes: usize,
    /// What stands beside a block that changes the size of the maps.
    #[config(default = "Shortcut::Pad")]
    pub shortcut: Shortcut,
}

/// How the input of a block that halves the maps and doubles the channels is added to its output.
#[derive(Config, Debug, Copy, PartialEq, Eq)]
pub enum Shortcut {
    /// Every second row and column, with zeros for the new channels: the paper's option A, without parameters.
    Pad,
    /// A 1x1 convolution with batch norm: the paper's option B.
    Project,
}

/// A residual network for 32x32 images (He et al. 2016, §4.2), of three stages of basic blocks.
///
/// Any height and width from 1 on will do: the maps are averaged before the classifier.
#[derive(Module, Debug)]
pub struct ResNet {
    /// 3x3, from the image to the first stage.
    pub conv1: Conv2d,
    /// Follows `conv1`.
    pub bn1: BatchNorm,
    /// Maps of the image's size.
    pub layer1: Vec<BasicBlock>,
    /// Maps of half the size.
    pub layer2: Vec<BasicBlock>,
    /// Maps of a quarter of the size.
    pub layer3: Vec<BasicBlock>,
    /// The classifier.
    pub fc: Linear,
}

/// Two 3x3 convolutions beside a shortcut.
#[derive(Module, Debug)]
pub struct BasicBlock {
    /// The one with the stride.
    pub conv1: Conv2d,
    /// Follows `conv1`.
    pub bn1: BatchNorm,
    /// At stride 1.
    pub conv2: Conv2d,
    /// Follows `conv2`, before the addition.
    pub bn2: BatchNorm,
    /// For [`Shortcut::Project`], where the size changes.
    pub downsample: Option<Projection>,
}

/// The parameters of [`Shortcut::Project`].
#[derive(Module, Debug)]
pub struct Projection {
    /// 1x1.
    pub conv: Conv2d,
    /// Follows `conv`.
    pub bn: BatchNorm,
}

impl ResNetConfig {
    /// Builds the network and draws its weights.
    ///
    /// # Errors
    ///
    /// [`NetworkError`] if the depth isn't 6n + 2, or a count is 0.
    pub fn init(&self, device: &Device) -> Result<ResNet, NetworkError> {
        if self.depth < 8 || !(self.depth - 2).is_multiple_of(6) {
            return Err(NetworkError::Depth { depth: self.depth, pattern: "6n + 2" });
        }
        positive("width", self.width)?;
        positive("in_channels", self.in_channels)?;
        positive("n_classes", self.n_classes)?;

        let n_blocks = (self.depth - 2) / 6;
        let stage = |channels_in: usize, channels: usize| {
            let first = if channels_in == channels { 1 } else { 2 };
            (0..n_blocks)
                .map(|block| match block {
                    0 => BasicBlock::new(channels_in, channels, first, self.shortcut, device),
                    _ => BasicBlock::new(channels, channels, 1, self.shortcut, device),
                })
                .collect()
        };
        let width = self.width;
        Ok(initialized(ResNet {
            conv1: conv([self.in_channels, width], 3, 1, device),
            bn1: BatchNormConfig::new(width).init(device),
            layer1: stage(width, width),
            layer2: stage(width, 2 * width),
            layer3: stage(2 * width, 4 * width),
            fc: LinearConfig::new(4 * width, self.n_classes).init(device),
        }))
    }
}

impl ResNet {
    /// Logits.
    ///
    /// # Shapes
    ///
    /// - `images`: `[batch, in_channels, height, width]`
    /// - output: `[batch, n_classes]`
    pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        self.fc.run(self.features(images))
    }

    /// The last stage's maps, averaged over height and width.
    ///
    /// # Shapes
    ///
    /// - `images`: `[batch, in_channels, height, width]`
    /// - output: `[batch, 4 * width]`
    pub fn features(&self, images: Tensor<4>) -> Tensor<2> {
        let maps = relu(self.bn1.run(self.conv1.run(images)));
        let blocks = self.layer1.iter().chain(&self.layer2).chain(&self.layer3);
        global_average(blocks.fold(maps, |maps, block| block.forward(maps)))
    }

    /// Number of classes.
    pub fn n_classes(&self) -> usize {
        self.fc.weight.dims()[1]
    }
}

impl BasicBlock {
    /// From `channels_in` to `channels`, with `stride` in its first convolution. Where the channels change, `shortcut` does,
    /// at stride 2 if it is [`Shortcut::Pad`].
    pub fn new(channels_in: usize, channels: usize, stride: usize, shortcut: Shortcut, device: &Device) -> Self {
        let project = channels_in != channels && shortcut == Shortcut::Project;
        Self {
            conv1: conv([channels_in, channels], 3, stride, device),
            bn1: BatchNormConfig::new(channels).init(device),
            conv2: conv([channels, channels], 3, 1, device),
            bn2: BatchNormConfig::new(channels).init(device),
            downsample: project.then(|| Projection {
                conv: conv([channels_in, channels], 1, stride, device),
                bn: BatchNormConfig::new(channels).init(device),
            }),
        }
    }

    /// The block's maps.
    ///
    /// # Shapes
    ///
    /// - `maps`: `[batch, channels_in, height, width]`
    /// - output: `[batch, channels, height / stride, width / stride]`, rounded up
    pub fn forward(&self, maps: Tensor<4>) -> Tensor<4> {
        let residual = relu(self.bn1.run(self.conv1.run(maps.clone())));
        let residual = self.bn2.run(self.conv2.run(residual));
        relu(residual + self.shortcut(maps))
    }

    fn shortcut(&self, maps: Tensor<4>) -> Tensor<4> {
        let [channels_in, channels] = [self.conv1.weight.dims()[1], self.conv1.weight.dims()[0]];
        match &self.downsample {
            Some(projection) => projection.bn.run(projection.conv.run(maps)),
            None if channels == channels_in => maps,
            None => pad_channels(maps.slice(s![.., .., ..;2, ..;2]), channels - channels_in),
        }
    }
}

/// Adds channels of zeros, half of them in front.
fn pad_channels(maps: Tensor<4>, extra: usize) -> Tensor<4> {
    let [batch, _, height, width] = maps.dims();
    let (device, dtype) = (maps.device(), maps.dtype());
    let zeros = |channels| Tensor::zeros([batch, channels, height, width], (&device, dtype));
    let front = extra / 2;
    let parts = if front == 0 { vec![maps, zeros(extra)] } else { vec![zeros(front), maps, zeros(extra - front)] };
    Tensor::cat(parts, 1)
}

impl Classifier for ResNet {
    fn features(&self, images: Tensor<4>) -> Tensor<2> {
        self.features(images)
    }

    fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        self.forward(images)
    }

    fn n_classes(&self) -> usize {
        self.n_classes()
    }
}
