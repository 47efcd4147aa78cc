//! A step of SAM beside the two base steps whose gradients it costs.

use std::hint::black_box;
use std::time::{Duration, Instant};

use burn::module::Module;
use burn::nn::loss::CrossEntropyLossConfig;
use burn::optim::momentum::MomentumConfig;
use burn::optim::{GradientsParams, ModuleOptimizer, SgdConfig};
use burn::tensor::{Device, Distribution, Int, Tensor};
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion};
use rekindle_sam::SamConfig;
use rekindle_shared::model::deep_copy;
use rekindle_shared::networks::{Mlp, MlpConfig, SmallCnn, SmallCnnConfig};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const BATCH_SIZE: usize = 64;
const N_CLASSES: usize = 10;
const LEARNING_RATE: f64 = 0.01;

fn sgd() -> ModuleOptimizer {
    let momentum = MomentumConfig::new().with_momentum(0.9).with_dampening(0.0);
    SgdConfig::new().with_momentum(Some(momentum)).init()
}

/// A model in training, one call a step.
struct Training<M, S> {
    model: Option<M>,
    step: S,
}

impl<M: Module, S: FnMut(M) -> M> Training<M, S> {
    fn step(&mut self) {
        self.model = self.model.take().map(&mut self.step);
    }

    fn time(&mut self, n_steps: usize) -> f64 {
        let start = Instant::now();
        (0..n_steps).for_each(|_| self.step());
        start.elapsed().as_secs_f64()
    }
}

fn compare<M: Module>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    n_pairs: usize,
    model: &M,
    loss: impl Fn(&M) -> Tensor<1>,
) {
    let mut optimizer = sgd();
    let base_step = |model: M| {
        let loss = loss(&model);
        let grads = GradientsParams::from_grads(loss.backward(), &model);
        black_box(loss.into_scalar::<f32>());
        optimizer.step(LEARNING_RATE, model, grads)
    };
    let mut base = Training { model: Some(deep_copy(model)), step: base_step };
    let mut sam = SamConfig::new().init(sgd()).expect("the defaults are valid");
    let sam_step = |model: M| {
        let (model, report) = sam.step(LEARNING_RATE, model, &loss).expect("a loss with a gradient");
        black_box(report.loss);
        model
    };
    let mut sam = Training { model: Some(deep_copy(model)), step: sam_step };

    group.bench_function("two base steps", |bencher| bencher.iter(|| (0..2).for_each(|_| base.step())));
    group.bench_function("one SAM step", |bencher| bencher.iter(|| sam.step()));

    // Turn by turn, so that what else runs on the machine slows both alike.
    let mut pair = || {
        let two = base.time(2);
        sam.time(1) / two
    };
    let mut ratios: Vec<f64> = (0..n_pairs).map(|_| pair()).collect();
    ratios.sort_by(f64::total_cmp);
    let [low, median, high] = [1, 2, 3].map(|quarter| ratios[n_pairs * quarter / 4]);
    println!("SAM / two base steps, median of {n_pairs} pairs: {median:.3} (quartiles {low:.3} to {high:.3})\n");
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
    let mlp = MlpConfig::new(vec![784, 256, 256, N_CLASSES]).init(&device).expect("valid widths");
    compare(&mut group, 2_000, &mlp, loss);
    group.finish();

    let mut group = criterion.benchmark_group("CNN 3x32x32, batch 64");
    group.measurement_time(Duration::from_secs(15)).sample_size(20);
    let input = Tensor::<4>::random([BATCH_SIZE, 3, 32, 32], Distribution::Default, &device);
    let loss = |model: &SmallCnn| criterion_loss.forward(model.forward(input.clone()), target.clone());
    let config = SmallCnnConfig::new().with_in_channels(3).with_size([32, 32]).with_channels(vec![16, 32, 64]);
    compare(&mut group, 60, &config.init(&device).expect("a valid network"), loss);
    group.finish();
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    steps(&mut criterion);
    criterion.final_summary();
}
