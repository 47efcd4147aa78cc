//! Whole training steps, with Burn's own layers and with ours: forward pass, cross-entropy, backward pass and SGD with
//! momentum, the loss read at the end. "forward" is up to the loss, "whole" the step.
//!
//! `cargo bench -p rekindle-kernels --profile dev --bench networks -- --runs 20 --filter ResNet`

mod measure;
mod report;

use std::time::Instant;

use burn::module::{Module, ModuleVisitor, Param};
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::loss::CrossEntropyLossConfig;
use burn::nn::{BatchNorm, BatchNormConfig, LayerNorm, LayerNormConfig, Linear, LinearConfig, PaddingConfig2d};
use burn::optim::momentum::MomentumConfig;
use burn::optim::{GradientsParams, ModuleOptimizer, SgdConfig};
use burn::tensor::activation::{gelu, relu, softmax};
use burn::tensor::ops::MaxPoolOptions;
use burn::tensor::{Device, Distribution, Int, Tensor, module};
use measure::{Options, Run, in_turns};
use rekindle_kernels::{ForwardFast, activation as fast_activation, module as fast_module};
use rekindle_shared::model::{deep_copy, init_seeded};
use report::{print_head, print_rows};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const N_CLASSES: usize = 10;
const LEARNING_RATE: f64 = 1e-3;

/// Whose forward pass the layers run.
#[derive(Clone, Copy)]
enum Kernels {
    Stock,
    Ours,
}

impl Kernels {
    fn conv(self, layer: &Conv2d, x: Tensor<4>) -> Tensor<4> {
        match self {
            Self::Stock => layer.forward(x),
            Self::Ours => layer.forward_fast(x),
        }
    }

    fn norm(self, layer: &BatchNorm, x: Tensor<4>) -> Tensor<4> {
        match self {
            Self::Stock => layer.forward(x),
            Self::Ours => layer.forward_fast(x),
        }
    }

    fn pool(self, x: Tensor<4>) -> Tensor<4> {
        let options = MaxPoolOptions::new([2, 2]);
        match self {
            Self::Stock => module::max_pool2d(x, options),
            Self::Ours => fast_module::max_pool2d(x, options),
        }
    }

    fn gelu<const D: usize>(self, x: Tensor<D>) -> Tensor<D> {
        match self {
            Self::Stock => gelu(x),
            Self::Ours => fast_activation::gelu(x),
        }
    }

    fn softmax(self, x: Tensor<4>) -> Tensor<4> {
        match self {
            Self::Stock => softmax(x, 3),
            Self::Ours => fast_activation::softmax(x, 3),
        }
    }
}

trait Network<const D: usize>: Module {
    fn logits(&self, kernels: Kernels, x: Tensor<D>) -> Tensor<2>;
}

fn conv(channels: [usize; 2], kernel: usize, padding: usize) -> Conv2dConfig {
    Conv2dConfig::new(channels, [kernel, kernel])
        .with_padding(PaddingConfig2d::Explicit(padding, padding, padding, padding))
}

/// `[batch, channels, height, width]` to `[batch, channels]`.
fn global_average(maps: Tensor<4>) -> Tensor<2> {
    let [batch, channels, ..] = maps.dims();
    maps.flatten::<3>(2, 3).mean_dim(2).reshape([batch, channels])
}

/// A convolution without bias, with its batch norm.
#[derive(Module, Debug)]
struct ConvNorm {
    conv: Conv2d,
    norm: BatchNorm,
}

impl ConvNorm {
    fn new(config: &Conv2dConfig, device: &Device) -> Self {
        let norm = BatchNormConfig::new(config.channels[1]).init(device);
        Self { conv: config.clone().with_bias(false).init(device), norm }
    }

    fn forward(&self, kernels: Kernels, x: Tensor<4>) -> Tensor<4> {
        kernels.norm(&self.norm, kernels.conv(&self.conv, x))
    }
}

/// Four 3x3 convolutions with bias, batch norm and ReLU, pooled after the second and the fourth.
#[derive(Module, Debug)]
struct SmallCnn {
    convs: Vec<Conv2d>,
    norms: Vec<BatchNorm>,
    head: Linear,
}

impl SmallCnn {
    fn new(device: &Device) -> Self {
        let channels = [3, 32, 32, 64, 64];
        Self {
            convs: channels.windows(2).map(|pair| conv([pair[0], pair[1]], 3, 1).init(device)).collect(),
            norms: channels[1..].iter().map(|channels| BatchNormConfig::new(*channels).init(device)).collect(),
            head: LinearConfig::new(64 * 8 * 8, N_CLASSES).init(device),
        }
    }
}

impl Network<4> for SmallCnn {
    fn logits(&self, kernels: Kernels, mut x: Tensor<4>) -> Tensor<2> {
        for (i, (conv, norm)) in self.convs.iter().zip(&self.norms).enumerate() {
            x = relu(kernels.norm(norm, kernels.conv(conv, x)));
            if i % 2 == 1 {
                x = kernels.pool(x);
            }
        }
        self.head.forward(x.flatten(1, 3))
    }
}

