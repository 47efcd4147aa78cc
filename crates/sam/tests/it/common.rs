//! Models, data and helpers that the tests have in common.
#![allow(dead_code, reason = "each test binary uses its share")]

use std::sync::{Mutex, MutexGuard, PoisonError};

use burn::module::{Module, ModuleVisitor, Param};
use burn::nn::loss::CrossEntropyLossConfig;
use burn::nn::{BatchNorm, BatchNormConfig, Dropout, DropoutConfig, Linear, LinearConfig};
use burn::optim::momentum::MomentumConfig;
use burn::optim::{GradientsParams, ModuleOptimizer, SgdConfig};
use burn::tensor::{Device, Int, Tensor, TensorData};
use rekindle_sam::SamGradients;

/// A point of a loss surface; its name makes it a weight.
#[derive(Module, Debug)]
pub(crate) struct Point {
    pub(crate) weight: Param<Tensor<1>>,
}

impl Point {
    pub(crate) fn new<const N: usize>(at: [f32; N], device: &Device) -> Self {
        Self { weight: Param::from_data(at, device) }
    }

    pub(crate) fn at(&self) -> Vec<f32> {
        vector(self.weight.val())
    }

    pub(crate) fn gradient(&self, grads: &GradientsParams) -> Vec<f32> {
        vector(grads.get::<1>(self.weight.id).expect("a gradient"))
    }
}

/// ½ Σ hᵢ xᵢ²
pub(crate) fn quadratic<const N: usize>(h: [f32; N]) -> impl Fn(&Point) -> Tensor<1> {
    move |point| {
        let x = point.weight.val();
        let h = Tensor::<1>::from_data(h, &x.device());
        (x.powi_scalar(2) * h).sum() * 0.5
    }
}

/// c · x
pub(crate) fn linear<const N: usize>(c: [f32; N]) -> impl Fn(&Point) -> Tensor<1> {
    move |point| {
        let x = point.weight.val();
        let c = Tensor::<1>::from_data(c, &x.device());
        (x * c).sum()
    }
}

/// A classifier with batch norm and dropout.
#[derive(Module, Debug)]
pub(crate) struct Net {
    pub(crate) hidden: Linear,
    pub(crate) norm: BatchNorm,
    pub(crate) dropout: Dropout,
    pub(crate) head: Linear,
}

pub(crate) const N_FEATURES: usize = 6;
pub(crate) const N_CLASSES: usize = 3;

impl Net {
    /// Weights that depend on nothing but `dropout`'s rate, and a device generator that is left alone.
    pub(crate) fn new(dropout: f64, device: &Device) -> Self {
        let net = Self {
            hidden: LinearConfig::new(N_FEATURES, 8).init(device),
            norm: BatchNormConfig::new(8).init(device),
            dropout: DropoutConfig::new(dropout).init(),
            head: LinearConfig::new(8, N_CLASSES).init(device),
        };
        struct Fill(u64);
        impl burn::module::ModuleMapper for Fill {
            fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
                // Running statistics have values from the start; parameters draw theirs at first use.
                if param.is_initialized() {
                    return param;
                }
                self.0 += 1;
                let shape = param.lazy_shape();
                let data = TensorData::new(noise(self.0, shape.num_elements(), 0.5), shape);
                let device = param.lazy_device();
                Param::initialized(param.id, Tensor::from_data(data, &device).require_grad())
            }
        }
        net.map(&mut Fill(0))
    }

    pub(crate) fn forward(&self, input: Tensor<2>) -> Tensor<2> {
        let x = self.norm.forward(self.hidden.forward(input));
        self.head.forward(self.dropout.forward(burn::tensor::activation::relu(x)))
    }

    pub(crate) fn running_mean(&self) -> Vec<f32> {
        vector(self.norm.running_mean.value_sync())
    }
}

/// A batch of `n` samples for [`Net`].
#[derive(Debug, Clone)]
pub(crate) struct Batch {
    pub(crate) input: Tensor<2>,
    pub(crate) target: Tensor<1, Int>,
}

