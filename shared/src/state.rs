//! Files for the state that a technique keeps between processes.

use std::path::Path;

use burn::tensor::{Device, Tensor, TensorData};
use thiserror::Error;

/// Why a state could not be read or written.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("cannot {action} the state at {path}: {reason}")]
pub struct StateFileError {
    /// `read` or `write`.
    pub action: &'static str,
    /// The file.
    pub path: String,
    /// What the operating system said.
    pub reason: String,
}

impl StateFileError {
    fn new(action: &'static str, path: &Path, error: &std::io::Error) -> Self {
        Self { action, path: path.display().to_string(), reason: error.to_string() }
    }
}

/// Writes `bytes` to a file, which is replaced as a whole: a reader sees what was there before, or all of it.
///
/// # Errors
///
/// With the path and what the system said; a file that was there is as it was.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), StateFileError> {
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    std::fs::write(&partial, bytes)
        .and_then(|()| std::fs::rename(&partial, path))
        .inspect_err(|_| drop(std::fs::remove_file(&partial)))
        .map_err(|error| StateFileError::new("write", path, &error))
}

/// Reads a file as a whole.
///
/// # Errors
///
/// With the path and what the system said.
pub fn read(path: &Path) -> Result<Vec<u8>, StateFileError> {
    std::fs::read(path).map_err(|error| StateFileError::new("read", path, &error))
}

/// Reads the fields of a state one after the other; each gives none where the bytes end before it does.
#[derive(Debug, Clone)]
pub struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    /// Of what follows `magic`; none if the bytes begin otherwise.
    pub fn after(magic: &[u8; 8], bytes: &'a [u8]) -> Option<Self> {
        bytes.strip_prefix(magic).map(|rest| Self { rest })
    }

    /// The next number, eight bytes, little-endian.
    pub fn number(&mut self) -> Option<u64> {
        let (first, rest) = self.rest.split_first_chunk::<8>()?;
        self.rest = rest;
        Some(u64::from_le_bytes(*first))
    }

    /// The next bytes, with their number before them.
    pub fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.number()?).ok()?;
        let (first, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(first)
    }

    /// The next tensor, as [`push_tensor`] wrote it; none also if its values are none, or not those of `shape`.
    pub fn tensor<const D: usize>(&mut self, shape: [usize; D], device: &Device) -> Option<Tensor<D>> {
        let bytes = self.bytes()?;
        let n = shape.iter().try_fold(1_usize, |product, &size| product.checked_mul(size))?;
        if n == 0 || n.checked_mul(size_of::<f32>())? != bytes.len() {
            return None;
        }
        let (values, _) = bytes.as_chunks::<4>();
        let values: Vec<f32> = values.iter().map(|value| f32::from_le_bytes(*value)).collect();
        Some(Tensor::from_data(TensorData::new(values, shape), device))
    }

    /// Everything that is left.
    pub fn rest(self) -> &'a [u8] {
        self.rest
    }
}

/// Appends the values of `tensor` as f32, little-endian, with the number of their bytes before them.
pub fn push_tensor<const D: usize>(bytes: &mut Vec<u8>, tensor: &Tensor<D>) {
    let values = tensor.to_data();
    bytes.extend(((values.shape().iter().product::<usize>() * size_of::<f32>()) as u64).to_le_bytes());
    bytes.extend(values.iter::<f32>().flat_map(f32::to_le_bytes));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tensor_comes_back_in_its_shape_alone() {
        let device = Device::flex();
        let tensor = Tensor::<2>::from_floats([[1.5, -2.0, 3.0], [0.0, 1e-30, f32::MAX]], &device);
        let mut bytes = b"\x00MAGIC\x00\x01".to_vec();
        push_tensor(&mut bytes, &tensor);
        let read =
            |bytes: &[u8], shape| Fields::after(b"\x00MAGIC\x00\x01", bytes).unwrap().tensor::<2>(shape, &device);
        read(&bytes, [2, 3]).unwrap().into_data().assert_eq(&tensor.into_data(), true);
        for shape in [[2, 2], [3, 3], [0, 3], [usize::MAX, usize::MAX]] {
            assert!(read(&bytes, shape).is_none(), "{shape:?}");
        }
        assert!(read(&bytes[..bytes.len() - 1], [2, 3]).is_none());
    }

    #[test]
    fn a_state_replaces_the_one_before_and_leaves_nothing_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.state");
        write(&path, b"first").unwrap();
        write(&path, b"second").unwrap();
        assert_eq!(read(&path).unwrap(), b"second");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn fields_come_in_order_and_end_with_the_bytes() {
        let mut bytes = b"\x00MAGIC\x00\x01".to_vec();
        bytes.extend(7_u64.to_le_bytes());
        bytes.extend(2_u64.to_le_bytes());
        bytes.extend(b"abrest");
        assert!(Fields::after(b"\x00MAGIC\x00\x02", &bytes).is_none());
        let mut fields = Fields::after(b"\x00MAGIC\x00\x01", &bytes).unwrap();
        assert_eq!((fields.number(), fields.bytes()), (Some(7), Some(&b"ab"[..])));
        assert!(fields.clone().number().is_none() && fields.clone().bytes().is_none());
        assert_eq!(fields.rest(), b"rest");
    }

    #[test]
    fn what_fails_is_named_with_its_path() {
        let folder = tempfile::tempdir().unwrap();
        let error = read(&folder.path().join("missing")).unwrap_err();
        assert!(error.action == "read" && error.path.ends_with("missing"), "{error}");
        let error = write(&folder.path().join("no/such/folder"), b"").unwrap_err();
        assert!(error.to_string().starts_with("cannot write the state at "), "{error}");
    }
}
