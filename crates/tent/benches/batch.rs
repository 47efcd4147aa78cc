//! A batch of Tent beside a full step's forward and backward pass, and beside plain predictions.

use std::hint::black_box;
use std::time::{Duration, Instant};

use burn::module::{Module, ParamGroup};
use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::{Device, Distribution, Tensor};
use criterion::Criterion;
use rekindle_shared::model::{NormLayer, deep_copy, init_seeded, norm_layers, with_batch_statistics};
use rekindle_shared::networks::{ResNet, ResNetConfig};
use rekindle_tent::{BatchStatistics, NormAdaptation, Outcome, Tent, TentConfig, softmax_entropy};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Depth and batch size.
const NETWORKS: [(usize, usize); 2] = [(8, 200), (20, 64)];
const N_TURNS: usize = 30;
const N_PASSES: usize = 5;

/// What is timed, a batch a call.
struct Contender {
    name: &'static str,
    run: Box<dyn FnMut()>,
}

fn resnet(depth: usize) -> ResNet {
    let device = Device::flex().autodiff();
    init_seeded(1, &device, |device| ResNetConfig::new().with_depth(depth).init(device).expect("a valid network"))
}

/// Images as a user has them: of no autodiff device.
fn images(n: usize) -> Tensor<4> {
    Tensor::random([n, 3, 32, 32], Distribution::Default, &Device::flex())
}

fn tent(model: &ResNet) -> Tent<ResNet> {
    TentConfig::new().init(model, AdamConfig::new().init()).expect("a model with norm layers")
}

fn adapt(tent: &mut Tent<ResNet>, batch: Tensor<4>) {
    let adapted = tent.adapt(batch, |model, images| model.forward(images)).expect("finite images");
    assert_eq!(adapted.report.outcome, Outcome::Updated, "another outcome takes another time");
    black_box(adapted.logits.into_data());
}

fn contenders(model: &ResNet, batch: &Tensor<4>) -> Vec<Contender> {
    let pass = |model: ResNet| {
        let (model, tracked) = (with_batch_statistics(model), batch.clone().autodiff());
        move || {
            let loss = softmax_entropy(model.forward(tracked.clone())).mean();
            let grads = GradientsParams::from_grads(loss.backward(), &model);
            black_box((loss.into_scalar::<f32>(), grads.len()));
        }
    };
    let full = pass(deep_copy(model));
    // What a step of Tent computes at the least.
    let norms = norm_layers(model).iter().flat_map(NormLayer::affine).collect();
    let frozen = pass(deep_copy(model).no_grad().set_require_grad_group(ParamGroup::from_ids(norms), true));
    let (mut tent, for_tent) = (tent(model), batch.clone());
    let tent = move || {
        // Always the first batch of a stream: many of one batch would end in one class.
        tent.reset();
        adapt(&mut tent, for_tent.clone());
    };
    let mut norm = NormAdaptation::new(model, BatchStatistics::Batch).expect("a model with batch norm");
    let for_norm = batch.clone();
    let norm = move || {
        let logits = norm.predict(for_norm.clone(), |model, images| model.forward(images)).expect("a batch");
        black_box(logits.into_data());
    };
    let (source, plain) = (model.valid(), batch.clone());
    let inference = move || {
        black_box(source.forward(plain.clone()).into_data());
    };
    vec![
        Contender { name: "forward and backward in full", run: Box::new(full) },
        Contender { name: "the same, weights frozen", run: Box::new(frozen) },
        Contender { name: "Tent", run: Box::new(tent) },
        Contender { name: "norm baseline", run: Box::new(norm) },
        Contender { name: "inference", run: Box::new(inference) },
    ]
}

fn seconds(run: impl FnOnce()) -> f64 {
    let start = Instant::now();
    run();
    start.elapsed().as_secs_f64()
}

/// The smallest and the middle of them.
fn summary(mut values: Vec<f64>) -> [f64; 2] {
    values.sort_by(f64::total_cmp);
    [values[0], values[values.len() / 2]]
}

/// Turn by turn, so that what else runs on the machine slows all alike.
fn turns(contenders: &mut [Contender]) {
    let mut times = vec![vec![0.0; contenders.len()]; N_TURNS];
    for (turn, times) in times.iter_mut().enumerate() {
        // Each follows every other once in a while: what one frees is what the next one fills.
        let mut order: Vec<usize> = (0..contenders.len()).collect();
        order.rotate_left(turn % contenders.len());
        if turn % 2 == 1 {
            order.reverse();
        }
        for i in order {
            times[i] = seconds(&mut contenders[i].run);
        }
    }
    println!("{:<30} {:>10} {:>10}   of the full pass", format!("{N_TURNS} turns"), "min ms", "median ms");
    for (i, contender) in contenders.iter().enumerate() {
        let [least, median] = summary(times.iter().map(|turn| 1e3 * turn[i]).collect());
        let [_, ratio] = summary(times.iter().map(|turn| turn[i] / turn[0]).collect());
        println!("{:<30} {least:>10.2} {median:>10.2}   {ratio:.3}", contender.name);
    }
    println!();
}

/// Tent over 2,000 images in batches of 200, as `pytorch.py` does it.
fn stream(model: &ResNet) {
    let batches: Vec<Tensor<4>> = (0..10).map(|_| images(200)).collect();
    let mut tent = tent(model);
    let pass = |_| {
        tent.reset();
        seconds(|| batches.iter().for_each(|batch| adapt(&mut tent, batch.clone())))
    };
    let [least, median] = summary((0..N_PASSES).map(pass).collect());
    println!("Tent over 2,000 images, ResNet-8, {N_PASSES} passes: min {least:.3} s, median {median:.3} s");
}

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(3))
        .configure_from_args();
    for (depth, batch_size) in NETWORKS {
        let mut contenders = contenders(&resnet(depth), &images(batch_size));
        let title = format!("ResNet-{depth}, batch {batch_size} of 3x32x32");
        let mut group = criterion.benchmark_group(&title);
        for contender in &mut contenders {
            group.bench_function(contender.name, |bencher| bencher.iter(&mut contender.run));
        }
        group.finish();
        println!("{title}");
        turns(&mut contenders);
    }
    stream(&resnet(8));
    criterion.final_summary();
}
