use burn::tensor::{DType, Device, Int, Tensor, Tolerance};
use rekindle_rfa::{CausalInput, Kernel, RfaError, RfaHeads, RfaState};

use crate::reference::{KERNELS, config, heads, host, mask, random};

/// Queries, keys and values `[batch, 2, length, 4]`, and gates.
struct Tokens([Tensor<4>; 3], Tensor<3>);

impl Tokens {
    fn new(batch: usize, length: usize, device: &Device) -> Self {
        let inputs = [0; 3].map(|_| random([batch, 2, length, 4], 1.0, device));
        Self(inputs, random([batch, 2, length], 1.0, device) + 1.0)
    }

    fn narrow(&self, start: usize, length: usize) -> CausalInput {
        let [query, key, value] = self.0.clone().map(|x| x.narrow(2, start, length));
        CausalInput::new(query, key, value).gate(self.1.clone().narrow(2, start, length))
    }

    fn select(&self, sequences: &Tensor<1, Int>) -> Self {
        Self(self.0.clone().map(|x| x.select(0, sequences.clone())), self.1.clone().select(0, sequences.clone()))
    }
}

#[test]
fn segments_with_the_state_carried_give_the_whole() {
    let device = Device::flex();
    for kernel in KERNELS {
        let (heads, tokens) = (heads(kernel, 2, 8, &device), Tokens::new(2, 300, &device));
        let (whole, last) = heads.causal(tokens.narrow(0, 300), None).unwrap();
        let (mut state, mut outputs) = (None, Vec::new());
        for (start, length) in [(0, 1), (1, 40), (41, 200), (241, 1), (242, 58)] {
            // A saved state goes on as it was.
            state = state.map(|state: RfaState| RfaState::from_bytes(&state.to_bytes(), &device).unwrap());
            let (output, next) = heads.causal(tokens.narrow(start, length), state).unwrap();
            state = Some(next);
            outputs.push(output);
        }
        let state = state.unwrap();
        assert_eq!((state.n_tokens(), state.n_clamped()), (300, last.n_clamped()));
        let same = |a: Vec<f64>, b: Vec<f64>| a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-4);
        assert!(same(host(&Tensor::cat(outputs, 2)), host(&whole)), "{kernel:?}");
        assert!(same(host(&state.s()), host(&last.s())) && same(host(&state.z()), host(&last.z())));
        assert_eq!((state.s().dims(), state.z().dims()), ([2, 2, heads.n_features(), 4], [2, 2, heads.n_features()]));
    }
}

#[test]
fn inputs_of_several_types_meet_in_the_most_precise() {
    let device = Device::flex();
    let (heads, tokens) = (heads(Kernel::ArcCos, 2, 8, &device), Tokens::new(1, 12, &device));
    let (expected, _) = heads.causal(tokens.narrow(0, 12), None).unwrap();
    let [query, key, value] = tokens.0.clone();
    let gate = tokens.1.clone();
    let full = heads.attend(query.clone(), key.clone(), value.clone(), None).unwrap();
    for dtypes in [[DType::F64; 3], [DType::F32, DType::F64, DType::F32], [DType::F16, DType::F32, DType::F64]] {
        let [query, key, value] =
            [(&query, dtypes[0]), (&key, dtypes[1]), (&value, dtypes[2])].map(|(x, dtype)| x.clone().cast(dtype));
        let input = CausalInput::new(query.clone(), key.clone(), value.clone()).gate(gate.clone());
        let (output, state) = heads.causal(input, None).unwrap();
        assert_eq!(output.dtype(), dtypes[2]);
        let tolerance = if dtypes.contains(&DType::F16) { 1e-2 } else { 1e-5 };
        let same = |a: &Tensor<4>, b: &Tensor<4>| host(a).iter().zip(host(b)).all(|(a, b)| (a - b).abs() < tolerance);
        assert!(same(&output, &expected) && same(&heads.attend(query, key, value, None).unwrap(), &full), "{dtypes:?}");
        // It goes on with tokens of another type.
        assert!(heads.causal(tokens.narrow(0, 12), Some(state)).is_ok(), "{dtypes:?}");
    }
}

