//! Attention to the tokens up to each, in one pass over segments of them.

use burn::tensor::{Bool, Tensor};
use rekindle_shared::attention::{PrefixSums, mask_by_row, rows, with_ones};

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
    let (query, key, value) = (rows(query), rows(key), rows(value));
    // Gradients keep everything anyway, and a slice of a tensor costs a gradient of the whole tensor's size.
    let tracked = [&query, &key, &value].iter().any(|x| x.is_autodiff());
    let at_once = if tracked { length } else { sums.piece(&query.device()).min(length) };

    let checked = favor.sums(&query, &key, &value);
    let mut keys = favor.keys(key);
    if let Some(mask) = &mask_pad {
        keys.log = keys.log.clone().mask_fill(mask_by_row(mask.clone(), heads, keys.log.dims()), MASKED);
    }
    let device = query.device();
    let given = state.is_some();
    let mut state = state.unwrap_or_else(|| {
        FavorState::unseen([batch, heads, favor.config().n_features, d_value], favor.scale_width(), &device)
            .cast(query.dtype())
    });
    let segments = scale::segments(&keys, mask_pad.is_some(), &state.scale, at_once, checked)?;
    let whole = segments.len() == 1;
    // What every token costs is done once, but for the queries' exponents, which are as large as those of the keys.
    let queries = tracked.then(|| favor.queries(query.clone()));

    let mut outputs = Vec::with_capacity(segments.len());
    for (i, segment) in segments.into_iter().enumerate() {
        let (start, n) = (segment.tokens.start, segment.tokens.len());
        let piece = |x: &Tensor<3>| if whole { x.clone() } else { x.clone().narrow(1, start, n) };
        let log = piece(&keys.log);
        let mut key_features = fast::exp(log.clone() - segment.scale.clone());
        if let Some(factor) = &keys.factor {
            key_features = key_features * piece(factor);
        }
        let query_features = match &queries {
            Some(queries) if whole => queries.clone(),
            Some(queries) => queries.slice(start, n),
            None => favor.queries(piece(&query)),
        };
        let query_features = query_features.scaled(segment.scale.clone());
        let before = state.scale.clone();
        let sums_before = (given || i > 0).then(|| state.rescaled(&segment.scale));
        let (both, sums) = sums.forward(query_features, key_features, with_ones(piece(&value)), None, sums_before)?;
        outputs.push(quotient.divide(both, || {
            // Up to each token the largest key, against that of the segment.
            (log.inner().cummax(1).max_pair(before) - segment.scale.clone()).exp()
        }));
        state = FavorState { scale: segment.scale, sums, ..state };
    }
    let output = if whole { outputs.remove(0) } else { Tensor::cat(outputs, 1) };
    state.n_tokens += length;
    Ok((output.reshape([batch, heads, length, d_value]).cast(dtype), state))
}
