//! Norm layers of any module, their state, and the statistics by which batch norm normalizes.

use burn::module::{Module, Param};
use burn::nn::{
    BatchNorm, BatchNormConfig, Dropout, DropoutConfig, GroupNorm, GroupNormConfig, InstanceNorm, InstanceNormConfig,
    LayerNorm, LayerNormConfig, Linear, LinearConfig, RmsNorm, RmsNormConfig,
};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor, TensorData, Tolerance};
use proptest::prelude::*;
use rekindle_shared::model::{
    AdaptiveBatchNorm, BatchStatistics, Layer, NormKind, RestoreError, StatisticsError, batch_norms_outside, deep_copy,
    norm_layers, norm_state, normalize_with, restore_norm_state, with_batch_statistics, with_source_statistics,
};

#[derive(Module, Debug)]
struct Zoo {
    batch: Vec<BatchNorm>,
    layer: LayerNorm,
    bare_layer: LayerNorm,
    group: GroupNorm,
    bare_group: GroupNorm,
    instance: Option<InstanceNorm>,
    rms: RmsNorm,
    own: FancyNorm,
    block: NormBlock,
    fc: Linear,
}

/// A norm layer of the user's own.
#[derive(Module, Debug)]
struct FancyNorm {
    scale: Param<Tensor<1>>,
}

/// Not a norm layer, in spite of its name.
#[derive(Module, Debug)]
struct NormBlock {
    dropout: Dropout,
    adaptive: AdaptiveBatchNorm,
}

fn zoo(device: &Device) -> Zoo {
    Zoo {
        batch: vec![BatchNormConfig::new(4).init(device), BatchNormConfig::new(4).init(device)],
        layer: LayerNormConfig::new(4).init(device),
        bare_layer: LayerNormConfig::new(4).with_bias(false).init(device),
        group: GroupNormConfig::new(2, 4).init(device),
        bare_group: GroupNormConfig::new(2, 4).with_affine(false).init(device),
        instance: Some(InstanceNormConfig::new(4).init(device)),
        rms: RmsNormConfig::new(4).init(device),
        own: FancyNorm { scale: Param::from_data([1.0; 4], device) },
        block: NormBlock {
            dropout: DropoutConfig::new(0.5).init(),
            adaptive: BatchNormConfig::new(4).init(device).into(),
        },
        fc: LinearConfig::new(4, 2).init(device),
    }
}

fn input(n: usize, scale: f32) -> TensorData {
    let values: Vec<f32> = (0..n * 4).map(|i| scale * (((i * 37 + 11) % 101) as f32 / 25.0 - 1.5)).collect();
    TensorData::new(values, [n, 4])
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_into_vec().unwrap()
}

/// A layer whose γ, β and running statistics are not those of the start.
fn trained(device: &Device) -> BatchNorm {
    let vector = |values: [f32; 4]| Tensor::<1>::from_floats(values, device);
    let norm = BatchNormConfig::new(4).init(device);
    norm.running_mean.update(vector([0.5, -1.0, 0.0, 2.0]));
    norm.running_var.update(vector([1.5, 0.5, 2.0, 1.0]));
    let _ = (norm.running_mean.value_sync(), norm.running_var.value_sync());
    BatchNorm {
        gamma: Param::from_data([1.0, 2.0, 0.5, -1.0], device),
        beta: Param::from_data([0.0, 0.1, -0.2, 0.3], device),
        ..norm
    }
}

#[test]
fn every_norm_layer_is_found_with_its_kind_and_parameters() {
    let layers = norm_layers(&zoo(&Device::flex()));
    let found: Vec<_> = layers
        .iter()
        .map(|layer| {
            (layer.path.as_str(), layer.kind, layer.scale.is_some(), layer.shift.is_some(), layer.running.len())
        })
        .collect();
    assert_eq!(
        found,
        [
            ("batch.0", NormKind::Batch, true, true, 2),
            ("batch.1", NormKind::Batch, true, true, 2),
            ("layer", NormKind::Layer, true, true, 0),
            ("bare_layer", NormKind::Layer, true, false, 0),
            ("group", NormKind::Group, true, true, 0),
            ("bare_group", NormKind::Group, false, false, 0),
            ("instance", NormKind::Instance, true, true, 0),
            ("rms", NormKind::Rms, true, false, 0),
            ("own", NormKind::Other, true, false, 0),
            ("block.adaptive", NormKind::Batch, true, true, 2),
        ]
    );
    let norm = BatchNormConfig::new(4).init(&Device::flex());
    assert_eq!(norm_layers(&norm)[0].path, "");
    assert!(norm_layers(&LinearConfig::new(2, 2).init(&Device::flex())).is_empty());
}

/// A norm layer with another one between its fields.
#[derive(Module, Debug)]
struct NestedNorm {
    scale: Param<Tensor<1>>,
    inner: LayerNorm,
    shift: Param<Tensor<1>>,
}

