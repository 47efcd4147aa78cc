//! What the feature `burn` adds: points that are tensors, products on a device, the inputs of a model's layers.

mod arithmetic;
mod device;
mod layers;
mod points;
mod probe;
mod products;

pub use device::DeviceKnn;
pub use layers::{LayerFeatures, Positions};
