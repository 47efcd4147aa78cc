use thiserror::Error;

use crate::model::StatisticsError;

/// Why a forward pass could not be recorded and carried out again. The model is as before.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// Statistics with a number out of its range.
    #[error(transparent)]
    Statistics(#[from] StatisticsError),
    /// The forward pass panicked, or holds an operation that can't be carried out again.
    #[error(
        "the forward pass can't be recorded and replayed: {0}; nothing is computed while it is recorded, so that it may \
         neither read tensors back (`into_data`, `into_scalar`) nor seed its device nor mix in tensors of others: change \
         that, or call its layers by `Layer::run` and use `observe` for their inputs, `normalize_with` for its batch norms"
    )]
    Refused(String),
    /// The output was not recorded.
    #[error(
        "the output does not come from the model and the input that `forward` is given: use those, not captured ones"
    )]
    NotRecorded,
    /// A batch norm of something else than float tensors.
    #[error("the {tensor} of a batch norm is of type {dtype}, and statistics are mixed of float tensors alone")]
    NotFloat {
        /// Which of its tensors.
        tensor: &'static str,
        /// Its element type.
        dtype: String,
    },
}
