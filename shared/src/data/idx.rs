use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use flate2::bufread::GzDecoder;

use super::{DatasetError, ImageShape, LabeledImages};

/// More than any data set in this format has; a header that asks for more is wrong.
const MAX_BYTES: u64 = 1 << 32;

/// Bytes in the IDX format: a header of two zero bytes, the type of the values, the number of dimensions and each
/// dimension as a big-endian number, then the values.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Idx {
    pub(super) dims: Vec<usize>,
    pub(super) values: Vec<u8>,
}

/// Reads gray images and their labels from IDX files of bytes, compressed by gzip or not.
///
/// # Errors
///
/// [`DatasetError::Read`] if a file can't be read; [`DatasetError::Malformed`] if it is truncated or corrupt, has another
/// number of dimensions (3 for images, 1 for labels), or has another number of samples than its fellow;
/// [`DatasetError::LabelOutOfRange`] for a label that is no class.
pub fn read_idx_images(
    name: &str,
    images: &Path,
    labels: &Path,
    n_classes: usize,
) -> Result<LabeledImages, DatasetError> {
    let pixels = read_idx(images, 3)?;
    let classes = read_idx(labels, 1)?;
    let (n, n_labels) = (pixels.dims[0], classes.dims[0]);
    if n != n_labels {
        // The first dimension stands behind the four bytes of the magic number.
        let reason = format!("{n_labels} labels do not fit the {n} images of {}", images.display());
        return Err(DatasetError::malformed(labels, 4, reason));
    }
    let shape = ImageShape { channels: 1, height: pixels.dims[1], width: pixels.dims[2] };
    let classes = classes.values.iter().map(|&label| usize::from(label)).collect();
    LabeledImages::new(name, shape, pixels.values, classes, n_classes)
}

/// Reads an IDX file of bytes with `n_dims` dimensions.
pub(super) fn read_idx(file: &Path, n_dims: usize) -> Result<Idx, DatasetError> {
    let mut reader = BufReader::new(File::open(file).map_err(|error| DatasetError::read(file, &error))?);
    let start = reader.fill_buf().map_err(|error| DatasetError::read(file, &error))?;
    if start.starts_with(&[0x1f, 0x8b]) {
        parse(GzDecoder::new(reader), file, n_dims)
    } else {
        parse(reader, file, n_dims)
    }
}

fn parse(mut reader: impl Read, file: &Path, n_dims: usize) -> Result<Idx, DatasetError> {
    let header = read_exactly(&mut reader, 4 + 4 * n_dims as u64, 0, file);
    // The magic number is worth more than a complaint about the header's length.
    let magic = match &header {
        Ok(header) => header[..4].to_vec(),
        Err((start, _)) if start.len() >= 4 => start[..4].to_vec(),
        Err((_, error)) => return Err(error.clone()),
    };
    if magic[..2] != [0, 0] {
        return Err(DatasetError::malformed(file, 0, "no IDX file: it does not start with two zero bytes"));
    }
    if magic[2] != 0x08 {
        let reason = format!("values of type 0x{:02x}, expected bytes (0x08)", magic[2]);
        return Err(DatasetError::malformed(file, 2, reason));
    }
    if usize::from(magic[3]) != n_dims {
        let what = |n| match n {
            1 => " (labels)",
            3 => " (images)",
            _ => "",
        };
        let found = usize::from(magic[3]);
        let reason = format!("{found} dimensions{}, expected {n_dims}{}", what(found), what(n_dims));
        return Err(DatasetError::malformed(file, 3, reason));
    }
    let header = header.map_err(|(_, error)| error)?;
    let sizes = header[4..].chunks_exact(4).map(|it| u32::from_be_bytes([it[0], it[1], it[2], it[3]]));
    let bytes = sizes.clone().try_fold(1_u64, |product, size| product.checked_mul(u64::from(size)));
    let Some(bytes) = bytes.filter(|bytes| (1..=MAX_BYTES).contains(bytes)) else {
        let sizes: Vec<_> = sizes.map(|size| size.to_string()).collect();
        let reason = format!("dimensions {} make no data set of 1 to {MAX_BYTES} bytes", sizes.join(" x "));
        return Err(DatasetError::malformed(file, 4, reason));
    };
    let offset = header.len() as u64;
    let values = read_exactly(&mut reader, bytes, offset, file).map_err(|(_, error)| error)?;
    expect_end(&mut reader, offset + bytes, file)?;
    Ok(Idx { dims: sizes.map(|size| size as usize).collect(), values })
}