impl Batch {
    pub(crate) fn new(seed: u64, n: usize, device: &Device) -> Self {
        let data = TensorData::new(noise(seed ^ 0xBA7C, n * N_FEATURES, 1.0), [n, N_FEATURES]);
        let target: Vec<i64> = (0..n as i64).map(|i| (i + seed as i64) % N_CLASSES as i64).collect();
        Self { input: Tensor::from_data(data, device), target: Tensor::from_data(TensorData::new(target, [n]), device) }
    }

    pub(crate) fn loss(&self, net: &Net) -> Tensor<1> {
        self.loss_of(net, 0..self.input.dims()[0])
    }

    pub(crate) fn loss_of(&self, net: &Net, range: std::ops::Range<usize>) -> Tensor<1> {
        let (start, length) = (range.start, range.len());
        let logits = net.forward(self.input.clone().narrow(0, start, length));
        let criterion = CrossEntropyLossConfig::new().init(&logits.device());
        criterion.forward(logits, self.target.clone().narrow(0, start, length))
    }
}

/// `n` numbers in `[-scale, scale]` that look random.
pub(crate) fn noise(seed: u64, n: usize, scale: f32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..n + 8).map(|_| next() * scale).skip(8).collect()
}

pub(crate) fn device() -> Device {
    Device::flex().autodiff()
}

/// SGD as in PyTorch: Burn's dampening is 0.1 unless it is told.
pub(crate) fn sgd(momentum: f64) -> ModuleOptimizer {
    let config = SgdConfig::new();
    if momentum == 0.0 {
        return config.init();
    }
    config.with_momentum(Some(MomentumConfig::new().with_momentum(momentum).with_dampening(0.0))).init()
}

pub(crate) fn vector<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}

pub(crate) fn scalar(tensor: Tensor<1>) -> f64 {
    tensor.into_scalar::<f64>()
}

/// The bits of every parameter and running statistic.
pub(crate) fn bits<M: Module>(model: &M) -> Vec<Vec<u32>> {
    struct Bits(Vec<Vec<u32>>);
    impl ModuleVisitor for Bits {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.0.push(vector(param.val()).into_iter().map(f32::to_bits).collect());
        }
    }
    let mut bits = Bits(Vec::new());
    model.valid().visit(&mut bits);
    bits.0
}

#[track_caller]
pub(crate) fn assert_close(actual: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(actual.len(), expected.len());
    for (a, e) in actual.iter().zip(expected) {
        assert!((a - e).abs() <= tolerance, "{actual:?} is not {expected:?} within {tolerance}");
    }
}

/// A plain step, for comparison.
pub(crate) fn plain_step<M: Module>(
    optimizer: &mut ModuleOptimizer,
    lr: f64,
    model: M,
    loss: impl Fn(&M) -> Tensor<1>,
) -> M {
    let grads = GradientsParams::from_grads(loss(&model).backward(), &model);
    optimizer.step(lr, model, grads)
}

pub(crate) fn gradient_of<M: Module>(model: &M, loss: impl Fn(&M) -> Tensor<1>) -> GradientsParams {
    GradientsParams::from_grads(loss(model).backward(), model)
}

/// The gradients of a step as flat vectors, in the order of the model's fields.
pub(crate) fn gradients<M: Module>(step: &SamGradients<M>) -> Vec<Vec<f32>> {
    struct Flat<'a>(&'a GradientsParams, Vec<Vec<f32>>);
    impl ModuleVisitor for Flat<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if let Some(grad) = self.0.get::<D>(param.id) {
                self.1.push(vector(grad));
            }
        }
    }
    let mut flat = Flat(&step.grads, Vec::new());
    step.model.visit(&mut flat);
    flat.1
}

/// Burn's generator is one for the process: tests that draw from it take turns.
pub(crate) fn generator() -> MutexGuard<'static, ()> {
    static GENERATOR: Mutex<()> = Mutex::new(());
    GENERATOR.lock().unwrap_or_else(PoisonError::into_inner)
}
