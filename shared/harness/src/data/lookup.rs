use std::env;
use std::path::{Path, PathBuf};

use super::{DataError, Dataset, FileEntry, Registry};

/// The folders in which data sets are looked for, in order, and the registry of what may lie there.
#[derive(Debug, Clone, PartialEq)]
pub struct DataDir {
    registry: Registry,
    folders: Vec<PathBuf>,
}

/// A data set whose files are all there.
#[derive(Debug, Clone, PartialEq)]
pub struct Located {
    dataset: Dataset,
    folder: PathBuf,
}

impl DataDir {
    /// Looks in `explicit` (a command line's `--data`), then in the folder that the environment variable REKINDLE_DATA
    /// names, then in `rekindle` in the user's cache folder, for the data sets of [`Registry::builtin`].
    pub fn resolve(explicit: Option<&Path>) -> Self {
        Self::with_registry(Registry::builtin(), explicit)
    }

    /// As [`resolve`](Self::resolve), for the data sets of `registry`.
    pub fn with_registry(registry: Registry, explicit: Option<&Path>) -> Self {
        let variable = env::var_os("REKINDLE_DATA").filter(|value| !value.is_empty()).map(PathBuf::from);
        let candidates = [explicit.map(Path::to_path_buf), variable, user_cache().map(|cache| cache.join("rekindle"))];
        Self::in_folders(registry, candidates.into_iter().flatten())
    }

    /// Looks in these folders only, in this order.
    pub fn in_folders(registry: Registry, folders: impl IntoIterator<Item = PathBuf>) -> Self {
        let mut unique = Vec::new();
        for folder in folders {
            if !unique.contains(&folder) {
                unique.push(folder);
            }
        }
        Self { registry, folders: unique }
    }

    /// The data sets that can be asked for.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The folders, in the order in which they are looked in; downloads go to the first.
    pub fn folders(&self) -> &[PathBuf] {
        &self.folders
    }

    /// Finds the data set in the first folder that has all its files, or folders of classes.
    ///
    /// # Errors
    ///
    /// [`DataError::Unknown`] if the registry lacks the name, [`DataError::Missing`] if no folder has all the files,
    /// [`DataError::MissingFolders`] if none has the folders of classes.
    pub fn locate(&self, dataset: &str) -> Result<Located, DataError> {
        let dataset = self.registry.get(dataset)?;
        let mut missing = None;
        for root in &self.folders {
            let located = Located { dataset: dataset.clone(), folder: root.join(&dataset.folder) };
            match located.missing() {
                None => return Ok(located),
                // Of a data set that is there in part, the part that is not is what the user wants to hear.
                Some(part) if missing.is_none() || located.folder.is_dir() => missing = Some(part.to_owned()),
                Some(_) => {}
            }
        }
        let first = || dataset.parts().next().unwrap_or_default().to_owned();
        let part = Path::new(&dataset.folder).join(missing.unwrap_or_else(first));
        let (dataset, looked, images) = (dataset.name.clone(), self.folders.clone(), !dataset.class_folders.is_empty());
        Err(match images {
            true => DataError::MissingFolders { dataset, folder: part, looked },
            false => DataError::Missing { dataset, file: part, looked },
        })
    }
}

impl Located {
    /// What the registry says about it.
    pub fn dataset(&self) -> &Dataset {
        &self.dataset
    }

    /// The folder that has its files.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The path of a file by its name in the registry.
    pub fn path(&self, file: &str) -> PathBuf {
        self.folder.join(file)
    }

    /// Every file, in the registry's order, with its path.
    pub fn files(&self) -> impl Iterator<Item = (&FileEntry, PathBuf)> {
        self.dataset.files.iter().map(|file| (file, self.path_of(file)))
    }

    /// Every folder of classes, with its path.
    pub fn class_folders(&self) -> impl Iterator<Item = (&str, PathBuf)> {
        self.dataset.class_folders.iter().map(|folder| (folder.as_str(), self.path(folder)))
    }

    /// The first part that is not there.
    fn missing(&self) -> Option<&str> {
        let is_there = |part: &&str| match self.dataset.class_folders.is_empty() {
            true => self.path(part).is_file(),
            false => self.path(part).is_dir(),
        };
        self.dataset.parts().find(|part| !is_there(part))
    }

    fn path_of(&self, file: &FileEntry) -> PathBuf {
        self.folder.join(&file.path)
    }
}

/// The folder for data that can be had again, as each system has it.
fn user_cache() -> Option<PathBuf> {
    // The conventions want absolute paths and say that others are to be ignored.
    let absolute = |variable| env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute());
    if cfg!(windows) {
        absolute("LOCALAPPDATA")
    } else if cfg!(target_os = "macos") {
        absolute("HOME").map(|home| home.join("Library/Caches"))
    } else {
        absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn put(root: &Path, files: &[&str]) {
        fs::create_dir_all(root.join("mnist")).unwrap();
        for file in files {
            fs::write(root.join("mnist").join(file), b"x").unwrap();
        }
    }

    const FILES: [&str; 4] = [
        "train-images-idx3-ubyte.gz",
        "train-labels-idx1-ubyte.gz",
        "t10k-images-idx3-ubyte.gz",
        "t10k-labels-idx1-ubyte.gz",
    ];

    #[test]
    fn the_first_folder_with_all_files_wins() {
        let (a, b, c) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        put(a.path(), &FILES[..2]);
        put(b.path(), &FILES);
        put(c.path(), &FILES);
        let folders = [a.path(), b.path(), c.path()].map(Path::to_path_buf);
        let located = DataDir::in_folders(Registry::builtin(), folders).locate("mnist").unwrap();
        assert_eq!(located.folder(), b.path().join("mnist"));
        assert_eq!(located.files().count(), 4);
    }

    #[test]
    fn a_missing_folder_of_images_is_named_with_its_layout() {
        let root = tempfile::tempdir().unwrap();
        let data = DataDir::in_folders(Registry::builtin(), [root.path().to_path_buf()]);
        fs::create_dir_all(root.path().join("svhn/train/0")).unwrap();
        let error = data.locate("svhn").unwrap_err();
        assert_eq!(error.exit(), crate::Exit::Data);
        let text = error.to_string();
        let layout = Path::new("svhn").join("test").join("<class>").join("<file>").display().to_string();
        assert!(text.contains("`svhn` is not downloaded") && text.contains(&layout), "{text}");
        fs::create_dir_all(root.path().join("svhn/test")).unwrap();
        let located = data.locate("svhn").unwrap();
        assert_eq!(located.class_folders().map(|(name, _)| name).collect::<Vec<_>>(), ["train", "test"]);
    }

    #[test]
    fn a_missing_file_is_named_with_the_folders_and_the_command() {
        let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        put(b.path(), &FILES[..3]);
        let data = DataDir::in_folders(Registry::builtin(), [a.path(), b.path()].map(Path::to_path_buf));
        let error = data.locate("mnist").unwrap_err();
        assert_eq!(error.exit(), crate::Exit::Data);
        let text = error.to_string();
        for part in [
            "mnist/t10k-labels-idx1-ubyte.gz",
            &a.path().display().to_string(),
            &b.path().display().to_string(),
            "cargo xtask data fetch mnist",
        ] {
            assert!(text.contains(part), "{text}");
        }
    }

    #[test]
    fn an_explicit_folder_comes_first() {
        let data = DataDir::resolve(Some(Path::new("/somewhere/else")));
        assert_eq!(data.folders()[0], Path::new("/somewhere/else"));
    }
}
