#![doc = include_str!("../README.md")]

mod conv;
mod elementwise;
mod flex;
mod layers;
mod norm;
mod output;
mod pool;
mod simd;

pub mod activation;
pub mod module;
pub mod waves;

pub use layers::ForwardFast;
