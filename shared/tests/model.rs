//! Copies and parameter lists of stock Burn modules and of structs as users write them.

use burn::module::{Flag, Module, ModuleMapper, Param, ParamGroup, ParamId};
use burn::nn::attention::MultiHeadAttentionConfig;
use burn::nn::conv::{Conv1dConfig, Conv2d, Conv2dConfig, Conv3dConfig, ConvTranspose2dConfig, DeformConv2dConfig};
use burn::nn::{
    BatchNorm, BatchNormConfig, Dropout, DropoutConfig, EmbeddingConfig, GroupNormConfig, InstanceNormConfig,
    LayerNormConfig, Linear, LinearConfig, LstmConfig, PReluConfig, RmsNormConfig,
};
use burn::optim::GradientsParams;
use burn::tensor::activation::relu;
use burn::tensor::{Device, Distribution, Tensor};
use proptest::prelude::*;
use rekindle_shared::model::{
    ParameterKind, deep_copy, parameters, restore_running_statistics, running_statistics, select,
};

#[derive(Module, Debug)]
struct Net {
    conv: Conv2d,
    norm: BatchNorm,
    dropout: Dropout,
    head: Linear,
}

impl Net {
    fn new(device: &Device) -> Self {
        Self {
            conv: Conv2dConfig::new([1, 3], [3, 3]).init(device),
            norm: BatchNormConfig::new(3).init(device),
            dropout: DropoutConfig::new(0.5).init(),
            head: LinearConfig::new(3, 2).init(device),
        }
    }

    fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let maps = relu(self.norm.forward(self.conv.forward(images)));
        let features: Tensor<2> = maps.mean_dims(&[2, 3]).reshape([0, -1]);
        self.head.forward(self.dropout.forward(features))
    }
}

fn images(device: &Device) -> Tensor<4> {
    let pixels = (0..4 * 36).map(|i| ((i * 37 % 101) as f32) / 50.0 - 1.0).collect::<Vec<_>>();
    Tensor::<1>::from_floats(pixels.as_slice(), device).reshape([4, 1, 6, 6])
}

/// Bits of every float tensor, after the pending update of running statistics.
fn bits<M: Module>(module: &M) -> Vec<(ParamId, Vec<u32>)> {
    struct Bits(Vec<(ParamId, Vec<u32>)>);
    impl burn::module::ModuleVisitor for Bits {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let values = param.val().into_data().try_to_vec::<f32>().unwrap();
            self.0.push((param.id, values.into_iter().map(f32::to_bits).collect()));
        }
    }
    let _ = module.valid();
    let mut bits = Bits(Vec::new());
    module.visit(&mut bits);
    bits.0
}

fn mean_of(norm: &BatchNorm) -> Vec<f32> {
    norm.running_mean.value_sync().into_data().try_to_vec().unwrap()
}

#[test]
fn training_a_copy_leaves_the_original_to_the_bit() {
    let device = Device::flex().autodiff();
    let net = Net::new(&device);
    let before = bits(&net);
    let copy = deep_copy(&net);
    assert_eq!(bits(&copy), before);
    for _ in 0..3 {
        copy.forward(images(&device));
    }
    assert_eq!(bits(&net), before);
    assert_ne!(bits(&copy), before);
    // ... and the other way round.
    let copy = deep_copy(&net);
    net.forward(images(&device));
    assert_ne!(mean_of(&net.norm), mean_of(&copy.norm));
    assert_eq!(bits(&copy), before);
}

#[test]
fn mapping_a_copy_leaves_the_statistics_of_the_original() {
    struct Zero;
    impl ModuleMapper for Zero {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            param.map(|value| value.zeros_like())
        }
    }
    let net = Net::new(&Device::flex().autodiff());
    let before = bits(&net);
    let _ = deep_copy(&net).map(&mut Zero);
    assert_eq!(bits(&net), before);
}

