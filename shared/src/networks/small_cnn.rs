use burn::config::Config;
use burn::module::Module;
use burn::nn::conv::Conv2d;
use burn::nn::pool::{MaxPool2d, MaxPool2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};

use super::blocks::{conv, he, linear, zeros};
use super::error::{NetworkError, positive};
use crate::model::{Classifier, Layer, initialized};

/// Configuration of a [`SmallCnn`]; the defaults are for 28x28 grey images.
#[derive(Config, Debug)]
pub struct SmallCnnConfig {
    /// Channels of the images.
    #[config(default = 1)]
    pub in_channels: usize,
    /// Height and width of the images in pixels.
    #[config(default = "[28, 28]")]
    pub size: [usize; 2],
    /// Output channels of each block; a block halves height and width, rounding down.
    #[config(default = "vec![16, 32]")]
    pub channels: Vec<usize>,
    /// Width of the hidden linear layer.
    #[config(default = 64)]
    pub hidden: usize,
    /// Number of classes.
    #[config(default = 10)]
    pub n_classes: usize,
    /// Whether a batch norm follows each convolution; without it, convolutions have biases.
    #[config(default = true)]
    pub batch_norm: bool,
}

/// Blocks of 3x3 convolution, batch norm, ReLU and 2x2 max pooling, then a hidden linear layer.
#[derive(Module, Debug)]
pub struct SmallCnn {
    /// From the image on.
    pub blocks: Vec<ConvBlock>,
    /// The hidden layer, on the flattened maps.
    pub fc1: Linear,
    /// The classifier.
    pub fc2: Linear,
}

/// One block of a [`SmallCnn`].
#[derive(Module, Debug)]
pub struct ConvBlock {
    /// 3x3, padded to keep the size.
    pub conv: Conv2d,
    /// If the network has batch norm.
    pub bn: Option<BatchNorm>,
    /// 2x2, stride 2.
    pub pool: MaxPool2d,
}

impl SmallCnnConfig {
    /// Builds the network and draws its weights.
    ///
    /// # Errors
    ///
    /// [`NetworkError`] if a size or count is 0, or the images are too small to be halved once per block.
    pub fn init(&self, device: &Device) -> Result<SmallCnn, NetworkError> {
        positive("in_channels", self.in_channels)?;
        positive("the number of blocks", self.channels.len())?;
        positive("hidden", self.hidden)?;
        positive("n_classes", self.n_classes)?;
        self.channels.iter().try_for_each(|channels| positive("every entry of channels", *channels))?;

        let n_blocks = self.channels.len();
        let [height, width] = self.size.map(|side| side.checked_shr(n_blocks as u32).unwrap_or(0));
        if height == 0 || width == 0 {
            let least = 1_usize.checked_shl(n_blocks as u32).unwrap_or(usize::MAX);
            return Err(NetworkError::ImageTooSmall { size: self.size, n_blocks, least });
        }
        let mut channels_in = self.in_channels;
        let mut blocks = Vec::with_capacity(n_blocks);
        for &channels in &self.channels {
            let conv = conv([channels_in, channels], 3, 1, device);
            blocks.push(ConvBlock {
                conv: Conv2d { bias: (!self.batch_norm).then(|| zeros(channels, device)), ..conv },
                bn: self.batch_norm.then(|| BatchNormConfig::new(channels).init(device)),
                pool: MaxPool2dConfig::new([2, 2]).with_strides([2, 2]).init(),
            });
            channels_in = channels;
        }
        let fc1 = linear([channels_in * height * width, self.hidden], true, &he(false), device);
        let fc2 = LinearConfig::new(self.hidden, self.n_classes).init(device);
        Ok(initialized(SmallCnn { blocks, fc1, fc2 }))
    }
}

impl SmallCnn {
    /// Logits.
    ///
    /// # Shapes
    ///
    /// - `images`: `[batch, in_channels, height, width]`
    /// - output: `[batch, n_classes]`
    pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        self.fc2.run(self.features(images))
    }

    /// Activations of the hidden linear layer.
    ///
    /// # Shapes
    ///
    /// - `images`: `[batch, in_channels, height, width]`
    /// - output: `[batch, hidden]`
    pub fn features(&self, images: Tensor<4>) -> Tensor<2> {
        let maps = self.blocks.iter().fold(images, |maps, block| block.forward(maps));
        let batch = maps.dims()[0];
        relu(self.fc1.run(maps.reshape([batch as i32, -1])))
    }

    /// Number of classes.
    pub fn n_classes(&self) -> usize {
        self.fc2.weight.dims()[1]
    }
}

impl ConvBlock {
    fn forward(&self, maps: Tensor<4>) -> Tensor<4> {
        let maps = self.conv.run(maps);
        let maps = match &self.bn {
            Some(bn) => bn.run(maps),
            None => maps,
        };
        self.pool.run(relu(maps))
    }
}

impl Classifier for SmallCnn {
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
