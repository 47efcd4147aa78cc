use burn::tensor::Tensor;

/// One token of [`PrefixSums`](super::PrefixSums): S = exp(c) S + k vᵀ, and q S.
///
/// # Shapes
///
/// - `query`, `key`: `[rows, features]`
/// - `value`: `[rows, width]`
/// - `log_decay`: `[rows]`; 0 if none is given
/// - `state`: `[rows, features, width]`
/// - output: `[rows, width]`, and the new state
///
/// # Panics
///
/// If the shapes do not fit.
pub fn step(
    query: Tensor<2>,
    key: Tensor<2>,
    value: Tensor<2>,
    log_decay: Option<Tensor<1>>,
    state: Tensor<3>,
) -> (Tensor<2>, Tensor<3>) {
    let state = match log_decay {
        Some(log_decay) => state * log_decay.exp().reshape([-1, 1, 1]),
        None => state,
    };
    let state = state + key.unsqueeze_dim::<3>(2) * value.unsqueeze_dim::<3>(1);
    (query.unsqueeze_dim::<3>(1).matmul(state.clone()).squeeze_dim(1), state)
}
