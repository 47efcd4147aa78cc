//! Tensors as points, neighbors by the products of a device, and the inputs of a model's layers.

use std::sync::Mutex;

use burn::module::Module;
use burn::nn::conv::{Conv1d, Conv1dConfig, Conv2d, Conv2dConfig};
use burn::nn::{Embedding, EmbeddingConfig, Linear, LinearConfig};
use burn::tensor::activation::relu;
use burn::tensor::{DType, Device, FloatDType, Int, Tensor, TensorData};
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rekindle_intrinsic_dimension::{
    Duplicates, IdError, Knn, LayerFeatures, Mle, Points, Positions, Progress, Scalar, data,
};
use rekindle_shared::model::{Layer, LayerInput, Observation, observe};

fn flex() -> Device {
    Device::flex()
}

fn uniform(n: usize, seed: u64) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..n).map(|_| rng.random()).collect()
}

fn tensor<const D: usize>(seed: u64, shape: [usize; D]) -> Tensor<D> {
    Tensor::from_data(TensorData::new(uniform(shape.iter().product(), seed), shape), &flex())
}

mod points {
    use super::*;

    #[test]
    fn rows_are_the_first_dimension_and_the_rest_is_flattened() {
        let values = uniform(24, 0);
        let points = Points::from_tensor(tensor(0, [2, 3, 4])).unwrap();
        assert_eq!((points.n(), points.dim(), points.values()), (2, 12, values.as_slice()));
        // Views are read in the order of their indices, and autodiff is no obstacle.
        let turned = Points::from_tensor(tensor(0, [2, 12]).autodiff().transpose()).unwrap();
        assert_eq!(turned.row(1), [values[1], values[13]]);
    }

    #[test]
    fn every_float_type_becomes_f32() {
        let values = [[0.5, -3.0], [1024.0, 0.0]];
        for dtype in [DType::F16, DType::BF16, DType::F32, DType::F64] {
            let tensor = Tensor::<2>::from_data(TensorData::from(values), (&flex(), dtype));
            assert_eq!(Points::from_tensor(tensor).unwrap().values(), [0.5, -3.0, 1024.0, 0.0], "{dtype:?}");
        }
    }

    #[test]
    fn integers_are_the_same_numbers() {
        for dtype in [DType::U8, DType::I32, DType::I64] {
            let pixels = Tensor::<3, Int>::from_data(TensorData::from([[[0, 255]], [[7, 1]]]), (&flex(), dtype));
            assert_eq!(Points::from_tensor(pixels).unwrap().values(), [0.0, 255.0, 7.0, 1.0], "{dtype:?}");
        }
        let large = Tensor::<2, Int>::from_data([[1, 2], [16_777_216, -16_777_217]], &flex());
        let refused = IdError::NotExact { row: 1, column: 1, value: -16_777_217.0 };
        assert_eq!(Points::from_tensor(large).err(), Some(refused));
    }

    #[test]
    fn tensors_that_are_no_points_are_refused() {
        let error = Points::from_tensor(tensor(0, [4])).unwrap_err();
        assert_eq!(error.to_string(), "rank of the tensor must be at least 2, got 1");
        let empty = Tensor::<3>::zeros([0, 2, 3], &flex());
        assert_eq!(Points::from_tensor(empty).err(), Some(IdError::Empty { n: 0, dim: 6 }));
        let empty = Tensor::<2>::zeros([4, 0], &flex());
        assert_eq!(Points::from_tensor(empty).err(), Some(IdError::Empty { n: 4, dim: 0 }));
        let nan = Tensor::<2>::from_data([[1.0, 2.0], [f32::NAN, 0.0]], &flex());
        assert!(matches!(Points::from_tensor(nan), Err(IdError::NotFinite { row: 1, column: 0, .. })));
        let large = Tensor::<2>::from_data(TensorData::from([[1e300_f64]]), (&flex(), DType::F64));
        assert!(matches!(Points::from_tensor(large), Err(IdError::NotFinite { row: 0, column: 0, .. })));
    }
}

