//! What the end of a task costs for the paper's ResNet-18, in time and memory.

use std::hint::black_box;
use std::time::Instant;

use burn::module::{Module, ParamGroup};
use burn::tensor::{Device, Distribution, Tensor};
use rekindle_gpm::{GpmConfig, GpmMemory};
use rekindle_harness::measure::resident_peak;
use rekindle_shared::model::init_seeded;

#[path = "../examples/reproduce/networks.rs"]
#[expect(dead_code, reason = "one of the networks is measured")]
mod networks;

use networks::{MultiHead, ResNet18};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const N_SAMPLES: usize = 100;

fn memory(model: &impl Module) -> GpmMemory {
    let config = GpmConfig::new().with_threshold(0.965).with_exclude(Some(ParamGroup::from_predicate("heads")));
    config.init(model).expect("a valid config")
}

fn images(n: usize, device: &Device) -> Tensor<4> {
    Tensor::random([n, 3, 32, 32], Distribution::Normal(0.0, 1.0), device)
}

/// The first and the second task of a network with this many filters.
fn update(width: usize, device: &Device) {
    let model = init_seeded(1, device, |device| {
        MultiHead::new(ResNet18::new(width, device), ResNet18::n_features(width), 5, 10, device)
    });
    let mut memory = memory(&model);
    for task in 0..2 {
        let batches = vec![images(N_SAMPLES, device)];
        let start = Instant::now();
        let report = memory.observe_task(&model, batches, |model, x| model.forward(task, x)).expect("finite inputs");
        let (seconds, bytes) = (start.elapsed().as_secs_f64(), report.bytes as f64 / 1e6);
        let peak = resident_peak().map_or("unknown".into(), |peak| format!("{} MiB", peak >> 20));
        println!("ResNet-18, {width} filters, task {task}: {seconds:.2} s, bases of {bytes:.1} MB, peak {peak}");
        black_box(report);
    }
}

fn main() {
    let device = Device::flex().autodiff();
    // The smaller first: the peak is that of the whole process.
    for width in [20, 64] {
        update(width, &device);
    }
}
