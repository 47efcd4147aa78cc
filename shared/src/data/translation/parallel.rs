use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

use crate::data::DatasetError;
use crate::data::idx::stream_error;

/// Lines of a text in two languages; line i of one is the translation of line i of the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParallelText {
    name: String,
    source: Vec<String>,
    target: Vec<String>,
}

impl ParallelText {
    /// A text from the lines of both languages.
    ///
    /// # Errors
    ///
    /// [`DatasetError::Empty`] if there are none, [`DatasetError::Size`] if one language has another number than the other.
    pub fn new(name: &str, source: Vec<String>, target: Vec<String>) -> Result<Self, DatasetError> {
        if source.is_empty() {
            return Err(DatasetError::Empty(name.into()));
        }
        if source.len() != target.len() {
            let (expected, found) = (source.len(), target.len());
            return Err(DatasetError::Size { name: name.into(), what: "lines of the target", expected, found });
        }
        Ok(Self { name: name.into(), source, target })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Lines of the language to translate from.
    pub fn source(&self) -> &[String] {
        &self.source
    }

    /// Lines of the language to translate to.
    pub fn target(&self) -> &[String] {
        &self.target
    }

    /// Pairs of lines, one or more.
    #[expect(clippy::len_without_is_empty, reason = "it never is")]
    pub fn len(&self) -> usize {
        self.source.len()
    }
}

/// Reads two text files, compressed by gzip or not, of which each line is the translation of the other's.
///
/// # Errors
///
/// [`DatasetError::Read`] if a file can't be read; [`DatasetError::Malformed`] if it is truncated or corrupt, or not UTF-8;
/// [`DatasetError::Empty`] and [`DatasetError::Size`] as [`ParallelText::new`].
pub fn read_parallel_text(name: &str, source: &Path, target: &Path) -> Result<ParallelText, DatasetError> {
    ParallelText::new(name, read_lines(source)?, read_lines(target)?)
}

fn read_lines(file: &Path) -> Result<Vec<String>, DatasetError> {
    let mut reader = BufReader::new(File::open(file).map_err(|error| DatasetError::read(file, &error))?);
    let start = reader.fill_buf().map_err(|error| DatasetError::read(file, &error))?;
    let mut bytes = Vec::new();
    let read = match start.starts_with(&[0x1f, 0x8b]) {
        true => MultiGzDecoder::new(reader).read_to_end(&mut bytes),
        false => reader.read_to_end(&mut bytes),
    };
    read.map_err(|error| stream_error(&error, bytes.len() as u64, file))?;
    let text = std::str::from_utf8(&bytes).map_err(|error| {
        DatasetError::malformed(file, error.valid_up_to() as u64, "no text in UTF-8: convert it to UTF-8")
    })?;
    Ok(text.lines().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use super::*;
    use crate::data::idx::tests::gzip;

    fn put(folder: &tempfile::TempDir, name: &str, bytes: &[u8]) -> PathBuf {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    #[test]
    fn plain_and_compressed_files_give_the_same_lines() {
        let folder = tempfile::tempdir().unwrap();
        let (de, en) = ("Ein Hund.\nZwei Männer\u{2028}gehen.\n", "A dog.\r\nTwo men walk.");
        let plain = read_parallel_text("x", &put(&folder, "de", de.as_bytes()), &put(&folder, "en", en.as_bytes()));
        let packed = [("de.gz", de), ("en.gz", en)].map(|(name, text)| put(&folder, name, &gzip(text.as_bytes())));
        let text = plain.unwrap();
        assert_eq!(text.source(), ["Ein Hund.", "Zwei Männer\u{2028}gehen."]);
        assert_eq!(text.target(), ["A dog.", "Two men walk."]);
        assert_eq!((text.len(), text.name()), (2, "x"));
        assert_eq!(read_parallel_text("x", &packed[0], &packed[1]).unwrap(), text);
    }

    #[test]
    fn files_that_do_not_go_together_or_are_damaged_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let good = put(&folder, "good", b"A dog.\nTwo men.\n");
        let message = |name, bytes: &[u8]| {
            let error = read_parallel_text("x", &good, &put(&folder, name, bytes)).unwrap_err();
            error.to_string().replace(&folder.path().display().to_string(), "")
        };
        assert_eq!(message("short", b"Ein Hund.\n"), "data set `x` has 1 lines of the target, its shape asks for 2");
        let latin = message("latin", b"Ein Hund.\nZwei M\xe4nner.\n");
        assert_eq!(latin, "/latin: at byte 16: no text in UTF-8: convert it to UTF-8");
        let packed = gzip(b"Ein Hund.\nZwei Leute.\n");
        assert!(message("cut", &packed[..packed.len() - 12]).contains("truncated"));
        let mut damaged = packed.clone();
        damaged[packed.len() - 6] ^= 1;
        assert!(message("damaged", &damaged).contains("corrupt compressed data"), "{}", message("damaged", &damaged));
        assert!(read_parallel_text("x", &good, &folder.path().join("none")).is_err());
        let empty = put(&folder, "empty", b"");
        assert_eq!(read_parallel_text("x", &empty, &empty), Err(DatasetError::Empty("x".into())));
    }
}
