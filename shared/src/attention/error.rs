use thiserror::Error;

/// Why prefix sums were refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PrefixSumsError {
    /// A chunk of no tokens.
    #[error("a chunk needs at least 1 token, got 0; 64 to 128 are fast")]
    EmptyChunk,
    /// A tensor does not fit the keys.
    #[error("{tensor} must be {expected:?} to fit the keys, got {actual:?}")]
    Shape {
        /// Which tensor.
        tensor: &'static str,
        /// The shape that fits.
        expected: Vec<usize>,
        /// The shape it has.
        actual: Vec<usize>,
    },
}

impl PrefixSumsError {
    pub(super) fn unless_equal(tensor: &'static str, expected: &[usize], actual: &[usize]) -> Result<(), Self> {
        match expected == actual {
            true => Ok(()),
            false => Err(Self::Shape { tensor, expected: expected.to_vec(), actual: actual.to_vec() }),
        }
    }
}
