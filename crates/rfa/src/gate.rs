//! The forget gate g = sigmoid(logit): of the state g is kept, of the token 1 - g is added (Eq. 7).

use burn::tensor::{Bool, Tensor, activation};

/// Below this g is nothing in f32, and sums of logarithms would lose digits by it.
const LEAST_LOG: f64 = -30.0;

/// Both sides of a gate, each from the logits, so that neither 0 nor 1 loses what is left.
#[derive(Debug, Clone)]
pub(crate) struct Gate {
    /// ln g, at most 0 and finite: `[rows, length]`.
    pub(crate) log_keep: Tensor<2>,
    /// 1 - g: `[rows, length]`.
    pub(crate) write: Tensor<2>,
}

impl Gate {
    /// # Shapes
    ///
    /// - `logits`: `[rows, length]`
    pub(crate) fn new(logits: Tensor<2>) -> Self {
        Self {
            log_keep: activation::log_sigmoid(logits.clone()).clamp_min(LEAST_LOG),
            write: activation::sigmoid(logits.neg()),
        }
    }

    /// Padded tokens keep all and write nothing.
    pub(crate) fn pass(self, padded: Tensor<2, Bool>) -> Self {
        Self { log_keep: self.log_keep.mask_fill(padded.clone(), 0.0), write: self.write.mask_fill(padded, 0.0) }
    }

    /// The weight of all tokens up to each together, mₜ = gₜ mₜ₋₁ + 1 - gₜ, so that 1 - mₜ is what is left of nothing.
    ///
    /// # Shapes
    ///
    /// - `before`: `[rows, 1, 1]`, the weight of those before the first; 0 if none is given
    /// - output: `[rows, length, 1]`
    pub(crate) fn weights(&self, before: Option<Tensor<3>>) -> Tensor<3> {
        let left = self.log_keep.clone().cumsum(1).exp().unsqueeze_dim::<3>(2);
        let left = match before {
            Some(before) => left * (before.neg() + 1.0),
            None => left,
        };
        left.neg() + 1.0
    }

    pub(crate) fn narrow(&self, start: usize, length: usize) -> Self {
        let piece = |x: &Tensor<2>| x.clone().narrow(1, start, length);
        Self { log_keep: piece(&self.log_keep), write: piece(&self.write) }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    #[test]
    fn both_sides_are_precise_at_both_ends() {
        let device = Device::flex().autodiff();
        let logits = Tensor::<2>::from_floats([[-1e30, -200.0, -5.0, 0.0, 5.0, 20.0, 1e30]], &device).require_grad();
        let gate = Gate::new(logits.clone());
        let host = |x: Tensor<2>| -> Vec<f64> { x.into_data().iter::<f64>().collect() };
        let expected = |x: f64| -(-x).exp().ln_1p();
        let log = [-30.0, -30.0, expected(-5.0), expected(0.0), expected(5.0), expected(20.0), 0.0];
        let write =
            [1.0, 1.0, 5.0, 0.0, -5.0, -20.0, -1e30].map(|x: f64| if x == 1.0 { 1.0 } else { expected(x).exp() });
        for (actual, expected) in [(host(gate.log_keep.clone()), log), (host(gate.write.clone()), write)] {
            for (a, e) in actual.iter().zip(expected) {
                assert!((a - e).abs() <= 1e-6 * e.abs(), "{a} is not {e}");
            }
        }
        let gradients = host(logits.grad(&(gate.log_keep + gate.write).sum().backward()).unwrap());
        assert!(gradients.iter().all(|gradient| gradient.is_finite()), "{gradients:?}");
    }

    #[test]
    fn weights_follow_the_gates_and_padding_leaves_them() {
        let device = Device::flex();
        let logits = Tensor::<2>::from_floats([[2.0, -1.0, 30.0, 0.5, 3.0]], &device);
        let padded = Tensor::<1, Bool>::from_data([false, false, false, true, false], &device);
        let gate = Gate::new(logits.clone()).pass(padded.unsqueeze());
        for start in [0.0, 0.25] {
            let mut weight = start;
            let expected = [2.0_f64, -1.0, 30.0, f64::INFINITY, 3.0].map(|logit| {
                let keep = 1.0 / (1.0 + (-logit).exp());
                weight = keep * weight + (1.0 - keep);
                weight
            });
            let before = (start > 0.0).then(|| Tensor::full([1, 1, 1], start, &device));
            let weights: Vec<f64> = gate.weights(before).into_data().iter::<f64>().collect();
            assert!(
                weights.iter().zip(expected).all(|(w, e)| (w - e).abs() < 1e-6),
                "{weights:?} are not {expected:?}"
            );
        }
    }
}
