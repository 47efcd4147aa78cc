//! Attention to a source: summed once, then read.

use burn::tensor::{Bool, Int, Tensor};
use rekindle_shared::attention::{mask_by_row, rows, with_ones};

use crate::noise;
use crate::quotient::divide;
use crate::state::Sums;
use crate::{CrossState, RfaHeads};

/// Shapes as [`RfaHeads::encode`] has checked them.
pub(crate) fn encode(
    heads: &RfaHeads,
    key: Tensor<4>,
    value: Tensor<4>,
    mask_pad: Option<Tensor<2, Bool>>,
) -> CrossState {
    let [batch, n_heads, n_keys, _] = key.dims();
    let [key, value] = rows([key, value]);
    let mut values = with_ones(value);
    let padded = mask_pad.map(|mask| mask_by_row(mask, n_heads, [batch * n_heads, n_keys, 1]));
    let noise = noise::of_all(&values, padded.as_ref());
    if let Some(padded) = padded {
        let shape = values.dims();
        values = values.mask_fill(padded.expand(shape), 0.0);
    }
    let sums = heads.phi(key).transpose().matmul(values);
    CrossState { sums: Sums { sums, noise, batch } }
}

/// The outputs, and how many denominators were kept away from 0; shapes as [`RfaHeads::decode`] has checked them.
pub(crate) fn decode(heads: &RfaHeads, query: Tensor<4>, state: &CrossState) -> (Tensor<4>, Tensor<1, Int>) {
    let ([batch, n_heads, n_queries, _], dtype) = (query.dims(), query.dtype());
    let [query] = rows([query]);
    let query = heads.phi(query);
    let sums = state.sums.sums.clone().cast(query.dtype());
    let least = state.sums.noise.clone().cast(query.dtype()).mul_scalar(heads.config().eps);
    let (output, n_clamped) = divide(query.matmul(sums), least);
    let d_value = output.dims()[2];
    (output.reshape([batch, n_heads, n_queries, d_value]).cast(dtype), n_clamped)
}
