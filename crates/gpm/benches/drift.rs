//! How far a later task moves what a memory protects: changes of the weights along the bases, and outputs on earlier inputs.

use burn::module::ParamGroup;
use burn::nn::loss::CrossEntropyLossConfig;
use burn::optim::{GradientsParams, SgdConfig};
use burn::tensor::{Device, Tensor};
use rekindle_gpm::{GpmConfig, LayerThreshold};
use rekindle_shared::data::{
    BatchesConfig, DeviceImages, GlyphsConfig, Normalization, PermutedTasks, Stream, Streams, TaskStream, Validation,
};
use rekindle_shared::model::try_init_seeded;
use rekindle_shared::networks::{Mlp, MlpConfig};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const EPOCHS: u64 = 20;

/// ‖a‖, flat.
fn norm<const D: usize>(a: Tensor<D>) -> f64 {
    a.inner().powi_scalar(2).sum().sqrt().into_scalar::<f64>()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let device = Device::flex().autodiff();
    let streams = Streams::new(1);
    let glyphs = GlyphsConfig::new().init()?;
    let draw = &mut streams.stream(Stream::Data);
    let (train, test) = (glyphs.sample(6000, draw)?, glyphs.sample(10, draw)?);
    let (normalization, shape) = (Normalization::of(&train), train.shape());
    let order = PermutedTasks::new(2, streams.seed_of(Stream::Tasks));
    let tasks = TaskStream::new(order, Validation::None, &train, &test)?;
    let [first, second] =
        [tasks.task(0)?, tasks.task(1)?].map(|task| DeviceImages::new(&task.train, &normalization, &device));
    let (first, second) = (first?, second?);
    println!(
        "784-100-100-10 without biases, 300 inputs held, then {EPOCHS} epochs of another task: SGD 0.01, batches of 10"
    );
    println!("{:<16} {:>14} {:>22} {:>18}", "thresholds", "ranks", "‖ΔW x‖ / ‖ΔW‖ ‖x‖", "change of outputs");
    for (name, thresholds) in [("1, 1, 1", [1.0, 1.0, 1.0]), (".95, .99, .99", [0.95, 0.99, 0.99])] {
        let network = MlpConfig::new(vec![shape.len(), 100, 100, train.n_classes()]).with_bias(false);
        let model = try_init_seeded(1, &device, |device| network.init(device))?;
        let model =
            train_on(model, &first, 1, |model, loss| GradientsParams::from_grads(loss(model).backward(), model))?;
        let own = thresholds.iter().enumerate();
        let own =
            own.map(|(at, &value)| LayerThreshold::new(ParamGroup::from_predicate(format!("layers.{at}")), value));
        let mut memory = GpmConfig::new().with_thresholds(own.collect()).init(&model)?;
        let held = first.range(0..300).images;
        memory.observe_task(&model, [held.clone()], |model: &Mlp, x| model.forward(x))?;
        let before = (model.clone(), model.forward(held.clone()));
        let model = train_on(model, &second, EPOCHS, |model, loss| memory.gradients(model, loss).1)?;
        let mut worst: f64 = 0.0;
        for (at, path) in memory.layers().enumerate() {
            let change = (model.layers[at].weight.val() - before.0.layers[at].weight.val()).inner();
            for basis in memory.basis(path)? {
                let along = basis.transpose().matmul(change.clone()).powi_scalar(2).sum_dim(1).sqrt().max();
                worst = worst.max(along.into_scalar::<f64>() / norm(change.clone()));
            }
        }
        let ranks: Vec<_> =
            memory.layers().map(|path| memory.rank(path).map(|rank| rank.to_string())).collect::<Result<_, _>>()?;
        let drift = norm(model.forward(held) - before.1.clone()) / norm(before.1);
        println!("{name:<16} {:>14} {worst:>22.1e} {drift:>18.1e}", ranks.join(", "));
    }
    Ok(())
}

type Loss<'a> = &'a dyn Fn(&Mlp) -> Tensor<1>;

fn train_on(
    mut model: Mlp,
    images: &DeviceImages,
    epochs: u64,
    gradients: impl Fn(&Mlp, Loss<'_>) -> GradientsParams,
) -> Result<Mlp, Box<dyn std::error::Error>> {
    let mut optimizer = SgdConfig::new().init();
    let batches = BatchesConfig::new(10).init(images.len(), &Streams::new(2))?;
    for epoch in 0..epochs {
        for indices in batches.epoch(epoch) {
            let batch = images.select(&indices);
            let loss = |model: &Mlp| {
                let logits = model.forward(batch.images.clone());
                CrossEntropyLossConfig::new().init(&logits.device()).forward(logits, batch.labels.clone())
            };
            let grads = gradients(&model, &loss);
            model = optimizer.step(0.01, model, grads);
        }
    }
    Ok(model)
}
