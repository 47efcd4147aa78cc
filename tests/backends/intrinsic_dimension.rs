//! Neighbors by the products of each backend, and the dimension of what layers get on it.
//!
//! Tables are equal bit for bit, without a tolerance: a device's products only choose candidates, and the host computes
//! the distances of those.

use burn::module::Module;
use burn::nn::transformer::{TransformerEncoder, TransformerEncoderConfig, TransformerEncoderInput};
use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rekindle_intrinsic_dimension::{Duplicates, IdError, Knn, LayerFeatures, Mle, Points, Positions};
use rekindle_shared::backend;
use rekindle_shared::model::{capture_layers, init_seeded, layer_weights, observe, reports, try_init_seeded};
use rekindle_shared::networks::{SmallCnn, SmallCnnConfig};

use super::common::{flex, random};

/// Largest relative difference of a layer's dimension between backends, whose features differ by rounding.
const TOLERANCE: f64 = 1e-3;

const BACKENDS: [&str; 3] = ["flex", "ndarray", "wgpu"];

fn open(name: &str) -> Device {
    backend::open(name).unwrap_or_else(|error| panic!("{error}"))
}

/// About normal.
fn normal(n: usize, dim: usize) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(dim as u64);
    let mut uniform = || rng.random::<f32>() - 0.5;
    (0..n * dim).map(|_| (0..6).map(|_| uniform()).sum()).collect()
}

#[track_caller]
fn assert_same(name: &str, knn: Knn<'_>, points: &Points<'_>) {
    let found = knn.on(&open(name)).search(points);
    assert_eq!(found, knn.search(points), "{name}: {} in {}", points.n(), points.dim());
}

// Each new shape makes wgpu try and compile kernels, which takes seconds on the software adapter: there are few.

#[test]
fn neighbors_of_normal_points_are_those_of_the_cpu() {
    for name in BACKENDS {
        for (n, dim) in [(500, 1), (500, 17), (300, 3000)] {
            let values = normal(n, dim);
            let points = Points::new(&values, n, dim).unwrap();
            assert_same(name, Knn::new(10).with_block(128).with_duplicates(Duplicates::Skip), &points);
        }
    }
}

#[test]
fn anchors_queries_and_points_that_do_not_stay_on_the_device_have_the_same_neighbors() {
    let values = normal(500, 17);
    let points = Points::new(&values, 500, 17).unwrap();
    let knn = Knn::new(10).with_block(128);
    let anchors: Vec<usize> = (0..points.n()).step_by(3).collect();
    let queries: Vec<f32> = normal(150, 17).iter().map(|x| x + 0.25).collect();
    let queries = Points::new(&queries, 150, 17).unwrap();
    for name in BACKENDS {
        let on = knn.on(&open(name));
        assert_eq!(on.search_anchors(&points, &anchors), knn.search_anchors(&points, &anchors), "{name}");
        assert_eq!(on.search_queries(&points, &queries), knn.search_queries(&points, &queries), "{name}");
        assert_eq!(on.with_resident(false).search(&points), knn.search(&points), "{name}");
    }
}

#[test]
fn neighbors_far_from_the_origin_are_those_of_the_cpu() {
    for name in BACKENDS {
        for offset in [1e3, 1e5] {
            let values: Vec<f32> = normal(500, 17).iter().map(|x| offset + x).collect();
            let points = Points::new(&values, 500, 17).unwrap();
            assert_same(name, Knn::new(10).with_block(128).with_duplicates(Duplicates::Skip), &points);
        }
    }
}

#[test]
fn ties_of_integers_are_broken_as_on_the_cpu() {
    for name in BACKENDS {
        let values: Vec<f32> = normal(500, 4).iter().map(|x| (2.0 * x).round()).collect();
        let points = Points::new(&values, 500, 4).unwrap();
        for policy in [Duplicates::Remove, Duplicates::Skip, Duplicates::Keep] {
            assert_same(name, Knn::new(12).with_block(128).with_duplicates(policy), &points);
        }
    }
}

#[test]
fn small_blocks_and_one_block_of_all_are_the_same() {
    for name in BACKENDS {
        let values = normal(40, 5);
        let points = Points::new(&values, 40, 5).unwrap();
        for block in [7, 10_000] {
            assert_eq!(Knn::new(4).with_block(block).on(&open(name)).search(&points), Knn::new(4).search(&points));
        }
    }
}

