//! The layers around the heads.

use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig, Linear, LinearConfig};
use burn::tensor::{Device, Tensor};
use rekindle_shared::attention::{join_heads, split_heads};

use crate::{RfaConfig, RfaError};

/// From tokens to queries, keys and values of heads, and back.
#[derive(Module, Debug)]
pub struct Projections {
    /// From the input to the queries.
    pub query: Linear,
    /// From the input to the keys.
    pub key: Linear,
    /// From the input to the values.
    pub value: Linear,
    /// From what the heads give to the output.
    pub output: Linear,
    /// Before the output layer.
    pub dropout: Dropout,
    n_heads: usize,
}

impl Projections {
    pub(crate) fn new(config: &RfaConfig, device: &Device) -> Self {
        let linear = || {
            let linear = LinearConfig::new(config.d_model, config.d_model).with_bias(config.bias);
            linear.with_initializer(config.initializer.clone()).init(device)
        };
        Self {
            query: linear(),
            key: linear(),
            value: linear(),
            output: linear(),
            dropout: DropoutConfig::new(config.dropout).init(),
            n_heads: config.n_heads,
        }
    }

    pub(crate) fn check(&self, tensor: &'static str, x: &Tensor<3>) -> Result<(), RfaError> {
        let d_model = self.query.weight.dims()[0];
        if x.dims()[2] == d_model {
            return Ok(());
        }
        let expected = format!("[batch, length, {d_model}], as d_model says");
        Err(RfaError::Shape { tensor, expected, actual: x.dims().to_vec() })
    }

    pub(crate) fn heads(&self, x: Tensor<3>, linear: &Linear) -> Tensor<4> {
        split_heads(linear.forward(x), self.n_heads)
    }

    pub(crate) fn combine(&self, heads: Tensor<4>) -> Tensor<3> {
        self.output.forward(self.dropout.forward(join_heads(heads)))
    }
}
