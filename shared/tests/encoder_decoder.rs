//! The encoder-decoder transformer and its searches.

use burn::tensor::activation::log_softmax;
use burn::tensor::{Bool, Device, Distribution, Int, Tensor, Tolerance};
use proptest::prelude::*;
use rekindle_shared::model::{parameters, try_init_seeded};
use rekindle_shared::networks::{
    CrossAttention, DecodingConfig, EncoderDecoder, EncoderDecoderConfig, EncoderDecoderError, NetworkError,
    SoftmaxAttention, SoftmaxAttentionConfig, SoftmaxCrossAttention, SoftmaxCrossAttentionConfig, StreamingAttention,
    beam_search, greedy,
};

type Model = EncoderDecoder<SoftmaxAttention, SoftmaxAttention, SoftmaxCrossAttention>;

const START: usize = 0;
const END: usize = 1;

fn build(config: &EncoderDecoderConfig, seed: u64, device: &Device) -> Result<Model, NetworkError> {
    let d_model = config.d_model;
    try_init_seeded(seed, device, |device| {
        config.init(
            |_| SoftmaxAttentionConfig::new(d_model, 2).with_causal(false).init(device),
            |_| SoftmaxAttentionConfig::new(d_model, 2).init(device),
            |_| SoftmaxCrossAttentionConfig::new(d_model, 2).init(device),
            device,
        )
    })
}

fn small(tied: bool) -> EncoderDecoderConfig {
    EncoderDecoderConfig::new(7, 5, 6).with_d_model(8).with_tied(tied)
}

fn model(seed: u64) -> Model {
    build(&small(false), seed, &Device::flex()).unwrap()
}

fn tokens<const N: usize, const L: usize>(tokens: [[i64; L]; N]) -> Tensor<2, Int> {
    Tensor::from_data(tokens, &Device::flex())
}

fn assert_close<const D: usize>(a: Tensor<D>, b: Tensor<D>) {
    a.into_data().assert_approx_eq::<f32>(&b.into_data(), Tolerance::absolute(1e-5));
}

#[test]
fn decoding_from_a_state_gives_the_logits_of_teacher_forcing() {
    for tied in [false, true] {
        let model = build(&small(tied), 1, &Device::flex()).unwrap();
        let (source, target) = (tokens([[3, 1, 4, 1], [5, 2, 6, 5]]), tokens([[0, 2, 4, 3, 2], [0, 4, 4, 1, 3]]));
        let all = model.forward(source.clone(), None, target.clone()).unwrap();
        assert_eq!(all.dims(), [2, 5, 5]);
        let mut state = model.init_state(model.encode(source, None).unwrap(), None).unwrap();
        let parts = [(0, 1), (1, 3), (4, 1)].map(|(from, n)| {
            assert_eq!(state.n_tokens(), from);
            model.forward_state(target.clone().narrow(1, from, n), &mut state).unwrap()
        });
        assert_close(Tensor::cat(parts.to_vec(), 1), all);
    }
}

#[test]
fn padding_of_source_and_target_changes_nothing() {
    let model = model(2);
    let padded = Tensor::<2, Bool>::from_data([[false, false, true, true], [false; 4]], &Device::flex());
    let source = tokens([[3, 6, 2, 2], [5, 2, 6, 5]]);
    let logits = model.forward(source.clone(), Some(padded.clone()), tokens([[0, 2, 3, 3], [0, 4, 4, 1]])).unwrap();
    let alone = model.forward(tokens([[3, 6]]), None, tokens([[0, 2]])).unwrap();
    assert_close(logits.clone().narrow(0, 0, 1).narrow(1, 0, 2), alone);
    let without = model.forward(source, None, tokens([[0, 2, 3, 3], [0, 4, 4, 1]])).unwrap();
    let change = (logits - without).abs().max_dims(&[1, 2]).into_data().iter::<f32>().collect::<Vec<_>>();
    assert!(change[0] > 1e-3 && change[1] < 1e-6, "{change:?}");
}

