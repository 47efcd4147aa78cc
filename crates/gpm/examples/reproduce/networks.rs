//! The networks of the experiments: a body, and a head for each task where the tasks have classes of their own.

use burn::module::{Module, ModuleDisplay};
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::pool::{AvgPool2d, AvgPool2dConfig, MaxPool2d, MaxPool2dConfig};
use burn::nn::{
    BatchNorm, BatchNormConfig, Dropout, DropoutConfig, Initializer, Linear, LinearConfig, PaddingConfig2d,
};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};
use rekindle_shared::data::ImageShape;
use rekindle_shared::model::{BatchStatistics, Layer, normalize_with};
use rekindle_shared::networks::{BasicBlock, Shortcut};

/// PyTorch's default: uniform within 1 / √fan_in.
pub(crate) fn pytorch() -> Initializer {
    Initializer::KaimingUniform { gain: 1.0 / 3.0_f64.sqrt(), fan_out_only: false }
}

/// Features of images, `[batch, channels, height, width]` to `[batch, features]`.
pub(crate) trait Body: Module + ModuleDisplay {
    fn features(&self, images: Tensor<4>) -> Tensor<2>;
}

/// A body, and a linear head without bias for each task.
#[derive(Module, Debug)]
pub(crate) struct MultiHead<B: Body> {
    body: B,
    heads: Vec<Linear>,
}

impl<B: Body> MultiHead<B> {
    pub(crate) fn new(body: B, n_features: usize, n_tasks: usize, n_classes: usize, device: &Device) -> Self {
        Self { body, heads: (0..n_tasks).map(|_| linear(n_features, n_classes, device)).collect() }
    }

    pub(crate) fn forward(&self, task: usize, images: Tensor<4>) -> Tensor<2> {
        self.heads[task].run(self.body.features(images))
    }
}

fn linear(from: usize, to: usize, device: &Device) -> Linear {
    LinearConfig::new(from, to).with_bias(false).init(device)
}

fn conv(channels: [usize; 2], kernel: usize, padding: PaddingConfig2d, device: &Device) -> Conv2d {
    Conv2dConfig::new(channels, [kernel, kernel]).with_padding(padding).with_bias(false).init(device)
}

fn halve() -> MaxPool2d {
    MaxPool2dConfig::new([2, 2]).with_strides([2, 2]).init()
}

/// Two 3x3 convolutions (16 and 32 filters) with pooling and a linear layer of 128; no biases.
#[derive(Module, Debug)]
pub(crate) struct SmallCnn {
    conv1: Conv2d,
    conv2: Conv2d,
    pool: MaxPool2d,
    fc: Linear,
}

impl SmallCnn {
    pub(crate) const FEATURES: usize = 128;

    pub(crate) fn new(shape: ImageShape, device: &Device) -> Self {
        Self {
            conv1: conv([shape.channels, 16], 3, PaddingConfig2d::Same, device),
            conv2: conv([16, 32], 3, PaddingConfig2d::Same, device),
            pool: halve(),
            fc: linear(32 * (shape.height / 4) * (shape.width / 4), Self::FEATURES, device),
        }
    }
}

impl Body for SmallCnn {
    fn features(&self, images: Tensor<4>) -> Tensor<2> {
        let x = self.pool.run(relu(self.conv1.run(images)));
        let x = self.pool.run(relu(self.conv2.run(x)));
        relu(self.fc.run(x.flatten(1, 3)))
    }
}

/// The paper's AlexNet-like network for 32x32 images; batch norms go by the statistics of each batch, in tests too.
#[derive(Module, Debug)]
pub(crate) struct AlexNet {
    conv1: Conv2d,
    conv2: Conv2d,
    conv3: Conv2d,
    fc1: Linear,
    fc2: Linear,
    norms: Vec<BatchNorm>,
    pool: MaxPool2d,
    light: Dropout,
    heavy: Dropout,
}

impl AlexNet {
    pub(crate) const FEATURES: usize = 2048;

