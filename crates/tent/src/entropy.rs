use burn::tensor::Tensor;
use burn::tensor::activation::log_softmax;

/// H = -Σ p log p of p = softmax(logits), in nats, of each row.
///
/// Finite for any finite logits, between 0 and ln(classes). Its gradient with respect to a logit is -p (log p + H).
///
/// # Shapes
///
/// - `logits`: `[rows, n_classes]`
/// - output: `[rows]`
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use rekindle_tent::softmax_entropy;
///
/// let logits = Tensor::<2>::from_floats([[2.0, 0.0, -1.0]], &Device::flex());
/// assert!((softmax_entropy(logits).into_scalar::<f32>() - 0.524267).abs() < 1e-6);
/// ```
pub fn softmax_entropy(logits: Tensor<2>) -> Tensor<1> {
    let log = log_softmax(logits, 1);
    entropy_of(&log)
}

/// The same from log-probabilities.
pub(crate) fn entropy_of(log: &Tensor<2>) -> Tensor<1> {
    (log.clone().exp() * log.clone()).sum_dim(1).squeeze_dim(1).neg()
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    fn entropy<const N: usize>(logits: [f32; N]) -> f32 {
        softmax_entropy(Tensor::<2>::from_data([logits], &Device::flex())).into_scalar()
    }

    #[test]
    fn equal_logits_have_the_entropy_of_the_number_of_classes() {
        assert!((entropy([0.0; 7]) - 7_f32.ln()).abs() < 1e-6);
    }

    #[test]
    fn a_certain_prediction_has_none() {
        for sure in [[50.0, -50.0, -50.0], [1e4, -1e4, 0.0]] {
            assert!(entropy(sure).abs() < 1e-6);
        }
    }

    /// Worked by hand: p = (.843795, .114195, .042010).
    #[test]
    fn entropy_and_gradient_are_those_worked_by_hand() {
        let device = Device::flex().autodiff();
        let logits = Tensor::<2>::from_data([[2.0, 0.0, -1.0]], &device).require_grad();
        let entropy = softmax_entropy(logits.clone());
        assert!((entropy.clone().into_scalar::<f32>() - 0.524267).abs() < 1e-6);
        let gradient: Vec<f32> = logits.grad(&entropy.sum().backward()).unwrap().into_data().try_into_vec().unwrap();
        for (found, expected) in gradient.iter().zip([-0.299058, 0.187917, 0.111141]) {
            assert!((found - expected).abs() < 1e-6, "{gradient:?}");
        }
        assert!(gradient.iter().sum::<f32>().abs() < 1e-6);
    }
}
