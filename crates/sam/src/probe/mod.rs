//! How sharp the loss is around a model: measurements that leave the model, its running statistics included, alone.
//!
//! Every pass runs on a [deep copy](rekindle_shared::model::deep_copy). Batch norm and dropout do what the model's training
//! flags say, as in a training step: a loss without dropout, or with a fixed seed, makes a measurement repeatable.

mod hessian;
mod sharpness;

pub use hessian::{HessianConfig, TopEigenvalue};
pub use sharpness::{Sharpness, m_sharpness, sharpness, sharpness_by_ascent};
