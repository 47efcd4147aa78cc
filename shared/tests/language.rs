//! Language models on bytes: what they are trained on, and how they are tested.

use burn::module::Param;
use burn::tensor::Device;
use rekindle_shared::data::Streams;
use rekindle_shared::language::{LanguageError, LanguageTrainingConfig, Reading, Schedule, prediction};
use rekindle_shared::model::try_init_seeded;
use rekindle_shared::networks::{Decoder, DecoderConfig, SoftmaxAttention, SoftmaxAttentionConfig};

const READING: Reading = Reading { length: 8, batch_size: 3, stateful: false };

fn decoder(device: &Device) -> Decoder<SoftmaxAttention> {
    try_init_seeded(1, device, |device| {
        let attention = |_| SoftmaxAttentionConfig::new(8, 2).init(device);
        DecoderConfig::new(256, 8).with_d_model(8).with_n_layers(1).init(attention, device)
    })
    .unwrap()
}

fn training() -> LanguageTrainingConfig {
    LanguageTrainingConfig::new(6).with_batch_size(2).with_length(8).with_warmup(2)
}

fn weights(model: &Decoder<SoftmaxAttention>) -> Vec<f32> {
    model.head.weight.val().into_data().iter().collect()
}

#[test]
fn a_model_that_knows_nothing_needs_eight_bits() {
    let device = Device::flex();
    let mut model = decoder(&device);
    model.head.weight = Param::from_tensor(model.head.weight.val().zeros_like());
    for (stateful, n_bytes) in [(false, 40), (true, 42)] {
        // 44 bytes: five windows of 8 bytes and one after each, or three parts of 14.
        let tested = prediction(&model, &[7; 44], Reading { stateful, ..READING }).unwrap();
        assert!((tested.bits_per_byte - 8.0).abs() < 1e-5, "{tested:?}");
        assert_eq!(tested.n_bytes, n_bytes);
    }
}

#[test]
fn the_windows_at_a_time_change_no_result() {
    let (model, text) = (decoder(&Device::flex()), b"to be, or not to be, that is the question".repeat(3));
    let of = |batch_size| prediction(&model, &text, Reading { batch_size, ..READING }).unwrap();
    assert!((of(1).bits_per_byte - of(5).bits_per_byte).abs() < 1e-5);
    assert_eq!((of(1).accuracy, of(1).n_bytes), (of(5).accuracy, of(5).n_bytes));
}

#[test]
fn with_a_carried_state_the_text_is_read_in_order() {
    let text: Vec<u8> = (0..900_u32).map(|i| (i % 9 * 28) as u8).collect();
    let device = Device::flex().autodiff();
    let loss = |stateful: bool| {
        let config = training().with_length(2).with_batch_size(4).with_stateful(stateful);
        let model: Decoder<SoftmaxAttention> = decoder(&device);
        let config = LanguageTrainingConfig { steps: 3, ..config };
        config.run(model, &text, Streams::new(1), |model, _| model).unwrap().losses
    };
    let (with, without) = (loss(true), loss(false));
    assert!(with.iter().chain(&without).all(|loss| loss.is_finite()));
    // In order, from the first byte on: another text than random windows.
    assert_ne!(with, without);
}

#[test]
fn a_seed_decides_the_run_and_every_step_is_announced() {
    let (device, text) = (Device::flex().autodiff(), b"abcabcabd".repeat(20));
    let mut steps = Vec::new();
    let mut run = |seed, schedule| {
        let config = training().with_schedule(schedule);
        let before = |model, step| {
            steps.push(step);
            model
        };
        let trained = config.run(decoder(&device), &text, Streams::new(seed), before).unwrap();
        (weights(&trained.model), trained.losses)
    };
    let first = run(1, Schedule::Cosine);
    assert_eq!(first, run(1, Schedule::Cosine));
    assert_ne!(first, run(2, Schedule::Cosine));
    assert_ne!(first.0, run(1, Schedule::Constant).0);
    assert_eq!(steps[..6], [0, 1, 2, 3, 4, 5]);
}

#[test]
fn a_curve_is_the_means_of_parts() {
    let (device, text) = (Device::flex().autodiff(), b"abc".repeat(20));
    let mut trained = training().run(decoder(&device), &text, Streams::new(1), |model, _| model).unwrap();
    trained.losses = vec![1.0, 3.0, 5.0, 7.0, 9.0];
    assert_eq!(trained.curve(3), [2.0, 6.0, 9.0]);
    assert_eq!(trained.curve(100), trained.losses);
    assert!(!trained.diverged());
    trained.losses.push(f64::NAN);
    assert!(trained.diverged());
}

#[test]
fn what_cannot_be_trained_or_tested_is_refused() {
    let device = Device::flex().autodiff();
    let refused = |config: LanguageTrainingConfig, text: &[u8]| {
        config.run(decoder(&device), text, Streams::new(1), |model, _| model).unwrap_err().to_string()
    };
    assert!(refused(training(), b"short").starts_with("length has to be at least 1 and below"));
    assert!(refused(training().with_batch_size(0), &[1; 40]).starts_with("batch_size has to be at least 1"));
    let none = LanguageTrainingConfig { steps: 0, ..training() };
    assert!(refused(none, &[1; 40]).starts_with("steps has to be at least 1"));
    assert!(refused(training().with_length(9), &[1; 40]).contains("9 tokens long"));

    let model = decoder(&Device::flex());
    for reading in
        [Reading { batch_size: 0, ..READING }, Reading { batch_size: 44, ..READING }, Reading { length: 0, ..READING }]
    {
        assert!(matches!(prediction(&model, &[7; 44], reading), Err(LanguageError::Text(_))), "{reading:?}");
    }
}
