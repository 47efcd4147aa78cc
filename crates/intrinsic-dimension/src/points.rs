use std::borrow::Cow;

use crate::IdError;

/// Largest size of a value: squares of differences stay finite in `f64`.
const LARGEST: f64 = 1e150;

/// A number that [`Points`] can be made of: `f32`, `f64`, or `u8` for images as bytes.
///
/// Bytes are used as they are, 0 to 255. The dimension of data does not depend on its unit, so there is no need to
/// divide by 255, and a data set of bytes needs a quarter of the memory.
pub trait Scalar: sealed::Sealed + Copy + Send + Sync + 'static {
    /// The same number.
    fn to_f64(self) -> f64;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
    impl Sealed for u8 {}
}

impl Scalar for f32 {
    #[inline(always)]
    fn to_f64(self) -> f64 {
        f64::from(self)
    }
}

impl Scalar for f64 {
    #[inline(always)]
    fn to_f64(self) -> f64 {
        self
    }
}

impl Scalar for u8 {
    #[inline(always)]
    fn to_f64(self) -> f64 {
        f64::from(self)
    }
}

/// Points as rows of a matrix `[n, dim]`, row after row, borrowed or owned; all values finite.
///
/// ```
/// use rekindle_intrinsic_dimension::{IdError, Points};
///
/// let points = Points::new(&[0.0, 0.0, 3.0, 4.0, 6.0, 8.0], 3, 2)?;
/// assert_eq!(points.row(1), [3.0, 4.0]);
/// assert!(matches!(Points::from_rows(&[vec![0.0], vec![1.0, 2.0]]), Err(IdError::Ragged { row: 1, .. })));
/// # Ok::<(), IdError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Points<'a, T: Scalar = f32> {
    values: Cow<'a, [T]>,
    n: usize,
    dim: usize,
}

impl<'a, T: Scalar> Points<'a, T> {
    /// `n` rows of `dim` columns that lie in `values` row after row.
    ///
    /// # Errors
    ///
    /// [`IdError::Empty`] or [`IdError::Length`] if the sizes do not fit, [`IdError::NotFinite`] for a value that is NaN,
    /// infinite or larger than 1e150.
    pub fn new(values: &'a [T], n: usize, dim: usize) -> Result<Self, IdError> {
        Self::checked(Cow::Borrowed(values), n, dim)
    }

