use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::download::{Request, agent, download};
use super::kept::{Kept, archive_sha256};
use super::registry::KEPT;
use super::unpack::unpack;
use super::{Archive, DataDir, DataError, Dataset, FileEntry, sha256_of};

/// What [`fetch`] is doing, for whoever shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FetchEvent<'a> {
    /// The file is there and is the registered one, or was taken as it is.
    Present {
        /// Its name.
        file: &'a str,
    },
    /// A request is sent.
    Started {
        /// The file or archive.
        file: &'a str,
        /// The address.
        url: &'a str,
        /// Bytes that are there from before.
        done: u64,
        /// Its size in bytes.
        total: u64,
    },
    /// More bytes have come.
    Advanced {
        /// Bytes that are there now.
        done: u64,
    },
    /// All bytes are there.
    Finished {
        /// The file or archive.
        file: &'a str,
    },
    /// An address did not give the file; it, or the next one, is tried again.
    Failed {
        /// The address.
        url: &'a str,
        /// Why.
        reason: &'a str,
    },
    /// The archive is unpacked.
    Unpacking {
        /// Its name.
        file: &'a str,
    },
    /// A file is taken without a registered checksum that it agrees with.
    Unverified {
        /// The file.
        file: &'a str,
        /// The SHA-256 that it has.
        sha256: &'a str,
    },
}

/// Downloads what is missing or corrupt of a data set into the first folder of `data`, and returns where it lies.
///
/// A download that was cut off continues (`.part` files); addresses are tried in order; sizes and hashes are compared;
/// archives are unpacked beside their place; files are renamed into place last, so that each is there whole or not at all.
/// With `allow_unverified` files are taken whose hash is not, or can't be, verified ([what is](super#what-is-verified)).
/// While an archive is unpacked, the data folder needs room for it and for its files.
///
/// # Errors
///
/// [`DataError::Unknown`] for a name that the registry lacks, [`DataError::MissingFolders`] for folders of classes, which the
/// user brings, [`DataError::Download`] with each address's reason,
/// [`DataError::Archive`] for a malformed archive, [`DataError::Corrupt`] for an archive whose files are not the registered
/// ones, [`DataError::Unverified`] for a file without a registered checksum, [`DataError::Write`] if the disk is full or
/// the folder can't be written.
pub fn fetch(
    data: &DataDir,
    name: &str,
    allow_unverified: bool,
    mut event: impl FnMut(FetchEvent<'_>),
) -> Result<PathBuf, DataError> {
    let dataset = data.registry().get(name)?;
    if !dataset.class_folders.is_empty() {
        return data.locate(name).map(|located| located.folder().to_path_buf());
    }
    let Some(root) = data.folders().first() else {
        let source = io::Error::new(io::ErrorKind::NotFound, "there is no user cache folder; name one with `--data`");
        return Err(DataError::write(Path::new("data folder"), source));
    };
    let folder = root.join(&dataset.folder);
    let kept = Kept::read(dataset, &folder)?;
    let mut wanted = Vec::new();
    for file in &dataset.files {
        if is_good(dataset, file, &kept, &folder.join(&file.path), allow_unverified)? {
            event(FetchEvent::Present { file: &file.path });
        } else {
            wanted.push(file);
        }
    }
    if !wanted.is_empty() {
        let job = Job { dataset, root, folder: &folder, allow_unverified };
        match &dataset.archive {
            Some(archive) => job.archive(archive, &wanted, &mut event)?,
            None => job.files(&wanted, &mut event)?,
        }
    }
    Ok(folder)
}

struct Job<'a> {
    dataset: &'a Dataset,
    root: &'a Path,
    folder: &'a Path,
    allow_unverified: bool,
}

