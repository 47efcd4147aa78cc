//! Files for the state that a technique keeps between processes.

use std::path::Path;

use thiserror::Error;

/// Why a state could not be read or written.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("cannot {action} the state at {path}: {reason}")]
pub struct StateFileError {
    /// `read` or `write`.
    pub action: &'static str,
    /// The file.
    pub path: String,
    /// What the operating system said.
    pub reason: String,
}

impl StateFileError {
    fn new(action: &'static str, path: &Path, error: &std::io::Error) -> Self {
        Self { action, path: path.display().to_string(), reason: error.to_string() }
    }
}

/// Writes `bytes` to a file, which is replaced as a whole: a reader sees what was there before, or all of it.
///
/// # Errors
///
/// With the path and what the system said; a file that was there is as it was.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), StateFileError> {
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    std::fs::write(&partial, bytes)
        .and_then(|()| std::fs::rename(&partial, path))
        .inspect_err(|_| drop(std::fs::remove_file(&partial)))
        .map_err(|error| StateFileError::new("write", path, &error))
}

/// Reads a file as a whole.
///
/// # Errors
///
/// With the path and what the system said.
pub fn read(path: &Path) -> Result<Vec<u8>, StateFileError> {
    std::fs::read(path).map_err(|error| StateFileError::new("read", path, &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_replaces_the_one_before_and_leaves_nothing_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.state");
        write(&path, b"first").unwrap();
        write(&path, b"second").unwrap();
        assert_eq!(read(&path).unwrap(), b"second");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_fails_is_named_with_its_path() {
        let folder = tempfile::tempdir().unwrap();
        let error = read(&folder.path().join("missing")).unwrap_err();
        assert!(error.action == "read" && error.path.ends_with("missing"), "{error}");
        let error = write(&folder.path().join("no/such/folder"), b"").unwrap_err();
        assert!(error.to_string().starts_with("cannot write the state at "), "{error}");
    }
}
