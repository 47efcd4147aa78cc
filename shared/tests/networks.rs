//! The reference networks: sizes, shapes, seeds, refusals.

use burn::module::{Module, ModuleMapper, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Bool, DType, Device, Distribution, Int, Tensor, Tolerance};
use proptest::prelude::*;
use rekindle_shared::model::{Classifier, ParameterKind, init_seeded, n_trained, parameters, select, try_init_seeded};
use rekindle_shared::networks::{
    DecoderConfig, DecoderError, Mlp, MlpConfig, NetworkError, Positions, ResNetConfig, SelfAttention,
    SequenceClassifierConfig, Shortcut, SmallCnnConfig, SoftmaxAttentionConfig, WideResNetConfig,
};

/// Number of trainable values: running statistics don't count.
fn n_trainable<M: Module>(module: &M) -> usize {
    let trainable = parameters(module).into_iter().filter(|p| p.kind != ParameterKind::RunningStatistic);
    trainable.map(|parameter| parameter.n_elements()).sum()
}

fn conv(channels_in: usize, channels: usize, kernel: usize) -> usize {
    channels_in * channels * kernel * kernel
}

fn norm(channels: usize) -> usize {
    2 * channels
}

#[test]
fn resnets_have_the_papers_number_of_parameters() {
    let device = Device::flex();
    // He et al. 2016, Table 6: 0.27M, 0.46M.
    for (depth, expected) in [(20, 269_722), (32, 464_154)] {
        let resnet = ResNetConfig::new().with_depth(depth).init(&device).unwrap();
        assert_eq!(n_trainable(&resnet), expected);
        // The same, layer by layer.
        let n = (depth - 2) / 6;
        let stage = |from, to| conv(from, to, 3) + (2 * n - 1) * conv(to, to, 3) + 2 * n * norm(to);
        let by_hand = conv(3, 16, 3) + norm(16) + stage(16, 16) + stage(16, 32) + stage(32, 64) + 64 * 10 + 10;
        assert_eq!(by_hand, expected);
    }
    let projected = ResNetConfig::new().with_shortcut(Shortcut::Project).init(&device).unwrap();
    assert_eq!(n_trainable(&projected), 269_722 + conv(16, 32, 1) + norm(32) + conv(32, 64, 1) + norm(64));
}

#[test]
fn the_wide_resnet_has_the_papers_number_of_parameters() {
    // Zagoruyko and Komodakis 2016, Table 4: 36.5M.
    let wide = WideResNetConfig::new().init(&Device::flex()).unwrap();
    assert_eq!(n_trainable(&wide), 36_479_194);
    // Norms of the first block of a stage see the channels that come in.
    let stage = |from, to| {
        let first = norm(from) + conv(from, to, 3) + norm(to) + conv(to, to, 3) + conv(from, to, 1);
        first + 3 * (2 * norm(to) + 2 * conv(to, to, 3))
    };
    let by_hand = conv(3, 16, 3) + stage(16, 160) + stage(160, 320) + stage(320, 640) + norm(640) + 640 * 10 + 10;
    assert_eq!(by_hand, 36_479_194);
}

#[test]
fn the_small_cnn_has_the_documented_number_of_parameters() {
    let cnn = SmallCnnConfig::new().init(&Device::flex()).unwrap();
    let by_hand = conv(1, 16, 3) + norm(16) + conv(16, 32, 3) + norm(32) + (32 * 7 * 7 + 1) * 64 + (64 + 1) * 10;
    assert_eq!(n_trainable(&cnn), by_hand);
    assert_eq!(by_hand, 105_914);
    let plain = SmallCnnConfig::new().with_batch_norm(false).init(&Device::flex()).unwrap();
    assert_eq!(n_trainable(&plain), by_hand - norm(16) - norm(32) + 16 + 32);
}

/// Shapes, and one step's worth of gradients for every parameter.
fn trains<M: Classifier>(network: &M, images: Tensor<4>, n_features: usize) {
    let batch = images.dims()[0];
    assert_eq!(network.features(images.clone()).dims(), [batch, n_features]);
    let logits = network.forward(images);
    assert_eq!(logits.dims(), [batch, network.n_classes()]);
    let gradients = GradientsParams::from_grads(logits.powi_scalar(2).mean().backward(), network);
    assert_eq!(gradients.len(), select(network, |_| true).len());
}