#[test]
fn a_norm_layer_around_another_is_listed_once() {
    let device = Device::flex();
    let vector = || Param::from_data([1.0; 4], &device);
    let nested = NestedNorm { scale: vector(), inner: LayerNormConfig::new(4).init(&device), shift: vector() };
    let layers = norm_layers(&nested);
    let found: Vec<_> = layers.iter().map(|layer| (layer.path.as_str(), layer.affine().count())).collect();
    assert_eq!(found, [("", 2), ("inner", 2)]);
}

#[test]
fn batch_statistics_switch_batch_norm_on_and_dropout_off() {
    let device = Device::flex().autodiff();
    let zoo = with_batch_statistics(zoo(&device));
    assert!(zoo.batch[0].training.is_enabled() && zoo.block.adaptive.training.is_enabled());
    assert!(!zoo.block.dropout.training.is_enabled());
    let zoo = with_source_statistics(zoo);
    assert!(norm_layers(&zoo).iter().all(|layer| !layer.training));
}

#[test]
fn the_state_of_norm_layers_is_restored_to_the_bit() {
    let device = Device::flex().autodiff();
    let norm = trained(&device);
    let state = norm_state(&norm);
    let before = (values(norm.gamma.val()), values(norm.running_mean.value_sync()));
    for _ in 0..2 {
        norm.forward(Tensor::<2>::from_data(input(6, 1.0), &device));
    }
    let norm = BatchNorm { gamma: norm.gamma.clone().map(|gamma| (gamma * 3.0).detach().require_grad()), ..norm };
    let norm = restore_norm_state(norm, &state).unwrap();
    assert_eq!((values(norm.gamma.val()), values(norm.running_mean.value_sync())), before);
    // What is restored trains on: a leaf that still requires gradients.
    let loss = norm.forward(Tensor::<2>::from_data(input(6, 1.0), &device)).powi_scalar(3).sum();
    assert_eq!(GradientsParams::from_grads(loss.backward(), &norm).len(), 2);
    let other = BatchNormConfig::new(4).init(&device);
    let error = restore_norm_state(zoo(&device), &norm_state(&other)).unwrap_err();
    let RestoreError::Unmatched { paths } = error else { panic!("{error}") };
    assert!(paths.contains(&"batch.1.running_var".to_owned()), "{paths:?}");
}

#[test]
fn a_record_of_a_stock_layer_loads_into_ours_and_back() {
    let device = Device::flex();
    let stock = trained(&device);
    let ours = AdaptiveBatchNorm::from(BatchNormConfig::new(4).init(&device));
    let ours = ours.try_load_record(stock.clone().into_record()).unwrap();
    let x = || Tensor::<2>::from_data(input(5, 1.0), &device);
    assert_eq!(values(ours.forward(x())), values(stock.run(x())));
    let back = BatchNormConfig::new(4).init(&device).try_load_record(ours.into_record()).unwrap();
    assert_eq!(values(back.forward(x())), values(stock.forward(x())));
}

#[test]
fn a_scope_tells_which_layers_took_part() {
    let device = Device::flex();
    let zoo = zoo(&device);
    let x = Tensor::<2>::from_data(input(5, 1.0), &device);
    let (_, seen) = normalize_with(BatchStatistics::Batch, || {
        zoo.block.adaptive.forward(zoo.batch[1].run(zoo.batch[0].forward(x)))
    })
    .unwrap();
    let outside: Vec<_> = batch_norms_outside(&zoo, &seen).into_iter().map(|layer| layer.path).collect();
    assert_eq!(outside, ["batch.0"]);
}

#[test]
fn a_scope_ends_with_a_panic_and_nests() {
    let device = Device::flex();
    let norm = trained(&device);
    let x = || Tensor::<2>::from_data(input(5, 1.0), &device);
    let plain = values(norm.run(x()));
    let batch = BatchStatistics::Batch;
    let panicked = std::panic::catch_unwind(|| normalize_with(batch, || panic!("on purpose")).map(|((), _)| ()));
    assert!(panicked.is_err());
    assert_eq!(values(norm.run(x())), plain);
    let ((inner, outer), _) = normalize_with(batch, || {
        let (inner, _) = normalize_with(BatchStatistics::Source, || values(norm.run(x()))).unwrap();
        (inner, values(norm.run(x())))
    })
    .unwrap();
    assert_eq!(inner, plain);
    assert_ne!(outer, plain);
}

#[test]
fn shares_out_of_range_are_refused() {
    let refused = |statistics| normalize_with(statistics, || ()).err();
    assert_eq!(
        refused(BatchStatistics::Mixture { alpha: 1.5 }),
        Some(StatisticsError::Share { name: "alpha", value: 1.5 })
    );
    assert!(refused(BatchStatistics::Ema { momentum: f64::NAN }).is_some());
    assert_eq!(refused(BatchStatistics::Prior { n: -1.0 }), Some(StatisticsError::Prior(-1.0)));
    assert!(refused(BatchStatistics::Prior { n: f64::INFINITY }).is_some());
}

