use std::fmt;
use std::fs::File;
use std::io::{BufReader, Cursor, ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use zip::ZipArchive;
use zip::result::ZipError;

use super::DatasetError;

const MAGIC: &[u8; 6] = b"\x93NUMPY";

/// More than any data set in these formats has; an archive that says it holds more is wrong.
const MAX_BYTES: u64 = 1 << 32;

/// A NumPy array of integers (`.npy`, versions 1 to 3), in row-major order; values are read in parts.
#[derive(Debug)]
pub(super) struct NpyFile<R = File> {
    path: PathBuf,
    file: R,
    header: Header,
    /// Where the values start.
    start: u64,
}

/// The type of an array's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dtype {
    U8,
    I32,
    I64,
}

/// What a header says; written as Python does.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Header {
    /// The type of the values.
    pub(super) dtype: Dtype,
    /// The length of each axis.
    pub(super) shape: Vec<usize>,
}

impl NpyFile {
    /// Opens a file and checks its header, and that its size is that of the header and the values.
    pub(super) fn open(path: &Path) -> Result<Self, DatasetError> {
        let unreadable = |error| DatasetError::read(path, &error);
        let file = File::open(path).map_err(unreadable)?;
        let size = file.metadata().map_err(unreadable)?.len();
        Self::new(file, size, path)
    }
}

impl NpyFile<Cursor<Vec<u8>>> {
    /// The only array of an archive (`.npz`), as `numpy.savez_compressed` writes one without a name. Offsets in errors count
    /// within the array.
    pub(super) fn open_npz(path: &Path) -> Result<Self, DatasetError> {
        let unreadable = |error| DatasetError::read(path, &error);
        let malformed = |error: ZipError| match error {
            ZipError::Io(error) if error.kind() != ErrorKind::UnexpectedEof => unreadable(error),
            error => DatasetError::malformed(path, 0, error.to_string()),
        };
        let file = BufReader::new(File::open(path).map_err(unreadable)?);
        let mut archive = ZipArchive::new(file).map_err(malformed)?;
        if archive.len() != 1 {
            let reason = format!("an archive of {} files, expected one array", archive.len());
            return Err(DatasetError::malformed(path, 0, reason));
        }
        let entry = archive.by_index(0).map_err(malformed)?;
        if entry.size() > MAX_BYTES {
            return Err(DatasetError::malformed(path, 0, format!("an array of {} bytes", entry.size())));
        }
        let mut bytes = Vec::new();
        entry.take(MAX_BYTES).read_to_end(&mut bytes).map_err(|error| malformed(error.into()))?;
        let size = bytes.len() as u64;
        Self::new(Cursor::new(bytes), size, path)
    }
}

impl<R: Read + Seek> NpyFile<R> {
    fn new(mut file: R, size: u64, path: &Path) -> Result<Self, DatasetError> {
        let unreadable = |error| DatasetError::read(path, &error);
        let malformed = |offset, reason: String| DatasetError::malformed(path, offset, reason);
        let mut read = |offset: u64, len: usize| {
            if offset + len as u64 > size {
                return Err(malformed(size, format!("truncated: {len} bytes of header follow at byte {offset}")));
            }
            let mut bytes = vec![0; len];
            file.read_exact(&mut bytes).map_err(unreadable).map(|()| bytes)
        };
        let intro = read(0, 8)?;
        if intro[..6] != *MAGIC {
            return Err(malformed(0, "no NumPy array: it does not start with \\x93NUMPY".into()));
        }
        let width = match intro[6] {
            1 => 2,
            2 | 3 => 4,
            version => return Err(malformed(6, format!("version {version} of the format, known are 1 to 3"))),
        };
        let header_start = 8 + width as u64;
        let header_len = read(8, width)?.iter().rev().fold(0, |len, &byte| len << 8 | usize::from(byte));
        let header = read(header_start, header_len)?;
        let header = Header::parse(&header).map_err(|reason| malformed(header_start, reason))?;
        let start = header_start + header_len as u64;
        match header.bytes().and_then(|bytes| bytes.checked_add(start)) {
            Some(end) if end == size => Ok(Self { path: path.into(), file, header, start }),
            Some(end) if end < size => Err(malformed(end, format!("{} bytes after {header}", size - end))),
            _ => Err(malformed(size, format!("truncated: the file ends within {header}"))),
        }
    }

    /// What the header says.
    pub(super) fn header(&self) -> &Header {
        &self.header
    }

