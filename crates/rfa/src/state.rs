use std::path::Path;

use burn::tensor::{Device, Int, Tensor, TensorData};
use rekindle_shared::attention::pick_sequences;
use rekindle_shared::state::{self, Fields};

use crate::RfaError;

/// What causal attention has seen, in a size that does not grow: S = Σ wᵢ φ(kᵢ) vᵢᵀ and z = Σ wᵢ φ(kᵢ).
///
/// Its gradient goes back through the calls that made it; [`detach`](Self::detach) cuts it off, as between segments in training.
/// It belongs to the directions that it was made with.
#[derive(Debug, Clone)]
pub struct RfaState {
    pub(crate) sums: Sums,
    pub(crate) n_tokens: usize,
    /// `[1]`
    pub(crate) n_clamped: Tensor<1, Int>,
}

/// What a source was summed to, for queries to come: S and z as in [`RfaState`].
#[derive(Debug, Clone)]
pub struct CrossState {
    pub(crate) sums: Sums,
}

/// S and z beside each other.
#[derive(Debug, Clone)]
pub(crate) struct Sums {
    /// `[rows, features, d_value + 1]`
    pub(crate) sums: Tensor<3>,
    /// How large that of their denominators is, see [`noise`](crate::noise): `[rows, 1, 1]`.
    pub(crate) noise: Tensor<3>,
    pub(crate) batch: usize,
}

/// Layout: these eight bytes; batch, heads, features, d_value, number of tokens, number of set denominators; then the sums and
/// their noise as f32, each with the length of their bytes before them. Other numbers are u64, all little-endian.
const MAGIC: &[u8; 8] = b"RKRFA\x00\x00\x02";

impl RfaState {
    /// Tokens seen, padding among them.
    pub fn n_tokens(&self) -> usize {
        self.n_tokens
    }

    /// Denominators that were kept away from 0 so far, over all heads and sequences. Read back from the device.
    ///
    /// Many mean that the estimate is no good: more directions, or another kernel.
    pub fn n_clamped(&self) -> usize {
        self.n_clamped.clone().into_scalar::<i64>() as usize
    }

    /// S.
    ///
    /// # Shapes
    ///
    /// - output: `[batch, n_heads, features, d_value]`
    pub fn s(&self) -> Tensor<4> {
        self.sums.s()
    }

    /// z, the normalizer.
    ///
    /// # Shapes
    ///
    /// - output: `[batch, n_heads, features]`
    pub fn z(&self) -> Tensor<3> {
        self.sums.z()
    }

    /// The same state, through which no gradient goes.
    #[must_use]
    pub fn detach(self) -> Self {
        Self { sums: self.sums.detach(), ..self }
    }

    /// The states of these sequences, in this order, any of them more than once: what beam search keeps.
    ///
    /// # Errors
    ///
    /// No index, or one of no sequence.
    pub fn reorder(&self, indices: &[usize]) -> Result<Self, RfaError> {
        Ok(Self { sums: self.sums.reorder(indices)?, ..self.clone() })
    }