/// Of a file, whatever it says.
#[test]
fn the_number_of_tokens_does_not_overflow() {
    let device = Device::flex();
    let (heads, tokens) = (heads(Kernel::Gaussian, 2, 8, &device), Tokens::new(1, 1, &device));
    let mut bytes = heads.causal(tokens.narrow(0, 1), None).unwrap().1.to_bytes();
    bytes[40..48].copy_from_slice(&u64::MAX.to_le_bytes());
    let state = RfaState::from_bytes(&bytes, &device).unwrap();
    assert_eq!(heads.causal(tokens.narrow(0, 1), Some(state)).unwrap().1.n_tokens(), usize::MAX);
}

/// Denominators that are set, to a bound that grows with the weight of what was seen.
#[test]
fn the_weight_of_what_was_seen_is_carried_too() {
    let device = Device::flex();
    let heads = config(Kernel::Gaussian, 2).with_n_features(2).with_tau(0.3).with_eps(0.3).init(&device).unwrap();
    let tokens = Tokens::new(2, 60, &device);
    let (whole, last) = heads.causal(tokens.narrow(0, 60), None).unwrap();
    let n_clamped = last.n_clamped();
    assert!((10..200).contains(&n_clamped), "{n_clamped}");
    let (mut state, mut outputs) = (None, Vec::new());
    for (start, length) in [(0, 1), (1, 2), (3, 1), (4, 56)] {
        let (output, next) = heads.causal(tokens.narrow(start, length), state).unwrap();
        let saved = RfaState::from_bytes(&next.to_bytes(), &device).unwrap();
        state = Some(saved.reorder(&[1, 0]).unwrap().reorder(&[1, 0]).unwrap());
        outputs.push(output);
    }
    assert_eq!(state.unwrap().n_clamped(), n_clamped);
    let (segments, whole) = (Tensor::cat(outputs, 2).into_data(), whole.into_data());
    segments.assert_approx_eq::<f32>(&whole, Tolerance::absolute(1e-4));
}

#[test]
fn padding_passes_the_state_through() {
    let device = Device::flex();
    for kernel in KERNELS {
        let (heads, tokens) = (heads(kernel, 2, 8, &device), Tokens::new(1, 30, &device));
        let padded = |state: Option<RfaState>, n| {
            let other = Tokens::new(1, n, &device).narrow(0, n);
            heads.causal(other.mask_pad(mask(&vec![true; n], &device)), state).unwrap()
        };
        // Before the first token: nothing, and outputs of 0.
        let (output, empty) = padded(None, 9);
        assert_eq!(output.abs().max().into_scalar::<f32>(), 0.0);
        assert_eq!(empty.s().abs().max().into_scalar::<f32>(), 0.0);
        assert_eq!(empty.n_clamped(), 0);
        let (_, state) = heads.causal(tokens.narrow(0, 15), Some(empty)).unwrap();
        for n in [1, 20] {
            let (_, same) = padded(Some(state.clone()), n);
            assert_eq!((host(&same.s()), host(&same.z())), (host(&state.s()), host(&state.z())), "{n}");
        }
        let (_, state) = padded(Some(state), 20);
        let (rest, _) = heads.causal(tokens.narrow(15, 15), Some(state)).unwrap();
        let whole = heads.causal(tokens.narrow(0, 30), None).unwrap().0.narrow(2, 15, 15);
        rest.into_data().assert_approx_eq::<f32>(&whole.into_data(), Tolerance::absolute(1e-4));
    }
}

