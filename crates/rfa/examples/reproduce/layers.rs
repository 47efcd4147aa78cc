//! Attention of a decoder's layer: Burn's own, softmax with a learned recency bias, and ours.

use std::convert::Infallible;

use burn::module::{Module, Param};
use burn::nn::{Initializer, Linear, LinearConfig};
use burn::tensor::activation::softmax;
use burn::tensor::{Device, Int, Tensor};
use rekindle_rfa::{RfaCausal, RfaError};
use rekindle_shared::attention::{join_heads, split_heads};
use rekindle_shared::networks::{SelfAttention, SoftmaxAttention};

/// Softmax attention whose scores fall linearly with the distance, by a slope that each head learns (ALiBi's are fixed).
#[derive(Module, Debug)]
pub(crate) struct RecencyAttention {
    projections: [Linear; 3],
    output: Linear,
    /// Logarithms of the slopes, `[heads]`.
    log_slopes: Param<Tensor<1>>,
    n_heads: usize,
}

impl RecencyAttention {
    pub(crate) fn new(d_model: usize, n_heads: usize, device: &Device) -> Self {
        let layer = || {
            let xavier = Initializer::XavierUniform { gain: 1.0 };
            LinearConfig::new(d_model, d_model).with_initializer(xavier).init(device)
        };
        // ALiBi's slopes, 2^(-8 h / H).
        let log_slopes: Vec<f64> = (1..=n_heads).map(|h| -8.0 * h as f64 / n_heads as f64 * 2_f64.ln()).collect();
        Self {
            projections: [layer(), layer(), layer()],
            output: layer(),
            log_slopes: Param::from_tensor(Tensor::from_data(log_slopes.as_slice(), device)),
            n_heads,
        }
    }

    fn attend(&self, tokens: Tensor<3>) -> Tensor<3> {
        let [_, length, d_model] = tokens.dims();
        let [query, key, value] =
            self.projections.each_ref().map(|layer| split_heads(layer.forward(tokens.clone()), self.n_heads));
        let places = Tensor::<1, Int>::arange(0..length as i64, &tokens.device()).float();
        let distance = places.clone().unsqueeze_dim::<2>(1) - places.unsqueeze_dim::<2>(0);
        let slopes = self.log_slopes.val().exp().reshape([1, self.n_heads, 1, 1]);
        let scale = ((d_model / self.n_heads) as f64).sqrt();
        let scores = query.matmul(key.transpose()).div_scalar(scale) - slopes * distance.clone().unsqueeze::<4>();
        let later = distance.lower_elem(0.0).unsqueeze::<4>().expand(scores.dims());
        let heads = softmax(scores.mask_fill(later, f32::NEG_INFINITY), 3).matmul(value);
        self.output.forward(join_heads(heads))
    }
}

/// Attention of a layer.
#[expect(clippy::large_enum_variant, reason = "one value a layer")]
#[derive(Module, Debug)]
pub(crate) enum Attention {
    Softmax(SoftmaxAttention),
    Recency(RecencyAttention),
    Rfa(RfaCausal),
}

impl SelfAttention for Attention {
    type Error = RfaError;

    fn attend(&self, tokens: Tensor<3>) -> Result<Tensor<3>, RfaError> {
        match self {
            Self::Softmax(attention) => attention.attend(tokens).map_err(|never: Infallible| match never {}),
            Self::Recency(attention) => Ok(attention.attend(tokens)),
            Self::Rfa(attention) => Ok(attention.forward(tokens, None)?.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Distribution, Tolerance};

    use super::*;

    #[test]
    fn steep_slopes_leave_the_token_itself_and_none_sees_later_ones() {
        let device = Device::flex();
        let mut attention = RecencyAttention::new(8, 2, &device);
        let x = Tensor::<3>::random([1, 6, 8], Distribution::Default, &device);
        let whole = attention.attend(x.clone());
        let prefix = attention.attend(x.clone().narrow(1, 0, 4));
        prefix.into_data().assert_approx_eq::<f32>(&whole.narrow(1, 0, 4).into_data(), Tolerance::absolute(1e-5));
        attention.log_slopes = Param::from_tensor(Tensor::from_data([5.0, 5.0], &device));
        let own = attention.output.forward(attention.projections[2].forward(x.clone()));
        attention.attend(x).into_data().assert_approx_eq::<f32>(&own.into_data(), Tolerance::absolute(1e-5));
    }
}
