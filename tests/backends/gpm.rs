//! Gradient projection memory: agreement of the backends, and a network that calls its layers by `forward`.

use burn::module::Module;
use burn::nn::transformer::{TransformerEncoder, TransformerEncoderConfig, TransformerEncoderInput};
use burn::optim::{AdamConfig, GradientsParams, SgdConfig};
use burn::tensor::Tensor;
use rekindle_gpm::{GpmConfig, GpmError};
use rekindle_shared::backend;
use rekindle_shared::model::{capture_layers, init_seeded, try_init_seeded, with_source_statistics};
use rekindle_shared::networks::{SmallCnn, SmallCnnConfig};

use super::common::{flex, random};
use super::values;

/// Largest difference between parameters after two tasks, relative to the largest parameter of the tensor.
const TOLERANCE: f64 = 1e-5;

/// Every parameter after two tasks of ten steps, and the ranks of the layers.
fn after_two_tasks(name: &str, model: &SmallCnn, by_inputs: bool) -> (Vec<Vec<f64>>, Vec<usize>) {
    let device = backend::open(name).unwrap_or_else(|error| panic!("{error}")).autodiff();
    let mut model = model.clone().fork(&device);
    let mut memory = GpmConfig::new().with_threshold(0.8).init(&model).unwrap();
    let mut optimizer = SgdConfig::new().init();
    let forward = |model: &SmallCnn, x| with_source_statistics(model.clone()).forward(x);
    for task in 0..2 {
        for step in 0..10 {
            let x = random::<4>(100 * task + step, [4, 3, 16, 16], &device);
            let loss = |model: &SmallCnn| forward(model, x.clone()).powi_scalar(2).mean();
            model = if by_inputs {
                let (_, grads) = memory.gradients(&model, loss);
                optimizer.step(0.05, model, grads)
            } else {
                let grads = GradientsParams::from_grads(loss(&model).backward(), &model);
                memory.step(0.05, model, grads, &mut optimizer)
            };
        }
        memory.observe_task(&model, [random(50 + task, [8, 3, 16, 16], &device)], SmallCnn::forward).unwrap();
    }
    let ranks = memory.layers().map(|layer| memory.rank(layer).unwrap()).collect();
    (values(&model), ranks)
}

#[test]
fn two_tasks_agree() {
    let config = SmallCnnConfig::new().with_in_channels(3).with_n_classes(10).with_size([16, 16]);
    let model = try_init_seeded(4, &flex().autodiff(), |device| config.init(device)).unwrap();
    let start = values(&model);
    for by_inputs in [true, false] {
        let (reference, ranks) = after_two_tasks("flex", &model, by_inputs);
        assert!(start.iter().flatten().zip(reference.iter().flatten()).any(|(a, b)| (a - b).abs() > 1e-3));
        for name in ["ndarray", "wgpu"] {
            let (found, other) = after_two_tasks(name, &model, by_inputs);
            assert_eq!(other, ranks, "{name}");
            for (i, (expected, found)) in reference.iter().zip(&found).enumerate() {
                let scale = expected.iter().fold(1e-2_f64, |scale, value| scale.max(value.abs()));
                let worst = expected.iter().zip(found).map(|(a, b)| (a - b).abs() / scale).fold(0.0, f64::max);
                println!("{name}: tensor {i}: largest relative difference {worst:.1e}");
                assert!(worst <= TOLERANCE, "{name}: tensor {i} differs by {worst:.1e}");
            }
        }
    }
}

#[test]
fn a_transformer_that_nobody_can_change_answers_as_before() {
    let device = flex().autodiff();
    let config = TransformerEncoderConfig::new(32, 48, 4, 2).with_dropout(0.0);
    let mut model = init_seeded(1, &device, |device| config.init(device));
    let forward = |model: &TransformerEncoder, x| model.forward(TransformerEncoderInput::new(x));
    let old = random::<3>(2, [2, 4, 32], &device); // 8 rows of 32
    let mut memory = GpmConfig::new().with_threshold(1.0).init(&model).unwrap();
    let missed = memory.observe_task(&model, [old.clone()], forward).unwrap_err();
    assert!(matches!(&missed, GpmError::Unseen(paths) if paths.len() == 12), "{missed}");

    let mut task = memory.begin_task();
    task.add(&capture_layers(&model, old.clone(), forward).unwrap().1).unwrap();
    memory.end_task(task).unwrap();
    assert!(memory.layers().all(|layer| memory.rank(layer).unwrap() == 8));
    let before = forward(&model, old.clone()).inner();
    let first = values(&model);
    let mut optimizer = AdamConfig::new().init();
    for step in 0..30 {
        // Targets differ from one output to the next: a layer norm ends the encoder, and all ones are out of its reach.
        let x: Tensor<3> = random(3 + step, [2, 4, 32], &device);
        let loss = (forward(&model, x.clone()) - x.flip([2])).powi_scalar(2).mean();
        let grads = GradientsParams::from_grads(loss.backward(), &model);
        model = memory.step(1e-2, model, grads, &mut optimizer);
    }
    let moved =
        first.iter().flatten().zip(values(&model).iter().flatten()).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(moved > 0.05, "{moved}");
    let drift = (forward(&model, old).inner() - before).abs().max().into_scalar::<f32>();
    assert!(drift < 1e-4, "{drift}");
}

#[test]
fn a_model_that_reads_tensors_back_is_refused_under_capture_and_the_memory_stays() {
    let device = flex().autodiff();
    let layer = burn::nn::LinearConfig::new(3, 2).init(&device);
    let memory = GpmConfig::new().init(&layer).unwrap();
    let forward = |layer: &burn::nn::Linear, x: Tensor<2>| {
        let scale = x.clone().abs().max().into_scalar::<f32>();
        layer.forward(x / scale)
    };
    let task = memory.begin_task();
    let error = capture_layers(&layer, random::<2>(1, [4, 3], &device), forward).unwrap_err();
    assert!(!error.to_string().is_empty());
    assert_eq!(task.n_batches(), 0);
    assert_eq!(memory.clone().end_task(task).unwrap_err(), GpmError::NoSamples);
}
