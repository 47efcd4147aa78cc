//! Between tokens, heads, and rows: what attention by features does before and after its sums.

use burn::tensor::{Bool, DType, Int, Tensor};

/// Heads of tokens: `[batch, length, n_heads * width]` to `[batch, n_heads, length, width]`.
///
/// # Panics
///
/// If `n_heads` does not divide the last dimension.
pub fn split_heads(tokens: Tensor<3>, n_heads: usize) -> Tensor<4> {
    let [batch, length, width] = tokens.dims();
    tokens.reshape([batch, length, n_heads, width / n_heads]).swap_dims(1, 2)
}

/// Heads beside each other: `[batch, n_heads, length, width]` to `[batch, length, n_heads * width]`.
pub fn join_heads(heads: Tensor<4>) -> Tensor<3> {
    let [batch, n_heads, length, width] = heads.dims();
    heads.swap_dims(1, 2).reshape([batch, length, n_heads * width])
}

/// Batch and heads as rows, `[batch * heads, length, width]` each, in the type to compute with: f64 if one of them is, else f32.
pub fn rows<const N: usize>(tensors: [Tensor<4>; N]) -> [Tensor<3>; N] {
    let dtype = if tensors.iter().any(|x| x.dtype() == DType::F64) { DType::F64 } else { DType::F32 };
    tensors.map(|x| {
        let [batch, heads, length, width] = x.dims();
        x.cast(dtype).reshape([batch * heads, length, width])
    })
}

/// A mask `[batch, length]` for rows of the shape `[batch * heads, length, width]`.
pub fn mask_by_row(mask: Tensor<2, Bool>, heads: usize, shape: [usize; 3]) -> Tensor<3, Bool> {
    let [batch, length] = mask.dims();
    mask.reshape([batch, 1, length, 1]).expand([batch, heads, length, shape[2]]).reshape(shape)
}

/// The rows of some sequences: of `[batch * heads, length, width]` those of sequence `indices[i]` as its i-th.
///
/// # Panics
///
/// If an index is not below `batch`, or there is none.
pub fn pick_sequences(x: Tensor<3>, batch: usize, indices: &[usize]) -> Tensor<3> {
    let heads = x.dims()[0] / batch;
    let picked: Vec<i32> = indices.iter().flat_map(|i| i * heads..(i + 1) * heads).map(|row| row as i32).collect();
    let picked = Tensor::<1, Int>::from_data(&picked[..], &x.device());
    x.select(0, picked)
}

/// `[rows, length, width]` with a column of ones behind it, so that numerator and denominator are one product.
pub fn with_ones(values: Tensor<3>) -> Tensor<3> {
    let [rows, length, _] = values.dims();
    let ones = Tensor::ones([rows, length, 1], (&values.device(), values.dtype()));
    Tensor::cat(vec![values, ones], 2)
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    #[test]
    fn heads_that_are_split_and_joined_are_the_tokens() {
        let device = Device::flex();
        let tokens = Tensor::<1, burn::tensor::Int>::arange(0..24, &device).float().reshape([2, 3, 4]);
        let heads = split_heads(tokens.clone(), 2);
        assert_eq!(heads.dims(), [2, 2, 3, 2]);
        // Batch 1, head 1, token 0: the second half of what the token has.
        let first: Vec<f32> = heads.clone().slice([1..2, 1..2, 0..1]).into_data().iter().collect();
        assert_eq!(first, [14.0, 15.0]);
        join_heads(heads).into_data().assert_eq(&tokens.into_data(), true);
    }

    #[test]
    fn rows_have_one_type_and_that_is_the_most_precise() {
        let device = Device::flex();
        let of = |dtypes: [DType; 2]| rows(dtypes.map(|dtype| Tensor::<4>::ones([2, 3, 4, 5], (&device, dtype))));
        for (dtypes, expected) in [
            ([DType::F16, DType::BF16], DType::F32),
            ([DType::F32, DType::F16], DType::F32),
            ([DType::BF16, DType::F64], DType::F64),
        ] {
            for x in of(dtypes) {
                assert_eq!((x.dims(), x.dtype()), ([6, 4, 5], expected), "{dtypes:?}");
            }
        }
    }

    #[test]
    fn a_mask_holds_for_all_heads_of_its_sequence() {
        let device = Device::flex();
        let mask = Tensor::<2, Bool>::from_data([[true, false], [false, false]], &device);
        let rows: Vec<bool> = mask_by_row(mask, 2, [4, 2, 1]).into_data().iter().collect();
        assert_eq!(rows, [true, false, true, false, false, false, false, false]);
    }
}
