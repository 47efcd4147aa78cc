use burn::tensor::{Device, Int, Tensor, Tolerance};
use rekindle_rfa::RfaError;

use crate::reference::{self, KERNELS, Weights, assert_close, heads, mask, random};

#[test]
fn attention_to_a_source_is_that_of_all_pairs_however_it_is_decoded() {
    let device = Device::flex();
    for kernel in KERNELS {
        let inputs = [([1, 1, 5, 4], 1.0), ([1, 1, 9, 4], 1.0), ([1, 1, 9, 7], 1.0)]
            .map(|(shape, deviation)| random(shape, deviation, &device));
        let heads = heads(kernel, 1, 64, &device);
        let expected = reference::attend(&heads, &inputs, &Weights::default());
        let [query, key, value] = inputs;
        let source = heads.encode(key, value, None).unwrap();
        assert_close(&heads.decode(query.clone(), &source).unwrap(), &expected, 1e-4, &format!("{kernel:?}"));
        let tokens = (0..5).map(|t| heads.decode(query.clone().narrow(2, t, 1), &source).unwrap()).collect();
        assert_close(&Tensor::cat(tokens, 2), &expected, 1e-4, &format!("{kernel:?}, token by token"));
    }
}

#[test]
fn the_order_of_a_source_does_not_matter_and_masked_tokens_are_not_there() {
    let device = Device::flex();
    let order = Tensor::<1, Int>::from_data([4, 0, 3, 1, 2], &device);
    for kernel in KERNELS {
        let heads = heads(kernel, 2, 8, &device);
        let [query, key, value] = [0; 3].map(|_| random([1, 2, 5, 4], 1.0, &device));
        let select = |x: &Tensor<4>, order: Tensor<1, Int>| x.clone().select(2, order);
        let expected = heads.attend(query.clone(), key.clone(), value.clone(), None).unwrap();
        let (a, b) = (select(&key, order.clone()), select(&value, order.clone()));
        let permuted = heads.attend(query.clone(), a, b, None).unwrap();
        permuted.into_data().assert_approx_eq::<f32>(&expected.into_data(), Tolerance::absolute(1e-4));

        let kept = Tensor::<1, Int>::from_data([0, 2, 3], &device);
        let (a, b) = (select(&key, kept.clone()), select(&value, kept));
        let removed = heads.attend(query.clone(), a, b, None).unwrap();
        let masked = heads.attend(
            query.clone(),
            key.clone(),
            value.clone(),
            Some(mask(&[false, true, false, false, true], &device)),
        );
        masked.unwrap().into_data().assert_approx_eq::<f32>(&removed.into_data(), Tolerance::absolute(1e-4));
        let none = heads.encode(key, value, Some(mask(&[true; 5], &device))).unwrap();
        let (output, n_clamped) = heads.decode_counted(query, &none).unwrap();
        assert_eq!((output.abs().max().into_scalar::<f32>(), n_clamped), (0.0, 0));
    }
}

#[test]
fn a_source_is_reordered_with_its_beams() {
    let device = Device::flex();
    let heads = heads(KERNELS[0], 2, 8, &device);
    let [query, key, value] = [0; 3].map(|_| random([3, 2, 5, 4], 1.0, &device));
    let source = heads.encode(key.clone(), value.clone(), None).unwrap();
    assert_eq!((source.s().dims(), source.z().dims()), ([3, 2, 96, 4], [3, 2, 96]));
    let picked = Tensor::<1, Int>::from_data([2, 2, 0, 1], &device);
    let select = |x: &Tensor<4>| x.clone().select(0, picked.clone());
    let expected = heads.attend(select(&query), select(&key), select(&value), None).unwrap();
    let actual = heads.decode(select(&query), &source.reorder(&[2, 2, 0, 1]).unwrap()).unwrap();
    actual.into_data().assert_approx_eq::<f32>(&expected.into_data(), Tolerance::absolute(1e-6));
    let error = source.reorder(&[0, 3]).unwrap_err();
    assert_eq!(error, RfaError::NoSuchSequence { index: 3, batch: 3 });
    assert_eq!(error.to_string(), "a state of 3 sequences has no number 3; indices are below 3");
    assert_eq!(source.reorder(&[]).unwrap_err(), RfaError::Zero("the number of indices"));
}