    /// The state as bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let [batch, heads, features, d_value] = self.sums.shape();
        let mut bytes = MAGIC.to_vec();
        for number in [batch, heads, features, d_value, self.n_tokens, self.n_clamped()] {
            bytes.extend((number as u64).to_le_bytes());
        }
        state::push_tensor(&mut bytes, &self.sums.sums);
        state::push_tensor(&mut bytes, &self.sums.noise);
        bytes
    }

    /// What [`to_bytes`](Self::to_bytes) gave.
    ///
    /// # Errors
    ///
    /// [`RfaError::InvalidState`] if the bytes are truncated or something else.
    pub fn from_bytes(bytes: &[u8], device: &Device) -> Result<Self, RfaError> {
        let refuse = |reason: &str| RfaError::InvalidState(reason.into());
        let mut fields = Fields::after(MAGIC, bytes).ok_or_else(|| refuse("it begins with other bytes"))?;
        let mut numbers = [0; 6];
        for number in &mut numbers {
            let read = fields.number().and_then(|number| usize::try_from(number).ok());
            *number = read.ok_or_else(|| refuse("it is truncated"))?;
        }
        let [batch, heads, features, d_value, n_tokens, n_clamped] = numbers;
        let sizes = batch.checked_mul(heads).zip(d_value.checked_add(1).filter(|_| d_value > 0));
        let sums = sizes.and_then(|(rows, width)| fields.tensor([rows, features, width], device));
        let noise = sizes.and_then(|(rows, _)| fields.tensor([rows, 1, 1], device));
        let (sums, noise) = sums.zip(noise).ok_or_else(|| refuse("its numbers do not fit its shape"))?;
        if !fields.rest().is_empty() {
            return Err(refuse("it is longer than its numbers"));
        }
        let n_clamped =
            i32::try_from(n_clamped).map_err(|_| refuse("it counts more denominators than there can be"))?;
        let n_clamped = Tensor::<1, Int>::from_data(TensorData::from([n_clamped]), device).inner();
        Ok(Self { sums: Sums { sums, noise, batch }, n_tokens, n_clamped })
    }

    /// Writes [`to_bytes`](Self::to_bytes) to a file, which is replaced as a whole.
    ///
    /// # Errors
    ///
    /// [`RfaError::File`] with the path and what the system said.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), RfaError> {
        Ok(state::write(path.as_ref(), &self.to_bytes())?)
    }

    /// Reads what [`save`](Self::save) wrote.
    ///
    /// # Errors
    ///
    /// [`RfaError::File`] if the file cannot be read, [`RfaError::InvalidState`] if it holds no state.
    pub fn load(path: impl AsRef<Path>, device: &Device) -> Result<Self, RfaError> {
        Self::from_bytes(&state::read(path.as_ref())?, device)
    }
}

impl CrossState {
    /// S; shape as in [`RfaState::s`].
    pub fn s(&self) -> Tensor<4> {
        self.sums.s()
    }

    /// z; shape as in [`RfaState::z`].
    pub fn z(&self) -> Tensor<3> {
        self.sums.z()
    }

    /// As [`RfaState::detach`].
    #[must_use]
    pub fn detach(self) -> Self {
        Self { sums: self.sums.detach() }
    }

    /// As [`RfaState::reorder`].
    ///
    /// # Errors
    ///
    /// No index, or one of no sequence.
    pub fn reorder(&self, indices: &[usize]) -> Result<Self, RfaError> {
        Ok(Self { sums: self.sums.reorder(indices)? })
    }
}

impl Sums {
    /// Batch, heads, features, d_value.
    fn shape(&self) -> [usize; 4] {
        let [rows, features, width] = self.sums.dims();
        [self.batch, rows / self.batch, features, width - 1]
    }

    pub(crate) fn d_value(&self) -> usize {
        self.shape()[3]
    }

    fn s(&self) -> Tensor<4> {
        let shape = self.shape();
        self.sums.clone().narrow(2, 0, shape[3]).reshape(shape)
    }

    fn z(&self) -> Tensor<3> {
        let [batch, heads, features, d_value] = self.shape();
        self.sums.clone().narrow(2, d_value, 1).reshape([batch, heads, features])
    }

    fn detach(self) -> Self {
        Self { sums: self.sums.detach(), noise: self.noise.detach(), ..self }
    }

    fn reorder(&self, indices: &[usize]) -> Result<Self, RfaError> {
        RfaError::unless_positive("the number of indices", indices.len())?;
        if let Some(&index) = indices.iter().find(|&&index| index >= self.batch) {
            return Err(RfaError::NoSuchSequence { index, batch: self.batch });
        }
        let [sums, noise] = [&self.sums, &self.noise].map(|x| pick_sequences(x.clone(), self.batch, indices));
        Ok(Self { sums, noise, batch: indices.len() })
    }

    /// Against batch, heads, features and d_value.
    pub(crate) fn check(&self, expected: [usize; 4]) -> Result<(), RfaError> {
        RfaError::unless_equal("state, as [batch, heads, features, d_value],", &expected, &self.shape())
    }
}
