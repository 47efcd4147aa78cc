//! The Linear Transformer (Katharopoulos et al. 2020): features elu(x) + 1, nothing random, no gate.

use burn::module::Module;
use burn::nn::{Initializer, Linear, LinearConfig};
use burn::tensor::activation::elu;
use burn::tensor::{Bool, Device, Tensor};
use rekindle_rfa::RfaError;
use rekindle_shared::attention::{PrefixSums, join_heads, mask_by_row, pick_sequences, rows, split_heads, with_ones};

/// Tokens of a chunk, as RFA's default.
pub(crate) const CHUNK: usize = 64;

/// Queries, keys, values and output.
#[derive(Module, Debug)]
pub(crate) struct EluAttention {
    layers: [Linear; 4],
    n_heads: usize,
}

/// Sums of rows: batch and heads.
#[derive(Debug, Clone)]
pub(crate) struct EluState {
    /// `[batch * n_heads, d_head, d_head + 1]`
    sums: Tensor<3>,
}

impl EluState {
    pub(crate) fn detach(self) -> Self {
        Self { sums: self.sums.detach() }
    }
}

impl EluAttention {
    pub(crate) fn new(d_model: usize, n_heads: usize, device: &Device) -> Self {
        let xavier = Initializer::XavierUniform { gain: 1.0 };
        let layer = || LinearConfig::new(d_model, d_model).with_initializer(xavier.clone()).init(device);
        Self { layers: [layer(), layer(), layer(), layer()], n_heads }
    }

    /// Tokens that follow those of `state`.
    pub(crate) fn causal(
        &self,
        x: Tensor<3>,
        mask_pad: Option<Tensor<2, Bool>>,
        state: Option<EluState>,
    ) -> Result<(Tensor<3>, EluState), RfaError> {
        let (query, values) = (phi(self.rows(x.clone(), 0)), self.values(x.clone(), mask_pad));
        let state = state.map(|state| state.sums);
        let (both, sums) = PrefixSums::new(CHUNK)?.forward(query, phi(self.rows(x, 1)), values, None, state)?;
        Ok((self.combine(both), EluState { sums }))
    }

    pub(crate) fn encode(&self, memory: Tensor<3>, mask_pad: Option<Tensor<2, Bool>>) -> EluState {
        let values = self.values(memory.clone(), mask_pad);
        EluState { sums: phi(self.rows(memory, 1)).transpose().matmul(values) }
    }

    pub(crate) fn decode(&self, query: Tensor<3>, source: &EluState) -> Tensor<3> {
        self.combine(phi(self.rows(query, 0)).matmul(source.sums.clone()))
    }

    pub(crate) fn reorder(&self, state: &EluState, indices: &[usize]) -> EluState {
        let batch = state.sums.dims()[0] / self.n_heads;
        EluState { sums: pick_sequences(state.sums.clone(), batch, indices) }
    }

    fn rows(&self, x: Tensor<3>, layer: usize) -> Tensor<3> {
        let [rows] = rows([split_heads(self.layers[layer].forward(x), self.n_heads)]);
        rows
    }

    /// With a column of ones for the denominator; padding has none.
    fn values(&self, x: Tensor<3>, mask_pad: Option<Tensor<2, Bool>>) -> Tensor<3> {
        let values = with_ones(self.rows(x, 2));
        let Some(mask) = mask_pad else { return values };
        let shape = values.dims();
        values.mask_fill(mask_by_row(mask, self.n_heads, shape), 0.0)
    }

    fn combine(&self, both: Tensor<3>) -> Tensor<3> {
        let heads = quotient(both);
        let [n_rows, length, width] = heads.dims();
        let heads = heads.reshape([n_rows / self.n_heads, self.n_heads, length, width]);
        self.layers[3].forward(join_heads(heads))
    }
}

pub(crate) fn phi(x: Tensor<3>) -> Tensor<3> {
    elu(x, 1.0).add_scalar(1.0)
}

/// The first columns by the last.
pub(crate) fn quotient(both: Tensor<3>) -> Tensor<3> {
    let width = both.dims()[2] - 1;
    both.clone().narrow(2, 0, width) / both.narrow(2, width, 1).clamp_min(1e-6)
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Distribution, Tolerance};

    use super::*;

    fn assert_close(a: Tensor<3>, b: Tensor<3>) {
        a.into_data().assert_approx_eq::<f32>(&b.into_data(), Tolerance::absolute(1e-5));
    }

    #[test]
    fn the_last_token_sees_what_a_query_of_all_tokens_sees() {
        let device = Device::flex();
        let attention = EluAttention::new(8, 2, &device);
        let x = Tensor::<3>::random([2, 5, 8], Distribution::Default, &device);
        let (causal, state) = attention.causal(x.clone(), None, None).unwrap();
        let last = x.clone().narrow(1, 4, 1);
        let all = attention.decode(last.clone(), &attention.encode(x.clone(), None));
        assert_close(causal.narrow(1, 4, 1), all.clone());
        assert_close(attention.decode(last, &attention.reorder(&state, &[0, 1])), all);
    }

    #[test]
    fn padding_is_not_seen_and_one_key_gives_its_value() {
        let device = Device::flex();
        let attention = EluAttention::new(8, 2, &device);
        let x = Tensor::<3>::random([1, 3, 8], Distribution::Default, &device);
        let mask = Tensor::<2, Bool>::from_data([[false, true, true]], &device);
        let seen = attention.decode(x.clone(), &attention.encode(x.clone(), Some(mask)));
        let [_, _, value, output] = &attention.layers;
        let own = output.forward(value.forward(x.narrow(1, 0, 1)));
        assert_close(seen, own.repeat_dim(1, 3));
    }
}
