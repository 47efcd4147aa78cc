//! Attention of every query to every key.

use burn::tensor::{Bool, Tensor};
use rekindle_shared::attention::{mask_by_row, read_back, rows, with_ones};

use crate::features::Queries;
use crate::quotient::Quotient;
use crate::scale::{MASKED, UNSEEN};
use crate::{Favor, PerformerError, fast};

/// The outputs; shapes as [`Favor::attend`] has checked them.
pub(crate) fn attend(
    favor: &Favor,
    query: Tensor<4>,
    key: Tensor<4>,
    value: Tensor<4>,
    mask_pad: Option<Tensor<2, Bool>>,
    quotient: &mut Quotient,
) -> Result<Tensor<4>, PerformerError> {
    let ([batch, heads, n_queries, _], [_, _, _, d_value], dtype) = (query.dims(), value.dims(), value.dtype());
    let [query, key, value] = rows([query, key, value]);
    let sums = favor.sums(&query, &key, &value);
    if !sums.is_empty() {
        let (names, sums): (Vec<_>, Vec<_>) = sums.into_iter().unzip();
        PerformerError::unless_finite(&names, &read_back(sums))?;
    }
    let mut keys = favor.keys(key);
    let masked = mask_pad.map(|mask| mask_by_row(mask, heads, keys.log.dims()));
    if let Some(masked) = &masked {
        keys.log = keys.log.mask_fill(masked.clone(), MASKED);
    }

    let (queries, eps) = (favor.queries(query), favor.config().eps);
    let (queries, key_features) = match queries {
        // In the units that the paper's code has for eps: the largest feature of each query, and of all keys.
        Queries::Log(log) if eps > 0.0 => {
            let largest = log.clone().inner().max_dim(2);
            let of_all = keys.log.clone().inner().max_dim(1).max_dim(2).clamp_min(UNSEEN);
            let mut key_features = fast::exp(keys.log - of_all).add_scalar(eps);
            if let Some(masked) = masked {
                key_features = key_features.mask_fill(masked, 0.0);
            }
            (fast::exp(log - largest).add_scalar(eps), key_features)
        }
        queries => {
            let scale = keys.log.clone().inner().max_dim(1).clamp_min(UNSEEN);
            let key_features = fast::exp(keys.log - scale.clone());
            let key_features = match keys.factor {
                Some(factor) => key_features * factor,
                None => key_features,
            };
            (queries.scaled(scale), key_features)
        }
    };
    let unit = || Tensor::ones([1, 1, 1], (&queries.device(), queries.dtype())).inner();
    let sums = key_features.transpose().matmul(with_ones(value));
    let output = quotient.divide(queries.clone().matmul(sums), unit);
    Ok(output.reshape([batch, heads, n_queries, d_value]).cast(dtype))
}
