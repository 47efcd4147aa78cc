//! Layer inputs: what `observe` sees, and what `unobserved` and `require_observed` find missing.

use burn::module::{Lora, Module};
use burn::nn::conv::{Conv1dConfig, Conv2d, Conv2dConfig};
use burn::nn::conv::{Conv3dConfig, ConvTranspose2dConfig};
use burn::nn::transformer::TransformerEncoderConfig;
use burn::nn::{
    Embedding, EmbeddingConfig, Linear, LinearConfig, Lstm, LstmConfig, PaddingConfig1d, PaddingConfig2d, Relu,
};
use burn::tensor::{Device, Distribution, Tensor};
use proptest::prelude::*;
use rekindle_shared::model::{
    Classifier, Geometry, Layer, LayerInput, Observation, frozen, layer_weights, observe, require_observed, unobserved,
};
use rekindle_shared::networks::{MlpConfig, ResNetConfig, Shortcut, SmallCnnConfig, WideResNetConfig};

fn paths<M: Module>(module: &M, seen: &[Observation]) -> Vec<String> {
    unobserved(module, seen).into_iter().map(|parameter| parameter.path).collect()
}

fn sees_everything<M: Classifier>(network: &M, images: Tensor<4>) {
    let plain = network.forward(images.clone());
    let (logits, seen) = observe(|| network.forward(images));
    logits.into_data().assert_eq(&plain.into_data(), true);
    assert_eq!(paths(network, &seen), [""; 0]);
    assert_eq!(seen.len(), layer_weights(network).len(), "every layer is called once");
}

#[test]
fn every_layer_of_the_reference_networks_is_seen() {
    let device = Device::flex();
    let images = |channels, side| Tensor::<4>::random([2, channels, side, side], Distribution::Default, &device);
    sees_everything(&MlpConfig::new(vec![16, 8, 3]).init(&device).unwrap(), images(1, 4));
    sees_everything(&SmallCnnConfig::new().init(&device).unwrap(), images(1, 28));
    let resnet = ResNetConfig::new().with_depth(8).with_width(4);
    sees_everything(&resnet.init(&device).unwrap(), images(3, 8));
    sees_everything(&resnet.with_shortcut(Shortcut::Project).init(&device).unwrap(), images(3, 8));
    let wide = WideResNetConfig::new().with_depth(10).with_widen_factor(2);
    sees_everything(&wide.init(&device).unwrap(), images(3, 8));
}

#[test]
fn a_layer_that_is_called_by_forward_is_named() {
    #[derive(Module, Debug)]
    struct Net {
        first: Linear,
        second: Linear,
    }
    let device = Device::flex();
    let layer = || LinearConfig::new(2, 2).init(&device);
    let net = Net { first: layer(), second: layer() };
    let x = Tensor::<2>::ones([1, 2], &device);
    let (_, seen) = observe(|| net.second.forward(net.first.run(x)));
    assert_eq!(paths(&net, &seen), ["second.weight"]);

    let encoder = TransformerEncoderConfig::new(8, 16, 2, 2).init(&device);
    assert_eq!(unobserved(&encoder, &[]).len(), layer_weights(&encoder).len());
    assert_eq!(layer_weights(&encoder).len(), 12);
}

/// An embedding, two layers and two heads, of which the network uses the first.
#[derive(Module, Debug)]
struct TwoTasks {
    embedding: Embedding,
    encoder: Lstm,
    first: Linear,
    heads: Vec<Linear>,
}

impl TwoTasks {
    fn new(device: &Device) -> Self {
        let linear = || LinearConfig::new(2, 2).init(device);
        Self {
            embedding: EmbeddingConfig::new(5, 2).init(device),
            encoder: LstmConfig::new(2, 2, false).init(device),
            first: linear(),
            heads: vec![linear(), linear()],
        }
    }

    fn run(&self, device: &Device) -> Vec<Observation> {
        observe(|| self.heads[0].run(self.first.run(Tensor::<2>::ones([1, 2], device)))).1
    }
}

#[test]
fn every_layer_has_to_be_seen_or_left_out_on_purpose() {
    let device = Device::flex();
    let net = TwoTasks::new(&device);
    let seen = net.run(&device);
    let error = require_observed(&net, &seen, |_| true).unwrap_err();
    assert_eq!(error.unreporting, ["embedding.weight (Embedding)"]);
    assert_eq!(error.uncalled.len(), 9, "eight linear layers in the gates of the LSTM, and a head: {error}");
    assert_eq!(error.uncalled[8], "heads.1.weight");
    assert!(error.uncalled[0].starts_with("encoder."), "{error}");
    let message = error.to_string();
    for part in
        ["encoder.", "heads.1.weight", "Layer::run", "capture_layers", "embedding.weight (Embedding)", "|layer|"]
    {
        assert!(message.contains(part), "{part}: {message}");
    }

    let protected = |path: &str| !["embedding", "encoder.", "heads.1."].iter().any(|left| path.starts_with(left));
    assert_eq!(require_observed(&net, &seen, |layer| protected(&layer.path)), Ok(()));
    assert_eq!(require_observed(&net, &[], |_| false), Ok(()));
    let error = require_observed(&net, &[], |layer| protected(&layer.path)).unwrap_err();
    assert_eq!(error.uncalled, ["first.weight", "heads.0.weight"]);
    assert!(error.unreporting.is_empty());
}