/// Reads `bytes` bytes, which begin at `offset`; an error comes with what could be read.
///
/// Memory grows with what is there, not with what a header promises.
fn read_exactly(
    reader: &mut impl Read,
    bytes: u64,
    offset: u64,
    file: &Path,
) -> Result<Vec<u8>, (Vec<u8>, DatasetError)> {
    let mut read = Vec::new();
    let outcome = reader.take(bytes).read_to_end(&mut read);
    let end = offset + read.len() as u64;
    match outcome {
        Ok(n) if n as u64 == bytes => Ok(read),
        Ok(_) => {
            let reason = format!("truncated: the data end here, {} bytes too early", offset + bytes - end);
            Err((read, DatasetError::malformed(file, end, reason)))
        }
        Err(error) => Err((read, stream_error(&error, end, file))),
    }
}

/// Reads on to the end, where gzip's checksum is compared.
fn expect_end(reader: &mut impl Read, offset: u64, file: &Path) -> Result<(), DatasetError> {
    let mut rest = Vec::new();
    match reader.take(1).read_to_end(&mut rest) {
        Ok(0) => Ok(()),
        Ok(_) => Err(DatasetError::malformed(file, offset, "more bytes than the header's dimensions ask for")),
        Err(error) => Err(stream_error(&error, offset, file)),
    }
}

