use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use sha2::{Digest, Sha256};

use super::kept::{Kept, archive_sha256};
use super::{DataError, Located};
use crate::DataFile;

/// Hashes every file of a data set and compares size and SHA-256 with the registry's, or, for a file out of a verified archive,
/// with the SHA-256 that was kept of it ([what is verified](super#what-is-verified)).
///
/// Of a folder of classes, which has no registered checksum, all files together give one. Returns what a record's identity
/// keeps, by `dataset/file`. With `allow_unverified` a file that differs, or that has
/// no registered checksum, is returned with `verified: false` instead of refused.
///
/// # Errors
///
/// [`DataError::Corrupt`] for a file of another size or hash, [`DataError::Unverified`] for one without a registered
/// or kept checksum, [`DataError::Read`] for one that can't be read.
pub fn verify(located: &Located, allow_unverified: bool) -> Result<BTreeMap<String, DataFile>, DataError> {
    let dataset = &located.dataset().name;
    let archived = archive_sha256(located.dataset()).is_some();
    let kept = Kept::read(located.dataset(), located.folder())?;
    let mut files = BTreeMap::new();
    for (file, path) in located.files() {
        let corrupt =
            |expected, found| DataError::Corrupt { dataset: dataset.clone(), path: path.clone(), expected, found };
        let bytes = path.metadata().map_err(|source| DataError::read(&path, source))?.len();
        if bytes != file.bytes && !allow_unverified {
            return Err(corrupt(format!("{} bytes", file.bytes), format!("{bytes} bytes")));
        }
        let sha256 = sha256_of(&path).map_err(|source| DataError::read(&path, source))?;
        let expected = kept.expected(file);
        let verified = expected == Some(sha256.as_str());
        if !verified && !allow_unverified {
            return Err(match expected {
                Some(expected) => corrupt(format!("sha256 {expected}"), format!("sha256 {sha256}")),
                None => DataError::Unverified { dataset: dataset.clone(), path, sha256, archived },
            });
        }
        files.insert(format!("{dataset}/{}", file.path), DataFile { sha256, verified });
    }
    for (name, path) in located.class_folders() {
        let sha256 = sha256_of_folder(&path)?;
        if !allow_unverified {
            return Err(DataError::Unverified { dataset: dataset.clone(), path, sha256, archived: false });
        }
        files.insert(format!("{dataset}/{name}"), DataFile { sha256, verified: false });
    }
    Ok(files)
}

