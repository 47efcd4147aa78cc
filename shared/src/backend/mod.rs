//! Backends by name.
//!
//! Burn selects a backend by the [`Device`](burn::tensor::Device) that tensors are put on, and compiles those whose
//! Cargo feature is on. This module is the one place that names them:
//!
//! ```
//! use rekindle_shared::backend;
//!
//! let device = backend::open("flex")?.autodiff();
//! assert!(backend::describe(&device).starts_with("flex"));
//! # Ok::<(), backend::BackendError>(())
//! ```
//!
//! | name | runs on | feature | remark |
//! | --- | --- | --- | --- |
//! | `flex` | CPU | `flex` | the default; threads and SIMD need Burn's `rayon` and `simd`, which `reproduce` turns on |
//! | `ndarray` | CPU | `ndarray` | deprecated by Burn; the backward pass of its convolution is about 30 times slower |
//! | `wgpu` | Vulkan, Metal, DirectX 12 | `wgpu` | a software adapter (lavapipe) is used where there is no other |
//! | `cuda` | NVIDIA | `cuda` | |
//!
//! # Random numbers
//!
//! `device.seed` sets **one generator for the whole process**, shared by plain and autodiff devices and by all threads.
//! Draw data, batches, labels and augmentation from generators of your own, and leave the device's generator to
//! initialization and dropout.

mod error;
mod kind;
mod report;

pub use error::BackendError;
pub use kind::{Backend, compiled, open};
pub use report::{describe, features, on_host};