#[test]
fn the_moving_average_lives_in_the_running_statistics() {
    let device = Device::flex();
    let norm = trained(&device);
    let copy = deep_copy(&norm);
    let x = || Tensor::<2>::from_data(input(8, 2.0), &device);
    let ema = BatchStatistics::Ema { momentum: 0.25 };
    let (first, _) = normalize_with(ema, || values(copy.run(x()))).unwrap();
    let (mixture, _) = normalize_with(BatchStatistics::Mixture { alpha: 0.25 }, || values(norm.run(x()))).unwrap();
    assert_eq!(first, mixture);
    let (second, _) = normalize_with(ema, || values(copy.run(x()))).unwrap();
    assert_ne!(first, second);
    // 1 - 0.75² of the batch after two passes.
    let (both, _) = normalize_with(BatchStatistics::Mixture { alpha: 0.4375 }, || values(norm.run(x()))).unwrap();
    TensorData::from(second.as_slice()).assert_approx_eq::<f32>(&both.as_slice().into(), Tolerance::absolute(1e-5));
    assert_eq!(values(norm.running_mean.value_sync()), [0.5, -1.0, 0.0, 2.0]);
}

/// Source, batch and the mixtures between them, on stock layers and ours, as the formula has it.
fn by_formula(n: usize, alpha: f32) -> Vec<f32> {
    let x: Vec<f32> = input(n, 1.0).try_into_vec().unwrap();
    let source = [(0.5, 1.5), (-1.0, 0.5), (0.0, 2.0), (2.0, 1.0_f32)];
    let affine = [(1.0, 0.0), (2.0, 0.1), (0.5, -0.2), (-1.0, 0.3_f32)];
    let mut output = vec![0.0; x.len()];
    for c in 0..4 {
        let column: Vec<f32> = x.iter().skip(c).step_by(4).copied().collect();
        let mean = column.iter().sum::<f32>() / n as f32;
        let variance = column.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / n as f32;
        let mean = (1.0 - alpha) * source[c].0 + alpha * mean;
        let variance = (1.0 - alpha) * source[c].1 + alpha * variance;
        for (row, value) in column.iter().enumerate() {
            output[row * 4 + c] = (value - mean) / (variance + 1e-5).sqrt() * affine[c].0 + affine[c].1;
        }
    }
    output
}

proptest! {
    #[test]
    fn statistics_are_mixed_as_the_formula_says(n in 1_usize..12, alpha in 0.0_f64..=1.0, autodiff: bool) {
        let device = if autodiff { Device::flex().autodiff() } else { Device::flex() };
        let norm = trained(&device);
        let x = || Tensor::<2>::from_data(input(n, 1.0), &device);
        let close = |found: Vec<f32>, expected: Vec<f32>| {
            found.iter().zip(&expected).all(|(a, b)| (a - b).abs() <= 1e-4 * (1.0 + b.abs()))
        };
        for (statistics, share) in [
            (BatchStatistics::Mixture { alpha }, alpha),
            (BatchStatistics::Source, 0.0),
            (BatchStatistics::Batch, 1.0),
            (BatchStatistics::Prior { n: 4.0 }, n as f64 / (n as f64 + 4.0)),
        ] {
            let (output, _) = normalize_with(statistics, || norm.run(x())).unwrap();
            let output = values(output);
            prop_assert!(close(output.clone(), by_formula(n, share as f32)), "{:?} {:?}", statistics, output);
            // Running statistics are as they were.
            prop_assert_eq!(values(norm.running_mean.value_sync()), vec![0.5, -1.0, 0.0, 2.0]);
        }
    }

    /// dL/dx of L = Σ w y for the mixture against central differences: it flows through the share of the batch.
    #[test]
    fn mixtures_have_gradients(alpha in 0.05_f64..0.95, at in 0_usize..20) {
        let device = Device::flex().autodiff();
        let norm = trained(&device);
        let weights = Tensor::<2>::from_data(input(5, -0.7), &device).powi_scalar(2);
        let loss = |x: Tensor<2>| {
            let (y, _) = normalize_with(BatchStatistics::Mixture { alpha }, || norm.run(x)).unwrap();
            (y * weights.clone()).sum()
        };
        let x = Tensor::<2>::from_data(input(5, 1.0), &device).require_grad();
        let gradient = values(x.grad(&loss(x.clone()).backward()).unwrap());
        let shifted = |by: f32| {
            let mut moved: Vec<f32> = input(5, 1.0).try_into_vec().unwrap();
            moved[at] += by;
            values(loss(Tensor::from_data(TensorData::new(moved, [5, 4]), &device)))[0]
        };
        let numeric = (shifted(0.02) - shifted(-0.02)) / 0.04;
        prop_assert!((gradient[at] - numeric).abs() <= 0.02 * (1.0 + numeric.abs()), "{} {}", gradient[at], numeric);
    }
}