impl Job<'_> {
    fn files(&self, wanted: &[&FileEntry], event: &mut dyn FnMut(FetchEvent<'_>)) -> Result<(), DataError> {
        let agent = agent();
        for file in wanted {
            let urls =
                self.dataset.mirrors.iter().map(|mirror| format!("{}/{}", mirror.trim_end_matches('/'), file.path));
            let urls: Vec<_> = urls.collect();
            let request = Request {
                dataset: &self.dataset.name,
                file: &file.path,
                urls: &urls,
                bytes: file.bytes,
                sha256: file.sha256.as_deref(),
            };
            let place = self.folder.join(&file.path);
            let part = part(&place);
            create_parent(&part)?;
            let sha256 = download(&agent, &request, &part, self.allow_unverified, event)?;
            self.accept(file, &part, &sha256, event)?;
            rename(&part, &place)?;
        }
        Ok(())
    }

    fn archive(
        &self,
        archive: &Archive,
        wanted: &[&FileEntry],
        event: &mut dyn FnMut(FetchEvent<'_>),
    ) -> Result<(), DataError> {
        let name = archive.urls[0].rsplit('/').next().unwrap_or("archive");
        let request = Request {
            dataset: &self.dataset.name,
            file: name,
            urls: &archive.urls,
            bytes: archive.bytes,
            sha256: archive.sha256.as_deref(),
        };
        let part = self.root.join(format!("{}.archive.part", self.dataset.name));
        create_parent(&part)?;
        // The files' own hashes decide where the archive has none.
        let found = download(&agent(), &request, &part, self.allow_unverified, event)?;
        event(FetchEvent::Unpacking { file: name });
        let unpacked = Unpacked::new(self.root.join(format!("{}.unpack.part", self.dataset.name)))?;
        unpack(self.dataset, archive, &part, &unpacked.0)?;
        let mut kept = Kept::default();
        for file in &self.dataset.files {
            let path = unpacked.0.join(&file.path);
            let sha256 = sha256_of(&path).map_err(|source| DataError::read(&path, source))?;
            if file.sha256.is_none() && archive.sha256.as_ref() == Some(&found) {
                kept.insert(file, sha256);
            } else if wanted.contains(&file) {
                self.accept(file, &path, &sha256, event)?;
            }
        }
        if !kept.is_empty() {
            // Before the files: if this is cut off, the list finds fault with those that are not yet replaced.
            let list = unpacked.0.join(KEPT);
            kept.write(&found, &list)?;
            rename(&list, &self.folder.join(KEPT))?;
        }
        for file in wanted {
            rename(&unpacked.0.join(&file.path), &self.folder.join(&file.path))?;
        }
        fs::remove_file(&part).map_err(|source| DataError::write(&part, source))
    }

    /// Whether a file of this hash may go into place.
    fn accept(
        &self,
        file: &FileEntry,
        path: &Path,
        sha256: &str,
        event: &mut dyn FnMut(FetchEvent<'_>),
    ) -> Result<(), DataError> {
        let (dataset, path) = (self.dataset.name.clone(), path.to_path_buf());
        match &file.sha256 {
            Some(expected) if expected == sha256 => return Ok(()),
            _ if self.allow_unverified => event(FetchEvent::Unverified { file: &file.path, sha256 }),
            Some(expected) => {
                let (expected, found) = (format!("sha256 {expected}"), format!("sha256 {sha256}"));
                return Err(DataError::Corrupt { dataset, path, expected, found });
            }
            None => return Err(DataError::Unverified { dataset, path, sha256: sha256.into(), archived: false }),
        }
        Ok(())
    }
}

/// Whether a file need not be downloaded.
fn is_good(
    dataset: &Dataset,
    file: &FileEntry,
    kept: &Kept,
    path: &Path,
    allow_unverified: bool,
) -> Result<bool, DataError> {
    match path.metadata() {
        Ok(metadata) if metadata.len() == file.bytes => {}
        _ => return Ok(false),
    }
    let sha256 = sha256_of(path).map_err(|source| DataError::read(path, source))?;
    match kept.expected(file) {
        Some(expected) => Ok(expected == sha256),
        None if allow_unverified => Ok(true),
        None if archive_sha256(dataset).is_some() => Ok(false),
        None => {
            Err(DataError::Unverified { dataset: dataset.name.clone(), path: path.into(), sha256, archived: false })
        }
    }
}

/// A folder that is gone when its user is.
struct Unpacked(PathBuf);

impl Unpacked {
    /// An empty folder, whatever an interrupted run left in its place.
    fn new(path: PathBuf) -> Result<Self, DataError> {
        drop(fs::remove_dir_all(&path));
        fs::create_dir_all(&path).map_err(|source| DataError::write(&path, source))?;
        Ok(Self(path))
    }
}

impl Drop for Unpacked {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

fn part(place: &Path) -> PathBuf {
    let mut name = place.as_os_str().to_os_string();
    name.push(".part");
    name.into()
}

fn create_parent(path: &Path) -> Result<(), DataError> {
    let parent = path.parent().unwrap_or(path);
    fs::create_dir_all(parent).map_err(|source| DataError::write(parent, source))
}

fn rename(from: &Path, to: &Path) -> Result<(), DataError> {
    create_parent(to)?;
    fs::rename(from, to).map_err(|source| DataError::write(to, source))
}
