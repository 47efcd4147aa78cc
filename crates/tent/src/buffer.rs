use burn::tensor::Tensor;

use crate::TentError;

/// Collects inputs that come one by one, or few at a time, until a batch is full.
///
/// Predictions then come late, but each from a batch that Tent can learn from.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use rekindle_tent::Buffer;
///
/// let mut buffer = Buffer::new(3)?;
/// let image = |i: usize| Tensor::<2>::full([1, 4], i as f32, &Device::flex());
/// assert!(buffer.push(image(0)).is_none() && buffer.push(image(1)).is_none());
/// assert_eq!(buffer.push(image(2)).map(|batch| batch.dims()), Some([3, 4]));
/// assert!(buffer.push(image(3)).is_none());
/// assert_eq!(buffer.take().map(|batch| batch.dims()), Some([1, 4])); // at the end of the stream
/// # Ok::<(), rekindle_tent::TentError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Buffer<const D: usize> {
    size: usize,
    held: usize,
    parts: Vec<Tensor<D>>,
}

impl<const D: usize> Buffer<D> {
    /// A buffer that is full with at least `size` samples.
    ///
    /// # Errors
    ///
    /// [`TentError::EmptyBuffer`] for 0.
    pub fn new(size: usize) -> Result<Self, TentError> {
        match size {
            0 => Err(TentError::EmptyBuffer),
            _ => Ok(Self { size, held: 0, parts: Vec::new() }),
        }
    }

    /// Adds `input`, `[samples, ..]`, and returns everything held, in order of arrival, once that is a full batch.
    ///
    /// # Panics
    ///
    /// As `Tensor::cat`, if inputs differ in more than the number of samples.
    pub fn push(&mut self, input: Tensor<D>) -> Option<Tensor<D>> {
        self.held += input.dims()[0];
        self.parts.push(input);
        if self.held >= self.size { self.take() } else { None }
    }

    /// Everything held, full or not; none if there is nothing.
    pub fn take(&mut self) -> Option<Tensor<D>> {
        self.held = 0;
        let mut parts = std::mem::take(&mut self.parts);
        match parts.len() {
            0 => None,
            1 => parts.pop(),
            _ => Some(Tensor::cat(parts, 0)),
        }
    }

    /// Samples held.
    pub fn len(&self) -> usize {
        self.held
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.held == 0
    }
}