#[test]
fn kinds_that_never_report_are_named_with_their_type() {
    let device = Device::flex();
    let layers = (
        Conv3dConfig::new([1, 1], [2, 2, 2]).init(&device),
        ConvTranspose2dConfig::new([1, 1], [2, 2]).init(&device),
        EmbeddingConfig::new(3, 2).init(&device),
    );
    let error = require_observed(&layers, &[], |_| true).unwrap_err();
    assert_eq!(error.unreporting, ["0.weight (Conv3d)", "1.weight (ConvTranspose2d)", "2.weight (Embedding)"]);
    assert!(error.uncalled.is_empty());
    let message = error.to_string();
    assert!(message.ends_with("`|layer| layer.path != \"0.weight\"`"), "{message}");
}

#[test]
fn low_rank_factors_of_a_layer_never_report() {
    let device = Device::flex().autodiff();
    let layer = LinearConfig::new(3, 3).init(&device).apply_lora(Lora::new(2, 1.0));
    let (_, seen) = observe(|| layer.run(Tensor::<2>::ones([1, 3], &device)));
    let error = require_observed(&layer, &seen, |_| true).unwrap_err();
    assert!(error.uncalled.is_empty(), "{error}");
    assert_eq!(error.unreporting.len(), 2, "{error}");
}

#[test]
fn a_module_without_weights_has_nothing_to_miss() {
    assert_eq!(require_observed(&Relu::new(), &[], |_| true), Ok(()));
}

#[test]
fn frozen_layers_are_left_out_by_their_identifiers() {
    let device = Device::flex().autodiff();
    let mut net = TwoTasks::new(&device);
    net.encoder = net.encoder.no_grad();
    net.embedding = net.embedding.no_grad();
    net.heads[1] = net.heads[1].clone().no_grad();
    let frozen = frozen(&net);
    assert_eq!(require_observed(&net, &net.run(&device), |layer| !frozen.contains(&layer.id)), Ok(()));
    let error = require_observed(&net, &[], |layer| !frozen.contains(&layer.id)).unwrap_err();
    assert_eq!(error.uncalled, ["first.weight", "heads.0.weight"]);
}

#[test]
fn one_call_covers_tied_weights_at_each_of_their_paths() {
    let device = Device::flex();
    let layer = LinearConfig::new(2, 2).init(&device);
    let tied = [layer.clone(), layer];
    let (_, seen) = observe(|| tied[1].run(Tensor::<2>::ones([1, 2], &device)));
    assert_eq!(require_observed(&tied, &seen, |_| true), Ok(()));
    let error = require_observed(&tied, &[], |_| true).unwrap_err();
    assert_eq!(error.uncalled, ["0.weight", "1.weight"]);
    let error = require_observed(&tied, &[], |layer| layer.path.starts_with("0.")).unwrap_err();
    assert_eq!(error.uncalled, ["0.weight"]);
}

#[test]
fn a_layer_of_an_inner_scope_is_missing_in_the_outer_one() {
    let device = Device::flex();
    let layers = [LinearConfig::new(2, 2).init(&device), LinearConfig::new(2, 2).init(&device)];
    let (inner, outer) = observe(|| {
        let x = layers[0].run(Tensor::<2>::ones([1, 2], &device));
        observe(|| layers[1].run(x)).1
    });
    assert_eq!(require_observed(&layers, &outer, |_| true).unwrap_err().uncalled, ["1.weight"]);
    assert_eq!(require_observed(&layers, &[outer, inner].concat(), |_| true), Ok(()));
}

#[test]
fn inputs_are_those_of_the_layer_and_off_the_graph() {
    let device = Device::flex().autodiff();
    let layer = LinearConfig::new(3, 2).init(&device);
    let x = Tensor::<3>::random([2, 5, 3], Distribution::Default, &device).require_grad();
    let (_, seen) = observe(|| layer.run(x.clone()));
    let LayerInput::Linear(rows) = &seen[0].input else { panic!("{seen:?}") };
    assert_eq!(rows.dims(), [10, 3]);
    assert!(!rows.is_autodiff());
    rows.to_data().assert_eq(&x.inner().reshape([10, 3]).into_data(), true);
}

