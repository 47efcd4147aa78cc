//! Models and batches that the tests have in common.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, Dropout, DropoutConfig, Linear, LinearConfig};
use burn::optim::{AdamConfig, ModuleOptimizer, SgdConfig};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor, TensorData};
use rekindle_shared::model::{Layer, deep_copy};
use rekindle_tent::{Tent, TentConfig};

/// A classifier of stock layers called by Burn's `forward`, with dropout.
#[derive(Module, Debug)]
pub(crate) struct Net {
    pub(crate) hidden: Linear,
    pub(crate) norm: BatchNorm,
    pub(crate) dropout: Dropout,
    pub(crate) head: Linear,
}

pub(crate) const FEATURES: usize = 6;
pub(crate) const CLASSES: usize = 4;

impl Net {
    /// Weights that depend on nothing but their place, and running statistics that are not those of the start.
    pub(crate) fn new(device: &Device) -> Self {
        let net = Self {
            hidden: LinearConfig::new(FEATURES, 8).init(device),
            norm: BatchNormConfig::new(8).init(device),
            dropout: DropoutConfig::new(0.5).init(),
            head: LinearConfig::new(8, CLASSES).init(device),
        };
        fill(net)
    }

    pub(crate) fn forward(&self, input: Tensor<2>) -> Tensor<2> {
        self.head.forward(self.features(input))
    }

    /// What the head sees.
    pub(crate) fn features(&self, input: Tensor<2>) -> Tensor<2> {
        self.dropout.forward(relu(self.norm.forward(self.hidden.forward(input))))
    }
}

/// A convolutional classifier that calls its layers through `Layer::run`.
#[derive(Module, Debug)]
pub(crate) struct ConvNet {
    pub(crate) conv1: Conv2d,
    pub(crate) bn1: BatchNorm,
    pub(crate) conv2: Conv2d,
    pub(crate) bn2: BatchNorm,
    pub(crate) head: Linear,
}

impl ConvNet {
    pub(crate) fn new(device: &Device) -> Self {
        fill(Self {
            conv1: Conv2dConfig::new([1, 4], [3, 3]).init(device),
            bn1: BatchNormConfig::new(4).init(device),
            conv2: Conv2dConfig::new([4, 6], [3, 3]).init(device),
            bn2: BatchNormConfig::new(6).init(device),
            head: LinearConfig::new(6, CLASSES).init(device),
        })
    }

    pub(crate) fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let maps = relu(self.bn1.run(self.conv1.run(images)));
        let maps = relu(self.bn2.run(self.conv2.run(maps)));
        let features: Tensor<2> = maps.mean_dims(&[2, 3]).reshape([0, -1]);
        self.head.run(features)
    }
}

/// Every float tensor filled by its place in the module.
pub(crate) fn fill<M: Module>(module: M) -> M {
    struct Fill(u64);
    impl ModuleMapper for Fill {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            self.0 += 1;
            let shape = param.lazy_shape();
            let device = param.lazy_device();
            // Running statistics have values from the start; a variance stays positive.
            let state = param.is_initialized();
            let values: Vec<f32> = noise(self.0, shape.num_elements(), 1.0);
            let values: Vec<f32> = values.into_iter().map(|v| if state { 0.8 + 0.3 * v.abs() } else { v }).collect();
            let tensor = Tensor::from_data(TensorData::new(values, shape), &device);
            match state {
                true => param.map(|_| tensor),
                false => Param::initialized(param.id, tensor.set_require_grad(device.is_autodiff())),
            }
        }
    }
    deep_copy(&module.map(&mut Fill(0)))
}

/// Numbers in ±`scale` that depend on nothing but `seed`.
pub(crate) fn noise(seed: u64, n: usize, scale: f32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 33) as f32 / (1_u64 << 31) as f32 * 2.0 - 1.0) * scale
    };
    (0..n).map(|_| next()).collect()
}

/// A batch for [`Net`], shifted and scaled against what it was made for.
pub(crate) fn rows(seed: u64, n: usize, device: &Device) -> Tensor<2> {
    Tensor::from_data(TensorData::new(noise(seed, n * FEATURES, 2.0), [n, FEATURES]), device) + 0.5
}

/// A batch for [`ConvNet`].
pub(crate) fn images(seed: u64, n: usize, device: &Device) -> Tensor<4> {
    Tensor::from_data(TensorData::new(noise(seed, n * 64, 1.0), [n, 1, 8, 8]), device) * 1.5 + 0.3
}

pub(crate) fn adam() -> ModuleOptimizer {
    AdamConfig::new().init()
}

pub(crate) fn sgd() -> ModuleOptimizer {
    SgdConfig::new().init()
}

/// Tent with a rate that shows, and neither guard.
pub(crate) fn bare() -> TentConfig {
    TentConfig::new().with_learning_rate(0.05).with_min_batch(1).with_collapse(None)
}

pub(crate) fn tent(config: &TentConfig, device: &Device) -> Tent<Net> {
    config.init(&Net::new(device), adam()).unwrap()
}

/// Adapts to a batch and returns its logits.
pub(crate) fn step(tent: &mut Tent<Net>, seed: u64, n: usize) -> Vec<f32> {
    let input = rows(seed, n, &Device::flex());
    values(tent.adapt(input, |net, input| net.forward(input)).unwrap().logits)
}

pub(crate) fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_into_vec().unwrap()
}

/// Bits of every float tensor by identifier, running statistics with their last update.
pub(crate) fn bits<M: Module>(module: &M) -> Vec<(ParamId, Vec<u32>)> {
    struct Bits(Vec<(ParamId, Vec<u32>)>);
    impl ModuleVisitor for Bits {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.0.push((param.id, values(param.val()).into_iter().map(f32::to_bits).collect()));
        }
    }
    let mut bits = Bits(Vec::new());
    module.valid().visit(&mut bits);
    bits.0
}