#[derive(Module, Debug)]
struct BasicBlock {
    conv1: ConvNorm,
    conv2: ConvNorm,
    /// 1x1, where the size changes.
    shortcut: Option<ConvNorm>,
}

impl BasicBlock {
    fn new(channels: [usize; 2], stride: usize, device: &Device) -> Self {
        let stride = [stride, stride];
        let shortcut = conv(channels, 1, 0).with_stride(stride);
        Self {
            conv1: ConvNorm::new(&conv(channels, 3, 1).with_stride(stride), device),
            conv2: ConvNorm::new(&conv([channels[1], channels[1]], 3, 1), device),
            shortcut: (channels[0] != channels[1]).then(|| ConvNorm::new(&shortcut, device)),
        }
    }

    fn forward(&self, kernels: Kernels, x: Tensor<4>) -> Tensor<4> {
        let residual = self.conv2.forward(kernels, relu(self.conv1.forward(kernels, x.clone())));
        let shortcut = match &self.shortcut {
            Some(shortcut) => shortcut.forward(kernels, x),
            None => x,
        };
        relu(residual + shortcut)
    }
}

/// ResNet-20 for 32x32 images (He et al. 2016, §4.2), with 1x1 shortcuts.
#[derive(Module, Debug)]
struct ResNet {
    stem: ConvNorm,
    blocks: Vec<BasicBlock>,
    head: Linear,
}

impl ResNet {
    fn new(device: &Device) -> Self {
        let block = |channels_in, channels, stride| BasicBlock::new([channels_in, channels], stride, device);
        let stage = |channels_in, channels, stride| {
            [block(channels_in, channels, stride), block(channels, channels, 1), block(channels, channels, 1)]
        };
        Self {
            stem: ConvNorm::new(&conv([3, 16], 3, 1), device),
            blocks: [stage(16, 16, 1), stage(16, 32, 2), stage(32, 64, 2)].into_iter().flatten().collect(),
            head: LinearConfig::new(64, N_CLASSES).init(device),
        }
    }
}

impl Network<4> for ResNet {
    fn logits(&self, kernels: Kernels, x: Tensor<4>) -> Tensor<2> {
        let x = relu(self.stem.forward(kernels, x));
        let x = self.blocks.iter().fold(x, |x, block| block.forward(kernels, x));
        self.head.forward(global_average(x))
    }
}

/// LeNet-5 with ReLU and max pooling.
#[derive(Module, Debug)]
struct LeNet {
    conv1: Conv2d,
    conv2: Conv2d,
    linear1: Linear,
    linear2: Linear,
    head: Linear,
}

impl LeNet {
    fn new(device: &Device) -> Self {
        Self {
            conv1: conv([1, 6], 5, 2).init(device),
            conv2: conv([6, 16], 5, 0).init(device),
            linear1: LinearConfig::new(16 * 5 * 5, 120).init(device),
            linear2: LinearConfig::new(120, 84).init(device),
            head: LinearConfig::new(84, N_CLASSES).init(device),
        }
    }
}

impl Network<4> for LeNet {
    fn logits(&self, kernels: Kernels, x: Tensor<4>) -> Tensor<2> {
        let x = kernels.pool(relu(kernels.conv(&self.conv1, x)));
        let x = kernels.pool(relu(kernels.conv(&self.conv2, x)));
        let x = relu(self.linear1.forward(x.flatten::<2>(1, 3)));
        self.head.forward(relu(self.linear2.forward(x)))
    }
}

/// Depthwise 3x3 and pointwise 1x1 convolutions in turn, as in MobileNet-v1 (Howard et al. 2017, §3.1).
#[derive(Module, Debug)]
struct MobileNet {
    stem: ConvNorm,
    convs: Vec<ConvNorm>,
    head: Linear,
}

impl MobileNet {
    fn new(device: &Device) -> Self {
        let blocks = [([32, 64], 1), ([64, 128], 2), ([128, 128], 1), ([128, 256], 2), ([256, 256], 1)];
        let convs = blocks.into_iter().flat_map(|(channels, stride)| {
            let depthwise = conv([channels[0], channels[0]], 3, 1).with_groups(channels[0]).with_stride([stride; 2]);
            [depthwise, conv(channels, 1, 0)].map(|config| ConvNorm::new(&config, device))
        });
        Self {
            stem: ConvNorm::new(&conv([3, 32], 3, 1), device),
            convs: convs.collect(),
            head: LinearConfig::new(256, N_CLASSES).init(device),
        }
    }
}

impl Network<4> for MobileNet {
    fn logits(&self, kernels: Kernels, x: Tensor<4>) -> Tensor<2> {
        let x = relu(self.stem.forward(kernels, x));
        let x = self.convs.iter().fold(x, |x, conv| relu(conv.forward(kernels, x)));
        self.head.forward(global_average(x))
    }
}

const WIDTH: usize = 256;
const N_HEADS: usize = 4;

/// A pre-norm block of softmax attention and a GELU MLP; the head reads the mean of the tokens.
#[derive(Module, Debug)]
struct Transformer {
    norm1: LayerNorm,
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
    norm2: LayerNorm,
    expand: Linear,
    contract: Linear,
    head: Linear,
}