    /// As [`new`](Self::new), with values that it keeps.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn from_vec(values: Vec<T>, n: usize, dim: usize) -> Result<Self, IdError> {
        Self::checked(Cow::Owned(values), n, dim)
    }

    /// Copies rows that are slices of their own.
    ///
    /// # Errors
    ///
    /// [`IdError::Ragged`] if they differ in length; otherwise as [`new`](Self::new).
    pub fn from_rows<R: AsRef<[T]>>(rows: &[R]) -> Result<Self, IdError> {
        let dim = rows.first().map_or(0, |row| row.as_ref().len());
        if let Some((row, found)) = rows.iter().map(|row| row.as_ref().len()).enumerate().find(|(_, len)| *len != dim) {
            return Err(IdError::Ragged { row, expected: dim, found });
        }
        let values = rows.iter().flat_map(|row| row.as_ref().iter().copied()).collect();
        Self::from_vec(values, rows.len(), dim)
    }

    fn checked(values: Cow<'a, [T]>, n: usize, dim: usize) -> Result<Self, IdError> {
        if n == 0 || dim == 0 {
            return Err(IdError::Empty { n, dim });
        }
        if n.checked_mul(dim) != Some(values.len()) {
            return Err(IdError::Length { n, dim, len: values.len() });
        }
        let bad = |value: f64| !(value.is_finite() && value.abs() <= LARGEST);
        if let Some(at) = values.iter().position(|value| bad(value.to_f64())) {
            return Err(IdError::NotFinite { row: at / dim, column: at % dim, value: values[at].to_f64() });
        }
        Ok(Self { values, n, dim })
    }

    /// Number of points.
    #[must_use]
    pub fn n(&self) -> usize {
        self.n
    }

    /// Columns: the dimension of the space around the data.
    #[must_use]
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Point `i`.
    ///
    /// # Panics
    ///
    /// If `i` is not below [`n`](Self::n).
    #[must_use]
    #[inline]
    pub fn row(&self, i: usize) -> &[T] {
        &self.values[i * self.dim..(i + 1) * self.dim]
    }

    /// All values, row after row.
    #[must_use]
    pub fn values(&self) -> &[T] {
        &self.values
    }

    /// A copy of some of the points, in the order given.
    ///
    /// # Errors
    ///
    /// [`IdError::IndexOutOfRange`], or [`IdError::Empty`] for no index.
    pub fn select(&self, rows: &[usize]) -> Result<Points<'static, T>, IdError> {
        if let Some(&index) = rows.iter().find(|&&row| row >= self.n) {
            return Err(IdError::IndexOutOfRange { index, n: self.n });
        }
        if rows.is_empty() {
            return Err(IdError::Empty { n: 0, dim: self.dim });
        }
        let values: Vec<T> = rows.iter().flat_map(|&row| self.row(row).iter().copied()).collect();
        Ok(Points { values: Cow::Owned(values), n: rows.len(), dim: self.dim })
    }

    #[cfg(feature = "burn")]
    pub(crate) fn into_values(self) -> Vec<T> {
        self.values.into_owned()
    }

    /// The same points, borrowed from this one.
    pub(crate) fn reborrow(&self) -> Points<'_, T> {
        Points { values: Cow::Borrowed(&self.values), n: self.n, dim: self.dim }
    }

    /// The mean of each column.
    pub(crate) fn mean(&self) -> Vec<f64> {
        let mut mean = vec![0.0; self.dim];
        for row in self.values.chunks_exact(self.dim) {
            mean.iter_mut().zip(row).for_each(|(mean, value)| *mean += value.to_f64());
        }
        mean.iter_mut().for_each(|mean| *mean /= self.n as f64);
        mean
    }
}

#[cfg(feature = "ndarray")]
impl<'a, T: Scalar> TryFrom<ndarray::ArrayView2<'a, T>> for Points<'a, T> {
    type Error = IdError;

    /// Borrows a view in standard layout, copies any other.
    fn try_from(view: ndarray::ArrayView2<'a, T>) -> Result<Self, IdError> {
        let (n, dim) = view.dim();
        match view.to_slice() {
            Some(values) => Self::new(values, n, dim),
            None => Self::from_vec(view.iter().copied().collect(), n, dim),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_shapes_and_values_are_refused() {
        assert_eq!(Points::<f32>::new(&[], 0, 3), Err(IdError::Empty { n: 0, dim: 3 }));
        assert_eq!(Points::new(&[1.0], 1, 2), Err(IdError::Length { n: 1, dim: 2, len: 1 }));
        assert_eq!(Points::new(&[1.0], usize::MAX, 2), Err(IdError::Length { n: usize::MAX, dim: 2, len: 1 }));
        assert_eq!(Points::from_rows(&[vec![1.0], vec![]]), Err(IdError::Ragged { row: 1, expected: 1, found: 0 }));
        assert!(matches!(Points::new(&[0.0, f64::NAN], 1, 2), Err(IdError::NotFinite { row: 0, column: 1, .. })));
        assert!(matches!(Points::new(&[f32::INFINITY], 1, 1), Err(IdError::NotFinite { .. })));
        assert!(matches!(Points::new(&[1e160], 1, 1), Err(IdError::NotFinite { .. })));
    }

    #[test]
    fn a_selection_copies_rows_in_the_order_given() {
        let points = Points::new(&[1_u8, 2, 3], 3, 1).unwrap();
        assert_eq!(points.select(&[2, 0]).unwrap().values(), [3, 1]);
        assert_eq!(points.select(&[3]), Err(IdError::IndexOutOfRange { index: 3, n: 3 }));
    }

    #[cfg(feature = "ndarray")]
    #[test]
    fn an_array_is_read_in_its_logical_order() {
        let array = ndarray::array![[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]];
        assert_eq!(Points::try_from(array.view()).unwrap().row(1), [3.0, 4.0]);
        assert_eq!(Points::try_from(array.t()).unwrap().row(1), [2.0, 4.0, 6.0]);
    }
}
