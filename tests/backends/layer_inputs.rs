//! Layer inputs of networks as they are, by capturing and replaying their operations.
//!
//! The reference is `observe` on the same network, with its layers called by `Layer::run`.

use burn::module::{Lora, Module, ModuleMapper, Param, ParamId, Quantizer};
use burn::nn::conv::{Conv1d, Conv1dConfig, Conv2d, Conv2dConfig};
use burn::nn::transformer::{TransformerEncoder, TransformerEncoderConfig, TransformerEncoderInput};
use burn::nn::{
    BatchNorm, BatchNormConfig, Dropout, DropoutConfig, Embedding, EmbeddingConfig, Linear, LinearConfig, Lstm,
    LstmConfig, PaddingConfig1d, PaddingConfig2d,
};
use burn::tensor::activation::relu;
use burn::tensor::quantization::{Calibration, QuantScheme, QuantValue};
use burn::tensor::{DType, Device, Int, Tensor, TensorData, Tolerance};
use rekindle_shared::backend;
use rekindle_shared::model::{
    Geometry, Layer, LayerInput, Observation, ReplayError, capture_layers, init_seeded, layer_weights, observe,
    require_observed,
};
use rekindle_shared::networks::{Mlp, MlpConfig, ResNet, ResNetConfig, Shortcut};

use super::common::{flex, random};

/// What a layer got, to be compared: values, shape and geometry.
#[derive(Debug, PartialEq)]
enum Input {
    Linear(TensorData),
    Conv1d(TensorData, Geometry<1>),
    Conv2d(TensorData, Geometry<2>),
}

fn input(seen: &Observation) -> Input {
    match &seen.input {
        LayerInput::Linear(rows) => Input::Linear(rows.to_data()),
        LayerInput::Conv1d(signals, geometry) => Input::Conv1d(signals.to_data(), geometry.clone()),
        LayerInput::Conv2d(maps, geometry) => Input::Conv2d(maps.to_data(), geometry.clone()),
        _ => panic!("{seen:?}"),
    }
}

fn rows(seen: &Observation) -> Tensor<2> {
    let LayerInput::Linear(rows) = &seen.input else { panic!("{seen:?}") };
    rows.clone()
}

/// The same layers in the same order, with the same inputs bit for bit.
fn assert_same(found: &[Observation], expected: &[Observation]) {
    assert_eq!(weights(found), weights(expected));
    for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert_eq!(input(found), input(expected), "call {i}");
    }
}

fn weights(seen: &[Observation]) -> Vec<ParamId> {
    seen.iter().map(|call| call.weight).collect()
}

/// Paths of the weights of which no input was captured.
fn missing<M: Module>(model: &M, seen: &[Observation]) -> Vec<String> {
    let Err(error) = require_observed(model, seen, |_| true) else { return Vec::new() };
    [error.uncalled, error.unreporting].concat()
}

/// In double precision, in which layers that are called by `run` use Burn's own operations, as the replay does.
fn exact<M: Module>(model: M) -> M {
    struct Doubled;
    impl ModuleMapper for Doubled {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            param.map(|values| values.cast(DType::F64))
        }
    }
    model.map(&mut Doubled)
}

/// Convolutions of every geometry and a linear layer that is called twice.
#[derive(Module, Debug)]
struct Cnn {
    strided: Conv2d,
    norm: BatchNorm,
    grouped: Conv2d,
    dilated: Conv2d,
    pointwise: Conv2d,
    signal: Conv1d,
    dropout: Dropout,
    head: Linear,
}

impl Cnn {
    fn new(device: &Device) -> Self {
        let same = PaddingConfig2d::Same;
        let explicit = PaddingConfig2d::Explicit;
        init_seeded(9, device, |device| Self {
            strided: Conv2dConfig::new([3, 4], [2, 4]).with_stride([2, 1]).with_padding(same).init(device),
            norm: BatchNormConfig::new(4).init(device),
            grouped: Conv2dConfig::new([4, 6], [3, 2]).with_groups(2).with_padding(explicit(1, 0, 2, 1)).init(device),
            dilated: Conv2dConfig::new([6, 6], [3, 3]).with_groups(6).with_dilation([1, 2]).init(device),
            pointwise: Conv2dConfig::new([6, 2], [1, 1]).with_bias(false).init(device),
            signal: Conv1dConfig::new(2, 2, 4).with_groups(2).with_padding(PaddingConfig1d::Same).init(device),
            dropout: DropoutConfig::new(0.5).init(),
            head: LinearConfig::new(4, 4).init(device),
        })
    }

