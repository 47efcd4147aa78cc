use burn::tensor::{DType, Device, Tensor, Tolerance};
use rekindle_performer::{FavorState, Kernel, PerformerError};

use crate::reference::{KERNELS, favor, random};

#[test]
fn streaming_gives_what_the_parallel_form_gives() {
    let device = Device::flex();
    for kernel in KERNELS {
        for deviation in [0.7, 5.0] {
            if kernel == Kernel::Trig && deviation > 1.0 {
                continue;
            }
            let favor = favor(kernel, 4, true, 8, &device);
            let [query, key, value] = [4, 4, 3].map(|width| random([2, 3, 41, width], deviation, &device));
            let whole = favor.attend(query.clone(), key.clone(), value.clone(), None).unwrap();
            let mut state = favor.init_state(2, 3, 3, &device).unwrap();
            let piece = |x: &Tensor<4>, start, n| x.clone().narrow(2, start, n);
            let mut outputs = vec![
                favor
                    .prefill(piece(&query, 0, 20), piece(&key, 0, 20), piece(&value, 0, 20), None, &mut state)
                    .unwrap(),
            ];
            for t in 20..41 {
                // A saved state goes on as it was.
                state = FavorState::from_bytes(&state.to_bytes(), &device).unwrap();
                let token = |x: &Tensor<4>| piece(x, t, 1).squeeze_dim::<3>(2);
                let output = favor.step(token(&query), token(&key), token(&value), &mut state).unwrap();
                outputs.push(output.unsqueeze_dim(2));
            }
            assert_eq!(state.n_tokens(), 41);
            let tolerance = if kernel == Kernel::Trig || deviation > 1.0 { 1e-3 } else { 1e-5 };
            let streamed = Tensor::cat(outputs, 2).to_data();
            streamed.assert_approx_eq::<f32>(&whole.to_data(), Tolerance::absolute(tolerance));
        }
    }
}

#[test]
fn inputs_of_several_types_meet_in_the_most_precise() {
    let device = Device::flex();
    for kernel in KERNELS {
        let favor = favor(kernel, 4, true, 8, &device);
        let inputs = [0; 3].map(|_| random([2, 3, 12, 4], 0.7, &device));
        let [query, key, value] = inputs.clone();
        let expected = favor.attend(query, key, value, None).unwrap();
        for dtypes in [[DType::F64; 3], [DType::F32, DType::F64, DType::F32], [DType::F16, DType::F32, DType::F64]] {
            let mut state = favor.init_state(2, 3, 4, &device).unwrap();
            for start in [0, 6] {
                let piece = |i: usize| inputs[i].clone().narrow(2, start, 6).cast(dtypes[i]);
                let output = favor.prefill(piece(0), piece(1), piece(2), None, &mut state).unwrap();
                assert_eq!(output.dtype(), dtypes[2]);
                let expected = expected.clone().narrow(2, start, 6).into_data();
                let tolerance = Tolerance::absolute(if dtypes.contains(&DType::F16) { 1e-2 } else { 1e-4 });
                output.cast(DType::F32).into_data().assert_approx_eq::<f32>(&expected, tolerance);
            }
        }
    }
}

/// Of a file, whatever it says.
#[test]
fn the_number_of_tokens_does_not_overflow() {
    let device = Device::flex();
    let favor = favor(Kernel::Positive, 4, true, 8, &device);
    let mut bytes = favor.init_state(1, 1, 4, &device).unwrap().to_bytes();
    bytes[48..56].copy_from_slice(&u64::MAX.to_le_bytes());
    let mut state = FavorState::from_bytes(&bytes, &device).unwrap();
    let token = || random([1, 1, 1, 4], 1.0, &device);
    favor.prefill(token(), token(), token(), None, &mut state).unwrap();
    assert_eq!(state.n_tokens(), usize::MAX);
}