#[test]
fn networks_give_logits_and_gradients() {
    for device in [Device::flex().autodiff(), Device::flex().autodiff().gradient_checkpointing()] {
        let images = |channels, h, w| Tensor::<4>::random([2, channels, h, w], Distribution::Default, &device);
        trains(&MlpConfig::new(vec![12, 7, 5, 3]).init(&device).unwrap(), images(3, 2, 2), 5);
        let cnn = SmallCnnConfig::new().with_in_channels(3).with_size([9, 12]).with_channels(vec![4, 6, 8]);
        trains(&cnn.with_hidden(11).with_n_classes(7).init(&device).unwrap(), images(3, 9, 12), 11);
        for shortcut in [Shortcut::Pad, Shortcut::Project] {
            let resnet = ResNetConfig::new().with_depth(8).with_width(5).with_shortcut(shortcut);
            trains(&resnet.init(&device).unwrap(), images(3, 9, 8), 20);
        }
        let wide = WideResNetConfig::new().with_depth(10).with_widen_factor(1).with_dropout(0.3);
        trains(&wide.with_n_classes(4).init(&device).unwrap(), images(3, 8, 8), 64);
    }
}

/// The derivative along a direction of the image, against central differences, with fixed normalization.
fn gradient_is_the_slope<M: Classifier>(network: M, images: Tensor<4>) {
    let network = network.freeze();
    let loss = |images: Tensor<4>| network.forward(images).powi_scalar(2).sum();
    let x = images.clone().require_grad();
    let gradient = x.grad(&loss(x.clone()).backward()).unwrap();
    let direction = gradient.clone() / gradient.clone().square().sum().sqrt().into_scalar::<f32>();
    let slope = (gradient * direction.clone()).sum().into_scalar::<f32>();
    let step = Tensor::from_inner(direction) * 1e-2;
    let [up, down] = [images.clone() + step.clone(), images - step].map(|x| loss(x).into_scalar::<f32>());
    let differences = (up - down) / 2e-2;
    assert!((differences / slope - 1.0).abs() < 0.02, "{differences} {slope}");
}

#[test]
fn gradients_are_the_slopes_of_the_loss() {
    let device = Device::flex().autodiff();
    let values = (0..2 * 3 * 81).map(|i| (i as f32 * 0.7).sin()).collect::<Vec<_>>();
    let images = || Tensor::<1>::from_floats(values.as_slice(), &device).reshape([2, 3, 9, 9]);
    for shortcut in [Shortcut::Pad, Shortcut::Project] {
        let config = ResNetConfig::new().with_depth(8).with_width(4).with_shortcut(shortcut);
        gradient_is_the_slope(try_init_seeded(1, &device, |device| config.init(device)).unwrap(), images());
    }
    let config = WideResNetConfig::new().with_depth(10).with_widen_factor(1);
    gradient_is_the_slope(try_init_seeded(1, &device, |device| config.init(device)).unwrap(), images());
}

#[test]
fn an_mlp_without_hidden_layer_is_linear() {
    let device = Device::flex();
    let mlp = MlpConfig::new(vec![4, 2]).with_bias(false).init(&device).unwrap();
    let x = Tensor::<2>::random([3, 4], Distribution::Default, &device);
    mlp.features(x.clone()).into_data().assert_eq(&x.to_data(), true);
    mlp.forward(x.clone() * 2.0)
        .into_data()
        .assert_approx_eq::<f32>(&(mlp.forward(x) * 2.0).into_data(), burn::tensor::Tolerance::absolute(1e-6));
}

#[test]
fn a_block_whose_convolutions_are_silent_passes_its_padded_input() {
    let device = Device::flex();
    let mut resnet = ResNetConfig::new().with_depth(8).with_width(2).init(&device).unwrap();
    for block in resnet.layer1.iter_mut().chain(&mut resnet.layer2).chain(&mut resnet.layer3) {
        block.bn2.gamma = block.bn2.gamma.clone().map(|gamma| gamma.zeros_like());
    }
    let images = Tensor::<4>::random([2, 3, 5, 6], Distribution::Default, &device);
    // Two subsamplings leave rows 0, 4 and columns 0, 4; the two channels end up in the middle of eight.
    let maps = burn::tensor::activation::relu(resnet.bn1.forward(resnet.conv1.forward(images.clone())));
    let kept = maps.select(2, index([0, 4], &device)).select(3, index([0, 4], &device));
    let expected = kept.reshape([2, 2, 4]).mean_dim(2).reshape([2, 2]);
    let features = resnet.features(images);
    features
        .clone()
        .slice([0..2, 3..5])
        .into_data()
        .assert_approx_eq::<f32>(&expected.into_data(), burn::tensor::Tolerance::absolute(1e-6));
    assert_eq!(features.clone().slice([0..2, 0..3]).abs().sum().into_scalar::<f32>(), 0.0);
    assert_eq!(features.slice([0..2, 5..8]).abs().sum().into_scalar::<f32>(), 0.0);
}

