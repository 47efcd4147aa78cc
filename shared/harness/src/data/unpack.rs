use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Component, Path, PathBuf};

use flate2::read::MultiGzDecoder;

use super::{Archive, DataError, Dataset, FileEntry, Unpack};

/// Writes the files of a data set from its archive into `folder`, and nothing else.
///
/// Only plain files at exactly the registered paths are written, never where an entry's own name or a link points to;
/// every other entry is passed over.
pub(super) fn unpack(dataset: &Dataset, archive: &Archive, packed: &Path, folder: &Path) -> Result<(), DataError> {
    let malformed = |reason: String| DataError::Archive { dataset: dataset.name.clone(), reason };
    let file = File::open(packed).map_err(|source| DataError::read(packed, source))?;
    let file = io::BufReader::new(file);
    let unzipped: Box<dyn Read> = match archive.unpack {
        Unpack::TarGz => Box::new(MultiGzDecoder::new(file)),
        Unpack::Tar => Box::new(file),
    };
    let mut entries = tar::Archive::new(unzipped);
    let mut missing: Vec<&FileEntry> = dataset.files.iter().collect();
    for entry in entries.entries().map_err(|error| malformed(error.to_string()))? {
        let mut entry = entry.map_err(|error| malformed(error.to_string()))?;
        let path = entry.path().map_err(|error| malformed(error.to_string()))?.into_owned();
        let expected = |file: &&FileEntry| plain(&path) == Some(Path::new(&archive.folder).join(&file.path));
        let Some(position) = missing.iter().position(expected).filter(|_| entry.header().entry_type().is_file()) else {
            continue;
        };
        let file = missing.remove(position);
        if entry.size() != file.bytes {
            let reason = format!("{} has {} bytes, the registered file {}", path.display(), entry.size(), file.bytes);
            return Err(malformed(reason));
        }
        let written = write(&mut entry, &folder.join(&file.path), &malformed)?;
        if written != file.bytes {
            return Err(malformed(format!(
                "it ends after {written} of the {} bytes of {}",
                file.bytes,
                path.display()
            )));
        }
    }
    match missing.first() {
        Some(file) => Err(malformed(format!("it has no plain file {}/{}", archive.folder, file.path))),
        None => Ok(()),
    }
}

/// Returns the number of bytes written.
fn write(entry: &mut impl Read, path: &Path, malformed: &impl Fn(String) -> DataError) -> Result<u64, DataError> {
    let failure = |source| DataError::write(path, source);
    let parent = path.parent().unwrap_or(path);
    fs::create_dir_all(parent).map_err(|source| DataError::write(parent, source))?;
    let mut file = File::create(path).map_err(failure)?;
    let mut buffer = vec![0; 1 << 16];
    let mut written = 0;
    loop {
        // Reading and writing apart, so that a full disk is not taken for a bad archive.
        match entry.read(&mut buffer) {
            Ok(0) => return file.sync_all().map_err(failure).map(|()| written),
            Ok(n) => {
                file.write_all(&buffer[..n]).map_err(failure)?;
                written += n as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(malformed(error.to_string())),
        }
    }
}

/// The path without `.` parts; none if it is absolute or climbs.
fn plain(path: &Path) -> Option<PathBuf> {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => plain.push(name),
            Component::CurDir => {}
            _ => return None,
        }
    }
    Some(plain)
}
