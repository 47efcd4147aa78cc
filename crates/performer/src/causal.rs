//! Attention to the tokens up to each: piece by piece, so that nothing is kept of the length, and in segments that share scales.

use burn::tensor::{Bool, Tensor};
use rekindle_shared::attention::{PrefixSums, mask_by_row, rows, with_ones};

use crate::features::part;
use crate::quotient::Quotient;
use crate::scale::{self, MASKED};
use crate::state::FavorState;
use crate::{Favor, PerformerError, fast};

/// The outputs and the state behind them; shapes as [`Favor::attend`] has checked them.
pub(crate) fn attend(
    favor: &Favor,
    query: Tensor<4>,
    key: Tensor<4>,
    value: Tensor<4>,
    mask_pad: Option<Tensor<2, Bool>>,
    state: Option<FavorState>,
    quotient: &mut Quotient,
) -> Result<(Tensor<4>, FavorState), PerformerError> {
    let ([batch, heads, length, d_value], dtype) = (value.dims(), value.dtype());
    let sums = PrefixSums::new(favor.config().chunk)?;
    let [query, key, value] = rows([query, key, value]);
    // Gradients keep everything anyway, and a slice of a tensor costs a gradient of the whole tensor's size.
    let tracked = [&query, &key, &value].iter().any(|x| x.is_autodiff());
    let at_once = if tracked { length } else { sums.piece(&query.device()).min(length) };

    let mut checked = favor.sums(&query, &key, &value);
    let mut seen = state.is_some();
    let unseen = || {
        let shape = [batch, heads, favor.config().n_features, d_value];
        FavorState::unseen(shape, favor.scale_width(), &query.device())
    };
    let mut state = state.unwrap_or_else(unseen).cast(query.dtype());
    let mut outputs = Vec::new();
    for start in (0..length).step_by(at_once) {
        let tokens = start..(start + at_once).min(length);
        let [query, key, value] = [&query, &key, &value].map(|x| part(x, &tokens));
        let mut keys = favor.keys(key);
        if let Some(mask) = &mask_pad {
            let mask = mask.clone().narrow(1, start, tokens.len());
            keys.log = keys.log.clone().mask_fill(mask_by_row(mask, heads, keys.log.dims()), MASKED);
        }
        let queries = favor.queries(query);
        for segment in scale::segments(&keys, mask_pad.is_some(), &state.scale, std::mem::take(&mut checked))? {
            let tokens = &segment.tokens;
            let log = part(&keys.log, tokens);
            let mut key_features = fast::exp(log.clone() - segment.scale.clone());
            if let Some(factor) = &keys.factor {
                key_features = key_features * part(factor, tokens);
            }
            let query_features = queries.part(tokens).scaled(segment.scale.clone());
            let before = state.scale.clone();
            let sums_before = seen.then(|| state.rescaled(&segment.scale));
            let values = with_ones(part(&value, tokens));
            let (both, after) = sums.forward(query_features, key_features, values, None, sums_before)?;
            outputs.push(quotient.divide(both, || {
                // Up to each token the largest key, against that of the segment.
                (log.inner().cummax(1).max_pair(before) - segment.scale.clone()).exp()
            }));
            state = FavorState { scale: segment.scale, sums: after, ..state };
            seen = true;
        }
    }
    let output = if outputs.len() == 1 { outputs.remove(0) } else { Tensor::cat(outputs, 1) };
    state.n_tokens = state.n_tokens.saturating_add(length);
    Ok((output.reshape([batch, heads, length, d_value]).cast(dtype), state))
}
