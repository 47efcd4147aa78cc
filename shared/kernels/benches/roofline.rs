//! How near the convolutions come to what one core can compute: GFLOP/s of the forward pass and of either gradient on
//! one thread, beside a loop of fused multiply-adds that touches no memory.
//!
//! `cargo bench -p rekindle-kernels --profile dev --bench roofline -- --runs 20`

mod measure;

use std::hint::black_box;
use std::time::{Duration, Instant};

use burn::tensor::ops::ConvOptions;
use burn::tensor::{Device, Distribution, Tensor, module};
use measure::{Options, Run, in_turns};
use pulp::{Arch, Simd, WithSimd};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// More than latency times width of the multiply-add units, and few enough for sixteen registers.
const N_CHAINS: usize = 12;

/// `n` times `chain = chain * factor + term` in each lane of every chain.
struct MultiplyAdds {
    n: usize,
    chains: [f32; N_CHAINS],
    factor: f32,
    term: f32,
}

impl WithSimd for MultiplyAdds {
    /// The lanes of a chain, and the sum of all, which keeps the work from being dropped.
    type Output = (usize, f32);

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Self::Output {
        let mut chains = [simd.splat_f32s(0.0); N_CHAINS];
        for (chain, start) in chains.iter_mut().zip(self.chains) {
            *chain = simd.splat_f32s(start);
        }
        let (factor, term) = (simd.splat_f32s(self.factor), simd.splat_f32s(self.term));
        for _ in 0..self.n {
            for chain in &mut chains {
                *chain = simd.mul_add_f32s(*chain, factor, term);
            }
        }
        let mut sum = simd.splat_f32s(0.0);
        for chain in chains {
            sum = simd.add_f32s(sum, chain);
        }
        (S::F32_LANES, simd.reduce_sum_f32s(sum))
    }
}

/// The most GFLOP/s of `n_runs` loops of about 1 ms.
fn peak(n_runs: usize) -> f64 {
    let once = || {
        let n = 32_000;
        let chains = black_box(std::array::from_fn(|i| i as f32));
        let work = MultiplyAdds { n, chains, factor: black_box(0.5), term: black_box(1.0) };
        let start = Instant::now();
        let (lanes, sum) = black_box(Arch::new().dispatch(work));
        let seconds = start.elapsed().as_secs_f64();
        assert!(sum.is_finite());
        2e-9 * (n * N_CHAINS * lanes) as f64 / seconds
    };
    (0..=n_runs).map(|_| once()).fold(0.0, f64::max)
}

type Conv = fn(Tensor<4>, Tensor<4>) -> Tensor<4>;

fn options() -> ConvOptions<2> {
    ConvOptions::new([1, 1], [1, 1], [1, 1], 1)
}

fn stock(x: Tensor<4>, weight: Tensor<4>) -> Tensor<4> {
    module::conv2d(x, weight, None, options())
}

fn ours(x: Tensor<4>, weight: Tensor<4>) -> Tensor<4> {
    rekindle_kernels::module::conv2d(x, weight, None, options())
}

/// A 3x3 convolution from `[64, channels, size, size]` to the same shape.
fn roofline(options: &Options, channels: usize, size: usize) {
    let shape = [64, channels, size, size];
    let name = format!("conv 3x3 {channels}->{channels} {shape:?}");
    if !options.wants(&name) {
        return;
    }
    let plain = Device::flex();
    let random = |shape: [usize; 4]| Tensor::<4>::random(shape, Distribution::Normal(0.0, 1.0), &plain);
    let (x, weight) = (random(shape), random([channels, channels, 3, 3]));
    let (tracked_x, tracked_weight) = [&x, &weight].map(|tensor| Tensor::from_inner(tensor.clone())).into();

    let run = |conv: Conv, x: &Tensor<4>, weight: &Tensor<4>| {
        let (x, weight) = (x.clone(), weight.clone());
        let start = Instant::now();
        let y = conv(x, weight);
        let forward = start.elapsed();
        // The one gradient that is wanted, from a gradient of ones: the only work beside it, which is measured below.
        drop(y.device().is_autodiff().then(|| y.backward()));
        Run { forward, whole: start.elapsed() }
    };
    let mut ones = || {
        let start = Instant::now();
        drop(Tensor::<4>::ones(shape, &plain));
        Run { whole: start.elapsed(), ..Run::default() }
    };

    let flops = (2 * 9 * channels * shape.iter().product::<usize>()) as f64;
    for (who, conv) in [("stock", stock as Conv), ("ours", ours)] {
        let mut forward = || run(conv, &x, &weight);
        let mut to_x = || run(conv, &tracked_x.clone().require_grad(), &tracked_weight);
        let mut to_weight = || run(conv, &tracked_x, &tracked_weight.clone().require_grad());
        let runs = in_turns(options.n_runs, &mut [&mut ones, &mut forward, &mut to_x, &mut to_weight]);
        let least = |runs: &[Run], time: fn(&Run) -> Duration| {
            1e3 * runs.iter().map(time).min().expect("one run at least").as_secs_f64()
        };
        let backward = |runs: &[Run]| least(runs, |run| run.whole - run.forward);
        let ones = backward(&runs[0]);
        let parts = [
            ("forward", least(&runs[1], |run| run.forward)),
            ("input gradient", backward(&runs[2]) - ones),
            ("weight gradient", backward(&runs[3]) - ones),
        ];
        let peak = peak(options.n_runs);
        for (part, ms) in parts {
            let rate = 1e-6 * flops / ms;
            let percent = 100.0 * rate / peak;
            println!("{name}  {who:<5}  {part:<15}  {rate:>5.1} GFLOP/s  {percent:>4.1} % of {peak:.1}");
        }
    }
}

fn main() {
    let options = Options::from_args();
    rayon::ThreadPoolBuilder::new().num_threads(1).build_global().expect("nothing has used it yet");
    for (channels, size) in [(64, 16), (32, 32)] {
        roofline(&options, channels, size);
    }
}
