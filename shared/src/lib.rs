#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

pub mod attention;
pub mod backend;
#[cfg(feature = "continual")]
pub mod continual;
#[cfg(feature = "data")]
pub mod data;
#[cfg(feature = "language")]
pub mod language;
pub mod model;
#[cfg(feature = "networks")]
pub mod networks;
pub mod state;
