use std::fs;
use std::path::Path;

use super::DatasetError;
use super::files::files_below;

/// Texts as bytes, each with its class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabeledTexts {
    /// By class, then by name of the file.
    pub texts: Vec<Vec<u8>>,
    /// Below the number of classes, one for each text.
    pub labels: Vec<usize>,
}

/// Reads `folder/<class>/*.txt`, at any depth below the folder of a class, for the classes named, which are numbered in that order.
/// Other folders are passed over, as IMDb has them.
///
/// # Errors
///
/// [`DatasetError::Read`] for a folder or file that can't be read, [`DatasetError::Empty`] if a class has no text.
pub fn read_text_folder(name: &str, folder: &Path, classes: &[&str]) -> Result<LabeledTexts, DatasetError> {
    let (mut texts, mut labels) = (Vec::new(), Vec::new());
    for (label, class) in classes.iter().enumerate() {
        let files = files_below(&folder.join(class), &["txt"])?;
        if files.is_empty() {
            return Err(DatasetError::Empty(format!("{name}: {}", folder.join(class).display())));
        }
        for file in files {
            texts.push(fs::read(&file).map_err(|error| DatasetError::read(&file, &error))?);
            labels.push(label);
        }
    }
    Ok(LabeledTexts { texts, labels })
}

/// All `*.txt` below a folder as one text, in the order of their paths.
///
/// # Errors
///
/// [`DatasetError::Read`] for a folder or file that can't be read.
pub(super) fn read_joined(folder: &Path) -> Result<Vec<u8>, DatasetError> {
    let mut bytes = Vec::new();
    for file in files_below(folder, &["txt"])? {
        bytes.extend(fs::read(&file).map_err(|error| DatasetError::read(&file, &error))?);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (file, text) in [
            ("pos/b.txt", "good"),
            ("pos/a.txt", "fine"),
            ("neg/0.txt", "bad"),
            ("unsup/0.txt", "?"),
            ("pos/list.csv", "no"),
        ] {
            fs::create_dir_all(root.path().join(file).parent().unwrap()).unwrap();
            fs::write(root.path().join(file), text).unwrap();
        }
        root
    }

    #[test]
    fn texts_come_by_class_and_name_and_other_folders_are_passed_over() {
        let root = folder();
        let read = read_text_folder("reviews", root.path(), &["neg", "pos"]).unwrap();
        assert_eq!(read.texts, [b"bad".to_vec(), b"fine".to_vec(), b"good".to_vec()]);
        assert_eq!(read.labels, [0, 1, 1]);
        assert_eq!(read_joined(root.path()).unwrap(), b"badfinegood?");
    }

    #[test]
    fn a_class_without_texts_is_refused() {
        let root = folder();
        let error = read_text_folder("reviews", root.path(), &["neg", "neutral"]).unwrap_err().to_string();
        assert!(error.contains("neutral"), "{error}");
        fs::create_dir(root.path().join("neutral")).unwrap();
        let error = read_text_folder("reviews", root.path(), &["neg", "neutral"]).unwrap_err();
        assert!(matches!(error, DatasetError::Empty(_)), "{error}");
    }
}
