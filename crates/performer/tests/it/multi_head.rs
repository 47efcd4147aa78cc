use burn::nn::attention::{MhaInput, MultiHeadAttentionConfig};
use burn::tensor::{Bool, Device, Tensor, Tolerance};
use rekindle_performer::{
    AttentionInput, FavorConfig, FeatureFunction, Kernel, PerformerAttentionConfig, PerformerError, Projection,
    RowScaling,
};
use rekindle_shared::model::init_seeded;

use crate::reference::random;

fn input(length: usize, device: &Device) -> Tensor<3> {
    random([2, length, 16], 1.0, device)
}

/// Weights of softmax attention give its outputs up to the estimate's error, padding included.
#[test]
fn weights_of_softmax_attention_are_taken_over() {
    let device = Device::flex();
    let softmax = init_seeded(3, &device, |device| MultiHeadAttentionConfig::new(16, 2).with_dropout(0.0).init(device));
    let config = PerformerAttentionConfig::new(16, 2).with_n_features(4096);
    let favor = config.init_from(softmax.clone(), &device).unwrap();
    let mask = Tensor::<2, Bool>::from_data([[false, false, true, false, true]; 2], &device);
    let (x, memory) = (input(7, &device), input(5, &device));
    let expected =
        softmax.forward(MhaInput::new(x.clone(), memory.clone(), memory.clone()).mask_pad(mask.clone())).context;
    let actual = favor.forward(AttentionInput::new(x, memory.clone(), memory).mask_pad(mask)).unwrap();
    let error = (actual - expected.clone()).abs().mean().into_scalar::<f32>();
    let size = expected.abs().mean().into_scalar::<f32>();
    assert!(error < 0.05 * size, "{error} of {size}");

    let quiet = MultiHeadAttentionConfig::new(16, 2).with_quiet_softmax(true).init(&device);
    assert_eq!(config.init_from(quiet, &device).err(), Some(PerformerError::QuietSoftmax));
}

#[test]
fn decoding_with_a_state_gives_the_parallel_outputs() {
    let device = Device::flex();
    let config = PerformerAttentionConfig::new(16, 4).with_causal(true).with_n_features(8).with_dropout(0.0);
    let attention = config.init(&device).unwrap();
    let x = input(9, &device);
    let whole = attention.forward(AttentionInput::self_attn(x.clone())).unwrap();
    let mut state = attention.init_state(2, &device).unwrap();
    let tokens = (0..9).map(|t| attention.forward_state(x.clone().narrow(1, t, 1), &mut state).unwrap()).collect();
    Tensor::cat(tokens, 1).to_data().assert_approx_eq::<f32>(&whole.to_data(), Tolerance::absolute(1e-5));
}

/// Every option of the heads is one of the layer, with the same default, and reaches the heads.
#[test]
fn the_heads_have_the_options_and_the_defaults_of_favor() {
    let device = Device::flex();
    let json = |config: &str| -> serde_json::Value { serde_json::from_str(config).unwrap() };
    let heads = |config: &PerformerAttentionConfig| {
        let favor = config.init(&device).unwrap().favor;
        json(&favor.config().to_string())
    };
    let default = PerformerAttentionConfig::new(16, 2);
    assert_eq!(heads(&default), json(&FavorConfig::new(8).to_string()));
    let config = default
        .with_causal(true)
        .with_n_features(8)
        .with_kernel(Kernel::Generalized(FeatureFunction::EluPlusOne))
        .with_projection(Projection::None)
        .with_row_scaling(RowScaling::SqrtDim)
        .with_normalize_inputs(false)
        .with_eps(0.5)
        .with_kernel_eps(0.0)
        .with_stabilizer(0.25)
        .with_chunk(32)
        .with_seed(7)
        .with_check_finite(false);
    let (all, default) = (json(&config.to_string()), json(&FavorConfig::new(8).to_string()));
    for (name, value) in heads(&config).as_object().unwrap().iter().filter(|(name, _)| *name != "d_head") {
        assert_eq!(Some(value), all.get(name), "{name}");
        assert_ne!(Some(value), default.get(name), "{name}");
    }
}

#[test]
fn sizes_that_do_not_fit_are_refused() {
    let device = Device::flex();
    let error = |config: PerformerAttentionConfig| config.init(&device).err().unwrap();
    assert_eq!(
        error(PerformerAttentionConfig::new(10, 4)).to_string(),
        "n_heads must divide d_model, got 4 heads and d_model = 10"
    );
    assert_eq!(error(PerformerAttentionConfig::new(8, 0)), PerformerError::Zero("n_heads"));
    assert_eq!(error(PerformerAttentionConfig::new(0, 2)), PerformerError::Zero("d_model"));
    let dropout = PerformerAttentionConfig::new(8, 2).with_dropout(1.0);
    assert_eq!(error(dropout), PerformerError::InvalidDropout(1.0));
    let attention = PerformerAttentionConfig::new(8, 2).init(&device).unwrap();
    let error = attention.forward(AttentionInput::self_attn(input(3, &device))).unwrap_err();
    assert!(error.to_string().starts_with("query must be [batch, length, 8]"), "{error}");
}
