use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use super::registry::KEPT;
use super::{DataError, Dataset, FileEntry};

/// The SHA-256 of files for which no public source states one, from when their archive was unpacked, whose own was verified.
///
/// They lie beside the files in the form of `sha256sum`, below a line that names the archive: of another archive than the
/// registered one they count for nothing.
#[derive(Debug, Default)]
pub(super) struct Kept(BTreeMap<String, String>);

impl Kept {
    /// What is kept in `folder`; nothing where there is no list.
    pub(super) fn read(dataset: &Dataset, folder: &Path) -> Result<Self, DataError> {
        let Some(archive) = archive_sha256(dataset) else { return Ok(Self::default()) };
        let path = folder.join(KEPT);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => String::new(),
            Err(source) => return Err(DataError::read(&path, source)),
        };
        let mut lines = text.lines();
        if lines.next() != Some(&title(archive)) {
            return Ok(Self::default());
        }
        let sums = lines.filter_map(|line| line.split_once("  "));
        Ok(Self(sums.map(|(sha256, file)| (file.into(), sha256.into())).collect()))
    }

    /// What this file's SHA-256 has to be: the registered one, else the one that was kept.
    pub(super) fn expected<'a>(&'a self, file: &'a FileEntry) -> Option<&'a str> {
        file.sha256.as_deref().or_else(|| self.0.get(&file.path).map(String::as_str))
    }
}

#[cfg(feature = "fetch")]
impl Kept {
    pub(super) fn insert(&mut self, file: &FileEntry, sha256: String) {
        self.0.insert(file.path.clone(), sha256);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Writes the list, for files out of the archive with this SHA-256.
    pub(super) fn write(&self, archive: &str, path: &Path) -> Result<(), DataError> {
        let lines = self.0.iter().map(|(file, sha256)| format!("{sha256}  {file}\n"));
        let text: String = std::iter::once(title(archive) + "\n").chain(lines).collect();
        fs::write(path, text).map_err(|source| DataError::write(path, source))
    }
}

/// The registered checksum of the archive that has the files.
pub(super) fn archive_sha256(dataset: &Dataset) -> Option<&str> {
    dataset.archive.as_ref()?.sha256.as_deref()
}

fn title(archive: &str) -> String {
    format!("# out of the archive with SHA-256 {archive}")
}
