//! A memory kept between processes: the bases of its layers, by path, so that they fit any model built the same way.

use std::path::Path;

use rekindle_shared::state::{self, Fields};

use crate::basis::Basis;
use crate::{GpmError, GpmMemory};

/// Layout: these eight bytes; number of tasks and of layers; for each layer the length of its path and the path, its
/// inputs, the number of groups, and for each group its rank and the length of the numbers and the numbers: importances,
/// then directions, as f32. Other numbers are u64, all little-endian.
const MAGIC: &[u8; 8] = b"RKGPM\0\0\x01";

impl GpmMemory {
    /// What the memory holds, as bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        let number = |bytes: &mut Vec<u8>, value: usize| bytes.extend((value as u64).to_le_bytes());
        number(&mut bytes, self.n_tasks);
        number(&mut bytes, self.layers.len());
        for layer in &self.layers {
            number(&mut bytes, layer.path.len());
            bytes.extend(layer.path.as_bytes());
            number(&mut bytes, layer.dim);
            number(&mut bytes, layer.bases.len());
            for basis in &layer.bases {
                number(&mut bytes, basis.rank());
                number(&mut bytes, (basis.importance.len() + basis.vectors.len()) * size_of::<f32>());
                bytes.extend(basis.importance.iter().chain(&basis.vectors).flat_map(|value| value.to_le_bytes()));
            }
        }
        bytes
    }

    /// This memory with what [`to_bytes`](Self::to_bytes) gave.
    ///
    /// Options are not part of it: build the memory with the same ones, for the model that goes on.
    ///
    /// # Errors
    ///
    /// [`GpmError::InvalidState`] if the bytes are truncated, something else, or of a model with other layers.
    pub fn from_bytes(mut self, bytes: &[u8]) -> Result<Self, GpmError> {
        let mut fields = Fields::after(MAGIC, bytes).ok_or_else(|| refuse("it begins with other bytes".into()))?;
        let number = |fields: &mut Fields<'_>| {
            let number = fields.number().ok_or_else(|| refuse("it is truncated".into()))?;
            usize::try_from(number).map_err(|_| refuse(format!("it has {number} of something")))
        };
        self.n_tasks = number(&mut fields)?;
        let n_layers = number(&mut fields)?;
        if n_layers != self.layers.len() {
            return Err(refuse(format!("it has {n_layers} layers, the model {}", self.layers.len())));
        }
        for layer in &mut self.layers {
            let path = fields.bytes().ok_or_else(|| refuse("it is truncated".into()))?;
            let (dim, n_groups) = (number(&mut fields)?, number(&mut fields)?);
            if path != layer.path.as_bytes() || dim != layer.dim {
                let path = String::from_utf8_lossy(path);
                let expected = format!("{} with {} inputs", layer.path, layer.dim);
                return Err(refuse(format!("it has layer {path} with {dim} inputs where the model has {expected}")));
            }
            let mut bases = Vec::new();
            for _ in 0..n_groups {
                let rank = number(&mut fields)?;
                let numbers = fields.bytes().ok_or_else(|| refuse("it is truncated".into()))?;
                bases.push(basis(dim, rank, numbers).ok_or_else(|| {
                    refuse(format!("layer {} has {rank} directions in {} bytes", layer.path, numbers.len()))
                })?);
            }
            layer.hold(bases);
        }
        if !fields.rest().is_empty() {
            return Err(refuse("it is longer than its layers".into()));
        }
        Ok(self)
    }

    /// Writes [`to_bytes`](Self::to_bytes) to a file, which is replaced as a whole.
    ///
    /// # Errors
    ///
    /// [`GpmError::File`] with the path and what the system said.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), GpmError> {
        Ok(state::write(path.as_ref(), &self.to_bytes())?)
    }

    /// Reads what [`save`](Self::save) wrote: [`from_bytes`](Self::from_bytes).
    ///
    /// # Errors
    ///
    /// [`GpmError::File`] if the file cannot be read, [`GpmError::InvalidState`] if it is not a memory of this model.
    pub fn load(self, path: impl AsRef<Path>) -> Result<Self, GpmError> {
        self.from_bytes(&state::read(path.as_ref())?)
    }
}

fn basis(dim: usize, rank: usize, numbers: &[u8]) -> Option<Basis> {
    let values = numbers.chunks_exact(size_of::<f32>()).map(|bytes| Some(f32::from_le_bytes(bytes.try_into().ok()?)));
    let values = values.collect::<Option<Vec<_>>>()?;
    let expected = rank.checked_mul(dim.checked_add(1)?)?;
    if rank > dim || values.len() != expected || values.iter().any(|value| !value.is_finite()) {
        return None;
    }
    let (importance, vectors) = values.split_at(rank);
    Some(Basis { dim, vectors: vectors.to_vec(), importance: importance.to_vec() })
}

fn refuse(reason: String) -> GpmError {
    GpmError::InvalidState(reason)
}
