use std::path::Path;
use std::{fmt, io};

use crate::Exit;

/// Why a cell has no result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    exit: Exit,
    message: String,
}

impl Failure {
    /// An unknown name or a bad value (exit code 2).
    pub fn usage(message: impl fmt::Display) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// Data that is missing or corrupt (exit code 3).
    pub fn data(message: impl fmt::Display) -> Self {
        Self::new(Exit::Data, message)
    }

    /// A backend that is not compiled in or has no adapter (exit code 4).
    pub fn backend(message: impl fmt::Display) -> Self {
        Self::new(Exit::Backend, message)
    }

    /// A file that cannot be written.
    pub(super) fn unwritten(path: &Path, error: &io::Error) -> Self {
        Self::new(Exit::Failed, format!("cannot write {}: {error}", path.display()))
    }

    /// A result that the worker cannot take.
    pub(super) fn outcome(message: impl fmt::Display) -> Self {
        Self::new(Exit::Failed, message)
    }

    fn new(exit: Exit, message: impl fmt::Display) -> Self {
        Self { exit, message: message.to_string() }
    }

    /// The exit code.
    pub fn exit(&self) -> Exit {
        self.exit
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// Any other error is a failed cell (exit code 1).
impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        let mut message = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            message = format!("{message}: {error}");
            cause = error.source();
        }
        Self::new(Exit::Failed, message)
    }
}
