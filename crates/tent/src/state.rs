//! What an adaptation has to keep to go on as if it had not stopped: γ, β and running statistics, the optimizer, the
//! counts. The source model is the user's to keep, through its record, which keeps the identifiers this refers to.

use std::path::Path;

use burn::module::{Module, ParamGroup};
use burn::store::ModuleRecord;
use burn::tensor::Bytes;
use rekindle_shared::model::norm_layers;
use rekindle_shared::state::{self, Fields};

use crate::adapt::Progress;
use crate::collapse::Monitor;
use crate::{Tent, TentError, Totals};

/// Layout: these eight bytes; counts, batches since the reset, the number of classes (0: not known yet) and whether it
/// stopped, as u64; the length of the moving average and its values (f64); the length of the record of the norm
/// layers and that record; the optimizer's record to the end. Numbers are little-endian, records in Burn's own format.
const MAGIC: &[u8; 8] = b"RKTENT\0\x01";

impl<M: Module> Tent<M> {
    /// The state as bytes.
    ///
    /// # Errors
    ///
    /// [`TentError::InvalidState`] if Burn cannot serialize it.
    pub fn to_bytes(&self) -> Result<Vec<u8>, TentError> {
        let invalid = |error: burn::store::RecordError| TentError::InvalidState(error.to_string());
        let record = self.norm_record().into_bytes().map_err(invalid)?;
        let optimizer = self.optimizer.into_bytes().map_err(invalid)?;
        let Progress { totals: t, monitor, since_reset, stopped, n_classes } = &self.progress;
        let mut bytes = MAGIC.to_vec();
        let numbers = [
            t.batches,
            t.samples,
            t.updates,
            t.small_batches,
            t.small_batch_samples,
            t.filtered_batches,
            t.collapses,
            t.resets,
            *since_reset,
            n_classes.unwrap_or(0) as u64,
            u64::from(*stopped),
            monitor.average.len() as u64,
        ];
        numbers.iter().for_each(|number| bytes.extend(number.to_le_bytes()));
        monitor.average.iter().for_each(|value| bytes.extend(value.to_le_bytes()));
        bytes.extend((record.len() as u64).to_le_bytes());
        bytes.extend_from_slice(&record);
        bytes.extend_from_slice(&optimizer);
        Ok(bytes)
    }

    /// This adaptation with the state that [`to_bytes`](Self::to_bytes) gave.
    ///
    /// Options, kind of optimizer and source model are not part of the state: build with the same as before. The
    /// source model has to come from a record (or be the same value), which keeps the identifiers of its parameters.
    ///
    /// # Errors
    ///
    /// [`TentError::InvalidState`] if the bytes are truncated, something else, or of another model.
    pub fn from_bytes(mut self, bytes: &[u8]) -> Result<Self, TentError> {
        let invalid = |error: burn::store::RecordError| TentError::InvalidState(error.to_string());
        let truncated = || refuse("it is truncated");
        let mut fields = Fields::after(MAGIC, bytes).ok_or_else(|| refuse("it begins with other bytes"))?;
        let mut numbers = [0; 12];
        for number in &mut numbers {
            *number = fields.number().ok_or_else(truncated)?;
        }
        let [batches, samples, updates, small_batches, small_batch_samples, filtered_batches, collapses, resets, ..] =
            numbers;
        let [.., since_reset, n_classes, stopped, n_average] = numbers;
        let mut average = Vec::new();
        for _ in 0..n_average {
            average.push(f64::from_bits(fields.number().ok_or_else(truncated)?));
        }
        let record = fields.bytes().ok_or_else(truncated)?;

        let record = ModuleRecord::from_bytes(Bytes::from_bytes_vec(record.to_vec())).map_err(invalid)?;
        let expected = self.norm_record().len();
        if record.len() != expected {
            let reason = format!("it has {} tensors of norm layers, the model {expected}", record.len());
            return Err(TentError::InvalidState(reason));
        }
        let optimizer = Bytes::from_bytes_vec(fields.rest().to_vec());
        let optimizer = self.optimizer.clone().from_bytes(optimizer).map_err(invalid)?;
        self.model = self.model.try_load_record(record.allow_partial(true)).map_err(invalid)?;
        let group = ParamGroup::from_ids(self.adapted().to_vec());
        self.model = self.model.no_grad().set_require_grad_group(group, true);
        self.optimizer = optimizer;
        self.progress = Progress {
            totals: Totals {
                batches,
                samples,
                updates,
                small_batches,
                small_batch_samples,
                filtered_batches,
                collapses,
                resets,
            },
            monitor: Monitor { average },
            since_reset,
            stopped: stopped != 0,
            n_classes: (n_classes > 0).then_some(n_classes as usize),
        };
        Ok(self)
    }

    /// Writes [`to_bytes`](Self::to_bytes) to a file, which is replaced as a whole.
    ///
    /// # Errors
    ///
    /// [`TentError::File`] with the path and what the system said, and as `to_bytes`.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), TentError> {
        Ok(state::write(path.as_ref(), &self.to_bytes()?)?)
    }

    /// Reads what [`save`](Self::save) wrote: [`from_bytes`](Self::from_bytes).
    ///
    /// # Errors
    ///
    /// [`TentError::File`] if the file cannot be read, [`TentError::InvalidState`] if it is not a state.
    pub fn load(self, path: impl AsRef<Path>) -> Result<Self, TentError> {
        self.from_bytes(&state::read(path.as_ref())?)
    }

    /// γ, β and running statistics of the norm layers.
    fn norm_record(&self) -> ModuleRecord {
        let layers = norm_layers(&self.model);
        let ids = layers.iter().flat_map(|layer| layer.affine().chain(layer.running.iter().copied())).collect();
        self.model.valid().into_record_group(ParamGroup::from_ids(ids))
    }
}

fn refuse(reason: &str) -> TentError {
    TentError::InvalidState(reason.to_owned())
}