#[test]
fn a_copy_has_the_update_that_burn_keeps_back() {
    let device = Device::flex().autodiff();
    let norm = BatchNormConfig::new(3).init(&device);
    norm.forward(Tensor::<2>::ones([4, 3], &device));
    assert_eq!(
        norm.running_mean.value().into_data().try_to_vec::<f32>().unwrap(),
        [0.0; 3],
        "Burn's update is pending"
    );
    let copy = deep_copy(&norm);
    assert_eq!(copy.running_mean.value().into_data().try_to_vec::<f32>().unwrap(), [0.1; 3]);
    assert_eq!(mean_of(&norm), [0.1; 3]);
}

#[test]
fn a_copy_keeps_what_is_frozen_and_what_is_switched_off() {
    let device = Device::flex().autodiff();
    let mut net = Net::new(&device);
    net.head = net.head.no_grad();
    net.norm = net.norm.freeze();
    for copy in [deep_copy(&net), deep_copy(&net.valid()).train()] {
        assert!(copy.conv.weight.is_require_grad());
        assert!(!copy.head.weight.is_require_grad());
        assert!(!copy.norm.gamma.is_require_grad());
        assert!(!copy.norm.training.is_enabled());
        assert!(copy.dropout.training.is_enabled());
        copy.forward(images(&device));
        assert_eq!(mean_of(&copy.norm), [0.0; 3], "frozen statistics moved");
    }
    let unfrozen = deep_copy(&net).unfreeze();
    assert!(unfrozen.head.weight.is_require_grad() && unfrozen.norm.training.is_enabled());
}

#[test]
fn a_copy_of_a_plain_or_validation_model_is_in_the_same_mode() {
    let plain = Net::new(&Device::flex());
    let copy = deep_copy(&plain);
    assert!(!copy.conv.weight.is_autodiff());
    assert!(copy.dropout.training.is_enabled() && copy.norm.training.is_enabled());
    assert!(copy.train().conv.weight.is_require_grad());

    let valid = Net::new(&Device::flex().autodiff()).valid();
    let copy = deep_copy(&valid);
    assert!(!copy.conv.weight.is_autodiff());
    assert!(!copy.dropout.training.is_enabled() && !copy.norm.training.is_enabled());
    assert!(copy.train().dropout.training.is_enabled());
}

#[test]
fn a_copy_trains_on_a_gradient_checkpointing_device() {
    let device = Device::flex().autodiff().gradient_checkpointing();
    let net = Net::new(&device);
    net.forward(images(&device));
    let strategy = net.conv.weight.gradient_checkpointing_strategy();
    let before = bits(&net);
    let copy = deep_copy(&deep_copy(&net));
    assert_eq!(copy.conv.weight.gradient_checkpointing_strategy(), strategy);
    let gradients = GradientsParams::from_grads(copy.forward(images(&device)).sum().backward(), &copy);
    assert_eq!(gradients.len(), select(&net, |_| true).len());
    assert_eq!(bits(&net), before);
    assert_ne!(mean_of(&copy.norm), mean_of(&net.norm));
}

#[test]
fn gradients_of_original_and_copy_stay_apart_in_one_loss() {
    let device = Device::flex().autodiff();
    let layer = LinearConfig::new(1, 1).with_bias(false).init(&device);
    let copy = deep_copy(&layer);
    let x = Tensor::<2>::ones([1, 1], &device);
    let loss = layer.forward(x.clone()).sum() + copy.forward(x).sum() * 10.0;
    let gradients = loss.backward();
    assert_eq!(layer.weight.grad(&gradients).unwrap().into_scalar::<f32>(), 1.0);
    assert_eq!(copy.weight.grad(&gradients).unwrap().into_scalar::<f32>(), 10.0);
}

#[test]
fn tied_weights_stay_tied_in_a_copy() {
    #[derive(Module, Debug)]
    struct Tied {
        first: Linear,
        second: Linear,
    }
    let device = Device::flex().autodiff();
    let first = LinearConfig::new(1, 1).with_bias(false).init(&device);
    let copy = deep_copy(&Tied { second: first.clone(), first });
    let x = Tensor::<2>::ones([1, 1], &device);
    let gradients = (copy.first.forward(x.clone()).sum() + copy.second.forward(x).sum()).backward();
    assert_eq!(copy.first.weight.grad(&gradients).unwrap().into_scalar::<f32>(), 2.0);
    assert_eq!(select(&copy, |_| true), [copy.first.weight.id]);
}

