//! Single operations, Burn's own beside ours: the forward pass (with the graph recorded) and, as "whole", the forward
//! and the backward pass to every input and parameter.
//!
//! `cargo bench -p rekindle-kernels --profile dev --bench operations -- --runs 20 --filter conv`

mod measure;
mod report;

use std::time::Instant;

use burn::nn::conv::Conv2dConfig;
use burn::nn::{BatchNormConfig, LinearConfig, PaddingConfig2d};
use burn::tensor::ops::{AvgPoolOptions, MaxPoolOptions};
use burn::tensor::{Device, Distribution, Tensor, activation, module};
use measure::{Options, Run, in_turns};
use rekindle_kernels::{ForwardFast, activation as fast_activation, module as fast_module};
use report::{print_head, print_rows};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Operation<'a, const I: usize, const O: usize> = &'a dyn Fn(Tensor<I>) -> Tensor<O>;

struct Bench {
    options: Options,
    device: Device,
}

/// A convolution with bias, padded by half its kernel.
struct Conv {
    batch: usize,
    channels: [usize; 2],
    size: usize,
    kernel: usize,
    stride: usize,
    groups: usize,
}

impl Conv {
    fn new(kernel: usize, channels: [usize; 2], size: usize) -> Self {
        Self { batch: 64, channels, size, kernel, stride: 1, groups: 1 }
    }

    fn name(&self) -> String {
        let Self { kernel, channels: [channels_in, channels_out], stride, groups, .. } = *self;
        let stride = if stride == 1 { String::new() } else { format!(" stride {stride}") };
        let groups = if groups == 1 { "" } else { " depthwise" };
        format!("conv {kernel}x{kernel} {channels_in}->{channels_out}{stride}{groups}")
    }
}

impl Bench {
    fn run(&self) {
        let conv3 = |channels, size| Conv::new(3, channels, size);
        for conv in [
            conv3([3, 32], 32),
            conv3([16, 16], 32),
            conv3([32, 32], 32),
            conv3([32, 64], 16),
            conv3([64, 64], 16),
            conv3([128, 128], 8),
            conv3([64, 64], 8),
            conv3([64, 64], 4),
            Conv { batch: 1, ..conv3([64, 64], 32) },
            Conv { batch: 1, ..conv3([512, 512], 7) },
            Conv { batch: 32, ..conv3([512, 512], 7) },
            Conv::new(1, [256, 256], 14),
            Conv { stride: 2, ..Conv::new(1, [64, 128], 16) },
            Conv::new(5, [1, 6], 28),
            Conv { groups: 64, ..conv3([64, 64], 16) },
        ] {
            self.conv(&conv);
        }
        for shape in [[64, 32, 32, 32], [64, 64, 16, 16]] {
            let norm = BatchNormConfig::new(shape[1]).init(&self.device);
            self.pair("batch norm", shape, &|x| norm.forward(x), &|x| norm.forward_fast(x));
            let max = || MaxPoolOptions::new([2, 2]);
            self.pair("max pool 2x2", shape, &|x| module::max_pool2d(x, max()), &|x| fast_module::max_pool2d(x, max()));
            let mean = || AvgPoolOptions::new([2, 2]);
            self.pair("average pool 2x2", shape, &|x| module::avg_pool2d(x, mean()), &|x| {
                fast_module::avg_pool2d(x, mean())
            });
        }
        let maps = [64, 32, 32, 32];
        self.pair("gelu", maps, &activation::gelu, &fast_activation::gelu);
        self.pair("gelu_approximate", maps, &activation::gelu_approximate, &fast_activation::gelu_approximate);
        self.pair("sigmoid", maps, &activation::sigmoid, &fast_activation::sigmoid);
        self.pair("silu", maps, &activation::silu, &fast_activation::silu);
        self.pair("tanh", maps, &activation::tanh, &fast_activation::tanh);
        // For context: what the kernels leave to Burn.
        self.row("relu", maps, &activation::relu, None);
        self.row("add", maps, &|x| x.clone() + x, None);
        let scores = [64, 4, 128, 128];
        self.pair("softmax", scores, &|x| activation::softmax(x, 3), &|x| fast_activation::softmax(x, 3));
        let linear = LinearConfig::new(4096, 10).init(&self.device);
        self.row("linear 4096->10", [64, 4096], &|x| linear.forward(x), None);
    }

    fn conv(&self, conv: &Conv) {
        let padding = conv.kernel / 2;
        let layer = Conv2dConfig::new(conv.channels, [conv.kernel, conv.kernel])
            .with_padding(PaddingConfig2d::Explicit(padding, padding, padding, padding))
            .with_stride([conv.stride, conv.stride])
            .with_groups(conv.groups)
            .init(&self.device);
        let input = [conv.batch, conv.channels[0], conv.size, conv.size];
        self.pair(&conv.name(), input, &|x| layer.forward(x), &|x| layer.forward_fast(x));
    }

    fn pair<const D: usize>(
        &self,
        name: &str,
        input: [usize; D],
        stock: Operation<'_, D, D>,
        ours: Operation<'_, D, D>,
    ) {
        self.row(name, input, stock, Some(ours));
    }

    fn row<const I: usize, const O: usize>(
        &self,
        name: &str,
        input: [usize; I],
        stock: Operation<'_, I, O>,
        ours: Option<Operation<'_, I, O>>,
    ) {
        let name = format!("{name} {input:?}");
        if !self.options.wants(&name) {
            return;
        }
        let x = Tensor::random(input, Distribution::Normal(0.0, 1.0), &self.device).require_grad();
        let run = |operation: Operation<'_, I, O>| {
            let x = x.clone();
            let start = Instant::now();
            let y = operation(x);
            let forward = start.elapsed();
            // From any tensor, not only from a loss, with ones as its gradient.
            let gradients = y.backward();
            drop((y, gradients));
            Run { forward, whole: start.elapsed() }
        };
        let (output, plain) = (stock(x.clone()).dims(), self.device.clone().without_autodiff());
        let mut ones = || {
            let start = Instant::now();
            drop(Tensor::<O>::ones(output, &plain));
            Run { forward: start.elapsed(), whole: start.elapsed() }
        };

        let mut run_stock = || run(stock);
        let mut run_ours = || run(ours.unwrap_or(stock));
        let mut subjects: Vec<&mut dyn FnMut() -> Run> = vec![&mut ones, &mut run_stock];
        if ours.is_some() {
            subjects.push(&mut run_ours);
        }
        let runs = in_turns(self.options.n_runs, &mut subjects);
        print_rows(&name, &runs[1..], &runs[0]);
    }
}

fn main() {
    let bench = Bench { options: Options::from_args(), device: Device::flex().autodiff() };
    bench.device.seed(1);
    print_head();
    bench.run();
}
