//! Attention to the tokens up to each, segment after segment.

use burn::tensor::{Bool, Tensor};
use rekindle_shared::attention::{self, PrefixSums, mask_by_row, rows, with_ones};

use crate::gate::Gate;
use crate::noise;
use crate::quotient::divide;
use crate::state::{RfaState, Sums};
use crate::{CausalInput, RfaError, RfaHeads};

/// Rows of batch and heads.
struct Tokens {
    query: Tensor<3>,
    key: Tensor<3>,
    values: Tensor<3>,
    gate: Option<Gate>,
    /// `[rows, length, 1]`
    padded: Option<Tensor<3, Bool>>,
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

    let (mut n_tokens, mut sums, mut before, mut counts) = (0, None, None, Vec::new());
    if let Some(state) = state {
        n_tokens = state.n_tokens;
        sums = Some(state.sums.sums.cast(tokens.query.dtype()));
        before = Some(state.sums.noise.cast(tokens.query.dtype()));
        counts.push(state.n_clamped);
    }
    let noise = noise::up_to_each(&tokens.query, tokens.gate.as_ref(), tokens.padded.as_ref(), before);
    let least = noise.clone().mul_scalar(eps);
    let mut outputs = Vec::new();
    for start in (0..length).step_by(at_once) {
        let size = at_once.min(length - start);
        let piece = tokens.narrow(start, size);
        let (both, next) = if length == 1 { piece.one(heads, sums) } else { piece.many(heads, prefix_sums, sums)? };
        sums = Some(next);
        let (output, n) = divide(both, least.clone().narrow(1, start, size));
        outputs.push(output);
        counts.push(n);
    }
    let output = if outputs.len() == 1 { outputs.remove(0) } else { Tensor::cat(outputs, 1) };
    let sums = sums.ok_or(RfaError::EmptySequence)?;
    let n_clamped = Tensor::cat(counts, 0).sum();
    let sums = Sums { sums, noise: noise.narrow(1, length - 1, 1), batch };
    let state = RfaState { sums, n_tokens: n_tokens.saturating_add(length), n_clamped };
    Ok((output.reshape([batch, n_heads, length, d_value]).cast(dtype), state))
}

impl Tokens {
    fn new(input: CausalInput) -> Self {
        let [batch, heads, length, _] = input.value.dims();
        let [query, key, values] = rows([input.query, input.key, input.value]);
        let dtype = query.dtype();
        let padded = input.mask_pad.map(|mask| mask_by_row(mask, heads, [batch * heads, length, 1]));
        let gate = input.gate.map(|logits| {
            let gate = Gate::new(logits.cast(dtype).reshape([batch * heads, length]));
            match &padded {
                Some(padded) => gate.pass(padded.clone().squeeze_dim::<2>(2)),
                None => gate,
            }
        });
        Self { query, key, values, gate, padded }
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

    /// What goes into the sums: values and a column of ones with their weights, and ln g. A padded token writes nothing, even if it is NaN.
    ///
    /// Weights are those of keys; values have fewer columns than keys have features.
    fn weighted(&self) -> (Tensor<3>, Option<Tensor<2>>) {
        let mut values = with_ones(self.values.clone());
        if let Some(gate) = &self.gate {
            values = values * gate.write.clone().unsqueeze_dim::<3>(2);
        }
        if let Some(padded) = &self.padded {
            let shape = values.dims();
            values = values.mask_fill(padded.clone().expand(shape), 0.0);
        }
        (values, self.gate.as_ref().map(|gate| gate.log_keep.clone()))
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