#[test]
fn tensors_of_every_backend_are_points() {
    for name in BACKENDS {
        let device = open(name);
        let values: Vec<f32> = (0..24).map(|at| at as f32 / 8.0).collect();
        let tensor = Tensor::<3>::from_data(TensorData::new(values.clone(), [4, 2, 3]), (&device, DType::F32));
        assert_eq!(Points::from_tensor(tensor.clone()).unwrap().values(), values, "{name}");
        let autodiff = Tensor::from_inner(tensor.clone());
        assert_eq!(Points::from_tensor(autodiff).unwrap().dim(), 6, "{name}");
        let pixels = Tensor::<2, Int>::from_data([[0, 255], [7, 1]], &device);
        assert_eq!(Points::from_tensor(pixels).unwrap().values(), [0.0, 255.0, 7.0, 1.0], "{name}");
        let nan = tensor.mul_scalar(f32::NAN);
        assert!(matches!(Points::from_tensor(nan), Err(IdError::NotFinite { row: 0, column: 0, .. })), "{name}");
        let points = Points::from_vec(values, 12, 2).unwrap();
        assert_eq!(Knn::new(12).on(&device).search(&points).err(), Some(IdError::KTooLarge { k: 12, n: 12 }), "{name}");
    }
}

/// The dimension of each layer's input.
fn dimensions(name: &str, model: &SmallCnn, positions: Positions) -> Vec<(String, f64)> {
    let device = open(name);
    let model = model.clone().fork(&device);
    let mut features = LayerFeatures::new(&model).unwrap().with_positions(positions);
    let batches = (0..4).map(|seed| {
        let latent: Tensor<2> = random(seed, [64, 4], &device);
        latent.matmul(random(100, [4, 3 * 16 * 16], &device)).reshape([64, 3, 16, 16])
    });
    features.observe(&model, batches, SmallCnn::forward).unwrap();
    let knn = Knn::new(15).with_duplicates(Duplicates::Remove);
    let estimates = features.estimates(|points| Mle::new().fit(&knn.on(&device).search(points)?)).unwrap();
    estimates.into_iter().map(|(path, estimate)| (path.to_owned(), estimate.dimension)).collect()
}

#[test]
fn the_dimension_of_layers_agrees() {
    let config = SmallCnnConfig::new().with_in_channels(3).with_n_classes(10).with_size([16, 16]);
    let model = try_init_seeded(4, &flex(), |device| config.init(device)).unwrap();
    for positions in [Positions::Flatten, Positions::Mean] {
        let reference = dimensions("flex", &model, positions);
        assert!(reference.len() > 2, "{reference:?}");
        println!("flex: {reference:?}");
        for name in ["ndarray", "wgpu"] {
            for ((path, expected), (_, found)) in reference.iter().zip(dimensions(name, &model, positions)) {
                let difference = (found - expected).abs() / expected;
                println!("{name}: {path}: {found:.4}, relative difference {difference:.1e}");
                assert!(difference <= TOLERANCE, "{name}: {path}: {found} instead of {expected}");
            }
        }
    }
}

#[test]
fn layers_of_a_network_as_it_is_are_captured() {
    let config = TransformerEncoderConfig::new(8, 16, 2, 1).with_dropout(0.0);
    let encoder = init_seeded(1, &flex(), |device| config.init(device));
    let forward = |encoder: &TransformerEncoder, x| encoder.forward(TransformerEncoderInput::new(x));
    let mut features = LayerFeatures::new(&encoder).unwrap();
    let sequences = random::<3>(2, [50, 5, 8], &flex());
    let unseen = features.observe(&encoder, [sequences.clone()], forward).unwrap_err();
    assert!(matches!(&unseen, IdError::Unseen(paths) if paths.len() == 6), "{unseen}");
    let (_, seen) = capture_layers(&encoder, sequences, forward).unwrap();
    features.add(50, &seen).unwrap();
    let points = features.points().unwrap();
    assert_eq!(points.len(), layer_weights(&encoder).iter().filter(|layer| reports(layer)).count());
    for (path, points) in points {
        assert_eq!((points.n(), points.dim() % 5), (50, 0), "{path}");
    }
}

#[test]
fn captured_features_are_those_that_layers_report() {
    let config = SmallCnnConfig::new().with_in_channels(1).with_n_classes(4).with_size([8, 8]);
    let model = try_init_seeded(5, &flex(), |device| config.init(device)).unwrap();
    let images = random::<4>(6, [20, 1, 8, 8], &flex());
    let (_, captured) = capture_layers(&model, images.clone(), SmallCnn::forward).unwrap();
    let (_, observed) = observe(|| model.forward(images));
    let shapes =
        |seen: &[rekindle_shared::model::Observation]| seen.iter().map(|call| call.shape.clone()).collect::<Vec<_>>();
    assert_eq!(shapes(&captured), shapes(&observed));
    let gathered = |seen: &[_]| {
        let mut features = LayerFeatures::new(&model).unwrap();
        features.add(20, seen).unwrap();
        features
    };
    let (captured, observed) = (gathered(&captured), gathered(&observed));
    for ((path, a), (_, b)) in captured.points().unwrap().iter().zip(observed.points().unwrap()) {
        let near = a.values().iter().zip(b.values()).all(|(a, b)| (a - b).abs() < 1e-5);
        assert!(near && a.dim() == b.dim(), "{path}");
    }
}