#[test]
fn a_target_sees_no_later_token_and_all_of_the_source() {
    let model = model(3);
    let logits = |source, target| model.forward(tokens([source]), None, tokens([target])).unwrap();
    let before = logits([3, 6, 2], [0, 2, 3]);
    let change = |after: Tensor<3>| {
        (after - before.clone()).abs().max_dim(2).into_data().iter::<f32>().map(|it| it > 1e-4).collect::<Vec<_>>()
    };
    assert_eq!(change(logits([3, 6, 2], [0, 2, 4])), [false, false, true]);
    assert_eq!(change(logits([3, 6, 4], [0, 2, 3])), [true, true, true]);
}

#[test]
fn a_reordered_state_is_that_of_the_rows() {
    let model = model(4);
    let padded = Tensor::<2, Bool>::from_data([[false, false, true], [false; 3]], &Device::flex());
    let source = tokens([[3, 6, 2], [5, 2, 6]]);
    let memory = model.encode(source, Some(padded.clone())).unwrap();
    let mut state = model.init_state(memory, Some(padded)).unwrap();
    model.forward_state(tokens([[0, 2], [0, 3]]), &mut state).unwrap();
    let error = model.reorder_state(state.clone(), &[1, 2]).unwrap_err();
    assert_eq!(error, EncoderDecoderError::NoSuchRow { row: 2, batch: 2 });
    let mut reordered = model.reorder_state(state.clone(), &[1, 0, 1]).unwrap();
    let order = Tensor::<1, Int>::from_data([1, 0, 1], &Device::flex());
    assert_eq!((reordered.batch(), reordered.n_tokens()), (3, 2));
    let expected = model.forward_state(tokens([[4], [2]]), &mut state).unwrap().select(0, order);
    assert_close(model.forward_state(tokens([[2], [4], [2]]), &mut reordered).unwrap(), expected);
}

#[test]
fn tied_logits_have_no_layer_of_their_own() {
    let count =
        |tied| parameters(&build(&small(tied), 1, &Device::flex()).unwrap()).iter().map(|p| p.n_elements()).sum();
    let (own, tied): (usize, usize) = (count(false), count(true));
    assert_eq!(own - tied, 8 * 5 + 5);
}

#[test]
fn dropout_acts_on_autodiff_devices_alone() {
    let source = || tokens([[3, 6, 2]]);
    let config = small(false).with_dropout(0.5);
    let plain = build(&config, 1, &Device::flex()).unwrap();
    let [a, b] = [(); 2].map(|()| plain.forward(source(), None, tokens([[0, 2]])).unwrap());
    a.into_data().assert_eq(&b.into_data(), true);
    let device = Device::flex().autodiff();
    let model = build(&config, 1, &device).unwrap();
    let target = || Tensor::<2, Int>::from_data([[0, 2]], &device);
    let of = || model.forward(Tensor::from_data([[3, 6, 2]], &device), None, target()).unwrap().inner();
    assert!((of() - of()).abs().max().into_scalar::<f32>() > 1e-3);
}

/// Every target with its log-probability: those that end, and those of `max_length` tokens that do not.
fn all_targets(model: &Model, source: &Tensor<2, Int>, max_length: usize) -> Vec<(Vec<usize>, usize, f64)> {
    let mut open = vec![(Vec::new(), 0.0)];
    let mut found = Vec::new();
    for length in 1..=max_length {
        let mut longer = Vec::new();
        for (target, log_probability) in open {
            let input: Vec<i64> = [START].iter().chain(&target).map(|&token| token as i64).collect();
            let input = Tensor::<1, Int>::from_data(&input[..], &Device::flex()).unsqueeze::<2>();
            let logits = model.forward(source.clone(), None, input).unwrap();
            let next = log_softmax(logits.narrow(1, length - 1, 1), 2).into_data().iter::<f64>().collect::<Vec<_>>();
            for (token, log) in next.into_iter().enumerate() {
                let sum = log_probability + log;
                let longer_target: Vec<usize> = target.iter().copied().chain([token]).collect();
                match token {
                    END => found.push((target.clone(), length, sum)),
                    _ if length == max_length => found.push((longer_target, length, sum)),
                    _ => longer.push((longer_target, sum)),
                }
            }
        }
        open = longer;
    }
    found
}

