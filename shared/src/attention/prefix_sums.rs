use burn::tensor::{Bool, Device, Tensor};

use super::chain::chain;
use super::{PrefixSumsError, triangle};
use crate::backend::on_host;

/// outₜ = Σ_{i≤t} w(t, i) (qₜ·kᵢ) vᵢ for every t, with w(t, i) = exp(Σ_{i<j≤t} cⱼ) for log-decays c.
///
/// A chunk of `chunk` tokens is a masked product of its own queries and keys plus the state before it: work
/// O(length (chunk (r + d) + r d)) for r features of d values, and no matrix larger than `[chunk, chunk]`. All chunks are
/// worked on at once, so that memory is linear in the length; for less, hand over a piece after the other with the state.
/// Any chunk size gives the same sums up to rounding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PrefixSums {
    chunk: usize,
}

impl PrefixSums {
    /// Sums in chunks of so many tokens.
    ///
    /// # Errors
    ///
    /// [`PrefixSumsError::EmptyChunk`] if that is 0.
    pub fn new(chunk: usize) -> Result<Self, PrefixSumsError> {
        if chunk == 0 {
            return Err(PrefixSumsError::EmptyChunk);
        }
        Ok(Self { chunk })
    }

    /// Tokens to hand over at once where no gradient is recorded, so that memory does not grow with the length: on the CPU as
    /// many as fill its cores, on other devices so many that starting an operation costs little beside it.
    pub fn piece(&self, device: &Device) -> usize {
        let chunks = if on_host(device) { 16 } else { 512 };
        self.chunk.saturating_mul(chunks)
    }

    /// The sums, and the state after the last token: S = Σ exp(..) kᵢ vᵢᵀ.
    ///
    /// `state` is what went before; 0 if none is given. No tokens give no sums and leave the state as it is. Rows are
    /// independent of each other: batch times heads.
    ///
    /// # Shapes
    ///
    /// - `queries`, `keys`: `[rows, length, features]`
    /// - `values`: `[rows, length, width]`
    /// - `log_decay`: `[rows, length]`, at most 0: what is left of the state when the token comes, as a logarithm
    /// - `state`: `[rows, features, width]`
    /// - output: `[rows, length, width]` and `[rows, features, width]`
    ///
    /// # Errors
    ///
    /// [`PrefixSumsError::Shape`] if a tensor does not fit the keys.
    pub fn forward(
        &self,
        queries: Tensor<3>,
        keys: Tensor<3>,
        values: Tensor<3>,
        log_decay: Option<Tensor<2>>,
        state: Option<Tensor<3>>,
    ) -> Result<(Tensor<3>, Tensor<3>), PrefixSumsError> {
        let ([rows, length, features], width) = (keys.dims(), values.dims()[2]);
        PrefixSumsError::unless_equal("queries", &[rows, length, features], &queries.dims())?;
        PrefixSumsError::unless_equal("values", &[rows, length, width], &values.dims())?;
        if let Some(log_decay) = &log_decay {
            PrefixSumsError::unless_equal("log_decay", &[rows, length], &log_decay.dims())?;
        }
        if let Some(state) = &state {
            PrefixSumsError::unless_equal("state", &[rows, features, width], &state.dims())?;
        }
        if length == 0 {
            let empty = || Tensor::zeros([rows, features, width], (&keys.device(), keys.dtype()));
            return Ok((values, state.unwrap_or_else(empty)));
        }

        let chunk = self.chunk.min(length);
        let n = length.div_ceil(chunk);
        let fill = n * chunk - length;
        let chunked = |x: Tensor<3>| {
            let width = x.dims()[2];
            filled(x, fill).reshape([rows, n, chunk, width])
        };
        let (mut queries, mut keys, values) = (chunked(queries), chunked(keys), chunked(values));
        let scores = queries.clone().matmul(keys.clone().transpose());

        let (scores, totals) = match log_decay {
            None => {
                let seen: Tensor<4> = triangle::ones(chunk, &keys.device(), keys.dtype()).unsqueeze();
                (scores * seen, None)
            }
            Some(log_decay) => {
                let up_to = filled(log_decay.unsqueeze_dim::<3>(2), fill).reshape([rows, n, chunk]).cumsum(2);
                let total = up_to.clone().narrow(2, chunk - 1, 1);
                keys = keys * (total.clone() - up_to.clone()).exp().unsqueeze_dim::<4>(3);
                queries = queries * up_to.clone().exp().unsqueeze_dim::<4>(3);
                (scores * triangle::decay::<3, 4>(up_to), Some(total.reshape([rows, n])))
            }
        };
        let flat = features * width;
        let links = keys.transpose().matmul(values.clone()).reshape([rows, n, flat]);
        let (before, last) = chain(links, totals, state.map(|state| state.reshape([rows, flat])));
        let sums = scores.matmul(values) + queries.matmul(before.reshape([rows, n, features, width]));

        let sums = sums.reshape([rows, n * chunk, width]);
        let sums = if fill > 0 { sums.narrow(1, 0, length) } else { sums };
        Ok((sums, last.reshape([rows, features, width])))
    }
}

/// Keys and log-decays by which the state passes padded tokens as it is: both are 0 there.
///
/// # Shapes
///
/// - `keys`: `[rows, length, features]`
/// - `log_decay`: `[rows, length]`
/// - `padded`: `[rows, length]`, true at tokens that are not part of the sequence
pub fn pass_through(keys: Tensor<3>, log_decay: Tensor<2>, padded: Tensor<2, Bool>) -> (Tensor<3>, Tensor<2>) {
    let shape = keys.dims();
    let log_decay = log_decay.mask_fill(padded.clone(), 0.0);
    (keys.mask_fill(padded.unsqueeze_dim::<3>(2).expand(shape), 0.0), log_decay)
}

/// `fill` tokens of zeros behind the others: they add nothing to any sum, and decay nothing.
fn filled(x: Tensor<3>, fill: usize) -> Tensor<3> {
    if fill == 0 {
        return x;
    }
    let [rows, _, width] = x.dims();
    let zeros = Tensor::zeros([rows, fill, width], (&x.device(), x.dtype()));
    Tensor::cat(vec![x, zeros], 1)
}
