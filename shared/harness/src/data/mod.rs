//! Data sets on disk: which there are, where they lie, whether their bytes are the registered ones, how to get them.
//!
//! The registry (`datasets.toml`) and the look-up are always there; hashing needs the feature `data`, downloads `fetch`.
//!
//! # What is verified
//!
//! A file with a registered checksum is compared with it. Where a public source states the checksum of an archive alone, the
//! archive is compared with that before it is unpacked, its files' sizes with the registry, and the checksums that the files
//! then have are kept beside them (`SHA256SUMS`): later looks find every change since, but not one made to that list as well.
//! Files that were unpacked by hand have no such list, so nothing vouches for them: `fetch` replaces them.
//!
//! An archive that was downloaded by hand is taken from `<data set>.archive.part` in the data folder, if it is the registered one.
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
#[cfg(feature = "data")]
mod kept;
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
