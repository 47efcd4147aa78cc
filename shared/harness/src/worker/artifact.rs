//! Intermediates that the cells of a tier and backend share.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::{BuildInfo, Failure};
use crate::cell::slug;
use crate::{Identity, whole};

/// The longest part of a key that a file name repeats, in characters; the hash behind it tells keys apart.
const LONGEST: usize = 60;

/// What tells artifacts from records.
const EXTENSION: &str = "artifact";

/// The folder of one tier and backend, and what besides the key decides an artifact's bytes.
#[derive(Debug)]
pub(super) struct Artifacts {
    folder: PathBuf,
    /// The data files by name: cells that read others have artifacts of their own.
    reads: String,
    /// Everything else that decides bits; none where the sources are not known.
    version: Option<String>,
}

/// Where an artifact lies.
struct Place<'a> {
    folder: &'a Path,
    /// What it is: key and names of the data files. Its versions have this start in common.
    slot: String,
    /// What decides its bytes, as a hash.
    version: [u8; 32],
}

impl Artifacts {
    /// The artifacts in `folder` for cells with that identity.
    pub(super) fn new(folder: PathBuf, identity: &Identity) -> Self {
        let names: Vec<&String> = identity.files.keys().collect();
        let files: Vec<&String> = identity.files.values().map(|file| &file.sha256).collect();
        let Identity { paper, tier, backend, source, burn, features, .. } = identity;
        let version = format!("{:?}", (paper, tier.name(), backend, source, burn, features, files));
        Self { folder, reads: format!("{names:?}"), version: Some(version).filter(|_| *source != BuildInfo::UNKNOWN) }
    }

    /// Artifacts that are made anew each time.
    pub(super) fn none() -> Self {
        Self { folder: PathBuf::new(), reads: String::new(), version: None }
    }

    /// The bytes stored under `key`, or those of `make`, which are then stored.
    pub(super) fn get(&self, key: &str, make: impl FnOnce() -> Result<Vec<u8>, Failure>) -> Result<Vec<u8>, Failure> {
        let Some(place) = self.place(key) else { return make() };
        if let Some(bytes) = place.read() {
            return Ok(bytes);
        }
        let lock = place.lock();
        // Whoever had the lock may have made it.
        if let Some(bytes) = place.read() {
            return Ok(bytes);
        }
        let bytes = make()?;
        place.store(&bytes);
        drop(lock);
        Ok(bytes)
    }

    fn place(&self, key: &str) -> Option<Place<'_>> {
        let version = Sha256::digest(format!("{:?}", (key, &self.reads, self.version.as_ref()?)));
        let slot = Sha256::digest(format!("{:?}", (key, &self.reads)));
        let start: String = slug(key).chars().take(LONGEST).collect();
        Some(Place { folder: &self.folder, slot: format!("{start}-{}", short(&slot)), version: version.into() })
    }
}

impl Place<'_> {
    fn path(&self) -> PathBuf {
        self.folder.join(format!("{}-{}.{}", self.slot, short(&self.version), EXTENSION))
    }

    /// The stored bytes, if they are those that were written under this key and version.
    fn read(&self) -> Option<Vec<u8>> {
        let mut file = File::open(self.path()).ok()?;
        let (mut sum, mut bytes) = ([0; 32], Vec::new());
        file.read_exact(&mut sum).ok()?;
        file.read_to_end(&mut bytes).ok()?;
        (sum == self.sum(&bytes)).then_some(bytes)
    }

    /// Stores the bytes and removes older versions. Whoever cannot store them has them all the same.
    fn store(&self, bytes: &[u8]) {
        let path = self.path();
        if whole::write(&path, &[&self.sum(bytes), bytes]).is_err() {
            return;
        }
        let Ok(entries) = fs::read_dir(self.folder) else { return };
        for other in entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|other| *other != path) {
            let name = other.file_name().unwrap_or_default().to_string_lossy();
            // What a killed worker left half written has the same start.
            if name.starts_with(&format!("{}-", self.slot)) {
                let _ = fs::remove_file(&other);
            }
        }
    }

    /// Waits until nobody else makes this artifact, and is the one who does until the file is closed: by a drop or by the
    /// end of the process. None where the folder or its file system has no locks; then several may make it.
    fn lock(&self) -> Option<File> {
        fs::create_dir_all(self.folder).ok()?;
        let file = File::create(self.folder.join(format!("{}.lock", self.slot))).ok()?;
        file.lock().ok()?;
        Some(file)
    }

    /// The checksum over version and bytes: that of a file under another's name is wrong.
    fn sum(&self, bytes: &[u8]) -> [u8; 32] {
        Sha256::new().chain_update(self.version).chain_update(bytes).finalize().into()
    }
}