impl Transformer {
    fn new(device: &Device) -> Self {
        let linear = |inputs, outputs| LinearConfig::new(inputs, outputs).init(device);
        let norm = || LayerNormConfig::new(WIDTH).init(device);
        Self {
            norm1: norm(),
            query: linear(WIDTH, WIDTH),
            key: linear(WIDTH, WIDTH),
            value: linear(WIDTH, WIDTH),
            output: linear(WIDTH, WIDTH),
            norm2: norm(),
            expand: linear(WIDTH, 4 * WIDTH),
            contract: linear(4 * WIDTH, WIDTH),
            head: linear(WIDTH, N_CLASSES),
        }
    }

    fn attention(&self, kernels: Kernels, x: Tensor<3>) -> Tensor<3> {
        let [batch, length, _] = x.dims();
        let width = WIDTH / N_HEADS;
        let split = |x: Tensor<3>| x.reshape([batch, length, N_HEADS, width]).swap_dims(1, 2);
        let [query, key, value] = [&self.query, &self.key, &self.value].map(|layer| split(layer.forward(x.clone())));
        let scores = query.matmul(key.transpose()) / (width as f64).sqrt();
        let values = kernels.softmax(scores).matmul(value);
        self.output.forward(values.swap_dims(1, 2).reshape([batch, length, WIDTH]))
    }
}

impl Network<3> for Transformer {
    fn logits(&self, kernels: Kernels, x: Tensor<3>) -> Tensor<2> {
        let x = x.clone() + self.attention(kernels, self.norm1.forward(x));
        let hidden = kernels.gelu(self.expand.forward(self.norm2.forward(x.clone())));
        let x = x + self.contract.forward(hidden);
        let batch = x.dims()[0];
        self.head.forward(x.mean_dim(1).reshape([batch, WIDTH]))
    }
}

struct Training<N, const D: usize> {
    /// `None` only within a step.
    network: Option<N>,
    kernels: Kernels,
    optimizer: ModuleOptimizer,
    input: Tensor<D>,
    target: Tensor<1, Int>,
    loss: f32,
}

impl<const D: usize, N: Network<D>> Training<N, D> {
    fn new(network: &N, kernels: Kernels, input: Tensor<D>) -> Self {
        let momentum = MomentumConfig::new().with_momentum(0.9).with_dampening(0.0);
        let batch = input.dims()[0] as i64;
        Self {
            network: Some(deep_copy(network)),
            kernels,
            optimizer: SgdConfig::new().with_momentum(Some(momentum)).init(),
            target: Tensor::arange(0..batch, &input.device()).remainder_scalar(N_CLASSES as i64),
            input,
            loss: f32::NAN,
        }
    }

    fn step(&mut self) -> Run {
        let network = self.network.take().expect("put back by the step before");
        let criterion = CrossEntropyLossConfig::new().init(&self.input.device());
        let (input, target) = (self.input.clone(), self.target.clone());
        let start = Instant::now();
        let loss = criterion.forward(network.logits(self.kernels, input), target);
        let forward = start.elapsed();
        let gradients = GradientsParams::from_grads(loss.backward(), &network);
        self.network = Some(self.optimizer.step(LEARNING_RATE, network, gradients));
        self.loss = loss.into_scalar();
        Run { forward, whole: start.elapsed() }
    }
}

fn trainable<M: Module>(module: &M) -> usize {
    struct Count(usize);
    impl ModuleVisitor for Count {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            // The running statistics of batch norm are visited too.
            self.0 += if param.is_require_grad() { param.val().shape().num_elements() } else { 0 };
        }
    }
    let mut count = Count(0);
    module.visit(&mut count);
    count.0
}

fn compare<const D: usize, N: Network<D>>(options: &Options, name: &str, new: fn(&Device) -> N, input: [usize; D]) {
    let name = format!("{name} {input:?}");
    if !options.wants(&name) {
        return;
    }
    let device = Device::flex().autodiff();
    let network = init_seeded(1, &device, new);
    println!("{name}  parameters  {}", trainable(&network));
    let input = Tensor::random(input, Distribution::Normal(0.0, 1.0), &device);
    let mut stock = Training::new(&network, Kernels::Stock, input.clone());
    let mut ours = Training::new(&network, Kernels::Ours, input);
    let runs = in_turns(options.n_runs, &mut [&mut || stock.step(), &mut || ours.step()]);
    print_rows(&name, &runs, &[Run::default()]);
    eprintln!("{name}: the last losses are {} and {}", stock.loss, ours.loss);
}

fn main() {
    let options = Options::from_args();
    print_head();
    compare(&options, "small CNN", SmallCnn::new, [64, 3, 32, 32]);
    compare(&options, "ResNet-20", ResNet::new, [128, 3, 32, 32]);
    compare(&options, "LeNet-5", LeNet::new, [64, 1, 28, 28]);
    compare(&options, "MobileNet", MobileNet::new, [64, 3, 32, 32]);
    compare(&options, "transformer block", Transformer::new, [16, 128, WIDTH]);
}
