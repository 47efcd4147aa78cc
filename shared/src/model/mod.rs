//! What techniques ask of a model beyond its own `forward`: copies, parameters by path and kind, running statistics.
//!
//! Every function here takes any Burn [`Module`](burn::module::Module), stock or of the user's own, as it is.

mod copy;
mod parameter;
mod walk;

pub use copy::deep_copy;
pub use parameter::{Parameter, ParameterKind, parameters, select};