#[test]
fn beams_go_on_from_the_state_of_their_parents() {
    let device = Device::flex();
    let (heads, tokens) = (heads(Kernel::Gaussian, 2, 8, &device), Tokens::new(3, 20, &device));
    let (_, state) = heads.causal(tokens.narrow(0, 12), None).unwrap();
    let parents = Tensor::<1, Int>::from_data([1, 1, 2, 0, 1], &device);
    let beams = tokens.select(&parents);
    let (expected, _) = heads.causal(beams.narrow(0, 20), None).unwrap();
    let reordered = state.reorder(&[1, 1, 2, 0, 1]).unwrap();
    let (actual, _) = heads.causal(beams.narrow(12, 8), Some(reordered)).unwrap();
    actual.into_data().assert_approx_eq::<f32>(&expected.narrow(2, 12, 8).into_data(), Tolerance::absolute(1e-4));
    assert_eq!(state.reorder(&[3]).unwrap_err(), RfaError::NoSuchSequence { index: 3, batch: 3 });
}

#[test]
fn a_state_of_another_shape_is_refused() {
    let device = Device::flex();
    let of = |kernel, n_heads| heads(kernel, n_heads, 8, &device);
    let tokens = |n_heads, batch| {
        let [query, key, value] = [0; 3].map(|_| random([batch, n_heads, 3, 4], 1.0, &device));
        CausalInput::new(query, key, value)
    };
    let (_, state) = of(Kernel::Gaussian, 2).causal(tokens(2, 1), None).unwrap();
    let refused = |heads: RfaHeads, input| heads.causal(input, Some(state.clone())).unwrap_err().to_string();
    for (error, expected) in [
        (refused(of(Kernel::Gaussian, 2), tokens(2, 5)), "[5, 2, 96, 4]"),
        (refused(of(Kernel::Gaussian, 3), tokens(3, 1)), "[1, 3, 96, 4]"),
        (refused(of(Kernel::ArcCos, 2), tokens(2, 1)), "[1, 2, 48, 4]"),
    ] {
        let sentence = format!("must be {expected}, got [1, 2, 96, 4]");
        assert!(error.contains(&sentence), "{error}");
    }
}

#[test]
fn damaged_bytes_are_no_state() {
    let device = Device::flex();
    let (_, state) =
        heads(Kernel::Gaussian, 2, 8, &device).causal(Tokens::new(1, 5, &device).narrow(0, 5), None).unwrap();
    let bytes = state.to_bytes();
    for cut in [0, 7, 8, 40, 60, bytes.len() - 1] {
        assert!(RfaState::from_bytes(&bytes[..cut], &device).is_err(), "{cut}");
    }
    let mut longer = bytes.clone();
    longer.push(0);
    assert!(RfaState::from_bytes(&longer, &device).is_err());
    // Every number of the head but those of tokens and denominators, which decide no shape.
    for at in (8..40).step_by(8) {
        let mut other = bytes.clone();
        other[at] ^= 0x40;
        assert!(RfaState::from_bytes(&other, &device).is_err(), "{at}");
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.state");
    state.save(&path).unwrap();
    assert_eq!(RfaState::load(&path, &device).unwrap().to_bytes(), bytes);
    assert!(matches!(RfaState::load(folder.path().join("none"), &device), Err(RfaError::File(_))));
}

#[test]
fn gradients_go_through_a_state_until_it_is_detached() {
    let device = Device::flex().autodiff();
    for (gated, detach) in [(false, false), (false, true), (true, false), (true, true)] {
        let heads = heads(Kernel::Gaussian, 1, 8, &device);
        let segments = [0; 2].map(|_| {
            let x = random([1, 1, 6, 4], 1.0, &device).require_grad();
            (x, random([1, 1, 6], 1.0, &device).require_grad())
        });
        let of = |(x, logits): &(Tensor<4>, Tensor<3>)| {
            let input = CausalInput::new(x.clone(), x.clone(), x.clone());
            if gated { input.gate(logits.clone()) } else { input }
        };
        let (_, state) = heads.causal(of(&segments[0]), None).unwrap();
        let state = if detach { state.detach() } else { state };
        let (output, _) = heads.causal(of(&segments[1]), Some(state)).unwrap();
        let grads = output.sum().backward();
        let (x, logits) = &segments[0];
        assert_eq!(x.grad(&grads).is_some(), !detach);
        assert_eq!(logits.grad(&grads).is_some(), gated && !detach);
    }
}
