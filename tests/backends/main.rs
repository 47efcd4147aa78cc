//! Agreement of the backends: the same steps of SAM, Tent and GPM on flex, ndarray and wgpu, the same neighbors and the same attention.
//!
//! On flex the layers run with the kernels of `rekindle-kernels`, which pass what other backends hold to Burn's own
//! operations: agreement shows both.
//!
//! Outside the default members, since wgpu takes long to build and needs a GPU or a software adapter
//! (Debian's `libvulkan1 mesa-vulkan-drivers`).

mod capture;
mod common;
mod gpm;
mod intrinsic_dimension;
mod layer_inputs;
mod performer;
mod rfa;

use burn::module::{Module, ModuleVisitor, Param};
use burn::nn::loss::CrossEntropyLossConfig;
use burn::optim::momentum::MomentumConfig;
use burn::optim::{AdamConfig, SgdConfig};
use burn::tensor::{Device, Int, Tensor, TensorData};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rekindle_sam::{Adaptive, SamConfig};
use rekindle_shared::backend;
use rekindle_shared::model::try_init_seeded;
use rekindle_shared::networks::{Mlp, MlpConfig, ResNet, ResNetConfig, SmallCnn, SmallCnnConfig};
use rekindle_tent::{Outcome, TentConfig};

/// Largest difference between parameters after a step, relative to the largest parameter of the tensor.
///
/// A step moves parameters by about a thousandth of that, so that a wrong gradient differs by far more.
const TOLERANCE: f64 = 1e-5;

/// Largest difference between logits of Tent, relative to the largest logit of the batch.
const TENT_TOLERANCE: f64 = 1e-5;

const BATCH: usize = 16;
const CLASSES: usize = 10;

/// Every float tensor of a module, running statistics included.
fn values<M: Module>(module: &M) -> Vec<Vec<f64>> {
    struct Values(Vec<Vec<f64>>);
    impl ModuleVisitor for Values {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.0.push(param.val().into_data().iter::<f64>().collect());
        }
    }
    let mut values = Values(Vec::new());
    module.valid().visit(&mut values);
    values.0
}

/// The values after two SAM steps from the same weights on the same batch.
fn after_steps<M: Module>(
    name: &str,
    model: &M,
    config: &SamConfig,
    shape: &[usize],
    forward: impl Fn(&M, Tensor<2>) -> Tensor<2>,
) -> Vec<Vec<f64>> {
    let device = backend::open(name).unwrap_or_else(|error| panic!("{error}")).autodiff();
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    let width: usize = shape.iter().product();
    let pixels: Vec<f32> = (0..BATCH * width).map(|_| rng.random_range(-1.0..1.0)).collect();
    let labels: Vec<i64> = (0..BATCH).map(|i| (i % CLASSES) as i64).collect();
    let images = Tensor::<2>::from_data(TensorData::new(pixels, [BATCH, width]), &device);
    let labels = Tensor::<1, Int>::from_data(TensorData::new(labels, [BATCH]), &device);
    let cross_entropy = CrossEntropyLossConfig::new().init(&device);

    let momentum = MomentumConfig::new().with_momentum(0.9).with_dampening(0.0);
    let mut sam = config.init(SgdConfig::new().with_momentum(Some(momentum)).init()).unwrap();
    // `to_device` would leave the parameters without gradients.
    let mut model = model.clone().fork(&device);
    for _ in 0..2 {
        let loss = |model: &M| cross_entropy.forward(forward(model, images.clone()), labels.clone());
        let (next, report) = sam.step(0.05, model, loss).unwrap();
        assert!(!report.is_skipped(), "{name}: {report:?}");
        model = next;
    }
    values(&model)
}