#[test]
fn a_padded_shortcut_works_in_double_precision() {
    struct Doubled;
    impl ModuleMapper for Doubled {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            param.map(|values| values.cast(DType::F64))
        }
    }
    let device = Device::flex();
    let resnet = ResNetConfig::new().with_depth(8).with_width(2).init(&device).unwrap();
    let images = Tensor::<4>::random([2, 3, 5, 6], Distribution::Default, &device);
    let logits = resnet.forward(images.clone()).into_data();
    let doubled = resnet.map(&mut Doubled).forward(images.cast(DType::F64)).cast(DType::F32).into_data();
    doubled.assert_approx_eq::<f32>(&logits, burn::tensor::Tolerance::absolute(1e-5));
}

fn index(rows: [i32; 2], device: &Device) -> Tensor<1, burn::tensor::Int> {
    Tensor::from_ints(rows, device)
}

#[test]
fn weights_start_as_documented() {
    let device = Device::flex();
    let resnet = init_seeded(1, &device, |device| ResNetConfig::new().with_width(64).init(device).unwrap());
    let weight = resnet.layer3[1].conv1.weight.val();
    let (mean, std) = (weight.clone().mean().into_scalar::<f32>(), weight.square().mean().sqrt().into_scalar::<f32>());
    let expected = (2.0 / (9.0 * 256.0_f32)).sqrt();
    assert!((std / expected - 1.0).abs() < 0.01 && mean.abs() < 0.02 * expected, "{mean} {std} {expected}");

    let mlp = init_seeded(1, &device, |device| MlpConfig::new(vec![500, 300, 10]).init(device).unwrap());
    let std = mlp.layers[0].weight.val().square().mean().sqrt().into_scalar::<f32>();
    assert!((std / (2.0 / 500.0_f32).sqrt() - 1.0).abs() < 0.01, "{std}");
    assert_eq!(mlp.layers[0].bias.as_ref().unwrap().val().abs().max().into_scalar::<f32>(), 0.0);
}

#[test]
fn configurations_that_make_no_network_are_refused() {
    let device = Device::flex();
    let mlp = |widths: &[usize]| MlpConfig::new(widths.to_vec()).init(&device).err();
    assert_eq!(mlp(&[]), Some(NetworkError::TooFewWidths(0)));
    assert_eq!(mlp(&[3]), Some(NetworkError::TooFewWidths(1)));
    assert_eq!(mlp(&[3, 0]), Some(NetworkError::Zero { what: "every width of an MLP" }));
    let cnn = |size, channels: &[usize]| SmallCnnConfig::new().with_size(size).with_channels(channels.to_vec());
    let too_small = NetworkError::ImageTooSmall { size: [8, 3], n_blocks: 2, least: 4 };
    assert_eq!(cnn([8, 3], &[4, 4]).init(&device).err(), Some(too_small));
    assert!(cnn([4, 4], &[4, 4]).init(&device).is_ok());
    assert!(cnn([28, 28], &[1; 80]).init(&device).is_err());
    assert!(cnn([28, 28], &[]).init(&device).is_err());
    assert!(cnn([28, 28], &[0]).init(&device).is_err());
    for depth in [0, 2, 9, 22] {
        let expected = Some(NetworkError::Depth { depth, pattern: "6n + 2" });
        assert_eq!(ResNetConfig::new().with_depth(depth).init(&device).err(), expected);
    }
    for depth in [0, 4, 20, 27] {
        let expected = Some(NetworkError::Depth { depth, pattern: "6n + 4" });
        assert_eq!(WideResNetConfig::new().with_depth(depth).init(&device).err(), expected);
    }
    assert!(ResNetConfig::new().with_width(0).init(&device).is_err());
    for dropout in [-0.1, 1.0, f64::NAN] {
        assert!(WideResNetConfig::new().with_dropout(dropout).init(&device).is_err());
    }
    let message = ResNetConfig::new().with_depth(9).init(&device).unwrap_err().to_string();
    assert_eq!(message, "depth must be 6n + 2 with n at least 1, got 9");
}

