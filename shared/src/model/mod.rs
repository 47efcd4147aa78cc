//! What techniques ask of a model beyond its own `forward`.
//!
//! - [`deep_copy`]: a copy that training can't reach from the original, nor the original from the copy;
//! - [`parameters`] and [`select`]: every float tensor by path and kind;
//! - [`running_statistics`] and [`restore_running_statistics`]: those of batch norm at one moment;
//! - [`norm_layers`], [`norm_state`] and [`restore_norm_state`]: what test-time adaptation changes;
//! - [`with_batch_statistics`], [`with_source_statistics`] and [`normalize_with`]: by which statistics batch norm normalizes;
//! - `replay_with` (feature `capture`): the same for batch norms that a network calls by Burn's own `forward`, without gradients;
//! - [`Layer`] and [`observe()`]: the inputs of a network's layers; [`require_observed`]: that none was missed;
//! - `capture_layers` (feature `capture`): the same of a network as it is, third-party modules included, without gradients;
//! - [`with_gradient_inputs`]: linear layers whose weights' gradients are taken with other inputs, for projections;
//! - [`flat()`], [`sum`] and [`total`]: parameters and gradients as vectors, and sums that no thread changes;
//! - [`lifted`]: a parameter changed below autodiff, in a mapper;
//! - [`init_seeded`]: weights that a seed decides;
//! - [`n_trained()`]: how many numbers are trained.
//!
//! Every function takes any Burn [`Module`](burn::module::Module), stock or of the user's own, as it is. Only
//! [`observe()`], [`normalize_with`] and [`with_gradient_inputs`] ask for something: that the network calls its layers
//! through [`Layer::run`].
//!
//! # What a clone shares
//!
//! Burn's `clone()` shares the running statistics of batch norm with its original, and nothing else: a forward pass in training
//! mode, `map` and `load_record` on either change those of both. Parameters are values: each side keeps its own.
//! [`deep_copy`] shares nothing, and it alone is safe to adapt while the original goes on serving.

#[cfg(feature = "capture")]
mod capture;
mod classifier;
mod copy;
mod coverage;
mod fast;
mod flat;
mod gradient_input;
mod layer;
mod lift;
mod norm;
mod observe;
mod parameter;
mod read;
mod seed;
mod snapshot;
mod statistics;
mod trained;
mod walk;

#[cfg(feature = "capture")]
pub use capture::{ReplayError, capture_layers};
pub use classifier::Classifier;
pub use copy::deep_copy;
pub use coverage::{UnobservedError, frozen, layer_weights, reports, require_observed, unobserved};
pub use flat::{flat, sum, total};
pub use gradient_input::with_gradient_inputs;
pub use layer::{Geometry, Layer, LayerInput};
pub use lift::lifted;
#[cfg(feature = "capture")]
pub use norm::replay_with;
pub use norm::{
    AdaptiveBatchNorm, BatchStatistics, NormKind, NormLayer, NormState, StatisticsError, batch_norms_outside,
    norm_layers, norm_state, normalize_with, restore_norm_state, with_batch_statistics, with_source_statistics,
};
pub use observe::{Observation, observe};
pub use parameter::{Parameter, ParameterKind, parameters, select};
pub use read::read;
pub use seed::{init_seeded, initialized, seeded, try_init_seeded};
pub use statistics::{RestoreError, RunningStatistics, restore_running_statistics, running_statistics};
pub use trained::n_trained;
