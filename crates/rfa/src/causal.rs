//! Attention to the tokens up to each, segment after segment.

use burn::tensor::{Bool, Int, Tensor};
use rekindle_shared::attention::{self, PrefixSums, rows, with_ones};

use crate::gate::Gate;
use crate::quotient::divide;
use crate::state::{RfaState, Sums};
use crate::{CausalInput, RfaError, RfaHeads};

/// Rows of batch and heads.
struct Tokens {
    query: Tensor<3>,
    key: Tensor<3>,
    /// Values and a column of ones.
    values: Tensor<3>,
    gate: Option<Gate>,
    padded: Option<Tensor<2, Bool>>,
}

/// The outputs and the state behind them; shapes as [`RfaHeads::causal`] has checked them.
pub(crate) fn attend(
    heads: &RfaHeads,
    input: CausalInput,
    state: Option<RfaState>,
) -> Result<(Tensor<4>, RfaState), RfaError> {
    let ([batch, n_heads, length, d_value], dtype) = (input.value.dims(), input.value.dtype());
    let tokens = Tokens::new(input);
    let (prefix_sums, eps) = (PrefixSums::new(heads.config().chunk)?, heads.config().eps);
    // Gradients keep everything anyway, and a slice of a tensor costs a gradient of the whole tensor's size.
    let at_once = if tokens.is_tracked() { length } else { prefix_sums.piece(&tokens.query.device()).min(length) };

    let (n_tokens, n_clamped) = state.as_ref().map_or((0, None), |s| (s.n_tokens, Some(s.n_clamped.clone())));
    let mut sums = state.map(|state| state.sums.sums.cast(tokens.query.dtype()));
    let mut counts: Vec<Tensor<1, Int>> = n_clamped.into_iter().collect();
    let mut outputs = Vec::new();
    for start in (0..length).step_by(at_once) {
        let piece = tokens.narrow(start, at_once.min(length - start));
        let (both, next) = if length == 1 { piece.one(heads, sums) } else { piece.many(heads, prefix_sums, sums)? };
        sums = Some(next);
        let (output, n) = divide(both, eps);
        outputs.push(output);
        counts.push(n);
    }
    let output = if outputs.len() == 1 { outputs.remove(0) } else { Tensor::cat(outputs, 1) };
    let sums = sums.ok_or(RfaError::EmptySequence)?;
    let n_clamped = Tensor::cat(counts, 0).sum();
    let state = RfaState { sums: Sums { sums, batch }, n_tokens: n_tokens + length, n_clamped };
    Ok((output.reshape([batch, n_heads, length, d_value]).cast(dtype), state))
}

impl Tokens {
    fn new(input: CausalInput) -> Self {
        let [batch, heads, length, _] = input.value.dims();
        let query = rows(input.query);
        let dtype = query.dtype();
        let gate = input.gate.map(|logits| Gate::new(logits.cast(dtype).reshape([batch * heads, length])));
        let padded = input
            .mask_pad
            .map(|mask| mask.unsqueeze_dim::<3>(1).expand([batch, heads, length]).reshape([batch * heads, length]));
        Self { query, key: rows(input.key), values: with_ones(rows(input.value)), gate, padded }
    }

    fn is_tracked(&self) -> bool {
        [&self.query, &self.key, &self.values].iter().any(|x| x.is_autodiff())
    }

    fn narrow(&self, start: usize, length: usize) -> Self {
        if length == self.query.dims()[1] {
            let Self { query, key, values, gate, padded } = self;
            let (gate, padded) = (gate.clone(), padded.clone());
            return Self { query: query.clone(), key: key.clone(), values: values.clone(), gate, padded };
        }
        let piece = |x: &Tensor<3>| x.clone().narrow(1, start, length);
        Self {
            query: piece(&self.query),
            key: piece(&self.key),
            values: piece(&self.values),
            gate: self.gate.as_ref().map(|gate| gate.narrow(start, length)),
            padded: self.padded.as_ref().map(|mask| mask.clone().narrow(1, start, length)),
        }
    }

    /// What goes into the sums: values with their weights, and ln g. A padded token writes nothing and keeps all.
    ///
    /// Weights are those of keys; values have fewer columns than keys have features.
    fn weighted(&self) -> (Tensor<3>, Option<Tensor<2>>) {
        let mut values = self.values.clone();
        let mut log_keep = None;
        if let Some(gate) = &self.gate {
            values = values * gate.write.clone().unsqueeze_dim::<3>(2);
            log_keep = Some(gate.log_keep.clone());
        }
        if let Some(padded) = &self.padded {
            let shape = values.dims();
            values = values.mask_fill(padded.clone().unsqueeze_dim::<3>(2).expand(shape), 0.0);
            log_keep = log_keep.map(|log_keep| log_keep.mask_fill(padded.clone(), 0.0));
        }
        (values, log_keep)
    }

    fn many(
        self,
        heads: &RfaHeads,
        prefix_sums: PrefixSums,
        sums: Option<Tensor<3>>,
    ) -> Result<(Tensor<3>, Tensor<3>), RfaError> {
        let (values, log_keep) = self.weighted();
        let (query, key) = (heads.phi(self.query), heads.phi(self.key));
        Ok(prefix_sums.forward(query, key, values, log_keep, sums)?)
    }

    /// One token.
    fn one(self, heads: &RfaHeads, sums: Option<Tensor<3>>) -> (Tensor<3>, Tensor<3>) {
        let (values, log_keep) = self.weighted();
        let (query, key) = (heads.phi(self.query), heads.phi(self.key));
        let ([rows, _, features], [_, _, width]) = (key.dims(), values.dims());
        let unseen = || Tensor::zeros([rows, features, width], (&key.device(), key.dtype()));
        let sums = sums.unwrap_or_else(unseen);
        let token = |x: Tensor<3>| x.squeeze_dim::<2>(1);
        let log_keep = log_keep.map(|log_keep| log_keep.squeeze_dim::<1>(1));
        let (both, sums) = attention::step(token(query), token(key), token(values), log_keep, sums);
        (both.unsqueeze_dim(1), sums)
    }
}
