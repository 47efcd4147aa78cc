use burn::config::Config;
use burn::module::Module;
use burn::nn::conv::Conv2d;
use burn::nn::{BatchNorm, BatchNormConfig, Dropout, DropoutConfig, Linear, LinearConfig};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};

use super::blocks::{conv, global_average};
use super::error::{NetworkError, positive};
use crate::model::{Classifier, Layer, initialized};

/// Configuration of a [`WideResNet`]; the defaults are WRN-28-10 for CIFAR-10.
#[derive(Config, Debug)]
pub struct WideResNetConfig {
    /// Number of weighted layers on the main path with the three shortcuts, 6n + 4: 10, 16, 22, 28, 40, ...
    #[config(default = 28)]
    pub depth: usize,
    /// How many times wider than the thin network, whose stages have 16, 32 and 64 channels.
    #[config(default = 10)]
    pub widen_factor: usize,
    /// Probability with which dropout between the convolutions of a block zeroes an element; 0 leaves it out.
    #[config(default = 0.0)]
    pub dropout: f64,
    /// Channels of the images.
    #[config(default = 3)]
    pub in_channels: usize,
    /// Number of classes.
    #[config(default = 10)]
    pub n_classes: usize,
}

/// A wide residual network (Zagoruyko and Komodakis 2016): pre-activation basic blocks, with dropout between the
/// convolutions as an option.
///
/// Any height and width from 1 on will do: the maps are averaged before the classifier.
#[derive(Module, Debug)]
pub struct WideResNet {
    /// 3x3, from the image to 16 channels.
    pub conv1: Conv2d,
    /// Maps of the image's size.
    pub block1: Vec<WideBlock>,
    /// Maps of half the size.
    pub block2: Vec<WideBlock>,
    /// Maps of a quarter of the size.
    pub block3: Vec<WideBlock>,
    /// Follows the last block.
    pub bn1: BatchNorm,
    /// The classifier.
    pub fc: Linear,
}

/// Batch norm, ReLU and a 3x3 convolution, twice, beside a shortcut.
#[derive(Module, Debug)]
pub struct WideBlock {
    /// Before `conv1`, and before the shortcut where that is a convolution.
    pub bn1: BatchNorm,
    /// The one with the stride.
    pub conv1: Conv2d,
    /// Before `conv2`.
    pub bn2: BatchNorm,
    /// Between the convolutions, if the network has it.
    pub dropout: Option<Dropout>,
    /// At stride 1.
    pub conv2: Conv2d,
    /// 1x1, where the number of channels changes.
    pub shortcut: Option<Conv2d>,
}

impl WideResNetConfig {
    /// Builds the network and draws its weights.
    ///
    /// # Errors
    ///
    /// [`NetworkError`] if the depth isn't 6n + 4, a count is 0, or dropout is outside of [0, 1).
    pub fn init(&self, device: &Device) -> Result<WideResNet, NetworkError> {
        if self.depth < 10 || !(self.depth - 4).is_multiple_of(6) {
            return Err(NetworkError::Depth { depth: self.depth, pattern: "6n + 4" });
        }
        positive("widen_factor", self.widen_factor)?;
        positive("in_channels", self.in_channels)?;
        positive("n_classes", self.n_classes)?;
        if !(0.0..1.0).contains(&self.dropout) {
            return Err(NetworkError::Dropout(self.dropout));
        }
        let n_blocks = (self.depth - 4) / 6;
        let stage = |channels_in: usize, channels: usize, stride: usize| {
            (0..n_blocks)
                .map(|block| match block {
                    0 => WideBlock::new(channels_in, channels, stride, self.dropout, device),
                    _ => WideBlock::new(channels, channels, 1, self.dropout, device),
                })
                .collect()
        };
        let widths = [16, 32, 64].map(|channels| channels * self.widen_factor);
        Ok(initialized(WideResNet {
            conv1: conv([self.in_channels, 16], 3, 1, device),
            block1: stage(16, widths[0], 1),
            block2: stage(widths[0], widths[1], 2),
            block3: stage(widths[1], widths[2], 2),
            bn1: BatchNormConfig::new(widths[2]).init(device),
            fc: LinearConfig::new(widths[2], self.n_classes).init(device),
        }))
    }
}

impl WideResNet {
    /// Logits.
    ///
    /// # Shapes
    ///
    /// - `images`: `[batch, in_channels, height, width]`
    /// - output: `[batch, n_classes]`
    pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        self.fc.run(self.features(images))
    }

    /// The last stage's maps after batch norm and ReLU, averaged over height and width.
    ///
    /// # Shapes
    ///
    /// - `images`: `[batch, in_channels, height, width]`
    /// - output: `[batch, 64 * widen_factor]`
    pub fn features(&self, images: Tensor<4>) -> Tensor<2> {
        let blocks = self.block1.iter().chain(&self.block2).chain(&self.block3);
        let maps = blocks.fold(self.conv1.run(images), |maps, block| block.forward(maps));
        global_average(relu(self.bn1.run(maps)))
    }

    /// Number of classes.
    pub fn n_classes(&self) -> usize {
        self.fc.weight.dims()[1]
    }
}

impl WideBlock {
    fn new(channels_in: usize, channels: usize, stride: usize, dropout: f64, device: &Device) -> Self {
        Self {
            bn1: BatchNormConfig::new(channels_in).init(device),
            conv1: conv([channels_in, channels], 3, stride, device),
            bn2: BatchNormConfig::new(channels).init(device),
            dropout: (dropout > 0.0).then(|| DropoutConfig::new(dropout).init()),
            conv2: conv([channels, channels], 3, 1, device),
            shortcut: (channels_in != channels).then(|| conv([channels_in, channels], 1, stride, device)),
        }
    }

    fn forward(&self, maps: Tensor<4>) -> Tensor<4> {
        let active = relu(self.bn1.run(maps.clone()));
        let shortcut = match &self.shortcut {
            Some(conv) => conv.run(active.clone()),
            None => maps,
        };
        let residual = relu(self.bn2.run(self.conv1.run(active)));
        let residual = match &self.dropout {
            Some(dropout) => dropout.forward(residual),
            None => residual,
        };
        self.conv2.run(residual) + shortcut
    }
}

impl Classifier for WideResNet {
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