mod device {
    use super::*;

    /// All three searches, on the device and not.
    #[track_caller]
    fn assert_same<T: Scalar>(knn: Knn<'_>, points: &Points<'_, T>) {
        let on = knn.on(&flex());
        assert_eq!(on.search(points), knn.search(points));
        assert_eq!(on.with_resident(false).search(points), knn.search(points));
        let anchors = [points.n() - 1, 0, points.n() / 2];
        let on = knn.on(&flex());
        assert_eq!(on.search_anchors(points, &anchors), knn.search_anchors(points, &anchors));
        let queries = points.select(&anchors).unwrap();
        assert_eq!(on.search_queries(points, &queries), knn.search_queries(points, &queries));
    }

    #[test]
    fn tables_are_those_of_the_cpu() {
        for dim in [1, 3, 64, 1100] {
            let values = uniform(300 * dim, dim as u64);
            let points = Points::new(&values, 300, dim).unwrap();
            for block in [1, 64, 299, 4096] {
                if block == 1 && dim > 3 {
                    continue;
                }
                assert_same(Knn::new(6).with_block(block).with_duplicates(Duplicates::Skip), &points);
            }
        }
    }

    #[test]
    fn data_far_from_the_origin_and_of_other_types_have_the_same_tables() {
        let far: Vec<f64> = uniform(300 * 5, 1).iter().map(|x| 1e6 + f64::from(*x)).collect();
        assert_same(Knn::new(6).with_block(100), &Points::new(&far, 300, 5).unwrap());
        let bytes: Vec<u8> = uniform(300 * 4, 2).iter().map(|x| (4.0 * x) as u8).collect();
        let bytes = Points::new(&bytes, 300, 4).unwrap();
        for policy in [Duplicates::Error, Duplicates::Remove, Duplicates::Skip, Duplicates::Keep] {
            assert_same(Knn::new(12).with_block(64).with_duplicates(policy), &bytes);
        }
        let tiny: Vec<f64> = uniform(100 * 3, 3).iter().map(|x| 1e-130 * f64::from(*x)).collect();
        assert_same(Knn::new(6), &Points::new(&tiny, 100, 3).unwrap());
    }

    #[test]
    fn progress_and_threads_are_those_of_the_search() {
        let points = data::cube(100, 2, 0).unwrap();
        for threads in [1, 3] {
            let seen = Mutex::new(Vec::new());
            let report = |progress: Progress| seen.lock().unwrap().push(progress);
            let knn = Knn::new(3).with_block(25).with_threads(threads).with_progress(&report);
            knn.on(&flex()).search(&points).unwrap();
            let seen = seen.into_inner().unwrap();
            assert_eq!(seen, (1..=10).map(|done| Progress { done, total: 10 }).collect::<Vec<_>>());
        }
    }

    #[test]
    fn what_a_search_refuses_is_refused() {
        let points = Points::new(&[1.0, 2.0, 4.0], 3, 1).unwrap();
        let refused = |knn: Knn<'_>| knn.on(&flex()).search(&points).err();
        assert_eq!(refused(Knn::new(3)), Some(IdError::KTooLarge { k: 3, n: 3 }));
        assert_eq!(refused(Knn::new(0)), Some(IdError::KTooSmall { k: 0, least: 1 }));
        assert!(matches!(refused(Knn::new(1).with_block(0)), Some(IdError::InvalidSetting { name: "block", .. })));
        let on = Knn::new(1).on(&flex());
        assert!(matches!(on.search_anchors(&points, &[3]), Err(IdError::IndexOutOfRange { .. })));
        let other = Points::new(&[0.0; 2], 1, 2).unwrap();
        assert!(matches!(on.search_queries(&points, &other), Err(IdError::Columns { .. })));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        /// Whatever the data, the block and the policy, the device changes nothing, errors included.
        #[test]
        fn the_device_changes_nothing(
            grid in prop::collection::vec(-3_i8..3, 12..200),
            offset in prop::sample::select(vec![0.0, 1e3, 1e9]),
            dim in 1_usize..4,
            k in 1_usize..6,
            block in 1_usize..40,
            policy in prop::sample::select(vec![Duplicates::Remove, Duplicates::Skip, Duplicates::Keep]),
        ) {
            let n = grid.len() / dim;
            let values: Vec<f64> = grid[..n * dim].iter().map(|x| f64::from(*x) + offset).collect();
            let points = Points::new(&values, n, dim).unwrap();
            let knn = Knn::new(k).with_block(block).with_duplicates(policy);
            prop_assert_eq!(knn.on(&flex()).search(&points), knn.search(&points));
        }
    }
}

