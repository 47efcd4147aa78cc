//! The pictures of a cell, beside its record.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::Failure;
use crate::cell::slug;
use crate::{Record, whole};

/// How a PNG file begins.
const SIGNATURE: [u8; 8] = *b"\x89PNG\r\n\x1a\n";

/// Writes the pictures of the cell whose record will lie at `record`, and removes those that an earlier run left and this
/// one did not hand back.
pub(super) fn write(record: &Path, pictures: &BTreeMap<String, Vec<u8>>) -> Result<(), Failure> {
    for (name, bytes) in pictures {
        if name.is_empty() || slug(name) != *name {
            let rule = "must be of lower-case letters, digits, dots and single dashes";
            return Err(Failure::outcome(format!("the name of a picture {rule}, got `{name}`")));
        }
        if !bytes.starts_with(&SIGNATURE) {
            return Err(Failure::outcome(format!("picture `{name}` must be the bytes of a PNG file")));
        }
    }
    let folder = record.parent().unwrap_or(Path::new("."));
    if !pictures.is_empty() {
        fs::create_dir_all(folder).map_err(|error| Failure::unwritten(folder, &error))?;
    }
    let kept: Vec<_> = pictures.keys().map(|name| Record::picture(record, name)).collect();
    for (path, bytes) in kept.iter().zip(pictures.values()) {
        whole::write(path, &[bytes]).map_err(|error| Failure::unwritten(path, &error))?;
    }
    // Without a folder there is nothing to remove.
    let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
    let start = format!("{}.", record.file_stem().unwrap_or_default().to_string_lossy());
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| !kept.contains(path)) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with(&start) && name.ends_with(".png") {
            fs::remove_file(&path).map_err(|error| Failure::unwritten(&path, &error))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn png(text: &str) -> Vec<u8> {
        [&SIGNATURE, text.as_bytes()].concat()
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn pictures_lie_beside_the_record_and_a_rerun_replaces_them() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("e/s/m");
        let record = folder.join("1.json");
        write(&record, &BTreeMap::new()).unwrap();
        assert!(!folder.exists(), "no picture needs no folder");
        write(&record, &BTreeMap::from([("fog".into(), png("a")), ("frost.5".into(), png("b"))])).unwrap();
        write(&folder.join("11.json"), &BTreeMap::from([("fog".into(), png("eleven"))])).unwrap();
        fs::write(&record, "{}").unwrap();
        assert_eq!(names(&folder), ["1.fog.png", "1.frost.5.png", "1.json", "11.fog.png"]);
        write(&record, &BTreeMap::from([("fog".into(), png("c"))])).unwrap();
        assert_eq!(names(&folder), ["1.fog.png", "1.json", "11.fog.png"]);
        assert_eq!(fs::read(folder.join("1.fog.png")).unwrap(), png("c"));
        assert_eq!(fs::read(folder.join("11.fog.png")).unwrap(), png("eleven"));
    }

    #[test]
    fn what_is_no_picture_or_no_name_is_refused_before_anything_is_written() {
        let root = tempfile::tempdir().unwrap();
        let record = root.path().join("e/1.json");
        for (name, bytes) in [("", png("")), ("../x", png("")), ("A b", png("")), ("x", b"GIF89a".to_vec())] {
            let message = write(&record, &BTreeMap::from([("a".into(), png("")), (name.into(), bytes)])).unwrap_err();
            assert!(message.to_string().contains(&format!("`{name}`")), "{message}");
        }
        assert_eq!(names(root.path()), Vec::<String>::new());
    }

    #[test]
    fn a_picture_that_cannot_be_written_fails_the_cell_by_its_name() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("1.fog.png/x")).unwrap();
        let error = write(&root.path().join("1.json"), &BTreeMap::from([("fog".into(), png(""))])).unwrap_err();
        assert!(error.to_string().contains("1.fog.png"), "{error}");
    }
}
