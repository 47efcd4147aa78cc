//! Data sets on disk: which there are, where they lie, whether their bytes are the registered ones, how to get them.
//!
//! The registry (`datasets.toml`) and the look-up are always there; hashing needs the feature `data`, downloads `fetch`.
//!
//! ```
//! use rekindle_harness::data::{DataDir, DataError};
//!
//! let data = DataDir::resolve(None); // `--data`, then `REKINDLE_DATA`, then the user's cache folder
//! match data.locate("mnist") {
//!     Ok(located) => println!("{}", located.folder().display()),
//!     Err(missing @ DataError::Missing { .. }) => println!("{missing}"), // and the command that gets it
//!     Err(other) => panic!("{other}"),
//! }
//! ```

#[cfg(feature = "fetch")]
mod download;
mod error;
#[cfg(feature = "fetch")]
mod fetch;
mod lookup;
mod registry;
#[cfg(feature = "fetch")]
mod unpack;
#[cfg(feature = "data")]
mod verify;

pub use error::DataError;
#[cfg(feature = "fetch")]
pub use fetch::{FetchEvent, fetch};
pub use lookup::{DataDir, Located};
pub use registry::{Archive, Dataset, FileEntry, Registry, Unpack};
#[cfg(feature = "data")]
pub use verify::{sha256_of, verify};
