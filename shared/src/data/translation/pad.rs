use burn::tensor::{Bool, Device, Int, Tensor, TensorData};

use super::PAD;

/// Sequences of different lengths as one batch.
#[derive(Debug, Clone)]
pub struct PaddedTokens {
    /// `[batch, longest]`, filled up with [`PAD`] at the end.
    pub tokens: Tensor<2, Int>,
    /// `[batch, longest]`, true at what was filled up.
    pub mask_pad: Tensor<2, Bool>,
}

/// Fills sequences up to the longest of them.
pub fn pad_tokens(sequences: &[impl AsRef<[usize]>], device: &Device) -> PaddedTokens {
    let longest = sequences.iter().map(|it| it.as_ref().len()).max().unwrap_or(0);
    let shape = [sequences.len(), longest];
    let (mut tokens, mut mask) = (Vec::with_capacity(shape[0] * longest), Vec::with_capacity(shape[0] * longest));
    for (n, sequence) in sequences.iter().map(AsRef::as_ref).enumerate() {
        tokens.extend(sequence.iter().map(|&token| token as i64));
        tokens.resize((n + 1) * longest, PAD as i64);
        mask.resize(n * longest + sequence.len(), false);
        mask.resize((n + 1) * longest, true);
    }
    PaddedTokens {
        tokens: Tensor::from_data(TensorData::new(tokens, shape), device),
        mask_pad: Tensor::from_data(TensorData::new(mask, shape), device),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_are_filled_up_at_their_ends() {
        let batch = pad_tokens(&[vec![5, 6, 7], vec![], vec![8]], &Device::flex());
        assert_eq!(batch.tokens.dims(), [3, 3]);
        assert_eq!(batch.tokens.into_data().iter::<i64>().collect::<Vec<_>>(), [5, 6, 7, 0, 0, 0, 8, 0, 0]);
        let mask = [[false, false, false], [true, true, true], [false, true, true]];
        assert_eq!(batch.mask_pad.into_data().iter::<bool>().collect::<Vec<_>>(), mask.concat());
    }
}
