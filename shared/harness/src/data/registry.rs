use std::path::{Component, Path};

use serde::{Deserialize, Serialize};

use super::DataError;

/// Where the checksums of files that have no registered one are kept, in the data set's folder.
pub(super) const KEPT: &str = "SHA256SUMS";

/// The data sets known by name (`datasets.toml`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Registry {
    #[serde(rename = "dataset", default)]
    datasets: Vec<Dataset>,
}

/// A data set: what it is, which files it has and where they come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dataset {
    /// The name that the command line, cells and records use.
    pub name: String,
    /// What it is, in a line.
    pub title: String,
    /// Its license, as far as it is known.
    pub license: String,
    /// The publication to cite.
    pub citation: String,
    /// The page that it comes from.
    pub origin: String,
    /// Where its files lie below a data folder, with `/` between parts.
    pub folder: String,
    /// Addresses below which each file lies by its path, in the order to try; empty where an archive holds them.
    #[serde(default)]
    pub mirrors: Vec<String>,
    /// The public place in which the files' checksums were read.
    #[serde(default)]
    pub checksum_source: Option<String>,
    /// The archive that holds the files, where they are not served one by one.
    #[serde(default)]
    pub archive: Option<Archive>,
    /// Its files.
    #[serde(rename = "file", default)]
    pub files: Vec<FileEntry>,
    /// In place of files: folders, of which the user brings what is inside, a folder for each class.
    #[serde(default)]
    pub class_folders: Vec<String>,
}

/// A file of a data set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// Its path below the data set's folder, with `/` between parts.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// Its SHA-256 in lower-case hexadecimal, where a public source states it; a verified archive vouches for files without.
    #[serde(default)]
    pub sha256: Option<String>,
}

/// An archive that holds all files of a data set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Archive {
    /// Its addresses, in the order to try.
    pub urls: Vec<String>,
    /// Its size.
    pub bytes: u64,
    /// Its SHA-256 in lower-case hexadecimal, where a public source states it.
    #[serde(default)]
    pub sha256: Option<String>,
    /// The public place in which the checksum was read.
    #[serde(default)]
    pub checksum_source: Option<String>,
    /// How it is packed.
    pub unpack: Unpack,
    /// The folder inside the archive that has the files.
    #[serde(default)]
    pub folder: String,
}

/// How an archive is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Unpack {
    /// A tar archive compressed by gzip.
    #[serde(rename = "tar.gz")]
    TarGz,
    /// A tar archive as it is.
    #[serde(rename = "tar")]
    Tar,
}

impl Registry {
    /// The registry that comes with this crate.
    pub fn builtin() -> Self {
        Self::parse(include_str!("../../datasets.toml")).expect("a test checks the registry that comes with the crate")
    }

    /// A registry from the text of a TOML file.
    ///
    /// # Errors
    ///
    /// [`DataError::Registry`] if the text is no registry, a name is there twice, a path leaves its folder, a checksum
    /// is malformed or has no source, or nothing says where the files come from.
    pub fn parse(text: &str) -> Result<Self, DataError> {
        let registry: Self = toml::from_str(text).map_err(|error| DataError::Registry(error.to_string()))?;
        for (i, dataset) in registry.datasets.iter().enumerate() {
            dataset.check().map_err(|reason| DataError::Registry(format!("`{}`: {reason}", dataset.name)))?;
            if registry.datasets[..i].iter().any(|other| other.name == dataset.name) {
                return Err(DataError::Registry(format!("`{}` is there twice", dataset.name)));
            }
        }
        Ok(registry)
    }

    /// Every data set, in the order of the file.
    pub fn datasets(&self) -> &[Dataset] {
        &self.datasets
    }

    /// The data set of this name.
    ///
    /// # Errors
    ///
    /// [`DataError::Unknown`], which lists the names.
    pub fn get(&self, name: &str) -> Result<&Dataset, DataError> {
        self.datasets.iter().find(|dataset| dataset.name == name).ok_or_else(|| DataError::Unknown {
            name: name.into(),
            known: self.datasets.iter().map(|dataset| dataset.name.clone()).collect(),
        })
    }
}

impl Dataset {
    /// The size of its files together.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// Its files, or its folders of classes, below its folder.
    pub(super) fn parts(&self) -> impl Iterator<Item = &str> {
        self.files.iter().map(|file| &file.path).chain(&self.class_folders).map(String::as_str)
    }

