//! How large the noise of a denominator is, in units of that of a single score: the least denominators are in proportion to it.
//!
//! Scores of few directions are off by about 1/√(2D) each, so that a sum of n of them is off by √n times that. Sums with a gate are
//! off by √(Σ wᵢ²) times that, which is at most Σ wᵢ.

use burn::tensor::{Bool, Tensor};

use crate::gate::Gate;

/// Up to each token: √n of n tokens, or with a gate the sum of their weights, through which gradients go to the gate.
///
/// # Shapes
///
/// - `like`: `[rows, length, ..]`
/// - `padded`: `[rows, length, 1]`
/// - `before`: `[rows, 1, 1]`, that of the tokens before the first; 0 if none is given
/// - output: `[rows, length, 1]`
pub(crate) fn up_to_each(
    like: &Tensor<3>,
    gate: Option<&Gate>,
    padded: Option<&Tensor<3, Bool>>,
    before: Option<Tensor<3>>,
) -> Tensor<3> {
    if let Some(gate) = gate {
        return gate.weights(before);
    }
    let seen = seen(like, padded);
    // One token, as in decoding, is its own sum.
    let counts = if like.dims()[1] == 1 { seen } else { seen.cumsum(1) };
    match before {
        Some(before) => (counts + before.clone() * before).sqrt(),
        None => counts.sqrt(),
    }
}

/// Of all tokens together: `[rows, 1, 1]`; otherwise as [`up_to_each`].
pub(crate) fn of_all(like: &Tensor<3>, padded: Option<&Tensor<3, Bool>>) -> Tensor<3> {
    seen(like, padded).sum_dim(1).sqrt()
}

/// 1 for every token that is there: `[rows, length, 1]`.
fn seen(like: &Tensor<3>, padded: Option<&Tensor<3, Bool>>) -> Tensor<3> {
    let [rows, length, _] = like.dims();
    let ones = Tensor::<3>::ones([rows, length, 1], (&like.device(), like.dtype())).inner();
    match padded {
        Some(padded) => ones.mask_fill(padded.clone(), 0.0),
        None => ones,
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    #[test]
    fn noise_grows_as_the_root_of_the_number_of_tokens_that_are_there() {
        let device = Device::flex();
        let like = Tensor::<3>::zeros([1, 5, 2], &device);
        let padded = Tensor::<1, Bool>::from_data([true, false, false, true, false], &device).reshape([1, 5, 1]);
        let host = |x: Tensor<3>| -> Vec<f64> { x.into_data().iter::<f64>().map(|x| x * x).collect() };
        let close = |x: Tensor<3>, expected: &[f64]| host(x).iter().zip(expected).all(|(x, e)| (x - e).abs() < 1e-5);
        assert!(close(up_to_each(&like, None, None, None), &[1.0, 2.0, 3.0, 4.0, 5.0]));
        assert!(close(up_to_each(&like, None, Some(&padded), None), &[0.0, 1.0, 2.0, 2.0, 3.0]));
        let before = Tensor::full([1, 1, 1], 2.0, &device);
        assert!(close(up_to_each(&like, None, Some(&padded), Some(before)), &[4.0, 5.0, 6.0, 6.0, 7.0]));
        assert!(close(of_all(&like, Some(&padded)), &[3.0]) && close(of_all(&like, None), &[5.0]));
    }
}
