//! A step of SAM beside the two base steps whose gradients it costs.

use std::hint::black_box;
use std::time::Duration;

use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::loss::CrossEntropyLossConfig;
use burn::nn::pool::{MaxPool2d, MaxPool2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig, PaddingConfig2d};
use burn::optim::momentum::MomentumConfig;
use burn::optim::{GradientsParams, ModuleOptimizer, SgdConfig};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Distribution, Int, Tensor};
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, criterion_group, criterion_main};
use rekindle_sam::SamConfig;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const BATCH_SIZE: usize = 64;
const N_CLASSES: usize = 10;
const LEARNING_RATE: f64 = 0.01;

/// 784-256-256-10.
#[derive(Module, Debug)]
struct Mlp {
    layers: Vec<Linear>,
}

impl Mlp {
    fn new(device: &Device) -> Self {
        let layer = |sizes: &[usize]| LinearConfig::new(sizes[0], sizes[1]).init(device);
        Self { layers: [784, 256, 256, N_CLASSES].windows(2).map(layer).collect() }
    }

    fn forward(&self, input: Tensor<2>) -> Tensor<2> {
        let (last, hidden) = self.layers.split_last().expect("three layers");
        last.forward(hidden.iter().fold(input, |x, layer| relu(layer.forward(x))))
    }
}

/// Three stages of convolution, batch norm and pooling on 3x32x32, then a linear layer.
#[derive(Module, Debug)]
struct Cnn {
    convs: Vec<Conv2d>,
    norms: Vec<BatchNorm>,
    pool: MaxPool2d,
    head: Linear,
}

impl Cnn {
    fn new(device: &Device) -> Self {
        let channels = [3, 16, 32, 64];
        let conv = |c: &[usize]| {
            Conv2dConfig::new([c[0], c[1]], [3, 3]).with_padding(PaddingConfig2d::Same).with_bias(false).init(device)
        };
        Self {
            convs: channels.windows(2).map(conv).collect(),
            norms: channels[1..].iter().map(|c| BatchNormConfig::new(*c).init(device)).collect(),
            pool: MaxPool2dConfig::new([2, 2]).with_strides([2, 2]).init(),
            head: LinearConfig::new(64 * 4 * 4, N_CLASSES).init(device),
        }
    }

    fn forward(&self, input: Tensor<4>) -> Tensor<2> {
        let layers = self.convs.iter().zip(&self.norms);
        let stage = |x, (conv, norm): (&Conv2d, &BatchNorm)| self.pool.forward(relu(norm.forward(conv.forward(x))));
        self.head.forward(layers.fold(input, stage).flatten(1, 3))
    }
}

fn sgd() -> ModuleOptimizer {
    let momentum = MomentumConfig::new().with_momentum(0.9).with_dampening(0.0);
    SgdConfig::new().with_momentum(Some(momentum)).init()
}

fn compare<M: Module>(group: &mut BenchmarkGroup<'_, WallTime>, model: M, loss: impl Fn(&M) -> Tensor<1>) {
    group.bench_function("two base steps", |bencher| {
        let mut optimizer = sgd();
        let mut state = Some(model.clone());
        bencher.iter(|| {
            for _ in 0..2 {
                let model = state.take().expect("put back below");
                let loss = loss(&model);
                let grads = GradientsParams::from_grads(loss.backward(), &model);
                black_box(loss.into_scalar::<f32>());
                state = Some(optimizer.step(LEARNING_RATE, model, grads));
            }
        });
    });
    group.bench_function("one SAM step", |bencher| {
        let mut sam = SamConfig::new().init(sgd()).expect("the defaults are valid");
        let mut state = Some(model.clone());
        bencher.iter(|| {
            let model = state.take().expect("put back below");
            let (model, report) = sam.step(LEARNING_RATE, model, &loss).expect("a loss with a gradient");
            black_box(report.loss);
            state = Some(model);
        });
    });
}

fn steps(criterion: &mut Criterion) {
    let device = Device::flex().autodiff();
    device.seed(1);
    let target = Tensor::<1, Int>::arange(0..BATCH_SIZE as i64, &device).remainder_scalar(N_CLASSES as i64);
    let criterion_loss = CrossEntropyLossConfig::new().init(&device);

    let mut group = criterion.benchmark_group("MLP 784-256-256-10, batch 64");
    group.measurement_time(Duration::from_secs(6)).sample_size(60);
    let input = Tensor::<2>::random([BATCH_SIZE, 784], Distribution::Default, &device);
    let loss = |model: &Mlp| criterion_loss.forward(model.forward(input.clone()), target.clone());
    compare(&mut group, Mlp::new(&device), loss);
    group.finish();

    let mut group = criterion.benchmark_group("CNN 3x32x32, batch 64");
    group.measurement_time(Duration::from_secs(15)).sample_size(20);
    let input = Tensor::<4>::random([BATCH_SIZE, 3, 32, 32], Distribution::Default, &device);
    let loss = |model: &Cnn| criterion_loss.forward(model.forward(input.clone()), target.clone());
    compare(&mut group, Cnn::new(&device), loss);
    group.finish();
}

criterion_group!(benches, steps);
criterion_main!(benches);