#[test]
fn a_wide_beam_finds_the_best_of_all_targets() {
    let source = tokens([[3, 6, 2]]);
    for seed in 0..6 {
        let model = model(seed);
        for penalty in [0.0, 1.0, 3.0] {
            let config = DecodingConfig::new(START, END, 4).with_beam(5_usize.pow(4)).with_length_penalty(penalty);
            let score = |&(_, n, log): &(Vec<usize>, usize, f64)| log / ((5.0 + n as f64) / 6.0).powf(penalty);
            let all = all_targets(&model, &source, 4);
            let mass: f64 = all.iter().map(|(.., log)| log.exp()).sum();
            assert!((mass - 1.0).abs() < 1e-4, "{mass}");
            let best = all.iter().max_by(|a, b| score(a).total_cmp(&score(b))).unwrap();
            let found = beam_search(&model, source.clone(), None, &config).unwrap().remove(0);
            assert_eq!(found.tokens, best.0, "seed {seed}, penalty {penalty}");
            assert!((found.log_probability - best.2).abs() < 1e-4 && (found.score - score(best)).abs() < 1e-4);
        }
    }
}

#[test]
fn a_wider_beam_finds_better_targets_than_greedy_somewhere() {
    let source = tokens([[3, 6, 2]]);
    let better = (0..20).filter(|&seed| {
        let model = model(seed);
        let of = |beam| {
            let config = DecodingConfig::new(START, END, 5).with_beam(beam).with_length_penalty(0.0);
            beam_search(&model, source.clone(), None, &config).unwrap().remove(0).log_probability
        };
        of(8) > of(1) + 1e-6
    });
    assert!(better.count() > 0);
}

#[test]
fn settings_and_shapes_that_do_not_fit_are_refused() {
    let model = model(1);
    let source = tokens([[3, 6, 2]]);
    let message = |config: DecodingConfig| beam_search(&model, source.clone(), None, &config).unwrap_err().to_string();
    let config = || DecodingConfig::new(START, END, 4);
    assert_eq!(message(config().with_beam(0)), "beam has to be at least 1, got 0");
    assert_eq!(message(config().with_length_penalty(-1.0)), "length_penalty has to be finite and at least 0, got -1");
    assert_eq!(message(DecodingConfig::new(9, END, 4)), "start has to be a token below 5, got 9");
    assert_eq!(message(DecodingConfig::new(START, 5, 4)), "end has to be a token below 5, got 5");
    assert_eq!(message(DecodingConfig::new(START, END, 0)), "max_length has to be at least 1, got 0");
    let too_long = "the target would be 7 tokens long, but there are positions for 6: use a larger max_length";
    assert_eq!(message(DecodingConfig::new(START, END, 7)), too_long);
    let error = greedy(&model, source.clone(), None, &DecodingConfig::new(START, END, 7)).unwrap_err();
    assert_eq!(error.to_string(), too_long);

    let mask = Tensor::<2, Bool>::from_data([[false; 2]], &Device::flex());
    let error = model.encode(source.clone(), Some(mask.clone())).unwrap_err();
    assert_eq!(error, EncoderDecoderError::Shape { what: "mask_pad", expected: [1, 3], actual: [1, 2] });
    let memory = model.encode(source.clone(), None).unwrap();
    assert!(model.init_state(memory.clone(), Some(mask)).is_err());
    let error = model.forward(source.clone(), None, tokens([[0], [0]])).unwrap_err();
    assert_eq!(error, EncoderDecoderError::Shape { what: "the target", expected: [1, 1], actual: [2, 1] });
    let error = model.encode(tokens([[0; 7]]), None).unwrap_err();
    assert_eq!(error, EncoderDecoderError::TooLong { what: "source", length: 7, max_length: 6 });
    let mut state = model.init_state(memory, None).unwrap();
    assert!(matches!(model.forward_state(tokens([[0; 7]]), &mut state), Err(EncoderDecoderError::TooLong { .. })));
    let other = build(&small(false).with_n_decoder_layers(1), 1, &Device::flex()).unwrap();
    let error = other.forward_state(tokens([[0]]), &mut state).unwrap_err();
    assert_eq!(error, EncoderDecoderError::Layers { expected: 1, actual: 2 });

    let device = Device::flex();
    let refused = |config: EncoderDecoderConfig| build(&config, 1, &device).unwrap_err();
    assert_eq!(refused(small(false).with_expansion(0)), NetworkError::Zero { what: "expansion" });
    assert_eq!(refused(small(false).with_dropout(1.0)), NetworkError::Dropout(1.0));
    assert_eq!(refused(small(false).with_d_model(9)), NetworkError::IndivisibleHeads { d_model: 9, n_heads: 2 });
    assert!(SoftmaxCrossAttentionConfig::new(9, 2).init(&device).is_err());
}