    /// As a stock network is written.
    fn forward(&self, x: Tensor<4>) -> Tensor<3> {
        let x = relu(self.norm.forward(self.strided.forward(x)));
        let x = relu(self.dilated.forward(relu(self.grouped.forward(x))));
        let x = self.pointwise.forward(x).mean_dim(2).squeeze_dim::<3>(2);
        let x = self.dropout.forward(relu(self.signal.forward(x)));
        self.head.forward(relu(self.head.forward(x)))
    }

    /// The same with layers that report.
    fn run(&self, x: Tensor<4>) -> Tensor<3> {
        let x = relu(self.norm.run(self.strided.run(x)));
        let x = relu(self.dilated.run(relu(self.grouped.run(x))));
        let x = self.pointwise.run(x).mean_dim(2).squeeze_dim::<3>(2);
        let x = self.dropout.forward(relu(self.signal.run(x)));
        self.head.run(relu(self.head.run(x)))
    }
}

fn images(device: &Device) -> Tensor<4> {
    random(1, [4, 3, 9, 8], device)
}

#[test]
fn inputs_of_an_mlp_are_those_it_reports() {
    let model = MlpConfig::new(vec![20, 32, 16, 10]).init(&flex()).unwrap();
    let x = random::<2>(2, [7, 20], &flex());
    let (expected, reported) = observe(|| model.forward(x.clone()));
    let (output, captured) = capture_layers(&model, x, |model: &Mlp, x| model.forward(x)).unwrap();
    output.into_data().assert_eq(&expected.into_data(), true);
    assert_same(&captured, &reported);
    assert_eq!(missing(&model, &captured), [""; 0]);
}

#[test]
fn inputs_of_a_cnn_are_those_it_reports_whatever_the_geometry() {
    let model = exact(Cnn::new(&flex()));
    let x = images(&flex()).cast(DType::F64);
    let (expected, reported) = observe(|| model.run(x.clone()));
    let (output, captured) = capture_layers(&model, x, Cnn::forward).unwrap();
    output.into_data().assert_eq(&expected.into_data(), true);
    assert_same(&captured, &reported);
    assert_eq!(missing(&model, &captured), [""; 0]);

    assert_eq!(captured.len(), 7, "the head is called twice");
    let LayerInput::Conv2d(_, strided) = &captured[0].input else { panic!("{captured:?}") };
    assert_eq!((strided.padding, strided.stride), ([(0, 1), (1, 2)], [2, 1]), "`Same` is resolved");
    let LayerInput::Conv2d(_, grouped) = &captured[1].input else { panic!("{captured:?}") };
    assert_eq!((grouped.padding, grouped.groups), ([(1, 2), (0, 1)], 2));
    let LayerInput::Conv1d(_, signal) = &captured[4].input else { panic!("{captured:?}") };
    assert_eq!((signal.kernel, signal.padding), ([4], [(1, 2)]));
}

#[test]
fn inputs_of_a_resnet_are_those_it_reports() {
    let forward = |model: &ResNet, x| model.forward(x);
    let config = ResNetConfig::new().with_depth(8).with_width(4);
    for shortcut in [Shortcut::Pad, Shortcut::Project] {
        let model = config.clone().with_shortcut(shortcut).init(&flex()).unwrap();
        let x = random::<4>(3, [3, 3, 16, 16], &flex());
        let (_, reported) = observe(|| model.forward(x.clone()));
        let (_, captured) = capture_layers(&model, x.clone(), forward).unwrap();
        assert_eq!(missing(&model, &captured), [""; 0]);
        assert_eq!(weights(&captured), weights(&reported));
        for (captured, reported) in captured.iter().zip(&reported) {
            match (input(captured), input(reported)) {
                (Input::Linear(a), Input::Linear(b)) => a.assert_approx_eq::<f32>(&b, Tolerance::absolute(1e-5)),
                (Input::Conv2d(a, captured), Input::Conv2d(b, reported)) => {
                    a.assert_approx_eq::<f32>(&b, Tolerance::absolute(1e-5));
                    assert_eq!(captured, reported);
                }
                _ => panic!("{captured:?}, {reported:?}"),
            }
        }

        let (model, x) = (exact(model), x.cast(DType::F64));
        let (expected, reported) = observe(|| model.forward(x.clone()));
        let (output, captured) = capture_layers(&model, x, forward).unwrap();
        output.into_data().assert_eq(&expected.into_data(), true);
        assert_same(&captured, &reported);
    }
}