#[test]
fn a_decoder_with_causal_attention_sees_no_later_token() {
    let device = Device::flex();
    let config = DecoderConfig::new(5, 8).with_d_model(8).with_n_layers(2);
    let build = |heads| {
        try_init_seeded(1, &device, |device| {
            config.init(|_| SoftmaxAttentionConfig::new(8, heads).init(device), device)
        })
    };
    let decoder = build(2).unwrap();
    let logits = |tokens: [i32; 4]| decoder.forward(Tensor::<1, Int>::from_data(tokens, &device).unsqueeze()).unwrap();
    let [a, b] = [[1, 2, 3, 4], [1, 2, 3, 0]].map(logits);
    assert_eq!(a.dims(), [1, 4, 5]);
    let change = (a - b).abs().max_dim(2).into_data().iter::<f32>().collect::<Vec<_>>();
    assert!(change[..3].iter().all(|change| *change < 1e-6) && change[3] > 1e-3, "{change:?}");

    let message = build(3).unwrap_err().to_string();
    assert_eq!(message, "n_heads must divide d_model, got 3 heads and d_model = 8");
    let attention = |_| SoftmaxAttentionConfig::new(8, 2).init(&device);
    let error = DecoderConfig::new(0, 8).init(attention, &device).unwrap_err();
    assert_eq!(error, NetworkError::Zero { what: "n_tokens" });
}

#[test]
fn a_decoder_goes_on_from_its_state_as_if_it_had_seen_all_at_once() {
    let device = Device::flex();
    let attention = |_| SoftmaxAttentionConfig::new(8, 2).init(&device);
    let decoder = DecoderConfig::new(5, 6).with_d_model(8).init(attention, &device).unwrap();
    let tokens = Tensor::<1, Int>::from_data([1, 4, 2, 0, 3, 3], &device).unsqueeze::<2>();
    let all = decoder.forward(tokens.clone()).unwrap();

    let mut state = decoder.init_state(1, &device).unwrap();
    let parts = [(0, 3), (3, 1), (4, 2)].map(|(from, n)| {
        assert_eq!(state.n_tokens(), from);
        decoder.forward_state(tokens.clone().narrow(1, from, n), &mut state).unwrap()
    });
    Tensor::cat(parts.to_vec(), 1).into_data().assert_approx_eq::<f32>(&all.to_data(), Tolerance::absolute(1e-5));

    let error = decoder.forward_state(tokens.clone(), &mut state).unwrap_err();
    assert_eq!(error, DecoderError::TooLong { length: 12, max_length: 6 });
    // A new segment has the positions again, and sees what was before it.
    let mut state = decoder.next_segment(state);
    let next = decoder.forward_state(tokens.clone(), &mut state).unwrap();
    assert!((next - all).abs().max().into_scalar::<f32>() > 1e-3);

    let other = DecoderConfig::new(5, 6).with_d_model(8).with_n_layers(1).init(attention, &device).unwrap();
    let error = other.forward_state(tokens, &mut state).unwrap_err();
    assert_eq!(error, DecoderError::Layers { expected: 1, actual: 2 });
}

#[test]
fn sinusoids_are_those_of_the_formula_and_are_not_trained() {
    let device = Device::flex();
    let attention = |_| SoftmaxAttentionConfig::new(4, 2).init(&device);
    let config = DecoderConfig::new(5, 6).with_d_model(4);
    let learned = config.clone().init(attention, &device).unwrap();
    let fixed = config.with_positions(Positions::Sinusoidal).init(attention, &device).unwrap();
    assert_eq!(n_trained(&learned) - n_trained(&fixed), 6 * 4);
    let place = fixed.positions.weight.val().narrow(0, 3, 1).into_data();
    let expected = [3_f32.sin(), 3_f32.cos(), 0.03_f32.sin(), 0.03_f32.cos()];
    place.assert_approx_eq::<f32>(&Tensor::<2>::from_data([expected], &device).into_data(), Tolerance::absolute(1e-6));
}