    fn check(&self) -> Result<(), String> {
        let sums = self.files.iter().map(|file| (&file.path, &file.sha256, &self.checksum_source));
        let archive = "the archive".to_string();
        let archive_sum = self.archive.iter().map(|it| (&archive, &it.sha256, &it.checksum_source));
        for (what, sha256, source) in sums.chain(archive_sum) {
            let Some(sha256) = sha256 else { continue };
            let hexadecimal = sha256.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
            if sha256.len() != 64 || !hexadecimal {
                return Err(format!("the sha256 of {what} is not 64 lower-case hexadecimal digits: `{sha256}`"));
            }
            if source.is_none() {
                return Err(format!("the sha256 of {what} has no checksum_source"));
            }
        }
        let folders = [Some(&self.folder), self.archive.as_ref().map(|it| &it.folder)];
        let paths = self.files.iter().map(|file| &file.path).chain(folders.into_iter().flatten());
        let paths = paths.chain(&self.class_folders);
        for path in paths {
            if !Path::new(path).components().all(|part| matches!(part, Component::Normal(_))) {
                return Err(format!("`{path}` is not a relative path that stays in its folder"));
            }
            if path == KEPT {
                return Err(format!("a file can't be called `{KEPT}`: it is where checksums are kept"));
            }
        }
        if !self.class_folders.is_empty() {
            let nothing_else = self.files.is_empty() && self.mirrors.is_empty() && self.archive.is_none();
            return nothing_else.then_some(()).ok_or_else(|| "it has class folders beside files or addresses".into());
        }
        match &self.archive {
            _ if self.files.is_empty() => Err("it has no files".into()),
            Some(archive) if archive.urls.is_empty() => Err("its archive has no address".into()),
            None if self.mirrors.is_empty() => Err("it has neither mirrors nor an archive".into()),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = r#"
        [[dataset]]
        name = "one"
        title = "One"
        license = "none"
        citation = "none"
        origin = "http://localhost/"
        folder = "one"
        mirrors = ["http://localhost/"]
        [[dataset.file]]
        path = "a.bin"
        bytes = 3
    "#;

    #[test]
    fn the_registry_that_comes_with_the_crate_is_sound() {
        let registry = Registry::parse(include_str!("../../datasets.toml")).unwrap();
        let names: Vec<_> = registry.datasets().iter().map(|dataset| dataset.name.as_str()).collect();
        let official = ["mnist", "fashion-mnist", "kmnist-test", "cifar-10", "cifar-100", "cifar-10-c"];
        let folders = ["svhn", "notmnist", "celeba", "ms-coco", "imagenet", "images"];
        assert_eq!(
            names,
            [&official[..], &folders, &["tinyshakespeare", "wikitext-2", "multi30k", "imdb", "text"]].concat()
        );
        // Records of fixed length, so that the sizes can be worked out.
        assert_eq!(registry.get("cifar-10").unwrap().bytes(), 60_000 * (1 + 3 * 32 * 32));
        assert_eq!(registry.get("cifar-100").unwrap().bytes(), 60_000 * (2 + 3 * 32 * 32));
        // NumPy's header of 128 bytes, then 5 severities of 10,000 images, for 19 corruptions; a label for each.
        let corrupted = registry.get("cifar-10-c").unwrap();
        assert_eq!(corrupted.files.len(), 20);
        assert_eq!(corrupted.bytes(), 19 * (128 + 50_000 * 3 * 32 * 32) + 128 + 50_000);
        // In a tar archive each file, and the folder, has a header; all comes in blocks of 512 bytes, two of them at the end.
        let blocks = corrupted.files.iter().map(|file| 1 + file.bytes.div_ceil(512)).sum::<u64>() + 1 + 2;
        assert_eq!(corrupted.archive.as_ref().unwrap().bytes, 512 * blocks);
    }

    #[test]
    fn an_unknown_name_lists_the_known_ones() {
        let error = Registry::builtin().get("mnits").unwrap_err();
        let start = "unknown data set `mnits`: one of mnist, fashion-mnist, kmnist-test, cifar-10, ";
        assert!(error.to_string().starts_with(start), "{error}");
    }

    #[test]
    fn an_unsound_registry_is_refused() {
        assert!(Registry::parse(ONE).is_ok());
        let sum = format!("bytes = 3\nsha256 = \"{}\"", "0".repeat(64));
        for (from, to, reason) in [
            ("a.bin", "../a.bin", "stays in its folder"),
            ("a.bin", "SHA256SUMS", "checksums are kept"),
            ("folder = \"one\"", "folder = \"/one\"", "stays in its folder"),
            ("bytes = 3", "bytes = 3\nsha256 = \"abc\"", "64 lower-case"),
            ("bytes = 3", &sum, "no checksum_source"),
            ("mirrors = [\"http://localhost/\"]", "", "neither mirrors nor an archive"),
            ("title", "tilte", "tilte"),
            ("folder = \"one\"", "folder = \"one\"\nclass_folders = [\"train\"]", "class folders beside files"),
        ] {
            let error = Registry::parse(&ONE.replace(from, to)).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
        let twice = Registry::parse(&format!("{ONE}{ONE}")).unwrap_err().to_string();
        assert!(twice.contains("twice"), "{twice}");
    }
}