pub(super) fn stream_error(error: &io::Error, offset: u64, file: &Path) -> DatasetError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => {
            DatasetError::malformed(file, offset, "truncated: the compressed data end in the middle")
        }
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => {
            DatasetError::malformed(file, offset, format!("corrupt compressed data: {error}"))
        }
        _ => DatasetError::read(file, error),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::fs;
    use std::io::Write;
    use std::path::PathBuf;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use proptest::prelude::*;

    use super::*;

    pub(crate) fn idx(dims: &[u32], values: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0, 0, 8, dims.len() as u8];
        dims.iter().for_each(|dim| bytes.extend(dim.to_be_bytes()));
        bytes.extend(values);
        bytes
    }

    pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    struct Folder(tempfile::TempDir);

    impl Folder {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn put(&self, name: &str, bytes: &[u8]) -> PathBuf {
            let path = self.0.path().join(name);
            fs::write(&path, bytes).unwrap();
            path
        }
    }

    fn images() -> Vec<u8> {
        idx(&[2, 2, 3], &[0, 1, 2, 3, 4, 5, 10, 11, 12, 13, 14, 15])
    }

    fn labels() -> Vec<u8> {
        idx(&[2], &[7, 3])
    }

    fn malformed(images: &Path, labels: &Path) -> (PathBuf, u64, String) {
        match read_idx_images("x", images, labels, 10) {
            Err(DatasetError::Malformed { file, offset, reason }) => (file, offset, reason),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn compressed_and_plain_files_give_the_same_images() {
        let folder = Folder::new();
        let plain = (folder.put("i", &images()), folder.put("l", &labels()));
        let packed = (folder.put("i.gz", &gzip(&images())), folder.put("l.gz", &gzip(&labels())));
        let read = read_idx_images("x", &plain.0, &plain.1, 10).unwrap();
        assert_eq!(read, read_idx_images("x", &packed.0, &packed.1, 10).unwrap());
        assert_eq!(read.shape(), ImageShape { channels: 1, height: 2, width: 3 });
        assert_eq!(read.labels(), [7, 3]);
        assert_eq!(read.image(1), [10, 11, 12, 13, 14, 15]);
    }

    #[test]
    fn truncated_files_are_named_with_the_place() {
        let folder = Folder::new();
        let l = folder.put("l", &labels());
        for len in 0..images().len() {
            let i = folder.put("i", &images()[..len]);
            assert_eq!(malformed(&i, &l).1, len as u64);
        }
        let packed = gzip(&images());
        for len in 2..packed.len() {
            let i = folder.put("i.gz", &packed[..len]);
            let (file, _, reason) = malformed(&i, &l);
            assert_eq!(file, i);
            assert!(reason.contains("truncated"), "{reason}");
        }
        let i = folder.put("i", &[images(), vec![0]].concat());
        assert_eq!(malformed(&i, &l).1, 28);
    }

    #[test]
    fn swapped_files_are_told_apart() {
        let folder = Folder::new();
        let (i, l) = (folder.put("i", &images()), folder.put("l", &labels()));
        assert_eq!(malformed(&l, &i), (l.clone(), 3, "1 dimensions (labels), expected 3 (images)".into()));
        assert_eq!(malformed(&i, &i), (i.clone(), 3, "3 dimensions (images), expected 1 (labels)".into()));
        let others = folder.put("others", &idx(&[3], &[1, 2, 3]));
        let (file, offset, reason) = malformed(&i, &others);
        assert_eq!((file, offset), (others, 4));
        assert!(reason.contains("3 labels do not fit the 2 images"), "{reason}");
    }

    #[test]
    fn corrupt_files_are_refused() {
        let folder = Folder::new();
        let l = folder.put("l", &labels());
        let with = |at: usize, byte| {
            let mut bytes = images();
            bytes[at] = byte;
            folder.put("i", &bytes)
        };
        assert_eq!(malformed(&with(0, 1), &l).1, 0);
        assert_eq!(malformed(&with(2, 0x0d), &l).1, 2);
        assert_eq!(malformed(&with(5, 0xff), &l).1, 4 + 12 + 12, "a header that promises 100 MB is found truncated");
        let huge = folder.put("i", &idx(&[u32::MAX, u32::MAX, u32::MAX], &[]));
        assert!(malformed(&huge, &l).2.contains("4294967295 x 4294967295 x 4294967295"));
        let none = folder.put("i", &idx(&[0, 28, 28], &[]));
        assert_eq!(malformed(&none, &l).1, 4);

        // One flipped bit in the compressed pixels or their checksum.
        let packed = gzip(&images());
        let mut flipped = packed.clone();
        let checksum = packed.len() - 8;
        flipped[checksum] ^= 1;
        let (_, offset, reason) = malformed(&folder.put("i.gz", &flipped), &l);
        assert_eq!(offset, 28);
        assert!(reason.contains("corrupt"), "{reason}");

        let wrong = folder.put("l", &idx(&[2], &[7, 10]));
        let error = read_idx_images("x", &folder.put("i", &images()), &wrong, 10).unwrap_err();
        assert_eq!(error, DatasetError::LabelOutOfRange { index: 1, label: 10, n_classes: 10 });
        let error = read_idx_images("x", Path::new("/no/such/file"), &wrong, 10).unwrap_err();
        assert!(matches!(error, DatasetError::Read { .. }), "{error}");
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), n_dims in 1_usize..4) {
            let parsed = parse(&bytes[..], Path::new("x"), n_dims);
            let place = match parsed {
                Ok(_) => 0,
                Err(DatasetError::Malformed { offset, .. }) => offset,
                Err(other) => return Err(TestCaseError::fail(other.to_string())),
            };
            prop_assert!(place <= bytes.len() as u64);
        }

        #[test]
        fn a_header_is_kept_to(dims in prop::collection::vec(0_u32..6, 3), values in prop::collection::vec(any::<u8>(), 0..130)) {
            let parsed = parse(&idx(&dims, &values)[..], Path::new("x"), 3);
            let n = dims.iter().product::<u32>() as usize;
            prop_assert_eq!(parsed.is_ok(), n > 0 && n == values.len());
        }

        #[test]
        fn random_gzip_never_panics(at in 0_usize..60, byte in any::<u8>(), len in 0_usize..60) {
            let mut bytes = gzip(&images());
            let at = at % bytes.len();
            bytes[at] = byte;
            bytes.truncate(bytes.len() - len.min(bytes.len()));
            // Whatever is still readable is the right data: every other change is found.
            if let Ok(read) = parse(GzDecoder::new(&bytes[..]), Path::new("x"), 3) {
                prop_assert_eq!(read.values, &images()[16..]);
            }
        }
    }
}
