//! Convolution, batch norm and pooling with the signatures of `burn::tensor::module`.

mod conv;
mod norm;
mod padding;
mod pool;

pub use conv::{conv1d, conv2d};
pub use norm::{batch_norm, batch_norm_train};
pub use pool::{avg_pool2d, max_pool2d};
