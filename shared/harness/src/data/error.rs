use std::fmt::Display;
use std::io;
#[cfg(feature = "data")]
use std::path::Path;
use std::path::PathBuf;

use thiserror::Error;

use crate::Exit;

/// Why data can't be had or is refused. Each message names the way out.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DataError {
    /// The registry has no data set of this name.
    #[error("unknown data set `{name}`: one of {}", known.join(", "))]
    Unknown {
        /// The name asked for.
        name: String,
        /// Every name of the registry.
        known: Vec<String>,
    },
    /// A file of a data set is in none of the folders.
    #[error(
        "data set `{dataset}` is missing: no `{}` in {}; `cargo xtask data fetch {dataset}` gets it, \
         `--data` or REKINDLE_DATA names a folder that has it",
        file.display(), list(looked)
    )]
    Missing {
        /// The data set.
        dataset: String,
        /// The first file not found, relative to a data folder.
        file: PathBuf,
        /// The data folders looked in, in order.
        looked: Vec<PathBuf>,
    },
    /// Folders of classes that the user brings are in none of the folders.
    #[error(
        "data set `{dataset}` is not downloaded: put its files into {} below one of {}, a folder for each class; `--data` \
         or REKINDLE_DATA names another one",
        folder.join("<class>").join("<file>").display(), list(looked)
    )]
    MissingFolders {
        /// The data set.
        dataset: String,
        /// The first folder not found, relative to a data folder.
        folder: PathBuf,
        /// The data folders looked in, in order.
        looked: Vec<PathBuf>,
    },
    /// A file is not the registered one.
    #[error(
        "{} is not the registered file of `{dataset}`: expected {expected}, found {found}; \
         `cargo xtask data fetch {dataset}` replaces it, `--allow-unverified` takes it as it is", path.display()
    )]
    Corrupt {
        /// The data set.
        dataset: String,
        /// The file.
        path: PathBuf,
        /// The registered size or SHA-256.
        expected: String,
        /// What the file has.
        found: String,
    },
    /// There is no public checksum of a file, nor one kept from a verified archive, so nothing says whether it is the right one.
    #[error(
        "{} of `{dataset}` has no registered checksum (its SHA-256 is {sha256}); {}`--allow-unverified` takes it as it is",
        path.display(), replacement(*archived, dataset)
    )]
    Unverified {
        /// The data set.
        dataset: String,
        /// The file.
        path: PathBuf,
        /// The SHA-256 that it has.
        sha256: String,
        /// Whether an archive with a registered checksum has the file.
        archived: bool,
    },
    /// A file can't be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A file or folder can't be written.
    #[error("cannot write {}: {source}{}", path.display(), way_out(source))]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// No address gave the file.
    #[error(
        "cannot download `{file}` of `{dataset}` ({}); the same command tries again and keeps what is there, \
         `--data` or REKINDLE_DATA names a folder that has the files", attempts.join("; ")
    )]
    Download {
        /// The data set.
        dataset: String,
        /// The file or archive.
        file: String,
        /// One reason per address, in the order tried.
        attempts: Vec<String>,
    },
    /// An archive is malformed or lacks a file.
    #[error("cannot unpack the archive of `{dataset}`: {reason}")]
    Archive {
        /// The data set.
        dataset: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The registry itself is wrong.
    #[error("the data registry is malformed: {0}")]
    Registry(String),
}

impl DataError {
    /// What a tool exits with: usage for an unknown name, data for everything else.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Unknown { .. } => Exit::Usage,
            _ => Exit::Data,
        }
    }

    #[cfg(feature = "data")]
    pub(crate) fn read(path: &Path, source: io::Error) -> Self {
        Self::Read { path: path.into(), source }
    }

    #[cfg(feature = "fetch")]
    pub(crate) fn write(path: &Path, source: io::Error) -> Self {
        Self::Write { path: path.into(), source }
    }
}

fn list(folders: &[PathBuf]) -> impl Display {
    let names: Vec<_> = folders.iter().map(|folder| folder.display().to_string()).collect();
    if names.is_empty() { "any folder (there is no user cache folder)".into() } else { names.join(", ") }
}

fn replacement(archived: bool, dataset: &str) -> String {
    if archived {
        format!("`cargo xtask data fetch {dataset}` takes it from a verified archive, ")
    } else {
        String::new()
    }
}

fn way_out(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "; free some space or name another folder with `--data`, then the same command continues"
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "; name a folder that can be written with `--data`"
        }
        _ => "",
    }
}