#[test]
fn attention_does_not_see_padding() {
    let device = Device::flex();
    let attention = SoftmaxAttentionConfig::new(8, 2).with_causal(false).init(&device).unwrap();
    let tokens = Tensor::<3>::random([2, 4, 8], Distribution::Default, &device);
    let padded = Tensor::<2, Bool>::from_data([[false, false, false, true], [false; 4]], &device);
    let masked = attention.attend(tokens.clone(), Some(padded)).unwrap();
    let short = attention.attend(tokens.clone().narrow(0, 0, 1).narrow(1, 0, 3), None).unwrap();
    let seen = masked.clone().narrow(0, 0, 1).narrow(1, 0, 3);
    seen.into_data().assert_approx_eq::<f32>(&short.into_data(), Tolerance::absolute(1e-5));
    let whole = attention.attend(tokens, None).unwrap().narrow(0, 1, 1);
    masked.narrow(0, 1, 1).into_data().assert_approx_eq::<f32>(&whole.into_data(), Tolerance::absolute(1e-5));
}

#[test]
fn a_classifier_of_sequences_does_not_see_padding() {
    let device = Device::flex();
    let attention = |_| SoftmaxAttentionConfig::new(8, 2).with_causal(false).init(&device);
    let config = SequenceClassifierConfig::new(5, 4, 3).with_d_model(8);
    let classifier = config.init(attention, &device).unwrap();
    let tokens = Tensor::<2, Int>::from_data([[1, 4, 2, 0], [3, 3, 1, 2]], &device);
    let padded = Tensor::<2, Bool>::from_data([[false, false, true, true], [false; 4]], &device);
    let logits = classifier.forward(tokens.clone(), Some(padded)).unwrap();
    assert_eq!(logits.dims(), [2, 3]);
    let short = classifier.forward(tokens.clone().narrow(0, 0, 1).narrow(1, 0, 2), None).unwrap();
    let first = logits.clone().narrow(0, 0, 1);
    first.into_data().assert_approx_eq::<f32>(&short.into_data(), Tolerance::absolute(1e-5));
    let whole = classifier.forward(tokens.clone(), None).unwrap().narrow(0, 1, 1);
    logits.narrow(0, 1, 1).into_data().assert_approx_eq::<f32>(&whole.into_data(), Tolerance::absolute(1e-5));
    let nothing = Tensor::<2, Bool>::from_data([[true; 4]; 2], &device);
    let logits = classifier.forward(tokens.clone(), Some(nothing)).unwrap();
    assert!(logits.into_data().iter::<f32>().all(f32::is_finite));

    let long = Tensor::cat(vec![tokens.clone(), tokens], 1);
    let error = classifier.forward(long, None).unwrap_err();
    assert_eq!(error, DecoderError::TooLong { length: 8, max_length: 4 });
    let error = SequenceClassifierConfig::new(5, 4, 0).init(attention, &device).unwrap_err();
    assert_eq!(error, NetworkError::Zero { what: "n_classes" });
    let error = SequenceClassifierConfig::new(5, 4, 3).with_dropout(1.0).init(attention, &device).unwrap_err();
    assert_eq!(error, NetworkError::Dropout(1.0));
}

#[test]
fn configurations_survive_json() {
    use burn::config::Config;
    let config = ResNetConfig::new().with_depth(26).with_shortcut(Shortcut::Project);
    let again = ResNetConfig::load_binary(config.to_string().as_bytes()).unwrap();
    assert_eq!(again.to_string(), config.to_string());
    let config = MlpConfig::new(vec![2, 3]);
    assert!(MlpConfig::load_binary(config.to_string().as_bytes()).unwrap().initializer.is_none());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// Rows of a batch don't reach each other outside of training, in any order.
    #[test]
    fn an_mlp_maps_each_row_by_itself(rows in 1_usize..6, seed: u64) {
        let device = Device::flex();
        let mlp: Mlp = try_init_seeded(seed, &device, |device| MlpConfig::new(vec![3, 8, 2]).init(device)).unwrap();
        let x = Tensor::<2>::random([rows, 3], Distribution::Default, &device);
        let flipped = mlp.forward(x.clone().flip([0])).flip([0]);
        let difference = (mlp.forward(x) - flipped).abs().max().into_scalar::<f32>();
        prop_assert!(difference < 1e-6);
    }
}
