//! Gradients whose projection is made at the layers' inputs: the same as of projected gradients, in every form.

use burn::module::Module;
use burn::nn::LinearConfig;
use burn::optim::{GradientsParams, SgdConfig};
use burn::tensor::{Tensor, Tolerance};
use rekindle_gpm::{GpmConfig, GpmMemory};
use rekindle_shared::model::Layer;

use super::models::{Cnn, Mlp, device, distance, random};

fn memory<M: Module, const D: usize>(
    config: GpmConfig,
    model: &M,
    seen: Tensor<D>,
    forward: impl Fn(&M, Tensor<D>) -> Tensor<2>,
) -> GpmMemory {
    let mut memory = config.init(model).unwrap();
    memory.observe_task(model, [seen], forward).unwrap();
    memory
}

/// Up to rounding, which is that of the gradient before its projection.
fn assert_close<const D: usize>(a: Tensor<D>, b: Tensor<D>, plain: Tensor<D>, what: &str) {
    let scale = plain.abs().max().into_scalar::<f32>();
    println!("{what}");
    (a / scale).into_data().assert_approx_eq::<f32>(&(b / scale).into_data(), Tolerance::absolute(1e-5));
}

#[test]
fn they_are_those_of_projected_gradients_in_every_form_and_size_of_batch() {
    let device = device();
    for scale in [None, Some(2.0)] {
        for n_samples in [1, 5, 8, 11, 16, 40] {
            for bias in [false, true] {
                let model = Mlp::new([16, 12, 9], bias, &device);
                let config = GpmConfig::new().with_threshold(1.0).with_scale(scale);
                let memory = memory(config, &model, random([n_samples, 16], &device), Mlp::forward);
                for rows in [1, 3, 200] {
                    let batch = random([rows, 16], &device);
                    let loss = |model: &Mlp| model.forward(batch.clone()).powi_scalar(2).mean();
                    let (value, grads) = memory.gradients(&model, loss);
                    let plain = loss(&model);
                    value.into_data().assert_eq(&plain.clone().into_data(), true);
                    let plain = GradientsParams::from_grads(plain.backward(), &model);
                    let expected =
                        memory.project_gradients(&model, GradientsParams::from_grads(loss(&model).backward(), &model));
                    assert_eq!(grads.len(), expected.len());
                    for layer in [&model.first, &model.last] {
                        let of = |grads: &GradientsParams| grads.get::<2>(layer.weight.id).unwrap();
                        let what = format!("{n_samples} samples, {rows} rows, scale {scale:?}, bias {bias}");
                        assert_close(of(&grads), of(&expected), of(&plain), &what);
                    }
                }
            }
        }
    }
}

#[test]
fn convolutions_and_layers_that_are_called_by_forward_are_projected_too() {
    let device = device();
    let model = Cnn::new(&device);
    let both = |model: &Cnn, x: Tensor<4>| model.forward(0, x.clone()) + model.forward(1, x);
    let memory = memory(GpmConfig::new().with_threshold(0.9), &model, random([2, 2, 6, 6], &device), both);
    let batch = random([2, 2, 6, 6], &device);
    let loss = |model: &Cnn| model.heads[0].forward(model.features(batch.clone())).powi_scalar(2).mean();
    let (_, grads) = memory.gradients(&model, loss);
    let plain = GradientsParams::from_grads(loss(&model).backward(), &model);
    let expected = memory.project_gradients(&model, GradientsParams::from_grads(loss(&model).backward(), &model));
    assert_eq!(grads.len(), expected.len());
    for conv in [&model.first, &model.grouped, &model.narrow] {
        let of = |grads: &GradientsParams| grads.get::<4>(conv.weight.id).unwrap();
        assert_close(of(&grads), of(&expected), of(&plain), "convolution");
    }
    let of = |grads: &GradientsParams| grads.get::<2>(model.heads[0].weight.id).unwrap();
    assert_close(of(&grads), of(&expected), of(&plain), "head");
}

#[test]
fn steps_along_them_leave_what_was_seen_as_it_is() {
    let device = device();
    let model = Mlp::new([20, 12, 4], false, &device);
    let old = random([6, 20], &device);
    let memory = memory(GpmConfig::new().with_threshold(1.0), &model, old.clone(), Mlp::forward);
    let before = model.forward(old.clone());
    let (weight, mut after) = (model.first.weight.val(), model);
    let mut optimizer = SgdConfig::new().init();
    for _ in 0..200 {
        let loss = |model: &Mlp| {
            let output = model.forward(random([4, 20], &device));
            (output.clone() - output.random_like(burn::tensor::Distribution::Default)).powi_scalar(2).mean()
        };
        let (_, grads) = memory.gradients(&after, loss);
        after = optimizer.step(0.05, after, grads);
    }
    assert!(distance(weight, after.first.weight.val()) > 0.05);
    let drift = distance(before, after.forward(old));
    assert!(drift < 1e-5, "{drift}");
}

#[test]
fn an_empty_memory_changes_nothing() {
    let device = device();
    let layer = LinearConfig::new(3, 2).init(&device);
    let memory = GpmConfig::new().init(&layer).unwrap();
    let x = random([4, 3], &device);
    let loss = |layer: &burn::nn::Linear| layer.run(x.clone()).sum();
    let (_, grads) = memory.gradients(&layer, loss);
    let plain = GradientsParams::from_grads(loss(&layer).backward(), &layer);
    let of = |grads: &GradientsParams| grads.get::<2>(layer.weight.id).unwrap().into_data();
    of(&grads).assert_eq(&of(&plain), true);
}
