use rekindle_shared::state::StateFileError;
use thiserror::Error;

/// Why a configuration, a model, a loss or a saved state was refused.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum SamError {
    /// A radius is negative, infinite or NaN.
    #[error("rho must be finite and at least 0, got {0}; 0 is the base optimizer")]
    InvalidRho(f64),
    /// The offset η of the adaptive scaling is negative, infinite or NaN.
    #[error("eta must be finite and at least 0, got {0}; the ASAM paper uses 0.01")]
    InvalidEta(f64),
    /// Groups of no sample were asked for.
    #[error("micro_batch must be at least 1, got 0; leave it out to perturb by the whole batch")]
    EmptyMicroBatch,
    /// A perturbed step every 0 steps was asked for.
    #[error("every must be at least 1, got 0; 1 perturbs at each step")]
    InvalidEvery,
    /// A factor of the schedule is negative, infinite or NaN.
    #[error("the factors of a rho schedule must be finite and at least 0, got {0}")]
    InvalidScheduleFactor(f64),
    /// The schedule runs over no step.
    #[error("a rho schedule must run over at least 1 step, got 0; use RhoSchedule::Constant for a fixed rho")]
    EmptySchedule,
    /// An adaptive scaling does not go with a random direction.
    #[error("a random direction has no adaptive form; set either adaptive or a random direction, not both")]
    AdaptiveRandom,
    /// The batch has no sample.
    #[error("the batch must have at least 1 sample, got 0")]
    EmptyBatch,
    /// Micro-batches were configured, and the loss knows only the whole batch.
    #[error(
        "micro_batch is {0}, so the loss is needed by ranges of the batch: call the `_by_range` form with the batch size"
    )]
    BatchSizeUnknown(usize),
    /// No parameter of the model requires gradients.
    #[error("no parameter of the model requires gradients; create it on an autodiff device and leave some unfrozen")]
    NothingToTrain,
    /// The loss does not depend on the model's parameters.
    #[error("the loss does not depend on any parameter of the model it was given; use the closure's argument")]
    LossWithoutGraph,
    /// The loss is not a single number.
    #[error("the loss must have one element, got {0}; take the mean over the batch")]
    LossNotScalar(usize),
    /// Every parameter that has a gradient is excluded.
    #[error("no parameter with a gradient is left to perturb; check the selectors in exclude and the gradients given")]
    NothingToPerturb,
    /// The probe was asked for no work, or for a value out of range.
    #[error("{name} must be {rule}, got {value}")]
    InvalidProbe {
        /// Name of the setting.
        name: &'static str,
        /// What it has to be.
        rule: &'static str,
        /// What it is.
        value: f64,
    },
    /// Saved bytes are not a state of this crate.
    #[error("not a saved SAM state: {0}; load what `save` or `into_bytes` of the same version wrote")]
    InvalidState(String),
    /// A state could not be read or written.
    #[error(transparent)]
    File(#[from] StateFileError),
}
