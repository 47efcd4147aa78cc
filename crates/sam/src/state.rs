//! What a run has to keep to go on as if it had not stopped: the number of the step, a radius set by hand, and the
//! optimizer's state. The model is saved by itself, through its record, which keeps the identifiers this refers to.

use std::path::Path;

use burn::tensor::Bytes;
use rekindle_shared::state;

use crate::config::validate_rho;
use crate::{Sam, SamError};

/// Layout: these eight bytes, the step (u64), whether ρ was set by hand (u8) and to what (f64), all little-endian; then
/// the optimizer's record in Burn's own format.
const MAGIC: &[u8; 8] = b"RKSAM\0\0\x01";
const HEADER: usize = 8 + 8 + 1 + 8;

impl Sam {
    /// The state as bytes: step, radius set by hand, optimizer.
    ///
    /// # Errors
    ///
    /// [`SamError::InvalidState`] if Burn cannot serialize the optimizer's state.
    pub fn to_bytes(&self) -> Result<Vec<u8>, SamError> {
        let optimizer = self.optimizer().into_bytes().map_err(|error| SamError::InvalidState(error.to_string()))?;
        let rho = self.ascent().rho_override();
        let mut bytes = Vec::with_capacity(HEADER + optimizer.len());
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&self.ascent().step().to_le_bytes());
        bytes.push(u8::from(rho.is_some()));
        bytes.extend_from_slice(&rho.unwrap_or(0.0).to_le_bytes());
        bytes.extend_from_slice(&optimizer);
        Ok(bytes)
    }

    /// This optimizer with the state that [`to_bytes`](Self::to_bytes) gave, to be used with the model of that moment.
    ///
    /// Configuration and kind of optimizer are not part of the state: build both as before.
    ///
    /// # Errors
    ///
    /// [`SamError::InvalidState`] if the bytes are truncated or something else.
    pub fn from_bytes(mut self, bytes: &[u8]) -> Result<Self, SamError> {
        let invalid = |reason: &str| SamError::InvalidState(reason.to_owned());
        let (header, optimizer) =
            bytes.split_at_checked(HEADER).ok_or_else(|| invalid(&format!("{} bytes are too few", bytes.len())))?;
        let (magic, header) = header.split_at(MAGIC.len());
        if magic != MAGIC {
            return Err(invalid("it begins with other bytes"));
        }
        let number = |from: usize| {
            let mut number = [0; 8];
            number.copy_from_slice(&header[from..from + 8]);
            number
        };
        let rho = match header[8] {
            0 => None,
            1 => Some(f64::from_le_bytes(number(9))),
            other => return Err(invalid(&format!("byte 16 is {other}, neither 0 nor 1"))),
        };
        if let Some(rho) = rho {
            validate_rho(rho)?;
        }
        let record = Bytes::from_bytes_vec(optimizer.to_vec());
        let loaded = self.optimizer().clone().from_bytes(record);
        *self.optimizer_mut() = loaded.map_err(|error| SamError::InvalidState(error.to_string()))?;
        self.ascent_mut().resume(u64::from_le_bytes(number(0)), rho);
        Ok(self)
    }

    /// Writes [`to_bytes`](Self::to_bytes) to a file, which is replaced as a whole.
    ///
    /// # Errors
    ///
    /// [`SamError::File`] with the path and what the system said, and as `to_bytes`.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), SamError> {
        Ok(state::write(path.as_ref(), &self.to_bytes()?)?)
    }

    /// Reads what [`save`](Self::save) wrote: [`from_bytes`](Self::from_bytes).
    ///
    /// # Errors
    ///
    /// [`SamError::File`] if the file cannot be read, [`SamError::InvalidState`] if it is not a state.
    pub fn load(self, path: impl AsRef<Path>) -> Result<Self, SamError> {
        self.from_bytes(&state::read(path.as_ref())?)
    }
}
