//! Linear attention: prefix sums of outer products, exact, in chunks.
//!
//! Attention whose scores are products of features, φ(q)·φ(k), needs no matrix of all pairs. With the state
//! Sₜ = gₜ Sₜ₋₁ + φ(kₜ) vₜᵀ it is φ(qₜ)ᵀ Sₜ, which [`PrefixSums`] computes for all t at once and [`step`] for one.
//!
//! ```
//! use burn::tensor::{Device, Distribution, Tensor};
//! use rekindle_shared::attention::PrefixSums;
//!
//! let device = Device::flex();
//! let random = |width| Tensor::<3>::random([2, 100, width], Distribution::Default, &device);
//! let (outputs, state) = PrefixSums::new(16)?.forward(random(8), random(8), random(4), None, None)?;
//! assert_eq!((outputs.dims(), state.dims()), ([2, 100, 4], [2, 8, 4]));
//! # Ok::<(), rekindle_shared::attention::PrefixSumsError>(())
//! ```

mod chain;
#[cfg(feature = "directions")]
pub mod directions;
mod error;
mod finite;
mod heads;
mod prefix_sums;
mod step;
mod triangle;

pub use error::PrefixSumsError;
pub use finite::{first_non_finite, read_back, sum_of};
pub use heads::{join_heads, mask_by_row, pick_sequences, rows, split_heads, with_ones};
pub use prefix_sums::{PrefixSums, pass_through};
pub use step::step;