mod layers {
    use super::*;

    #[derive(Module, Debug)]
    struct Net {
        maps: Conv2d,
        signals: Conv1d,
        hidden: Linear,
        output: Linear,
    }

    impl Net {
        fn new() -> Self {
            let device = flex();
            Self {
                maps: Conv2dConfig::new([1, 2], [3, 3]).init(&device),
                signals: Conv1dConfig::new(2, 3, 2).init(&device),
                hidden: LinearConfig::new(3, 5).init(&device),
                output: LinearConfig::new(5, 5).init(&device),
            }
        }

        /// `[batch, 1, side, side]` to `[batch, positions, 5]`; the last layer is called twice.
        fn forward(&self, x: Tensor<4>) -> Tensor<3> {
            let maps = self.maps.run(x);
            let [batch, channels, height, width] = maps.dims();
            let signals = self.signals.run(maps.reshape([batch, channels, height * width]));
            let hidden = relu(self.hidden.run(signals.swap_dims(1, 2)));
            self.output.run(self.output.run(hidden))
        }
    }

    fn images(seed: u64, n: usize) -> Tensor<4> {
        tensor(seed, [n, 1, 5, 5])
    }

    #[test]
    fn a_point_is_all_that_a_layer_gets_for_a_sample() {
        let net = Net::new();
        let mut features = LayerFeatures::new(&net).unwrap();
        features.observe(&net, [images(0, 4), images(1, 3)], Net::forward).unwrap();
        let points = features.points().unwrap();
        let found: Vec<_> = points.iter().map(|(path, points)| (*path, points.n(), points.dim())).collect();
        assert_eq!(found, [("maps", 7, 25), ("signals", 7, 18), ("hidden", 7, 24), ("output", 7, 80)]);
        assert_eq!(features.n(), 7);
        let images = Points::from_tensor(Tensor::cat(vec![images(0, 4), images(1, 3)], 0)).unwrap();
        assert_eq!(points[0].1, images);
        // Both calls of a layer, one after the other: the second gets what the first gave.
        let hidden = Tensor::<2>::from_data(TensorData::new(points[3].1.values().to_vec(), [7, 80]), &flex());
        let first = hidden.clone().slice([0..7, 0..40]).reshape([7, 8, 5]);
        let second = hidden.slice([0..7, 40..80]).reshape([7, 8, 5]);
        net.output.forward(first).into_data().assert_approx_eq::<f32>(&second.into_data(), Default::default());
    }

