//! Models to protect, and a way to train them.

use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig, PaddingConfig2d};
use burn::optim::{GradientsParams, ModuleOptimizer};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Distribution, Tensor};
use rekindle_gpm::GpmMemory;
use rekindle_shared::model::Layer;

/// Two linear layers, biases by choice.
#[derive(Module, Debug)]
pub(crate) struct Mlp {
    pub(crate) first: Linear,
    pub(crate) last: Linear,
}

impl Mlp {
    pub(crate) fn new(sizes: [usize; 3], bias: bool, device: &Device) -> Self {
        let linear = |from, to| LinearConfig::new(from, to).with_bias(bias).init(device);
        Self { first: linear(sizes[0], sizes[1]), last: linear(sizes[1], sizes[2]) }
    }

    pub(crate) fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        self.last.run(relu(self.first.run(x)))
    }
}

/// Convolutions with stride, groups and a 1x1 kernel, a batch norm, a head for each of two tasks.
#[derive(Module, Debug)]
pub(crate) struct Cnn {
    pub(crate) first: Conv2d,
    pub(crate) norm: BatchNorm,
    pub(crate) grouped: Conv2d,
    pub(crate) narrow: Conv2d,
    pub(crate) heads: Vec<Linear>,
}

impl Cnn {
    pub(crate) fn new(device: &Device) -> Self {
        let conv = |channels, kernel: usize| Conv2dConfig::new(channels, [kernel, kernel]).with_bias(false);
        let padding = PaddingConfig2d::Explicit(1, 1, 1, 1);
        Self {
            first: conv([2, 4], 3).with_stride([2, 2]).with_padding(padding).init(device),
            norm: BatchNormConfig::new(4).init(device),
            grouped: conv([4, 6], 3).with_groups(2).with_padding(PaddingConfig2d::Same).init(device),
            narrow: conv([6, 5], 1).init(device),
            heads: (0..2).map(|_| LinearConfig::new(5, 3).with_bias(false).init(device)).collect(),
        }
    }

    pub(crate) fn features(&self, x: Tensor<4>) -> Tensor<2> {
        let x = relu(self.norm.run(self.first.run(x)));
        let x = relu(self.narrow.run(relu(self.grouped.run(x))));
        x.mean_dims(&[2, 3]).squeeze_dims(&[2, 3])
    }

    pub(crate) fn forward(&self, task: usize, x: Tensor<4>) -> Tensor<2> {
        self.heads[task].run(self.features(x))
    }
}

pub(crate) fn device() -> Device {
    Device::flex().autodiff()
}

pub(crate) fn random<const D: usize>(shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::random(shape, Distribution::Normal(0.0, 1.0), device)
}

/// Steps towards random targets, which move the model as far as anything does.
pub(crate) fn train<M: Module, const D: usize>(
    memory: &GpmMemory,
    mut model: M,
    optimizer: &mut ModuleOptimizer,
    n_steps: usize,
    input: impl Fn() -> Tensor<D>,
    forward: impl Fn(&M, Tensor<D>) -> Tensor<2>,
) -> M {
    for _ in 0..n_steps {
        let output = forward(&model, input());
        let target = output.random_like(Distribution::Default);
        let loss = (output - target).powi_scalar(2).mean();
        let grads = GradientsParams::from_grads(loss.backward(), &model);
        model = memory.step(0.05, model, grads, optimizer);
    }
    model
}

/// ‖a − b‖ / ‖a‖.
pub(crate) fn distance<const D: usize>(a: Tensor<D>, b: Tensor<D>) -> f32 {
    let (a, b) = (a.inner(), b.inner());
    let norm = |t: Tensor<D>| t.powi_scalar(2).sum().sqrt().into_scalar::<f32>();
    norm(a.clone() - b) / norm(a)
}
