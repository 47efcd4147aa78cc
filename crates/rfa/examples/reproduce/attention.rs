//! What is compared: attention of a head, without layers around it.

use burn::tensor::module::attention;
use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{Device, Tensor};
use rekindle_harness::worker::Failure;
use rekindle_rfa::{CausalInput, Kernel, RfaHeads, RfaHeadsConfig};
use rekindle_shared::attention::{PrefixSums, rows, with_ones};
use serde::{Deserialize, Serialize};

use crate::elu;

/// A kind of causal attention.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case")]
pub(crate) enum Method {
    Softmax,
    Rfa {
        kernel: Kernel,
        n_features: usize,
        gate: bool,
    },
    /// The Linear Transformer.
    EluPlusOne,
    /// Returns the values: a lower bound of the cost.
    Values,
}

/// A method, ready to attend.
pub(crate) struct Attention {
    method: Method,
    heads: Option<RfaHeads>,
}

impl Method {
    pub(crate) fn ready(self, [n_heads, d]: [usize; 2], seed: u64, device: &Device) -> Result<Attention, Failure> {
        let heads = match self {
            Self::Rfa { kernel, n_features, .. } => {
                let config = RfaHeadsConfig::new(n_heads, d).with_kernel(kernel).with_n_features(n_features);
                Some(config.with_seed(seed).init(device)?)
            }
            Self::Softmax | Self::EluPlusOne | Self::Values => None,
        };
        Ok(Attention { method: self, heads })
    }
}

impl Attention {
    /// `[batch, heads, length, d]` each.
    pub(crate) fn attend(&self, [query, key, value]: [Tensor<4>; 3]) -> Result<Tensor<4>, Failure> {
        Ok(match (self.method, &self.heads) {
            (Method::Rfa { gate, .. }, Some(heads)) => {
                let logits = gate.then(|| logits(&query));
                let input = CausalInput::new(query, key, value);
                heads.causal(logits.map_or(input.clone(), |logits| input.gate(logits)), None)?.0
            }
            (Method::EluPlusOne, _) => elu_plus_one([query, key, value])?,
            (Method::Values, _) => value,
            (Method::Softmax | Method::Rfa { .. }, _) => softmax([query, key, value]),
        })
    }
}

/// Logits that depend on the tokens, as a gate's do.
pub(crate) fn logits(query: &Tensor<4>) -> Tensor<3> {
    query.clone().narrow(3, 0, 1).squeeze_dim::<3>(3) + 2.0
}

fn softmax([query, key, value]: [Tensor<4>; 3]) -> Tensor<4> {
    let options = AttentionModuleOptions { is_causal: true, ..Default::default() };
    attention(query, key, value, None, None, options)
}

fn elu_plus_one([query, key, value]: [Tensor<4>; 3]) -> Result<Tensor<4>, Failure> {
    let shape = value.dims();
    let [query, key, value] = rows([query, key, value]);
    let sums = PrefixSums::new(elu::CHUNK)?;
    let (both, _) = sums.forward(elu::phi(query), elu::phi(key), with_ones(value), None, None)?;
    Ok(elu::quotient(both).reshape(shape))
}