#[test]
fn the_parts_of_a_state_follow_its_rows() {
    let device = Device::flex();
    let attention = SoftmaxAttentionConfig::new(8, 2).init(&device).unwrap();
    let order = || Tensor::<1, Int>::from_data([2, 2, 0], &device);
    let x = Tensor::<3>::random([3, 2, 8], Distribution::Default, &device);
    let mut state = attention.init_state(3, &device).unwrap();
    // Before the first token there is nothing to reorder.
    state = attention.reorder_state(state, &[2, 2, 0]).unwrap();
    attention.attend_state(x.clone(), &mut state).unwrap();
    let mut reordered = attention.reorder_state(state.clone(), &[2, 2, 0]).unwrap();
    let expected = attention.attend_state(x.clone(), &mut state).unwrap().select(0, order());
    assert_close(attention.attend_state(x.clone().select(0, order()), &mut reordered).unwrap(), expected);

    let cross = SoftmaxCrossAttentionConfig::new(8, 2).init(&device).unwrap();
    let mask = Tensor::<2, Bool>::from_data([[false, true], [true, true], [false, false]], &device);
    let source = cross.encode(x.clone(), Some(mask)).unwrap();
    let seen = cross.attend(x.clone(), &source).unwrap();
    // Where all is padding there is nothing to see.
    assert_close(seen.clone().narrow(0, 1, 1), Tensor::zeros([1, 2, 8], &device));
    let reordered = cross.reorder_source(source, &[2, 2, 0]).unwrap();
    assert_close(cross.attend(x.select(0, order()), &reordered).unwrap(), seen.select(0, order()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// In a batch with padding as alone.
    #[test]
    fn a_beam_of_one_is_greedy(seed in 0_u64..1000, source in prop::collection::vec(0_i64..7, 4), penalty in 0.0..2.0) {
        let model = model(seed);
        let config = DecodingConfig::new(START, END, 6).with_beam(1).with_length_penalty(penalty);
        let batch = Tensor::cat(vec![Tensor::<1, Int>::from_data(&source[..], &Device::flex()).unsqueeze(), tokens([[5, 2, 2, 2]])], 0);
        let mask = Tensor::<2, Bool>::from_data([[false; 4], [false, true, true, true]], &Device::flex());
        let targets = greedy(&model, batch.clone(), Some(mask.clone()), &config).unwrap();
        let found = beam_search(&model, batch, Some(mask), &config).unwrap();
        prop_assert_eq!(found.into_iter().map(|it| it.tokens).collect::<Vec<_>>(), targets.clone());
        let alone = greedy(&model, tokens([[5]]), None, &config).unwrap();
        prop_assert_eq!(&alone[0], &targets[1]);
        prop_assert!(targets.iter().all(|it| it.len() <= 6 && !it.contains(&END)));
    }
}
