use std::path::Path;

use burn::tensor::{DType, Device, Tensor};
use rekindle_shared::attention::pick_sequences;
use rekindle_shared::state::{self, Fields};

use crate::PerformerError;
use crate::scale::UNSEEN;

/// What causal attention has seen, in a size that does not grow: the sums Σ φ(kᵢ) [vᵢ, 1]ᵀ and the scales of their features.
///
/// Its gradient goes back through the calls that made it; [`detach`](Self::detach) cuts it off.
#[derive(Debug, Clone)]
pub struct FavorState {
    /// `[rows, 1, r]` or `[rows, 1, 1]`
    pub(crate) scale: Tensor<3>,
    /// `[rows, r, d_value + 1]`
    pub(crate) sums: Tensor<3>,
    pub(crate) n_tokens: usize,
    pub(crate) batch: usize,
}

/// Layout: these eight bytes; batch, heads, features, d_value, width of the scales, number of tokens; then scales and sums, each
/// with the length of the bytes before them, as f32. Other numbers are u64, all little-endian.
const MAGIC: &[u8; 8] = b"RKFAVOR\x01";

impl FavorState {
    pub(crate) fn unseen([batch, heads, r, d_value]: [usize; 4], scale_width: usize, device: &Device) -> Self {
        let rows = batch * heads;
        Self {
            scale: Tensor::full([rows, 1, scale_width], UNSEEN, device).inner(),
            sums: Tensor::zeros([rows, r, d_value + 1], device),
            n_tokens: 0,
            batch,
        }
    }

    /// Tokens seen, masked ones among them.
    pub fn n_tokens(&self) -> usize {
        self.n_tokens
    }

    /// The same state, through which no gradient goes.
    #[must_use]
    pub fn detach(self) -> Self {
        Self { sums: self.sums.detach(), ..self }
    }

    /// The state whose sequence i is sequence `indices[i]` of this one; sequences may be left out and be there more than once.
    ///
    /// This is how a beam search goes on from its best hypotheses.
    ///
    /// # Errors
    ///
    /// [`PerformerError::NoSuchSequence`] for an index that is not below the batch size, [`PerformerError::Zero`] for no index.
    pub fn reorder(&self, indices: &[usize]) -> Result<Self, PerformerError> {
        PerformerError::unless_positive("the number of indices", indices.len())?;
        if let Some(&index) = indices.iter().find(|&&index| index >= self.batch) {
            return Err(PerformerError::NoSuchSequence { index, batch: self.batch });
        }
        let [scale, sums] = [&self.scale, &self.sums].map(|x| pick_sequences(x.clone(), self.batch, indices));
        Ok(Self { scale, sums, n_tokens: self.n_tokens, batch: indices.len() })
    }

    /// Bytes of the tensors, which do not grow with the tokens seen.
    pub fn n_bytes(&self) -> usize {
        [&self.scale, &self.sums].map(|x| x.shape().num_elements() * x.dtype().size()).iter().sum()
    }

    /// The state as bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let [rows, r, width] = self.sums.dims();
        let mut bytes = MAGIC.to_vec();
        let numbers = [self.batch, rows / self.batch, r, width - 1, self.scale.dims()[2], self.n_tokens];
        numbers.iter().for_each(|&number| bytes.extend((number as u64).to_le_bytes()));
        [&self.scale, &self.sums].into_iter().for_each(|tensor| state::push_tensor(&mut bytes, tensor));
        bytes
    }

    /// What [`to_bytes`](Self::to_bytes) gave.
    ///
    /// # Errors
    ///
    /// [`PerformerError::InvalidState`] if the bytes are truncated or something else.
    pub fn from_bytes(bytes: &[u8], device: &Device) -> Result<Self, PerformerError> {
        let refuse = |reason: &str| PerformerError::InvalidState(reason.into());
        let mut fields = Fields::after(MAGIC, bytes).ok_or_else(|| refuse("it begins with other bytes"))?;
        let mut numbers = [0; 6];
        for number in &mut numbers {
            *number = fields
                .number()
                .and_then(|number| usize::try_from(number).ok())
                .ok_or_else(|| refuse("it is truncated"))?;
        }
        let [batch, heads, r, d_value, scale_width, n_tokens] = numbers;
        let sizes = batch.checked_mul(heads).zip(d_value.checked_add(1));
        let (rows, width) = sizes.ok_or_else(|| refuse("its numbers do not fit its shape"))?;
        let mut tensor = |shape| fields.tensor(shape, device).ok_or_else(|| refuse("its numbers do not fit its shape"));
        let scale = tensor([rows, 1, scale_width])?.inner();
        let sums = tensor([rows, r, width])?;
        if !fields.rest().is_empty() {
            return Err(refuse("it is longer than its numbers"));
        }
        Ok(Self { scale, sums, n_tokens, batch })
    }

    /// Writes [`to_bytes`](Self::to_bytes) to a file, which is replaced as a whole.
    ///
    /// # Errors
    ///
    /// [`PerformerError::File`] with the path and what the system said.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), PerformerError> {
        Ok(state::write(path.as_ref(), &self.to_bytes())?)
    }

    /// Reads what [`save`](Self::save) wrote.
    ///
    /// # Errors
    ///
    /// [`PerformerError::File`] if the file cannot be read, [`PerformerError::InvalidState`] if it holds no state.
    pub fn load(path: impl AsRef<Path>, device: &Device) -> Result<Self, PerformerError> {
        Self::from_bytes(&state::read(path.as_ref())?, device)
    }

    pub(crate) fn check(
        &self,
        [batch, heads, r, d_value]: [usize; 4],
        scale_width: usize,
    ) -> Result<(), PerformerError> {
        let [rows, own_r, width] = self.sums.dims();
        let own = [self.batch, rows / self.batch, own_r, width - 1];
        PerformerError::unless_equal(
            "state, as [batch, heads, features, d_value],",
            &[batch, heads, r, d_value],
            &own,
        )?;
        if self.scale.dims()[2] != scale_width {
            return Err(PerformerError::InvalidState("it is of another kernel".into()));
        }
        Ok(())
    }

    pub(crate) fn cast(self, dtype: DType) -> Self {
        Self { scale: self.scale.cast(dtype), sums: self.sums.cast(dtype), ..self }
    }

    /// The sums for features of another scale.
    pub(crate) fn rescaled(&self, scale: &Tensor<3>) -> Tensor<3> {
        self.sums.clone() * (self.scale.clone() - scale.clone()).exp().transpose()
    }
}