    /// Bytes of values `first` to `first + count`, in the file's order.
    pub(super) fn read_bytes(&mut self, first: usize, count: usize) -> Result<Vec<u8>, DatasetError> {
        let size = self.header.dtype.size();
        let mut bytes = vec![0; count * size];
        let from = SeekFrom::Start(self.start + (first * size) as u64);
        let read = self.file.seek(from).and_then(|_| self.file.read_exact(&mut bytes));
        read.map_err(|error| DatasetError::read(&self.path, &error)).map(|()| bytes)
    }

    /// Values `first` to `first + count`.
    pub(super) fn read_integers(&mut self, first: usize, count: usize) -> Result<Vec<i64>, DatasetError> {
        let bytes = self.read_bytes(first, count)?;
        Ok(match self.header.dtype {
            Dtype::U8 => bytes.into_iter().map(i64::from).collect(),
            Dtype::I32 => bytes.as_chunks().0.iter().map(|&bytes| i32::from_le_bytes(bytes).into()).collect(),
            Dtype::I64 => bytes.as_chunks().0.iter().map(|&bytes| i64::from_le_bytes(bytes)).collect(),
        })
    }

    /// The error that the array is not the one `expected`.
    pub(super) fn unexpected(&self, expected: &str) -> DatasetError {
        let reason = format!("the file has {}, expected {expected}", self.header);
        DatasetError::malformed(&self.path, MAGIC.len() as u64 + 2, reason)
    }

    /// An error about one value, by its place in the array.
    pub(super) fn malformed_value(&self, index: usize, reason: impl Into<String>) -> DatasetError {
        let offset = self.start + (index * self.header.dtype.size()) as u64;
        DatasetError::malformed(&self.path, offset, reason)
    }
}

impl Dtype {
    /// How NumPy writes it.
    fn name(self) -> &'static str {
        match self {
            Self::U8 => "|u1",
            Self::I32 => "<i4",
            Self::I64 => "<i8",
        }
    }

    /// Bytes of a value.
    fn size(self) -> usize {
        match self {
            Self::U8 => 1,
            Self::I32 => 4,
            Self::I64 => 8,
        }
    }
}

impl Header {
    /// Reads `{'descr': '|u1', 'fortran_order': False, 'shape': (2, 3), }`.
    fn parse(bytes: &[u8]) -> Result<Self, String> {
        let text = str::from_utf8(bytes).map_err(|_| "the header is not UTF-8")?;
        let value = |key: &str| {
            let parts = text.split_once(&format!("'{key}':"));
            parts.map(|(_, rest)| rest.trim_start()).ok_or(format!("the header has no '{key}'"))
        };
        let descr = value("descr")?.strip_prefix('\'').and_then(|rest| rest.split_once('\''));
        let (descr, _) = descr.ok_or("'descr' is not a single type of values")?;
        let dtype = [Dtype::U8, Dtype::I32, Dtype::I64].into_iter().find(|dtype| dtype.name() == descr);
        let dtype = dtype.ok_or(format!("values of type '{descr}', read are '|u1', '<i4' and '<i8'"))?;
        if !value("fortran_order")?.starts_with("False") {
            return Err("an array in column-major order ('fortran_order'), read are those in row-major order".into());
        }
        let shape = value("shape")?.strip_prefix('(').and_then(|rest| rest.split_once(')'));
        let (shape, _) = shape.ok_or("'shape' is not a tuple")?;
        let axes = shape.split(',').map(str::trim).filter(|axis| !axis.is_empty());
        let lengths = axes.map(|axis| axis.parse().map_err(|_| format!("'shape' has `{axis}`, which is no length")));
        Ok(Self { dtype, shape: lengths.collect::<Result<_, String>>()? })
    }

    /// Bytes of all values; `None` if that is more than can be counted.
    fn bytes(&self) -> Option<u64> {
        self.shape.iter().try_fold(self.dtype.size() as u64, |bytes, &len| bytes.checked_mul(len as u64))
    }
}