#[test]
fn every_linear_layer_of_burns_transformer_is_seen() {
    let encoder: TransformerEncoder = TransformerEncoderConfig::new(8, 16, 2, 2).init(&flex());
    let x = random::<3>(4, [2, 5, 8], &flex());
    let forward = |encoder: &TransformerEncoder, x| encoder.forward(TransformerEncoderInput::new(x));
    let (output, seen) = capture_layers(&encoder, x.clone(), forward).unwrap();
    output.into_data().assert_eq(&forward(&encoder, x.clone()).into_data(), true);
    assert_eq!(missing(&encoder, &seen), [""; 0]);
    assert_eq!(seen.len(), 12, "query, key, value, output and two more, twice");
    for projection in &seen[..3] {
        rows(projection).into_data().assert_eq(&x.clone().reshape([10, 8]).into_data(), true);
    }
    let inner: Vec<_> = seen.iter().map(|call| rows(call).dims()).collect();
    assert_eq!(inner.iter().filter(|dims| **dims == [10, 16]).count(), 2, "{inner:?}");
}

#[test]
fn recurrent_layers_are_seen_at_each_step() {
    let lstm: Lstm = LstmConfig::new(3, 4, true).init(&flex());
    let x = random::<3>(5, [2, 5, 3], &flex());
    let (_, seen) = capture_layers(&lstm, x, |lstm: &Lstm, x| lstm.forward(x, None).0).unwrap();
    assert_eq!(missing(&lstm, &seen), [""; 0]);
    for weight in layer_weights(&lstm) {
        let calls = seen.iter().filter(|call| call.weight == weight.id).count();
        assert!(calls == 1 || calls == 5, "{} is called {calls} times", weight.path);
    }
}

#[test]
fn a_network_of_integers_is_captured_but_for_its_embedding() {
    let net = (EmbeddingConfig::new(7, 4).init(&flex()), LinearConfig::new(4, 2).init(&flex()));
    let tokens = Tensor::<2, Int>::from_ints([[1, 5, 2], [0, 6, 3]], &flex());
    let forward = |net: &(Embedding, Linear), x: Tensor<2, Int>| net.1.forward(net.0.forward(x));
    let (output, seen) = capture_layers(&net, tokens.clone(), forward).unwrap();
    output.into_data().assert_eq(&forward(&net, tokens.clone()).into_data(), true);
    rows(&seen[0]).into_data().assert_eq(&net.0.forward(tokens).reshape([6, 4]).into_data(), true);
    assert_eq!(missing(&net, &seen), ["0.weight (Embedding)"]);
}

/// Square matrices, so that no shape tells a transposed one.
#[derive(Module, Debug)]
struct Matrices {
    first: Param<Tensor<2>>,
    second: Param<Tensor<2>>,
}

/// What is captured of products written by hand, beside what is missing.
fn products(forward: impl Fn(&Matrices, Tensor<3>) -> Tensor<3>) -> (Vec<Observation>, Vec<String>) {
    let matrix = |seed| Param::from_tensor(random::<2>(seed, [3, 3], &flex()));
    let net = Matrices { first: matrix(6), second: matrix(7) };
    let x = random::<3>(8, [2, 4, 3], &flex());
    let expected = forward(&net, x.clone());
    let (output, seen) = capture_layers(&net, x, forward).unwrap();
    output.into_data().assert_eq(&expected.into_data(), true);
    let missing = missing(&net, &seen);
    (seen, missing)
}