#[test]
fn a_layer_called_twice_is_seen_twice() {
    let device = Device::flex();
    let layer = LinearConfig::new(2, 2).init(&device);
    let (_, seen) = observe(|| layer.run(layer.run(Tensor::<2>::ones([1, 2], &device))));
    assert_eq!(seen.iter().map(|call| call.weight).collect::<Vec<_>>(), [layer.weight.id; 2]);
}

#[test]
fn geometry_is_that_of_the_layer() {
    let device = Device::flex();
    let conv = Conv2dConfig::new([4, 6], [3, 2])
        .with_stride([2, 1])
        .with_dilation([1, 2])
        .with_groups(2)
        .with_padding(PaddingConfig2d::Explicit(1, 2, 3, 4))
        .init(&device);
    let (_, seen) = observe(|| conv.run(Tensor::zeros([1, 4, 8, 8], &device)));
    let LayerInput::Conv2d(input, geometry) = &seen[0].input else { panic!("{seen:?}") };
    assert_eq!(input.dims(), [1, 4, 8, 8]);
    let expected = Geometry { kernel: [3, 2], stride: [2, 1], padding: [(1, 3), (2, 4)], dilation: [1, 2], groups: 2 };
    assert_eq!(*geometry, expected);

    let conv = Conv1dConfig::new(2, 3, 4).with_padding(PaddingConfig1d::Same).init(&device);
    let (_, seen) = observe(|| conv.run(Tensor::zeros([1, 2, 9], &device)));
    let LayerInput::Conv1d(_, geometry) = &seen[0].input else { panic!("{seen:?}") };
    let expected = Geometry { kernel: [4], stride: [1], padding: [(1, 2)], dilation: [1], groups: 1 };
    assert_eq!(*geometry, expected);
}

#[test]
fn scopes_nest_and_end_with_a_panic() {
    let device = Device::flex();
    let layer = LinearConfig::new(2, 2).init(&device);
    let call = || layer.run(Tensor::<2>::ones([1, 2], &device));
    let (inner, outer) = observe(|| {
        call();
        let (_, inner) = observe(|| [call(), call()]);
        call();
        inner
    });
    assert_eq!((inner.len(), outer.len()), (2, 2));

    let (_, outer) = observe(|| {
        call();
        let caught =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| observe(|| -> () { panic!("expected") })));
        assert!(caught.is_err());
        call();
    });
    assert_eq!(outer.len(), 2);
    call();
    assert!(observe(|| ()).1.is_empty(), "nothing is left of calls outside a scope");
}

#[test]
fn another_thread_is_not_observed() {
    let device = Device::flex();
    let layer = LinearConfig::new(2, 2).init(&device);
    let (_, seen) = observe(|| {
        std::thread::scope(|scope| {
            scope.spawn(|| layer.run(Tensor::<2>::ones([1, 2], &device)));
        });
    });
    assert!(seen.is_empty());
}

/// The convolution again, as a product of the weight with the patches that the geometry cuts from the input.
fn from_geometry(conv: &Conv2d, seen: &Observation) -> Tensor<4> {
    let LayerInput::Conv2d(input, geometry) = &seen.input else { panic!("{seen:?}") };
    let [(top, bottom), (left, right)] = geometry.padding;
    let padded = input.clone().pad((left, right, top, bottom), 0.0);
    let plain = Conv2d { padding: PaddingConfig2d::Valid, ..conv.clone() };
    plain.forward(padded)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// The reported padding gives the layer's output, whatever the size, kernel and stride.
    #[test]
    fn reported_padding_is_the_padding_used(
        height in 4_usize..9, width in 4_usize..9, kernel in (1_usize..4, 1_usize..4), stride in (1_usize..3, 1_usize..3),
        explicit in prop::option::of((0_usize..3, 0_usize..3, 0_usize..3, 0_usize..3)),
    ) {
        let device = Device::flex();
        let padding = explicit.map_or(PaddingConfig2d::Same, |(t, l, b, r)| PaddingConfig2d::Explicit(t, l, b, r));
        let conv = Conv2dConfig::new([2, 3], [kernel.0, kernel.1])
            .with_stride([stride.0, stride.1])
            .with_padding(padding)
            .init(&device);
        let images = Tensor::<4>::random([2, 2, height, width], Distribution::Default, &device);
        let (output, seen) = observe(|| conv.run(images));
        let again = from_geometry(&conv, &seen[0]);
        prop_assert_eq!(output.dims(), again.dims());
        let difference = (output - again).abs().max().into_scalar::<f32>();
        prop_assert!(difference < 1e-5, "{}", difference);
    }
}