fn agree<M: Module>(model: &M, shape: &[usize], forward: impl Fn(&M, Tensor<2>) -> Tensor<2> + Copy) {
    let configs =
        [SamConfig::new().with_rho(0.05), SamConfig::new().with_rho(0.5).with_adaptive(Some(Adaptive::default()))];
    for config in configs {
        let reference = after_steps("flex", model, &config, shape, forward);
        let start = values(model);
        let moved = reference.iter().flatten().zip(start.iter().flatten()).any(|(after, before)| after != before);
        assert!(moved, "the steps change the model");
        for name in ["ndarray", "wgpu"] {
            let other = after_steps(name, model, &config, shape, forward);
            for (i, (expected, found)) in reference.iter().zip(&other).enumerate() {
                let scale = expected.iter().fold(1e-2_f64, |scale, value| scale.max(value.abs()));
                let worst = expected.iter().zip(found).map(|(a, b)| (a - b).abs() / scale).fold(0.0, f64::max);
                println!("{name}: tensor {i}: largest relative difference {worst:.1e}");
                assert!(worst <= TOLERANCE, "{name}: tensor {i} differs by {worst:.1e}");
            }
        }
    }
}

fn on_flex() -> Device {
    backend::open("flex").unwrap().autodiff()
}

#[test]
fn a_sam_step_of_an_mlp_agrees() {
    let model = try_init_seeded(3, &on_flex(), |device| MlpConfig::new(vec![20, 32, CLASSES]).init(device)).unwrap();
    agree(&model, &[20], |model: &Mlp, x| model.forward(x));
}

#[test]
fn a_sam_step_of_a_cnn_with_batch_norm_agrees() {
    let config = SmallCnnConfig::new().with_in_channels(3).with_n_classes(CLASSES).with_size([16, 16]);
    let model = try_init_seeded(4, &on_flex(), |device| config.init(device)).unwrap();
    agree(&model, &[3, 16, 16], |model: &SmallCnn, x| model.forward(x.reshape([BATCH, 3, 16, 16])));
}

/// The logits of five batches that Tent adapts to, one after the other.
fn adapted(name: &str, model: &ResNet, config: &TentConfig) -> Vec<Vec<f64>> {
    let device = backend::open(name).unwrap_or_else(|error| panic!("{error}"));
    let mut rng = ChaCha8Rng::seed_from_u64(12);
    let mut tent = config.init(&model.clone().fork(&device.clone().autodiff()), AdamConfig::new().init()).unwrap();
    let mut adapt = |_| {
        let pixels: Vec<f32> = (0..2 * BATCH * 3 * 16 * 16).map(|_| rng.random_range(-1.0..1.0)).collect();
        let images = Tensor::<4>::from_data(TensorData::new(pixels, [2 * BATCH, 3, 16, 16]), &device);
        let adapted = tent.adapt(images, |model, images| model.forward(images)).unwrap();
        assert_eq!(adapted.report.outcome, Outcome::Updated, "{name}");
        adapted.logits.into_data().iter::<f64>().collect()
    };
    (0..5).map(&mut adapt).collect()
}

/// Largest difference of two batches' logits, relative to the largest of the first.
fn difference(expected: &[f64], found: &[f64]) -> f64 {
    assert_eq!(expected.len(), found.len());
    let scale = expected.iter().fold(0.0_f64, |scale, logit| scale.max(logit.abs()));
    expected.iter().zip(found).map(|(a, b)| (a - b).abs() / scale).fold(0.0, f64::max)
}

#[test]
fn five_adaptation_steps_of_tent_agree() {
    let config = ResNetConfig::new().with_depth(8).with_width(4);
    let model = try_init_seeded(5, &on_flex(), |device| config.init(device)).unwrap();
    let reference = adapted("flex", &model, &TentConfig::new());
    let unadapted = adapted("flex", &model, &TentConfig::new().with_learning_rate(0.0));
    let moved = difference(&reference[4], &unadapted[4]);
    println!("flex: four steps move the logits of the fifth batch by {moved:.1e}");
    assert!(moved > 1000.0 * TENT_TOLERANCE, "the steps move the logits by {moved:.1e} only");
    for name in ["ndarray", "wgpu"] {
        for (batch, (expected, found)) in reference.iter().zip(&adapted(name, &model, &TentConfig::new())).enumerate() {
            let worst = difference(expected, found);
            println!("{name}: batch {batch}: largest relative difference {worst:.1e}");
            assert!(worst <= TENT_TOLERANCE, "{name}: the logits of batch {batch} differ by {worst:.1e}");
        }
    }
}

#[test]
fn an_unknown_backend_is_refused_with_those_there_are() {
    let error = backend::open("tpu").unwrap_err().to_string();
    assert!(error.contains("tpu") && error.contains("flex"), "{error}");
}