#[test]
fn weights_are_followed_through_views() {
    let second = |net: &Matrices, x: Tensor<3>| x.matmul(net.second.val().unsqueeze());
    let views: [fn(Tensor<2>) -> Tensor<3>; 5] = [
        |w| w.unsqueeze(),
        |w| w.unsqueeze::<3>().expand([2, 3, 3]),
        |w| w.transpose().unsqueeze::<3>().swap_dims(1, 2),
        |w| w.unsqueeze::<4>().permute([1, 0, 3, 2]).swap_dims(2, 3).reshape([1, 3, 3]),
        |w| w.unsqueeze::<4>().swap_dims(0, 1).squeeze_dim(0),
    ];
    for (i, view) in views.into_iter().enumerate() {
        let (seen, missing) = products(|net, x| second(net, x.matmul(view(net.first.val()))));
        assert_eq!(missing, [""; 0], "view {i}");
        assert_eq!(rows(&seen[0]).dims(), [8, 3]);
        rows(&seen[0]).into_data().assert_eq(&random::<3>(8, [2, 4, 3], &flex()).reshape([8, 3]).into_data(), true);
    }
}

#[test]
fn a_weight_that_is_used_in_another_way_is_missing_and_not_wrong() {
    type Product = fn(&Matrices, Tensor<3>) -> Tensor<3>;
    let both = ["first (Matrices)", "second (Matrices)"];
    let first = ["first (Matrices)"];
    let cases: [(&str, Product, &[&str]); 7] = [
        ("transposed", |net, x| x.matmul(net.first.val().transpose().unsqueeze()), &both),
        ("the left factor", |net, x| net.first.val().unsqueeze().matmul(x.swap_dims(1, 2)), &both),
        ("merged", |net, x| x.matmul(net.first.val().matmul(net.second.val()).unsqueeze()), &both),
        ("scaled", |net, x| x.matmul((net.first.val() * 2.0).unsqueeze()).matmul(net.second.val().unsqueeze()), &first),
        (
            "decoding too",
            |net, x| {
                let [first, second] = [&net.first, &net.second].map(|matrix| matrix.val().unsqueeze::<3>());
                x.matmul(first.clone()).matmul(second).matmul(first.swap_dims(1, 2))
            },
            &first,
        ),
        (
            "penalized",
            |net, x| {
                let [first, second] = [&net.first, &net.second].map(|matrix| matrix.val().unsqueeze::<3>());
                x.matmul(first.clone()).matmul(second) + first.powf_scalar(2.0).sum().unsqueeze()
            },
            &first,
        ),
        ("times itself", |net, x| x.matmul(net.first.val().matmul(net.first.val()).unsqueeze()), &both),
    ];
    for (use_, forward, expected) in cases {
        let (seen, missing) = products(forward);
        assert_eq!(missing, expected, "{use_}");
        assert_eq!(seen.len(), 2 - expected.len(), "{use_}");
    }
}

#[test]
fn a_layer_with_low_rank_factors_is_missing() {
    let layer = LinearConfig::new(3, 3).init(&flex()).apply_lora(Lora::new(2, 1.0));
    let x = random::<2>(9, [4, 3], &flex());
    let (output, seen) = capture_layers(&layer, x.clone(), |layer: &Linear, x| layer.forward(x)).unwrap();
    output.into_data().assert_eq(&layer.forward(x).into_data(), true);
    assert!(seen.is_empty(), "{seen:?}");
    assert_eq!(missing(&layer, &seen).len(), 3, "the weight and two factors");
}

#[test]
fn tied_weights_have_their_identifier_in_common() {
    let layer = LinearConfig::new(3, 3).init(&flex());
    let tied = [layer.clone(), layer];
    let forward = |tied: &[Linear; 2], x: Tensor<2>| tied[1].forward(tied[0].forward(x));
    let run = |tied: &[Linear; 2], x: Tensor<2>| tied[1].run(tied[0].run(x));
    let x = random(9, [4, 3], &flex());
    let (_, captured) = capture_layers(&tied, x.clone(), forward).unwrap();
    assert_same(&captured, &observe(|| run(&tied, x)).1);
    assert_eq!(weights(&captured), [tied[0].weight.id; 2]);
}

#[test]
fn vectors_and_batches_are_rows_of_a_linear_layer() {
    let layer = LinearConfig::new(3, 2).init(&flex());
    fn same<const D: usize>(layer: &Linear, x: Tensor<D>) {
        let (_, captured) = capture_layers(layer, x.clone(), |layer: &Linear, x| layer.forward(x)).unwrap();
        assert_same(&captured, &observe(|| layer.run(x)).1);
    }
    same(&layer, random::<1>(1, [3], &flex()));
    same(&layer, random::<3>(1, [5, 1, 3], &flex()));
    same(&layer, random::<4>(1, [2, 3, 4, 3], &flex()));
    same(&layer, random::<2>(1, [0, 3], &flex()));
}