#[test]
fn a_state_of_another_shape_or_kernel_is_refused_and_stays() {
    let device = Device::flex();
    let favor_4 = favor(Kernel::Positive, 4, true, 8, &device);
    let token = |heads| random([1, heads, 1, 4], 1.0, &device);
    let mut state = favor_4.init_state(1, 2, 4, &device).unwrap();
    favor_4.prefill(token(2), token(2), token(2), None, &mut state).unwrap();
    let before = state.to_bytes();
    let error = favor_4.prefill(token(3), token(3), token(3), None, &mut state).unwrap_err();
    assert!(error.to_string().contains("must be [1, 3, 24, 4], got [1, 2, 24, 4]"), "{error}");
    let trig = favor(Kernel::Trig, 4, true, 8, &device);
    let error = trig.prefill(token(2), token(2), token(2), None, &mut state).unwrap_err();
    assert!(matches!(error, PerformerError::InvalidState(_)), "{error}");
    let nan = token(2) * f32::NAN;
    assert!(favor_4.prefill(token(2), nan, token(2), None, &mut state).is_err());
    assert_eq!(state.to_bytes(), before);

    let full = favor(Kernel::Positive, 4, false, 8, &device);
    assert_eq!(full.init_state(1, 1, 4, &device).err(), Some(PerformerError::NotCausal));
    assert_eq!(favor_4.init_state(0, 1, 4, &device).err(), Some(PerformerError::Zero("batch")));
}

/// As beams are: of three sequences the last one twice, then the first.
#[test]
fn sequences_of_a_state_can_be_reordered_and_dropped() {
    let device = Device::flex();
    for kernel in [Kernel::Positive, Kernel::Trig] {
        let favor = favor(kernel, 4, true, 8, &device);
        let mut state = favor.init_state(3, 2, 4, &device).unwrap();
        let past = [0; 3].map(|_| random([3, 2, 5, 4], 1.0, &device));
        let [query, key, value] = past.clone();
        favor.prefill(query, key, value, None, &mut state).unwrap();
        let token = [0; 3].map(|_| random([3, 2, 1, 4], 1.0, &device));

        let indices = [2, 2, 0];
        let picked = |x: &Tensor<4>| Tensor::cat(indices.map(|i| x.clone().narrow(0, i, 1)).to_vec(), 0);
        let [query, key, value] = token.each_ref().map(picked);
        let mut beams = state.reorder(&indices).unwrap();
        let output = favor.prefill(query, key, value, None, &mut beams).unwrap();
        let [query, key, value] = token;
        let expected = picked(&favor.prefill(query, key, value, None, &mut state.clone()).unwrap());
        output.into_data().assert_approx_eq::<f32>(&expected.into_data(), Tolerance::absolute(1e-6));
        assert_eq!((beams.n_tokens(), state.reorder(&[1]).unwrap().n_bytes()), (6, state.n_bytes() / 3));

        assert_eq!(state.reorder(&[0, 3]).err(), Some(PerformerError::NoSuchSequence { index: 3, batch: 3 }));
        assert_eq!(state.reorder(&[]).err(), Some(PerformerError::Zero("the number of indices")));
    }
}

#[test]
fn damaged_bytes_are_no_state() {
    let device = Device::flex();
    let state = favor(Kernel::Positive, 4, true, 8, &device).init_state(1, 2, 3, &device).unwrap();
    let bytes = state.to_bytes();
    for cut in [0, 7, 8, 40, 60, bytes.len() - 1] {
        assert!(FavorState::from_bytes(&bytes[..cut], &device).is_err(), "{cut}");
    }
    let mut longer = bytes.clone();
    longer.push(0);
    assert!(FavorState::from_bytes(&longer, &device).is_err());
    // Every number of the head but that of tokens, which decides no shape.
    for at in (8..48).step_by(8) {
        let mut other = bytes.clone();
        other[at] ^= 0x40;
        assert!(FavorState::from_bytes(&other, &device).is_err(), "{at}");
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.state");
    state.save(&path).unwrap();
    assert_eq!(FavorState::load(&path, &device).unwrap().to_bytes(), bytes);
    assert!(matches!(FavorState::load(folder.path().join("none"), &device), Err(PerformerError::File(_))));
}

#[test]
fn gradients_go_through_a_state_until_it_is_detached() {
    let device = Device::flex().autodiff();
    for detach in [false, true] {
        let favor = favor(Kernel::Positive, 4, true, 8, &device);
        let inputs = [0; 2].map(|_| random([1, 1, 6, 4], 1.0, &device).require_grad());
        let mut state = favor.init_state(1, 1, 4, &device).unwrap();
        favor.prefill(inputs[0].clone(), inputs[0].clone(), inputs[0].clone(), None, &mut state).unwrap();
        if detach {
            state = state.detach();
        }
        let [_, x] = inputs.clone();
        let output = favor.prefill(x.clone(), x.clone(), x, None, &mut state).unwrap();
        let grads = output.sum().backward();
        assert_eq!(inputs[0].grad(&grads).is_some(), !detach);
    }
}