    pub(crate) fn new(device: &Device) -> Self {
        let valid = || PaddingConfig2d::Valid;
        Self {
            conv1: conv([3, 64], 4, valid(), device),
            conv2: conv([64, 128], 3, valid(), device),
            conv3: conv([128, 256], 2, valid(), device),
            fc1: linear(256 * 2 * 2, 2048, device),
            fc2: linear(2048, Self::FEATURES, device),
            norms: [64, 128, 256, 2048, 2048].map(|width| BatchNormConfig::new(width).init(device)).into(),
            pool: halve(),
            light: DropoutConfig::new(0.2).init(),
            heavy: DropoutConfig::new(0.5).init(),
        }
    }

    fn by_batch(&self, images: Tensor<4>) -> Tensor<2> {
        let x = relu(self.norms[0].run(self.conv1.run(images)));
        let x = self.pool.run(self.light.forward(x));
        let x = relu(self.norms[1].run(self.conv2.run(x)));
        let x = self.pool.run(self.light.forward(x));
        let x = relu(self.norms[2].run(self.conv3.run(x)));
        let x = self.pool.run(self.heavy.forward(x)).flatten(1, 3);
        let x = self.heavy.forward(relu(self.norms[3].run(self.fc1.run(x))));
        self.heavy.forward(relu(self.norms[4].run(self.fc2.run(x))))
    }
}

impl Body for AlexNet {
    fn features(&self, images: Tensor<4>) -> Tensor<2> {
        by_batch_statistics(|| self.by_batch(images))
    }
}

/// ResNet-18 for 32x32 images, with 20 filters in the paper; batch norms go by the statistics of each batch, in tests too.
#[derive(Module, Debug)]
pub(crate) struct ResNet18 {
    conv1: Conv2d,
    bn1: BatchNorm,
    blocks: Vec<BasicBlock>,
    pool: AvgPool2d,
}

impl ResNet18 {
    pub(crate) fn new(width: usize, device: &Device) -> Self {
        let stages = [(width, width, 1), (width, 2 * width, 2), (2 * width, 4 * width, 2), (4 * width, 8 * width, 2)];
        let block = |from, to, stride| BasicBlock::new(from, to, stride, Shortcut::Project, device);
        let blocks = stages.map(|(from, to, stride)| [block(from, to, stride), block(to, to, 1)]);
        Self {
            conv1: conv([3, width], 3, PaddingConfig2d::Same, device),
            bn1: BatchNormConfig::new(width).init(device),
            blocks: blocks.into_iter().flatten().collect(),
            pool: AvgPool2dConfig::new([2, 2]).with_strides([2, 2]).init(),
        }
    }

    /// Features of 32x32 images.
    pub(crate) fn n_features(width: usize) -> usize {
        8 * width * 2 * 2
    }
}

impl Body for ResNet18 {
    fn features(&self, images: Tensor<4>) -> Tensor<2> {
        by_batch_statistics(|| {
            let maps = relu(self.bn1.run(self.conv1.run(images)));
            let maps = self.blocks.iter().fold(maps, |maps, block| block.forward(maps));
            self.pool.forward(maps).flatten(1, 3)
        })
    }
}

fn by_batch_statistics<R>(f: impl FnOnce() -> R) -> R {
    normalize_with(BatchStatistics::Batch, f).expect("statistics of the batch need no setting").0
}

#[cfg(test)]
mod tests {
    use rekindle_shared::model::{layer_weights, observe, require_observed};

    use super::*;

    fn check<B: Body>(body: B, n_features: usize, n_layers: usize) {
        let device = Device::flex();
        let model = MultiHead::new(body, n_features, 2, 3, &device);
        let images = Tensor::ones([2, 3, 32, 32], &device);
        let (logits, seen) = observe(|| model.forward(1, images));
        assert_eq!(logits.dims(), [2, 3]);
        assert_eq!(layer_weights(&model).len(), n_layers + 2);
        require_observed(&model, &seen, |weight| weight.path != "heads.0.weight").unwrap();
    }

    #[test]
    fn networks_have_the_papers_layers_and_show_all_of_their_inputs() {
        let device = Device::flex();
        let shape = ImageShape { channels: 3, height: 32, width: 32 };
        check(SmallCnn::new(shape, &device), SmallCnn::FEATURES, 3);
        check(AlexNet::new(&device), AlexNet::FEATURES, 5);
        // 17 on the main path and 3 shortcuts.
        check(ResNet18::new(20, &device), ResNet18::n_features(20), 20);
        assert_eq!(ResNet18::n_features(20), 640);
    }
}