impl fmt::Display for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let axes = self.shape.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
        let comma = if self.shape.len() == 1 { "," } else { "" };
        write!(f, "an array of shape ({axes}{comma}) and type '{}'", self.dtype.name())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn npy(version: u8, header: &str, values: &[u8]) -> Vec<u8> {
        let len = (header.len() as u32).to_le_bytes();
        let len = if version == 1 { &len[..2] } else { &len[..] };
        [MAGIC, &[version, 0][..], len, header.as_bytes(), values].concat()
    }

    fn open(bytes: &[u8]) -> Result<NpyFile, (u64, String)> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.npy");
        fs::write(&path, bytes).unwrap();
        NpyFile::open(&path).map_err(|error| match error {
            DatasetError::Malformed { offset, reason, .. } => (offset, reason),
            other => panic!("{other}"),
        })
    }

    const BYTES: &str = "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 3), }\n";
    const LONGS: &str = "{'descr': '<i8', 'fortran_order': False, 'shape': (2,), }\n";

    #[test]
    fn arrays_of_each_version_are_read_in_parts() {
        for version in [1, 2, 3] {
            let mut file = open(&npy(version, BYTES, &[1, 2, 3, 4, 5, 6])).unwrap();
            assert_eq!(*file.header(), Header { dtype: Dtype::U8, shape: vec![2, 3] });
            assert_eq!(file.read_bytes(2, 3).unwrap(), [3, 4, 5]);
            assert_eq!(file.read_integers(4, 2).unwrap(), [5, 6]);
        }
        let values = [7_i64.to_le_bytes(), (-8_i64).to_le_bytes()].concat();
        let mut file = open(&npy(1, LONGS, &values)).unwrap();
        assert_eq!(file.header().to_string(), "an array of shape (2,) and type '<i8'");
        assert_eq!(file.read_integers(0, 2).unwrap(), [7, -8]);
        assert_eq!(file.read_integers(1, 1).unwrap(), [-8]);
    }

    #[test]
    fn what_is_no_such_array_is_refused_with_the_place() {
        let header = |header: &str| open(&npy(1, header, &[0; 6])).unwrap_err();
        assert_eq!(open(b"PK\x03\x04....").unwrap_err().0, 0);
        assert_eq!(open(&npy(4, BYTES, &[0; 6])).unwrap_err().0, 6);
        assert_eq!(header(&BYTES.replace("|u1", "<f4")).1, "values of type '<f4', read are '|u1', '<i4' and '<i8'");
        assert_eq!(header(&BYTES.replace("'|u1'", "[('a', '|u1')]")).1, "'descr' is not a single type of values");
        assert!(header(&BYTES.replace("False", "True")).1.starts_with("an array in column-major order"));
        assert_eq!(header(&BYTES.replace("shape", "form")).1, "the header has no 'shape'");
        assert_eq!(header(&BYTES.replace("3)", "x)")).1, "'shape' has `x`, which is no length");
        assert_eq!(header(&BYTES.replace("(2, 3)", "[2, 3]")).1, "'shape' is not a tuple");
        let huge = header(&BYTES.replace("(2, 3)", &format!("({0}, {0})", u64::MAX)));
        assert!(huge.1.starts_with("truncated: the file ends within an array of shape (18446744073709551615,"));
    }

    #[test]
    fn the_only_array_of_an_archive_is_read_and_damage_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.npz");
        let archive = |names: &[&str]| {
            let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
            for name in names {
                writer.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
                std::io::Write::write_all(&mut writer, &npy(1, BYTES, &[1, 2, 3, 4, 5, 6])).unwrap();
            }
            writer.finish().unwrap().into_inner()
        };
        let open = |bytes: &[u8]| {
            fs::write(&path, bytes).unwrap();
            NpyFile::open_npz(&path)
        };
        let whole = archive(&["arr_0.npy"]);
        assert_eq!(open(&whole).unwrap().read_bytes(0, 6).unwrap(), [1, 2, 3, 4, 5, 6]);
        assert!(open(&archive(&["a.npy", "b.npy"])).unwrap_err().to_string().contains("an archive of 2 files"));
        for len in [0, 10, whole.len() / 2, whole.len() - 1] {
            assert!(matches!(open(&whole[..len]), Err(DatasetError::Malformed { .. })), "{len}");
        }
        let mut changed = whole.clone();
        changed[60] ^= 1;
        assert!(open(&changed).is_err(), "the archive's checksum");
        assert!(matches!(NpyFile::open_npz(&folder.path().join("none")), Err(DatasetError::Read { .. })));
    }

    #[test]
    fn every_truncation_is_noticed() {
        let whole = npy(1, BYTES, &[1, 2, 3, 4, 5, 6]);
        assert!(open(&whole).is_ok());
        for len in 0..whole.len() {
            let (offset, reason) = open(&whole[..len]).unwrap_err();
            assert_eq!(offset, len as u64);
            assert!(reason.starts_with("truncated"), "{reason}");
        }
        let (offset, reason) = open(&[&whole[..], &[0; 9]].concat()).unwrap_err();
        assert_eq!((offset, &reason[..13]), (whole.len() as u64, "9 bytes after"));
    }
}
