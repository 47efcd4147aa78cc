use rand_chacha::ChaCha8Rng;

/// A corruption of images of one shape at one severity, with its tables worked out.
pub(super) trait Effect: Send + Sync {
    /// Buffers that a thread keeps from image to image.
    type Scratch;

    /// Buffers of the size that the images need.
    fn scratch(&self) -> Self::Scratch;

    /// Writes the corrupted `image` to `out`; both are `[channels, height, width]`.
    fn apply(&self, image: &[u8], out: &mut [u8], rng: &mut ChaCha8Rng, scratch: &mut Self::Scratch);
}

/// An effect together with its buffers: writes the corrupted form of an image.
pub(super) type Worker<'a> = Box<dyn FnMut(&[u8], &mut [u8], &mut ChaCha8Rng) + 'a>;

/// An effect of any kind.
pub(super) trait AnyEffect: Send + Sync {
    /// The effect for one thread.
    fn worker(&self) -> Worker<'_>;
}

impl<E: Effect> AnyEffect for E {
    fn worker(&self) -> Worker<'_> {
        let mut scratch = self.scratch();
        Box::new(move |image, out, rng| self.apply(image, out, rng, &mut scratch))
    }
}

/// A byte as a number from 0 to 1.
pub(super) fn unit(byte: u8) -> f64 {
    f64::from(byte) / 255.0
}

/// A number as the original casts it to a byte: clipped to `[0, 1]`, times 255, truncated.
pub(super) fn byte(value: f64) -> u8 {
    (value.clamp(0.0, 1.0) * 255.0) as u8
}
