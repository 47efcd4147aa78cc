//! Eqs. 6 and 7 on numbers worked by hand, and what holds for every projection.

use burn::optim::GradientsParams;
use burn::tensor::{Tensor, Tolerance};
use rekindle_gpm::{GpmConfig, Project};

use super::models::{Cnn, Mlp, device, random};

#[test]
fn a_gradient_loses_the_directions_that_are_held() {
    let device = device();
    let model = Mlp::new([3, 2, 2], false, &device);
    let mut memory = GpmConfig::new().with_project(Project::Gradient).init(&model).unwrap();
    // The first layer sees e1 alone.
    let seen = Tensor::<2>::from_floats([[2.0, 0.0, 0.0]], &device);
    memory.observe_task(&model, [seen], Mlp::forward).unwrap();
    assert_eq!(memory.rank("first").unwrap(), 1);

    let mut grads = GradientsParams::new();
    // [in, out]; the paper's [out, in] is [[1, 2, 3], [4, 5, 6]].
    let grad = Tensor::<2>::from_floats([[1.0, 4.0], [2.0, 5.0], [3.0, 6.0]], &device.clone().inner());
    grads.register::<2>(model.first.weight.id, grad);
    let projected = memory.project_gradients(&model, grads).get::<2>(model.first.weight.id).unwrap();
    let expected = [[0.0_f32, 0.0], [2.0, 5.0], [3.0, 6.0]];
    projected.into_data().assert_approx_eq::<f32>(&expected.into(), Tolerance::absolute(1e-6));
}

/// Less, exactly half, more and all of the directions: every form of the projection.
#[test]
fn projections_are_orthogonal_to_the_basis_idempotent_and_linear() {
    let device = device();
    let model = Mlp::new([8, 4, 2], false, &device);
    for n_samples in [1, 3, 4, 6, 8, 20] {
        let mut memory = GpmConfig::new().with_threshold(1.0).init(&model).unwrap();
        memory.observe_task(&model, [random([n_samples, 8], &device)], Mlp::forward).unwrap();
        let rank = n_samples.min(8);
        assert_eq!(memory.rank("first").unwrap(), rank);
        let project = |grad: Tensor<2>| {
            let mut grads = GradientsParams::new();
            grads.register::<2>(model.first.weight.id, grad);
            memory.project_gradients(&model, grads).get::<2>(model.first.weight.id).unwrap()
        };
        let [a, b] = [0, 1].map(|_| random([8, 4], &device.clone().inner()));
        let [pa, pb] = [a.clone(), b.clone()].map(project);
        let basis = memory.basis("first").unwrap().remove(0);
        let leak = basis.transpose().matmul(pa.clone()).abs().max().into_scalar::<f32>();
        assert!(leak < 1e-5, "rank {rank}: {leak}");
        let tolerance = Tolerance::<f32>::absolute(1e-5);
        project(pa.clone()).into_data().assert_approx_eq(&pa.clone().into_data(), tolerance);
        let sum = project(a.clone() * 2.0 + b);
        sum.into_data().assert_approx_eq(&(pa.clone() * 2.0 + pb).into_data(), tolerance);
        let norm = |t: Tensor<2>| t.powi_scalar(2).sum().into_scalar::<f32>();
        assert!(norm(pa.clone()) <= norm(a) * 1.00001);
        assert_eq!(memory.is_full("first").unwrap(), rank == 8);
        assert!(rank < 8 || norm(pa) == 0.0, "a full layer gets a gradient of exactly 0");
    }
}

#[test]
fn groups_of_a_convolution_are_projected_each_by_its_own_inputs() {
    let device = device();
    let model = Cnn::new(&device);
    let mut memory = GpmConfig::new().with_threshold(0.9).init(&model).unwrap();
    let report = memory
        .observe_task(&model, [random([4, 2, 6, 6], &device)], |model, x| {
            (model.forward(0, x.clone()), model.forward(1, x))
        })
        .unwrap();
    let grouped = report.layers.iter().find(|layer| layer.path == "grouped").unwrap();
    assert_eq!(grouped.n_directions, 2 * 2 * 9);
    let bases = memory.basis("grouped").unwrap();
    assert_eq!(bases.len(), 2);
    let mut grads = GradientsParams::new();
    grads.register::<4>(model.grouped.weight.id, random([6, 2, 3, 3], &device.clone().inner()));
    let projected = memory.project_gradients(&model, grads).get::<4>(model.grouped.weight.id).unwrap();
    for (group, basis) in bases.into_iter().enumerate() {
        let of_group = projected.clone().narrow(0, 3 * group, 3).reshape([3, 18]);
        let leak = of_group.matmul(basis).abs().max().into_scalar::<f32>();
        assert!(leak < 1e-5, "group {group}: {leak}");
    }
}
