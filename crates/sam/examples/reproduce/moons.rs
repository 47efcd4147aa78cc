//! Label noise and curvature on two moons: small enough for the Hessian and for twenty paired seeds in a minute.

use std::collections::BTreeMap;

use burn::module::Module;
use burn::nn::loss::CrossEntropyLossConfig;
use burn::tensor::{Device, Int, Tensor};
use rekindle_harness::worker::{Context, Failure, Outcome};
use rekindle_harness::{Cell, Results};
use rekindle_sam::SamConfig;
use rekindle_sam::probe::{HessianConfig, sharpness_by_ascent};
use rekindle_shared::data::{LabeledPoints, Stream, Streams, SymmetricNoise, two_moons};
use rekindle_shared::model::try_init_seeded;
use rekindle_shared::networks::{Mlp, MlpConfig};
use serde::{Deserialize, Serialize};

use crate::method::{Method, Sgd};

pub(crate) const NAME: &str = "moons";

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Config {
    method: Method,
    sgd: Sgd,
    steps: usize,
    hidden: usize,
    train_points: usize,
    test_points: usize,
    point_noise: f64,
    label_noise: f64,
    /// Radius in which the loss in the ball is measured, the same for every method.
    ball: f64,
}

/// Every row with twenty paired seeds.
pub(crate) fn cells(seeds: Option<u64>) -> Vec<Cell> {
    let rows = [
        ("SGD", Method::Sgd { budget: 1 }),
        ("SGD, 2x steps", Method::Sgd { budget: 2 }),
        ("Random 0.5", Method::Random { rho: 0.5 }),
        ("SAM 0.05", Method::sam(0.05)),
        ("SAM 0.5", Method::sam(0.5)),
        ("SAM 1.0", Method::sam(1.0)),
        ("ASAM 2.0", Method::Asam { rho: 2.0 }),
    ];
    let sgd = Sgd { learning_rate: 0.1, momentum: 0.9, nesterov: false, weight_decay: 0.0 };
    let mut cells = Vec::new();
    for seed in 0..seeds.unwrap_or(20) {
        for (name, method) in rows {
            let config = Config {
                method,
                sgd,
                steps: 1200,
                hidden: 32,
                train_points: 200,
                test_points: 2000,
                point_noise: 0.2,
                label_noise: 0.3,
                ball: 0.05,
            };
            cells.push(Cell::new(NAME, "30 % noise", name, seed, &config).costs(method.cost()));
        }
    }
    cells
}

/// Points on the device.
struct Points {
    inputs: Tensor<2>,
    labels: Tensor<1, Int>,
}

impl Points {
    fn new(points: &LabeledPoints, device: &Device) -> Self {
        let (inputs, labels) = points.to_tensors(device);
        Self { inputs, labels }
    }

    fn loss(&self, model: &Mlp) -> Tensor<1> {
        let loss = CrossEntropyLossConfig::new().init(&self.inputs.device());
        loss.forward(model.forward(self.inputs.clone()), self.labels.clone())
    }

    /// Which points the model labels as they are labeled here.
    fn correct(&self, model: &Mlp) -> Vec<bool> {
        let logits = model.forward(self.inputs.clone());
        logits.argmax(1).squeeze::<1>().equal(self.labels.clone()).into_data().iter::<bool>().collect()
    }
}

fn share(correct: impl Iterator<Item = bool> + Clone) -> f64 {
    correct.clone().filter(|&right| right).count() as f64 / correct.count().max(1) as f64
}

pub(crate) fn run(cell: &Cell, context: &Context, device: &Device) -> Result<Outcome, Failure> {
    let config: Config = cell.config()?;
    let streams = Streams::new(cell.seed);
    let mut draw = streams.stream(Stream::Data);
    let train = two_moons(config.train_points, config.point_noise as f32, &mut draw)?;
    let test = two_moons(config.test_points, config.point_noise as f32, &mut draw)?;
    let noise = SymmetricNoise::new(config.label_noise)?;
    let noisy = noise.apply(train.labels(), train.n_classes(), &mut streams.stream(Stream::Labels))?;
    let train = Points::new(&train.with_labels(noisy.labels)?, device);
    let test = Points::new(&test, &device.clone().inner());

    let network = MlpConfig::new(vec![2, config.hidden, config.hidden, 2]);
    let mut model = try_init_seeded(streams.seed_of(Stream::Init), device, |device| network.init(device))?;
    let mut sam = config.method.init(&config.sgd, streams)?;
    let steps = config.steps * config.method.budget();
    let (mut curve, mut skipped) = (Vec::new(), 0);
    for step in 0..steps {
        let report;
        (model, report) = sam.step(config.sgd.learning_rate, model, |model| train.loss(model))?;
        skipped += u64::from(report.is_skipped());
        if (step + 1) % 100 == 0 {
            curve.push(share(test.correct(&model.valid()).into_iter()));
            context.progress(step + 1, steps);
        }
    }

    let right = train.correct(&model);
    let curvature = HessianConfig::new().top_eigenvalue(&model, |model| train.loss(model))?;
    let ball = SamConfig::new().with_rho(config.ball).ascent()?;
    let sharpness = sharpness_by_ascent(&ball, &model, 10, |model| train.loss(model))?;
    let metrics = BTreeMap::from([
        ("test_accuracy".into(), share(test.correct(&model.valid()).into_iter())),
        ("flipped_fitted".into(), share(noisy.flipped.iter().map(|&i| right[i]))),
        ("curvature".into(), curvature.value),
        ("ball_increase".into(), sharpness.value()),
        ("train_loss".into(), sharpness.loss),
    ]);
    let results = Results {
        diverged: metrics.values().any(|value| !value.is_finite()),
        metrics,
        curves: BTreeMap::from([("test_accuracy".into(), curve)]),
        counters: BTreeMap::from([("skipped_steps".into(), skipped)]),
        ..Results::default()
    };
    Ok(Outcome { results, ..Outcome::default() })
}