/// The SHA-256 of the list of files below a folder, sorted by path: of each its SHA-256 and its path, as `sha256sum` prints them.
fn sha256_of_folder(folder: &Path) -> Result<String, DataError> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(current) = folders.pop() {
        let entries = current.read_dir().map_err(|source| DataError::read(&current, source))?;
        for entry in entries {
            let path = entry.map_err(|source| DataError::read(&current, source))?.path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    // Paths with `/` on every system, so that the same images have the same hash.
    let name = |path: &Path| {
        let parts = path.strip_prefix(folder).unwrap_or(path).components();
        parts.map(|part| part.as_os_str().to_string_lossy().into_owned()).collect::<Vec<_>>().join("/")
    };
    let mut files: Vec<_> = files.into_iter().map(|path| (name(&path), path)).collect();
    files.sort();
    let mut hasher = Sha256::new();
    for (name, path) in files {
        let sha256 = sha256_of(&path).map_err(|source| DataError::read(&path, source))?;
        hasher.update(format!("{sha256}  {name}\n"));
    }
    Ok(hexadecimal(&hasher.finalize()))
}

/// The SHA-256 of a file in lower-case hexadecimal, read piece by piece.
///
/// # Errors
///
/// If the file can't be read.
pub fn sha256_of(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 18];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(hexadecimal(&hasher.finalize())),
            Ok(n) => hasher.update(&buffer[..n]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::data::{DataDir, Registry};

    /// Of "abc" (FIPS 180-2, appendix B.1).
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn located(folder: &Path, content: &[u8], sha256: Option<&str>) -> Located {
        let sha256 = sha256.map_or(String::new(), |sum| format!("sha256 = \"{sum}\""));
        let registry = Registry::parse(&format!(
            "[[dataset]]\nname = \"one\"\ntitle = \"\"\nlicense = \"\"\ncitation = \"\"\norigin = \"\"\nfolder = \"one\"\n\
             mirrors = [\"http://localhost/\"]\nchecksum_source = \"FIPS 180-2\"\n\
             [[dataset.file]]\npath = \"a.bin\"\nbytes = 3\n{sha256}"
        ))
        .unwrap();
        fs::create_dir_all(folder.join("one")).unwrap();
        fs::write(folder.join("one/a.bin"), content).unwrap();
        DataDir::in_folders(registry, [folder.to_path_buf()]).locate("one").unwrap()
    }

    fn only(files: BTreeMap<String, DataFile>) -> (String, bool) {
        let file = &files["one/a.bin"];
        (file.sha256.clone(), file.verified)
    }

    #[test]
    fn the_registered_file_is_verified() {
        let folder = tempfile::tempdir().unwrap();
        let files = verify(&located(folder.path(), b"abc", Some(ABC)), false).unwrap();
        assert_eq!(only(files), (ABC.into(), true));
    }

    #[test]
    fn another_file_is_refused_unless_allowed() {
        let folder = tempfile::tempdir().unwrap();
        for (content, found) in [(&b"abd"[..], "sha256 a52d159f262b2c6d"), (b"ab", "2 bytes"), (b"", "0 bytes")] {
            let located = located(folder.path(), content, Some(ABC));
            let error = verify(&located, false).unwrap_err();
            assert!(matches!(error, DataError::Corrupt { .. }));
            let text = error.to_string();
            assert!(text.contains(found) && text.contains("a.bin") && text.contains("--allow-unverified"), "{text}");
            assert!(!only(verify(&located, true).unwrap()).1);
        }
    }

    #[test]
    fn folders_of_images_have_one_checksum_each_and_have_to_be_allowed() {
        let root = tempfile::tempdir().unwrap();
        for (path, content) in [("train/b/2.png", "x"), ("train/a/1.png", "abc"), ("test/a/3.png", "y")] {
            let path = root.path().join("svhn").join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        let data = DataDir::in_folders(Registry::builtin(), [root.path().to_path_buf()]);
        let located = data.locate("svhn").unwrap();
        let error = verify(&located, false).unwrap_err();
        assert!(error.to_string().contains("--allow-unverified"), "{error}");
        let before = verify(&located, true).unwrap();
        assert_eq!(before.keys().collect::<Vec<_>>(), ["svhn/test", "svhn/train"]);
        assert!(before.values().all(|file| !file.verified));
        fs::rename(root.path().join("svhn/train/b/2.png"), root.path().join("svhn/train/a/2.png")).unwrap();
        let after = verify(&located, true).unwrap();
        assert_eq!(before["svhn/test"], after["svhn/test"]);
        assert_ne!(before["svhn/train"].sha256, after["svhn/train"].sha256);
    }

    #[test]
    fn a_file_without_a_checksum_has_to_be_allowed() {
        let folder = tempfile::tempdir().unwrap();
        let located = located(folder.path(), b"abc", None);
        let error = verify(&located, false).unwrap_err();
        assert!(matches!(&error, DataError::Unverified { sha256, .. } if sha256 == ABC), "{error}");
        assert_eq!(only(verify(&located, true).unwrap()), (ABC.into(), false));
    }

    /// The official files, where there are any.
    #[test]
    fn real_files_are_verified() {
        let data = DataDir::resolve(None);
        for dataset in data.registry().datasets() {
            match data.locate(&dataset.name) {
                Ok(located) => assert!(verify(&located, false).unwrap().values().all(|file| file.verified)),
                Err(missing) => println!("skipped: {missing}"),
            }
        }
    }
}