#[test]
fn a_copy_keeps_adapters() {
    use burn::module::Lora;
    let device = Device::flex().autodiff();
    let layer = LinearConfig::new(4, 4).init(&device).apply_lora(Lora::new(2, 4.0));
    let copy = deep_copy(&layer);
    assert!(copy.weight.adapter().is_some());
    assert!(!copy.weight.is_require_grad());
    let x = Tensor::<2>::ones([1, 4], &device);
    let gradients = GradientsParams::from_grads(copy.forward(x).sum().backward(), &copy);
    assert_eq!(gradients.len(), 2);
    assert_eq!(bits(&copy), bits(&layer));
}

fn kinds<M: Module>(module: &M) -> Vec<(String, ParameterKind)> {
    parameters(module).into_iter().map(|parameter| (parameter.path, parameter.kind)).collect()
}

#[test]
fn stock_layers_are_classified() {
    use ParameterKind::{Bias, NormScale, NormShift, Other, RunningStatistic, Weight};
    let device = Device::flex();
    let both = [("weight".to_owned(), Weight), ("bias".to_owned(), Bias)];
    assert_eq!(kinds(&LinearConfig::new(2, 3).init(&device)), both);
    assert_eq!(kinds(&Conv1dConfig::new(2, 3, 3).init(&device)), both);
    assert_eq!(kinds(&Conv2dConfig::new([2, 3], [3, 3]).init(&device)), both);
    assert_eq!(kinds(&Conv3dConfig::new([2, 3], [3, 3, 3]).init(&device)), both);
    assert_eq!(kinds(&ConvTranspose2dConfig::new([2, 3], [3, 3]).init(&device)), both);
    assert_eq!(kinds(&DeformConv2dConfig::new([2, 3], [3, 3]).init(&device)), both);
    assert_eq!(kinds(&EmbeddingConfig::new(2, 3).init(&device)), both[..1]);
    let affine = [("gamma".to_owned(), NormScale), ("beta".to_owned(), NormShift)];
    assert_eq!(kinds(&LayerNormConfig::new(4).init(&device)), affine);
    assert_eq!(kinds(&GroupNormConfig::new(2, 4).init(&device)), affine);
    assert_eq!(kinds(&InstanceNormConfig::new(4).init(&device)), affine);
    assert_eq!(kinds(&RmsNormConfig::new(4).init(&device)), affine[..1]);
    assert_eq!(kinds(&PReluConfig::new().init(&device)), [("alpha".to_owned(), Other)]);
    let statistics = [("running_mean".to_owned(), RunningStatistic), ("running_var".to_owned(), RunningStatistic)];
    assert_eq!(kinds(&BatchNormConfig::new(4).init(&device)), [affine, statistics].concat());

    let gates = kinds(&LstmConfig::new(2, 3, true).init(&device));
    assert_eq!(gates.len(), 4 * 2 * 2);
    let heads = kinds(&MultiHeadAttentionConfig::new(4, 2).init(&device));
    assert_eq!(heads.len(), 4 * 2);
    for (path, kind) in gates.into_iter().chain(heads) {
        assert_eq!(kind, if path.ends_with(".bias") { Bias } else { Weight }, "{path}");
    }
}

