//! What a step costs with a memory: a layer of 784 inputs, by the rank of its basis and the size of the batch.

use std::hint::black_box;
use std::time::Instant;

use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::optim::{GradientsParams, ModuleOptimizer, SgdConfig};
use burn::tensor::{Device, Distribution, Tensor, activation::relu};
use rekindle_gpm::{GpmConfig, GpmMemory};
use rekindle_shared::model::{Layer, init_seeded};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const N_TURNS: usize = 40;
const N_STEPS: usize = 50;

/// The paper's network for Permuted MNIST.
#[derive(Module, Debug)]
struct Net {
    layers: Vec<Linear>,
}

impl Net {
    fn new(device: &Device) -> Self {
        let linear = |from, to| LinearConfig::new(from, to).with_bias(false).init(device);
        Self { layers: vec![linear(784, 100), linear(100, 100), linear(100, 10)] }
    }

    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let x = relu(self.layers[0].run(x));
        self.layers[2].run(relu(self.layers[1].run(x)))
    }
}

/// A memory that holds `rank` directions of the first layer, and no more than a few of the others.
fn memory(model: &Net, rank: usize, device: &Device) -> GpmMemory {
    let mut memory =
        GpmConfig::new().with_threshold(1.0).with_max_rank(Some(rank)).init(model).expect("a valid config");
    let samples = Tensor::random([2 * rank, 784], Distribution::Default, device);
    memory.observe_task(model, [samples], Net::forward).expect("finite inputs");
    memory
}

/// How a step is made.
#[derive(Debug, Clone, Copy)]
enum Form {
    Plain,
    /// [`GpmMemory::gradients`].
    Inputs,
    /// [`GpmMemory::project_gradients`].
    Gradients,
    /// [`GpmMemory::step`], of the update.
    Update,
}

const FORMS: [Form; 4] = [Form::Plain, Form::Inputs, Form::Gradients, Form::Update];

impl Form {
    fn step(self, memory: &GpmMemory, model: Net, optimizer: &mut ModuleOptimizer, x: &Tensor<2>) -> Net {
        const RATE: f64 = 1e-6;
        let loss = |model: &Net| model.forward(x.clone()).powi_scalar(2).mean();
        let plain = || GradientsParams::from_grads(loss(&model).backward(), &model);
        let grads = match self {
            Self::Plain | Self::Update => plain(),
            Self::Inputs => memory.gradients(&model, loss).1,
            Self::Gradients => memory.project_gradients(&model, plain()),
        };
        match self {
            Self::Update => memory.step(RATE, model, grads, optimizer),
            _ => optimizer.step(RATE, model, grads),
        }
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    let device = Device::flex().autodiff();
    println!("784-100-100-10, SGD: milliseconds a step, medians of {N_TURNS} turns of {N_STEPS} steps");
    println!("batch  rank    plain   gradients()  project_gradients()  step()");
    for batch in [10, 64] {
        for rank in [100, 400, 700] {
            let model = init_seeded(1, &device, Net::new);
            let memory = memory(&model, rank, &device);
            let x = Tensor::random([batch, 784], Distribution::Default, &device);
            let mut optimizer = SgdConfig::new().init();
            let mut times = [const { Vec::new() }; FORMS.len()];
            for turn in 0..N_TURNS {
                for at in (0..FORMS.len()).map(|at| (at + turn) % FORMS.len()) {
                    let mut model = model.clone();
                    let start = Instant::now();
                    for _ in 0..N_STEPS {
                        model = FORMS[at].step(&memory, model, &mut optimizer, &x);
                    }
                    times[at].push(1e3 * start.elapsed().as_secs_f64() / N_STEPS as f64);
                    black_box(model);
                }
            }
            let [plain, inputs, gradients, update] = times.map(median);
            println!("{batch:>5} {rank:>5} {plain:>8.3} {inputs:>13.3} {gradients:>20.3} {update:>7.3}");
        }
    }
}