#[test]
fn the_network_is_in_evaluation_mode_and_inputs_are_off_the_graph() {
    let plain = Cnn::new(&flex());
    let (expected, reference) = capture_layers(&plain, images(&flex()), Cnn::forward).unwrap();
    let autodiff = flex().autodiff();
    for device in [autodiff.clone(), autodiff.gradient_checkpointing()] {
        let (output, seen) =
            capture_layers(&plain.clone().train(), images(&device).require_grad(), Cnn::forward).unwrap();
        assert_eq!(output.device(), device);
        output.into_data().assert_eq(&expected.to_data(), true);
        assert_same(&seen, &reference);
        let LayerInput::Conv2d(maps, _) = &seen[0].input else { panic!("{seen:?}") };
        assert_eq!(maps.device(), flex());
    }
}

#[test]
fn inputs_are_where_the_networks_input_is() {
    let plain = Cnn::new(&flex());
    let (_, reference) = capture_layers(&plain, images(&flex()), Cnn::forward).unwrap();
    for name in ["ndarray", "wgpu"] {
        let device = backend::open(name).unwrap_or_else(|error| panic!("{error}"));
        let (output, seen) = capture_layers(&plain.clone().to_device(&device), images(&device), Cnn::forward).unwrap();
        assert_eq!(output.device(), device, "{name}");
        let LayerInput::Conv2d(maps, _) = &seen[0].input else { panic!("{seen:?}") };
        assert_eq!(maps.device(), device, "{name}");
        assert_same(&seen, &reference);
    }
}

#[test]
fn weights_that_nobody_used_yet_are_drawn_once() {
    let layer = LinearConfig::new(3, 2).init(&flex());
    let x = random::<2>(1, [4, 3], &flex());
    let (output, _) = capture_layers(&layer, x.clone(), |layer: &Linear, x| layer.forward(x)).unwrap();
    output.into_data().assert_eq(&layer.forward(x).into_data(), true);
}

#[test]
fn a_scope_that_observes_sees_nothing_of_what_is_recorded() {
    let model = MlpConfig::new(vec![4, 3, 2]).init(&flex()).unwrap();
    let x = random::<2>(2, [5, 4], &flex());
    let (captured, outer) = observe(|| {
        model.forward(x.clone());
        let captured = capture_layers(&model, x.clone(), |model: &Mlp, x| model.forward(x)).unwrap().1;
        model.forward(x);
        captured
    });
    assert_eq!((captured.len(), outer.len()), (2, 4));
    assert_same(&captured, &outer[2..]);
}

#[test]
fn what_cannot_be_captured_is_refused_with_the_reason() {
    let net = Cnn::new(&flex());
    let refused =
        |forward: &dyn Fn(&Cnn, Tensor<4>) -> Tensor<3>| capture_layers(&net, images(&flex()), forward).unwrap_err();
    let error = refused(&|net, x| {
        let x = net.forward(x);
        let largest: f32 = x.clone().max().into_scalar();
        x / largest
    });
    assert!(matches!(error, ReplayError::Refused(_)), "{error}");
    let message = error.to_string();
    assert!(message.contains("read tensors back") && message.contains("`observe`"), "{message}");

    let error = refused(&|_, x| panic!("no images of {:?}", x.dims()));
    assert!(error.to_string().contains("no images of [4, 3, 9, 8]"), "{error}");
    let error = refused(&|given, x| capture_layers(given, x, Cnn::forward).unwrap().0);
    assert!(matches!(error, ReplayError::Refused(_)), "{error}");
    assert_eq!(refused(&|_, _| net.forward(images(&flex()))), ReplayError::NotRecorded);

    let mut quantizer = Quantizer::new(Calibration::MinMax, QuantScheme::default().with_value(QuantValue::Q8S));
    let layer = LinearConfig::new(8, 8).init(&flex()).quantize_weights(&mut quantizer);
    let error = capture_layers(&layer, random::<2>(1, [2, 8], &flex()), |layer: &Linear, x| layer.forward(x));
    assert!(error.as_ref().unwrap_err().to_string().contains("quantized weights"), "{error:?}");

    // A refusal leaves nothing behind that the next call would meet.
    let (_, seen) = capture_layers(&net, images(&flex()), Cnn::forward).unwrap();
    assert_eq!(missing(&net, &seen), [""; 0]);
}
