//! What holds for every input.

use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor, TensorData};
use proptest::prelude::*;
use rekindle_gpm::GpmConfig;
use rekindle_shared::model::Layer;

const INPUTS: usize = 6;
const OUTPUTS: usize = 3;

fn tensor(values: &[f32], device: &Device) -> Tensor<2> {
    let rows = values.len() / INPUTS;
    Tensor::from_data(TensorData::new(values.to_vec(), [rows, INPUTS]), device)
}

fn numbers(rows: std::ops::Range<usize>) -> impl Strategy<Value = Vec<f32>> {
    rows.prop_flat_map(|rows| prop::collection::vec(-3.0_f32..3.0, rows * INPUTS))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever was seen, in one task or two: what a projected gradient changes is nothing to the inputs that are held
    /// in full (ε = 1), a second projection changes nothing, and no gradient grows.
    #[test]
    fn projected_gradients_leave_seen_inputs_alone(
        first in numbers(1..10),
        second in numbers(1..10),
        grad in prop::collection::vec(-3.0_f32..3.0, INPUTS * OUTPUTS),
    ) {
        let device = Device::flex().autodiff();
        let layer = burn::nn::LinearConfig::new(INPUTS, OUTPUTS).with_bias(false).init(&device);
        let mut memory = GpmConfig::new().with_threshold(1.0).init(&layer).unwrap();
        let mut rank = 0;
        for seen in [&first, &second] {
            let report = memory.observe_task(&layer, [tensor(seen, &device)], |layer, x| layer.run(x)).unwrap();
            prop_assert!(report.layers[0].rank >= rank && report.layers[0].retained >= 1.0 - 1e-6);
            rank = report.layers[0].rank;
        }
        prop_assert!(rank <= INPUTS);
        let plain = device.inner();
        let project = |values: Tensor<2>| {
            let mut grads = GradientsParams::new();
            grads.register::<2>(layer.weight.id, values);
            memory.project_gradients(&layer, grads).get::<2>(layer.weight.id).unwrap()
        };
        let grad = Tensor::from_data(TensorData::new(grad, [INPUTS, OUTPUTS]), &plain);
        let projected = project(grad.clone());
        let norm = |t: Tensor<2>| t.powi_scalar(2).sum().sqrt().into_scalar::<f32>();
        let scale = norm(grad.clone()).max(1e-3);
        for seen in [&first, &second] {
            let seen = tensor(seen, &plain);
            let change = norm(seen.clone().matmul(projected.clone()));
            prop_assert!(change <= 2e-4 * scale * norm(seen).max(1e-3), "{change}");
        }
        prop_assert!(norm(project(projected.clone()) - projected.clone()) <= 1e-5 * scale);
        prop_assert!(norm(projected) <= norm(grad) * 1.00001 + 1e-6);
    }

    /// More of the threshold never keeps less.
    #[test]
    fn rank_rises_with_the_threshold(seen in numbers(1..12), low in 0.05_f64..1.0, more in 0.0_f64..0.5) {
        let device = Device::flex().autodiff();
        let layer = burn::nn::LinearConfig::new(INPUTS, OUTPUTS).with_bias(false).init(&device);
        let rank = |threshold: f64| {
            let mut memory = GpmConfig::new().with_threshold(threshold.min(1.0)).init(&layer).unwrap();
            memory.observe_task(&layer, [tensor(&seen, &device)], |layer, x| layer.run(x)).unwrap().layers[0].rank
        };
        prop_assert!(rank(low) <= rank(low + more));
    }
}
