//! What is compared: attention of a head, without layers around it.

use burn::tensor::module::attention;
use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{Device, Tensor};
use rekindle_harness::worker::Failure;
use rekindle_performer::{Favor, FavorConfig, FeatureFunction, Kernel, Projection};
use serde::{Deserialize, Serialize};

/// A kind of causal attention.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case")]
pub(crate) enum Method {
    Softmax,
    /// FAVOR+ of a kernel with orthogonal directions.
    Favor {
        kernel: Kernel,
        n_features: usize,
    },
    /// The Linear Transformer.
    EluPlusOne,
    /// Returns the values: a lower bound of the cost.
    Values,
}

impl Method {
    /// None where no features are made.
    pub(crate) fn features(self, d_head: usize, seed: u64, device: &Device) -> Result<Option<Favor>, Failure> {
        let config = FavorConfig::new(d_head).with_causal(true).with_seed(seed);
        let config = match self {
            Self::Softmax | Self::Values => return Ok(None),
            Self::Favor { kernel, n_features } => config.with_kernel(kernel).with_n_features(n_features),
            Self::EluPlusOne => config
                .with_kernel(Kernel::Generalized(FeatureFunction::EluPlusOne))
                .with_projection(Projection::None)
                .with_n_features(d_head)
                .with_normalize_inputs(false)
                .with_kernel_eps(0.0),
        };
        Ok(Some(config.init(device)?))
    }
}

/// `[batch, heads, length, d_head]` each.
pub(crate) fn attend(
    favor: Option<&Favor>,
    method: Method,
    [query, key, value]: [Tensor<4>; 3],
) -> Result<Tensor<4>, Failure> {
    Ok(match favor {
        Some(favor) => favor.attend(query, key, value, None)?,
        None if method == Method::Values => value,
        None => softmax(query, key, value, true),
    })
}

pub(crate) fn softmax(query: Tensor<4>, key: Tensor<4>, value: Tensor<4>, is_causal: bool) -> Tensor<4> {
    attention(query, key, value, None, None, AttentionModuleOptions { is_causal, ..Default::default() })
}