/// The first eight bytes of a hash in hexadecimal.
fn short(hash: &[u8]) -> String {
    hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;
    use crate::{Cell, DataFile, Tier};

    fn identity(source: &str, files: &[(&str, &str)]) -> Identity {
        let file = |&(name, sha256): &(&str, &str)| (name.into(), DataFile { sha256: sha256.into(), verified: true });
        Identity {
            paper: "sam".into(),
            cell: Cell::new("e", "s", "m", 1, &()),
            tier: Tier::Smoke,
            backend: "flex".into(),
            files: files.iter().map(file).collect(),
            source: source.into(),
            burn: "0.22.1".into(),
            features: vec!["avx2".into()],
        }
    }

    fn artifacts(folder: &Path) -> Artifacts {
        Artifacts::new(folder.join("artifacts"), &identity("a", &[]))
    }

    /// The files of the folder that hold artifacts.
    fn stored(folder: &Path) -> Vec<PathBuf> {
        let entries = fs::read_dir(folder.join("artifacts")).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        paths.filter(|path| path.extension().is_some_and(|extension| extension == EXTENSION)).collect()
    }

    /// What `artifacts` answers, and whether it had to be made.
    fn ask(artifacts: &Artifacts, key: &str, bytes: &[u8]) -> (Vec<u8>, bool) {
        let mut made = false;
        let answer = artifacts.get(key, || {
            made = true;
            Ok(bytes.to_vec())
        });
        (answer.unwrap(), made)
    }

    #[test]
    fn an_artifact_is_made_once_and_read_back_bit_for_bit() {
        let folder = tempfile::tempdir().unwrap();
        let bytes: Vec<u8> = (0..=255).cycle().take(10_000).collect();
        assert_eq!(ask(&artifacts(folder.path()), "model/1", &bytes), (bytes.clone(), true));
        assert_eq!(ask(&artifacts(folder.path()), "model/1", b"other"), (bytes, false));
        assert_eq!(ask(&artifacts(folder.path()), "empty", b""), (vec![], true));
        assert_eq!(ask(&artifacts(folder.path()), "empty", b"other"), (vec![], false));
    }

    #[test]
    fn keys_that_share_a_file_names_letters_are_kept_apart() {
        let folder = tempfile::tempdir().unwrap();
        let long = "x".repeat(300);
        for key in ["seed 1", "seed-1", "../seed 1", "", &long, &format!("{long}y")] {
            assert_eq!(ask(&artifacts(folder.path()), key, key.as_bytes()), (key.into(), true));
        }
        assert_eq!(stored(folder.path()).len(), 6);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing lies outside of the folder");
    }

    #[test]
    fn a_file_that_is_cut_off_changed_or_anothers_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let artifacts = artifacts(folder.path());
        ask(&artifacts, "a", b"first");
        let a = stored(folder.path()).remove(0);
        ask(&artifacts, "b", b"second");
        let b = stored(folder.path()).into_iter().find(|path| *path != a).unwrap();
        let whole = fs::read(&a).unwrap();
        let mut changed = whole.clone();
        *changed.last_mut().unwrap() ^= 1;
        for bytes in [&whole[..whole.len() - 1], &whole[..7], b"", &changed, &fs::read(&b).unwrap()] {
            fs::write(&a, bytes).unwrap();
            assert_eq!(ask(&artifacts, "a", b"again"), (b"again".to_vec(), true));
        }
        assert_eq!(ask(&artifacts, "a", b""), (b"again".to_vec(), false));
    }

    #[test]
    fn what_decides_bits_tells_artifacts_apart_and_older_ones_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        let of = |identity: &Identity| Artifacts::new(folder.path().join("artifacts"), identity);
        let base = identity("a", &[("moons/x", "12")]);
        ask(&of(&base), "model", b"old");
        fs::write(folder.path().join("artifacts/other-0123.artifact"), "is left alone").unwrap();
        let others = [
            Identity { source: "b".into(), ..base.clone() },
            Identity { burn: "0.23.0".into(), ..base.clone() },
            Identity { features: vec![], ..base.clone() },
            identity("a", &[("moons/x", "34")]),
        ];
        for other in &others {
            assert!(ask(&of(other), "model", b"new").1);
            assert_eq!(stored(folder.path()).len(), 2, "the one before is gone");
        }
        // A cell that reads other data sets has its own beside it.
        assert!(ask(&of(&identity("a", &[])), "model", b"none").1);
        assert_eq!(stored(folder.path()).len(), 3);
        // Seed, setting and method are not part of it: that is what sharing means.
        let cell = Cell::new("f", "t", "n", 2, &());
        assert!(!ask(&of(&Identity { cell, ..others[3].clone() }), "model", b"").1);
    }

    #[test]
    fn unknown_sources_store_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let artifacts = Artifacts::new(folder.path().join("artifacts"), &identity(BuildInfo::UNKNOWN, &[]));
        assert_eq!(ask(&artifacts, "a", b"1"), (b"1".to_vec(), true));
        assert_eq!(ask(&artifacts, "a", b"2"), (b"2".to_vec(), true));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_folder_that_cannot_be_written_costs_the_storage_alone() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("artifacts"), "a file").unwrap();
        assert_eq!(ask(&artifacts(folder.path()), "a", b"1"), (b"1".to_vec(), true));
        assert_eq!(ask(&artifacts(folder.path()), "a", b"2"), (b"2".to_vec(), true));
    }

    #[test]
    fn one_of_many_makes_it_and_the_others_wait() {
        let folder = tempfile::tempdir().unwrap();
        let made = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for thread in 0..8_u8 {
                let (made, folder) = (&made, folder.path());
                scope.spawn(move || {
                    let answer = artifacts(folder).get("slow", || {
                        let first = made.fetch_add(1, Ordering::SeqCst) == 0;
                        std::thread::sleep(Duration::from_millis(50));
                        // The first maker fails: one of those who waited makes it, and it is then made.
                        if first { Err(Failure::data(format!("thread {thread} fails"))) } else { Ok(b"bytes".to_vec()) }
                    });
                    if let Ok(bytes) = answer {
                        assert_eq!(bytes, b"bytes");
                    }
                });
            }
        });
        assert_eq!(made.load(Ordering::SeqCst), 2);
    }

    #[test]
    fn one_artifact_may_need_another() {
        let folder = tempfile::tempdir().unwrap();
        let artifacts = artifacts(folder.path());
        let nested = || artifacts.get("sum", || Ok(vec![artifacts.get("part", || Ok(vec![1, 2]))?.iter().sum()]));
        assert_eq!((nested().unwrap(), nested().unwrap()), (vec![3], vec![3]));
        let bytes: BTreeMap<_, _> =
            stored(folder.path()).into_iter().map(|path| (fs::read(&path).unwrap(), path)).collect();
        assert_eq!(bytes.len(), 2);
    }
}