    #[test]
    fn means_are_over_positions_and_calls() {
        let net = Net::new();
        let (_, seen) = observe(|| net.forward(images(0, 4)));
        let [mut flat, mut mean] = [Positions::Flatten, Positions::Mean].map(|positions| {
            let mut features = LayerFeatures::new(&net).unwrap().with_positions(positions);
            features.add(4, &seen).unwrap();
            features
        });
        let by_hand = |layer: usize, split: fn(usize) -> usize, channels: usize| -> Vec<f32> {
            let points = &flat.points().unwrap()[layer].1;
            let mut sums = vec![0.0; 4 * channels];
            for row in 0..4 {
                for (at, value) in points.row(row).iter().enumerate() {
                    sums[row * channels + split(at)] += value;
                }
            }
            sums.iter().map(|sum| sum / (points.dim() / channels) as f32).collect()
        };
        let expected =
            [by_hand(0, |_| 0, 1), by_hand(1, |at| at / 9, 2), by_hand(2, |at| at % 3, 3), by_hand(3, |at| at % 5, 5)];
        for ((path, points), expected) in mean.points().unwrap().iter().zip(&expected) {
            assert_eq!(points.values().len(), expected.len());
            assert!(points.values().iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-5), "{path}");
        }
        // Other sizes of images have other positions.
        let larger = tensor::<4>(1, [4, 1, 6, 6]);
        mean.observe(&net, [larger.clone()], Net::forward).unwrap();
        let error = flat.observe(&net, [larger], Net::forward).unwrap_err();
        let message = error.to_string();
        assert!(
            message.starts_with("layer maps: points must have the 25 columns of the batches before, got 36"),
            "{message}"
        );
        assert_eq!((flat.n(), mean.n()), (4, 8));
        assert_eq!(flat.points().unwrap()[0].1.n(), 4);
    }

    #[test]
    fn layers_can_be_chosen() {
        let net = Net::new();
        let mut features = LayerFeatures::of(&net, |layer| layer.module == "Linear").unwrap();
        features.observe(&net, [images(0, 4)], Net::forward).unwrap();
        assert_eq!(features.points().unwrap().iter().map(|(path, _)| *path).collect::<Vec<_>>(), ["hidden", "output"]);
        assert_eq!(LayerFeatures::of(&net, |_| false).err(), Some(IdError::NoLayers));
    }

    #[test]
    fn tied_weights_are_one_layer() {
        let first: Linear = LinearConfig::new(4, 4).init(&flex());
        let layers = [first.clone(), first];
        let mut features = LayerFeatures::new(&layers).unwrap();
        features.observe(&layers, [tensor(0, [6, 4])], |layers, x: Tensor<2>| layers[1].run(layers[0].run(x))).unwrap();
        let points = features.points().unwrap();
        assert_eq!((points.len(), points[0].0, points[0].1.dim()), (1, "0", 8));
    }

    #[test]
    fn every_float_type_is_read() {
        let layer: Linear = LinearConfig::new(4, 2).init(&flex());
        for dtype in [FloatDType::F16, FloatDType::BF16, FloatDType::F64] {
            let input = LayerInput::Linear(tensor::<2>(0, [6, 4]).cast(dtype));
            let seen = Observation { weight: layer.weight.id, shape: vec![3, 2, 4], input };
            for (positions, dim) in [(Positions::Flatten, 8), (Positions::Mean, 4)] {
                let mut features = LayerFeatures::new(&layer).unwrap().with_positions(positions);
                features.add(3, std::slice::from_ref(&seen)).unwrap();
                let points = &features.points().unwrap()[0].1;
                assert_eq!((points.n(), points.dim()), (3, dim), "{dtype:?}");
            }
        }
    }

    #[test]
    fn what_is_no_feature_is_refused_and_nothing_is_added() {
        let device = flex();
        let net = Net::new();
        let mut features = LayerFeatures::new(&net).unwrap();
        assert!(matches!(features.points(), Err(IdError::Empty { .. })));
        let unseen = features.observe(&net, [images(0, 4)], |net, x| net.maps.run(x)).unwrap_err();
        assert_eq!(unseen, IdError::Unseen(vec!["signals".into(), "hidden".into(), "output".into()]));
        assert!(unseen.to_string().contains("signals, hidden, output"), "{unseen}");
        let nan = features.observe(&net, [images(0, 4).mul_scalar(f32::NAN)], Net::forward).unwrap_err();
        assert!(
            matches!(&nan, IdError::Layer { path, error } if path == "maps" && matches!(**error, IdError::NotFinite { .. }))
        );
        assert!(nan.to_string().starts_with("layer maps: values must be finite"), "{nan}");
        let empty = features.add(0, &observe(|| net.forward(images(0, 4))).1).unwrap_err();
        assert!(
            matches!(&empty, IdError::Layer { error, .. } if matches!(**error, IdError::NotSamples { samples: 0, .. }))
        );
        assert_eq!(features.n(), 0);

        // Positions folded into the batch.
        let layer: Linear = LinearConfig::new(4, 2).init(&device);
        let mut features = LayerFeatures::new(&layer).unwrap();
        let folded = features.observe(&layer, [tensor::<3>(0, [3, 5, 4])], |layer, x| layer.run(x.reshape([15, 4])));
        let shape = vec![15, 4];
        let error = Box::new(IdError::NotSamples { samples: 3, shape });
        assert_eq!(folded.err(), Some(IdError::Layer { path: "weight".into(), error }));
        let embedding: Embedding = EmbeddingConfig::new(4, 2).init(&device);
        assert_eq!(LayerFeatures::new(&embedding).err(), Some(IdError::NoLayers));
    }

    #[test]
    fn the_dimension_of_a_plane_stays_through_the_layers() {
        let device = flex();
        let layers: [Linear; 2] = [LinearConfig::new(20, 30).init(&device), LinearConfig::new(30, 2).init(&device)];
        let plane = tensor::<2>(0, [2, 20]).sub_scalar(0.5);
        let batches: Vec<Tensor<2>> = (1..5).map(|seed| tensor::<2>(seed, [250, 2]).matmul(plane.clone())).collect();
        let mut features = LayerFeatures::new(&layers).unwrap();
        features.observe(&layers, batches, |layers, x| layers[1].run(layers[0].run(x).tanh())).unwrap();
        let estimates = features.estimates(|points| Mle::new().fit(&Knn::new(20).search(points)?)).unwrap();
        for (path, estimate) in &estimates {
            assert!((estimate.dimension - 2.0).abs() < 0.15, "{path}: {}", estimate.dimension);
        }
        assert_eq!(estimates.iter().map(|(path, _)| *path).collect::<Vec<_>>(), ["0", "1"]);
    }

    /// A dead ReLU leaves rows of zeros, and they are copies.
    #[test]
    fn equal_features_are_left_to_the_policy_for_copies() {
        let device = flex();
        let layer: Linear = LinearConfig::new(3, 2).init(&device);
        let x = tensor::<2>(0, [200, 3]).sub_scalar(0.5);
        let mut features = LayerFeatures::new(&layer).unwrap();
        features.observe(&layer, [x], |layer, x| layer.run(relu(x))).unwrap();
        let by = |policy| {
            let knn = Knn::new(5).with_duplicates(policy);
            features.estimates(|points| knn.search(points).map(|table| (table.n(), table.n_duplicates())))
        };
        let error = by(Duplicates::Error).unwrap_err();
        assert!(
            matches!(&error, IdError::Layer { error, .. } if matches!(**error, IdError::Duplicates { .. })),
            "{error}"
        );
        let (n, copies) = by(Duplicates::Remove).unwrap()[0].1;
        assert!(copies > 5 && n + copies == 200, "{n} {copies}");
        assert_eq!(by(Duplicates::Skip).unwrap()[0].1, (200, copies));

        let mut dead = LayerFeatures::new(&layer).unwrap();
        dead.observe(&layer, [tensor::<2>(0, [50, 3])], |layer, x| layer.run(relu(x.neg()))).unwrap();
        let error = dead.estimates(|points| Knn::new(5).search(points)).unwrap_err();
        assert_eq!(error.to_string(), "layer weight: all 50 points are equal, so there is no distance to measure");
    }
}