#[test]
fn structs_of_a_user_are_classified_by_field_and_rank() {
    use ParameterKind::{Bias, NormScale, NormShift, Other, RunningStatistic, Weight};
    use burn::module::RunningState;
    #[derive(Module, Debug)]
    struct MyNorm2d {
        weight: Param<Tensor<1>>,
        bias: Param<Tensor<1>>,
    }
    #[derive(Module, Debug)]
    struct Mixer {
        norm: MyNorm2d,
        mixing: Vec<Param<Tensor<2>>>,
        bias_out: Param<Tensor<2>>,
        weight_in: Param<Tensor<1>>,
        gamma: Param<Tensor<1>>,
        centers: RunningState<Tensor<2>>,
        training: Param<Flag>,
    }
    let device = Device::flex();
    let vector = || Param::from_tensor(Tensor::<1>::zeros([3], &device));
    let matrix = || Param::from_tensor(Tensor::<2>::zeros([3, 3], &device));
    let mixer = Mixer {
        norm: MyNorm2d { weight: vector(), bias: vector() },
        mixing: vec![matrix(), matrix()],
        bias_out: matrix(),
        weight_in: vector(),
        gamma: vector(),
        centers: RunningState::new(Tensor::zeros([2, 3], &device)),
        training: Param::from_bool(true),
    };
    let expected = [
        ("norm.weight", NormScale),
        ("norm.bias", NormShift),
        ("mixing.0", Weight),
        ("mixing.1", Weight),
        ("bias_out", Bias),
        ("weight_in", Weight),
        ("gamma", Other),
        ("centers", RunningStatistic),
    ];
    assert_eq!(kinds(&mixer), expected.map(|(path, kind)| (path.to_owned(), kind)));
    let listed = parameters(&mixer);
    assert_eq!((listed[2].module.as_str(), listed[2].shape.as_slice()), ("Mixer", [3, 3].as_slice()));
    assert_eq!(listed[7].id, bits(&mixer)[7].0, "statistics keep their identifier");
}

#[test]
fn listing_parameters_initializes_none() {
    let layer = LinearConfig::new(2, 3).init(&Device::flex());
    assert_eq!(parameters(&layer).iter().map(|p| p.n_elements()).sum::<usize>(), 9);
    assert!(!layer.weight.is_initialized());
}

#[test]
fn a_selection_makes_a_parameter_group() {
    let device = Device::flex().autodiff();
    let norms =
        |p: &rekindle_shared::model::Parameter| matches!(p.kind, ParameterKind::NormScale | ParameterKind::NormShift);
    let net = Net::new(&device);
    let group = ParamGroup::from_ids(select(&net, norms));
    let net = net.no_grad().set_require_grad_group(group, true);
    let gradients = GradientsParams::from_grads(net.forward(images(&device)).sum().backward(), &net);
    assert_eq!(gradients.len(), 2);
    assert!(net.norm.gamma.is_require_grad() && !net.conv.weight.is_require_grad());
}

#[test]
fn saved_statistics_come_back() {
    for device in [Device::flex().autodiff(), Device::flex().autodiff().gradient_checkpointing()] {
        let net = Net::new(&device);
        net.forward(images(&device));
        let expected = mean_of(&net.norm);
        let saved = running_statistics(&net);
        assert_eq!(saved.len(), 2);
        net.forward(images(&device));
        net.forward(images(&device));
        assert_ne!(mean_of(&net.norm), expected);
        let net = restore_running_statistics(net, &saved).unwrap();
        assert_eq!(mean_of(&net.norm), expected);
        // The forward pass after a restore continues from the restored values.
        let twin = deep_copy(&net);
        net.forward(images(&device));
        twin.forward(images(&device));
        assert_eq!(mean_of(&net.norm), mean_of(&twin.norm));
        // Saved on an autodiff device, restored on a plain one.
        let plain = restore_running_statistics(net.valid(), &saved).unwrap();
        assert_eq!(mean_of(&plain.norm), expected);
    }
}

#[test]
fn statistics_of_another_model_are_refused() {
    let device = Device::flex();
    let saved = running_statistics(&Net::new(&device));
    let error = restore_running_statistics(Net::new(&device), &saved).unwrap_err();
    assert!(error.to_string().contains("norm.running_mean"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever happened before, a copy equals its original, and no later step of one reaches the other.
    #[test]
    fn copies_are_equal_and_apart(before in 0_usize..3, after in 1_usize..3, frozen: bool, checkpointing: bool) {
        let device = Device::flex().autodiff();
        let device = if checkpointing { device.gradient_checkpointing() } else { device };
        let mut net = Net::new(&device);
        if frozen {
            net.head = net.head.freeze();
        }
        for _ in 0..before {
            net.forward(Tensor::random([2, 1, 6, 6], Distribution::Default, &device));
        }
        let copy = deep_copy(&net);
        let state = bits(&net);
        prop_assert_eq!(&bits(&copy), &state);
        for _ in 0..after {
            copy.forward(images(&device));
        }
        prop_assert_eq!(&bits(&net), &state);
        prop_assert_eq!(kinds(&copy), kinds(&net));
    }
}
