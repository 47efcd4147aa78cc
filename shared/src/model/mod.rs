//! What techniques ask of a model beyond its own `forward`.
//!
//! - [`deep_copy`]: a copy that training can't reach from the original, nor the original from the copy;
//! - [`parameters`] and [`select`]: every float tensor by path and kind;
//! - [`running_statistics`] and [`restore_running_statistics`]: those of batch norm at one moment;
//! - [`Layer`] and [`observe()`]: the inputs of a network's layers;
//! - [`init_seeded`]: weights that a seed decides.
//!
//! Every function takes any Burn [`Module`](burn::module::Module), stock or of the user's own, as it is. Only
//! [`observe()`] asks for something: that the network calls its layers through [`Layer::run`].

mod classifier;
mod copy;
mod fast;
mod layer;
mod observe;
mod parameter;
mod seed;
mod statistics;
mod walk;

pub use classifier::Classifier;
pub use copy::deep_copy;
pub use layer::{Geometry, Layer, LayerInput};
pub use observe::{Observation, layer_weights, observe, unobserved};
pub use parameter::{Parameter, ParameterKind, parameters, select};
pub use seed::{init_seeded, initialized, seeded, try_init_seeded};
pub use statistics::{RestoreError, RunningStatistics, restore_running_statistics, running_statistics};
