use rand::Rng;
use rand::seq::index;

use super::DatasetError;

/// The shape of one image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ImageShape {
    /// 1 for gray, 3 for red, green, blue.
    pub channels: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

impl ImageShape {
    /// Values of one image.
    pub fn len(self) -> usize {
        self.channels * self.height * self.width
    }

    /// Whether an image of this shape has no values.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }
}

/// Images with one label each, on the host.
///
/// Pixels are bytes from 0 to 255, `[n, channels, height, width]` in one piece. There is at least one image, and every
/// label is below the number of classes.
#[derive(Debug, Clone, PartialEq)]
pub struct LabeledImages {
    name: String,
    shape: ImageShape,
    pixels: Vec<u8>,
    labels: Vec<usize>,
    n_classes: usize,
}

impl LabeledImages {
    /// Images from their bytes.
    ///
    /// # Shapes
    ///
    /// - `pixels`: `[n, channels, height, width]`
    /// - `labels`: `[n]`
    ///
    /// # Errors
    ///
    /// [`DatasetError::Empty`] without images, pixels or classes, [`DatasetError::Size`] if the number of pixels does not
    /// fit the labels, [`DatasetError::LabelOutOfRange`] for the first label that is no class.
    pub fn new(
        name: impl Into<String>,
        shape: ImageShape,
        pixels: Vec<u8>,
        labels: Vec<usize>,
        n_classes: usize,
    ) -> Result<Self, DatasetError> {
        let name = name.into();
        if labels.is_empty() || shape.is_empty() || n_classes == 0 {
            return Err(DatasetError::Empty(name));
        }
        let expected = labels.len() * shape.len();
        if pixels.len() != expected {
            return Err(DatasetError::Size { name, what: "pixels", expected, found: pixels.len() });
        }
        check_labels(&labels, n_classes)?;
        Ok(Self { name, shape, pixels, labels, n_classes })
    }

    /// Images from numbers in `[0, 1]`, each rounded to the nearest of 256 steps.
    ///
    /// # Errors
    ///
    /// [`DatasetError::Value`] for the first value that is NaN, infinite or outside of `[0, 1]`, and as [`new`](Self::new).
    pub fn from_unit_floats(
        name: impl Into<String>,
        shape: ImageShape,
        values: &[f32],
        labels: Vec<usize>,
        n_classes: usize,
    ) -> Result<Self, DatasetError> {
        if let Some(index) = values.iter().position(|value| !(0.0..=1.0).contains(value)) {
            return Err(DatasetError::Value { index, value: values[index], rule: "a number from 0 to 1" });
        }
        let pixels = values.iter().map(|value| (value * 255.0).round() as u8).collect();
        Self::new(name, shape, pixels, labels, n_classes)
    }

    /// What the data set is called, in messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Never: a data set has at least one image.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The shape of one image.
    pub fn shape(&self) -> ImageShape {
        self.shape
    }

    /// The number of classes.
    pub fn n_classes(&self) -> usize {
        self.n_classes
    }

    /// Every pixel, `[n, channels, height, width]`.
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// The pixels of one image, `[channels, height, width]`.
    ///
    /// # Panics
    ///
    /// If `index` is not below [`len`](Self::len).
    pub fn image(&self, index: usize) -> &[u8] {
        let len = self.shape.len();
        &self.pixels[index * len..][..len]
    }

    /// Every label, `[n]`.
    pub fn labels(&self) -> &[usize] {
        &self.labels
    }

    /// How many images each class has, `[n_classes]`.
    pub fn label_counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.n_classes];
        self.labels.iter().for_each(|&label| counts[label] += 1);
        counts
    }

    /// The same images with other labels, `[n]`.
    ///
    /// # Errors
    ///
    /// [`DatasetError::Size`] or [`DatasetError::LabelOutOfRange`] if they don't fit.
    pub fn with_labels(self, labels: Vec<usize>) -> Result<Self, DatasetError> {
        if labels.len() != self.len() {
            let (expected, found) = (self.len(), labels.len());
            return Err(DatasetError::Size { name: self.name, what: "labels", expected, found });
        }
        check_labels(&labels, self.n_classes)?;
        Ok(Self { labels, ..self })
    }

    /// The same number of images with other pixels.
    pub(super) fn with_pixels(self, pixels: Vec<u8>) -> Result<Self, DatasetError> {
        Self::new(self.name, self.shape, pixels, self.labels, self.n_classes)
    }

    /// The same images with labels of other classes.
    pub(super) fn with_classes(self, labels: Vec<usize>, n_classes: usize) -> Result<Self, DatasetError> {
        Self::new(self.name, self.shape, self.pixels, labels, n_classes)
    }

    /// The images at these indices (a range or a list), in this order; an index may come twice.
    ///
    /// # Errors
    ///
    /// [`DatasetError::IndexOutOfRange`] for the first index past the end, [`DatasetError::Empty`] without indices.
    pub fn subset(&self, indices: impl IntoIterator<Item = usize>) -> Result<Self, DatasetError> {
        let (mut pixels, mut labels) = (Vec::new(), Vec::new());
        for index in indices {
            let Some(&label) = self.labels.get(index) else {
                return Err(DatasetError::IndexOutOfRange { index, len: self.len() });
            };
            labels.push(label);
            pixels.extend_from_slice(self.image(index));
        }
        Self::new(self.name.clone(), self.shape, pixels, labels, self.n_classes)
    }

    /// The first `n` images.
    ///
    /// # Errors
    ///
    /// As [`subset`](Self::subset), for `n` = 0 and `n` above [`len`](Self::len).
    pub fn take(&self, n: usize) -> Result<Self, DatasetError> {
        self.subset(0..n)
    }

    /// The first `n` images, and the others.
    ///
    /// # Errors
    ///
    /// As [`subset`](Self::subset), if one of the two parts would be empty.
    pub fn split(&self, n: usize) -> Result<(Self, Self), DatasetError> {
        Ok((self.take(n)?, self.subset(n..self.len())?))
    }

    /// The images of all `parts`, one part after the other, under the first one's name.
    ///
    /// # Errors
    ///
    /// [`DatasetError::Empty`] without parts, [`DatasetError::Mismatch`] for the first part with another shape or number of
    /// classes than the first.
    pub fn concat(parts: &[&Self]) -> Result<Self, DatasetError> {
        let first = *parts.first().ok_or_else(|| DatasetError::Empty("concatenation".into()))?;
        parts.iter().try_for_each(|part| first.check_alike(part))?;
        let pixels = parts.iter().map(|part| part.pixels()).collect::<Vec<_>>().concat();
        let labels = parts.iter().map(|part| part.labels()).collect::<Vec<_>>().concat();
        Self::new(first.name.clone(), first.shape, pixels, labels, first.n_classes)
    }

    /// Refuses other images that don't go with these.
    pub(super) fn check_alike(&self, other: &Self) -> Result<(), DatasetError> {
        if (self.shape, self.n_classes) == (other.shape, other.n_classes) {
            return Ok(());
        }
        let described = |set: &Self| {
            let ImageShape { channels, height, width } = set.shape;
            format!("{channels}x{height}x{width} with {} classes", set.n_classes)
        };
        Err(DatasetError::Mismatch {
            first: self.name.clone(),
            second: other.name.clone(),
            found: format!("{} and {}", described(self), described(other)),
        })
    }

    /// `n` different images drawn at random, every one equally likely, in the order drawn.
    ///
    /// # Errors
    ///
    /// [`DatasetError::IndexOutOfRange`] if there are fewer than `n`, [`DatasetError::Empty`] for `n` = 0.
    pub fn sample(&self, n: usize, rng: &mut impl Rng) -> Result<Self, DatasetError> {
        if n > self.len() {
            return Err(DatasetError::IndexOutOfRange { index: n - 1, len: self.len() });
        }
        self.subset(index::sample(rng, self.len(), n))
    }
}

pub(super) fn check_labels(labels: &[usize], n_classes: usize) -> Result<(), DatasetError> {
    match labels.iter().position(|&label| label >= n_classes) {
        Some(index) => Err(DatasetError::LabelOutOfRange { index, label: labels[index], n_classes }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Stream, Streams};

    const DOT: ImageShape = ImageShape { channels: 1, height: 1, width: 2 };

    fn four() -> LabeledImages {
        LabeledImages::new("four", DOT, vec![0, 1, 10, 11, 20, 21, 30, 31], vec![0, 1, 2, 1], 3).unwrap()
    }

    #[test]
    fn images_that_do_not_fit_are_refused() {
        let build = |pixels, labels, n_classes| LabeledImages::new("x", DOT, pixels, labels, n_classes).unwrap_err();
        assert_eq!(build(vec![], vec![], 3), DatasetError::Empty("x".into()));
        assert_eq!(build(vec![1, 2], vec![0], 0), DatasetError::Empty("x".into()));
        assert_eq!(
            build(vec![1, 2, 3], vec![0, 1], 3),
            DatasetError::Size { name: "x".into(), what: "pixels", expected: 4, found: 3 }
        );
        let error = build(vec![1, 2, 3, 4], vec![0, 3], 3);
        assert_eq!(error, DatasetError::LabelOutOfRange { index: 1, label: 3, n_classes: 3 });
        let text = error.to_string();
        assert_eq!(text, "label 3 of sample 1 is out of range: labels have to be below the number of classes, 3");
    }

    #[test]
    fn floats_that_are_no_pixels_are_refused() {
        let build = |value| LabeledImages::from_unit_floats("x", DOT, &[0.5, value], vec![0], 2);
        assert_eq!(build(1.0).unwrap().pixels(), [128, 255]);
        for value in [f32::NAN, f32::INFINITY, -0.1, 1.1] {
            assert!(matches!(build(value), Err(DatasetError::Value { index: 1, .. })));
        }
    }

    #[test]
    fn parts_keep_pixels_and_labels_together() {
        let part = four().subset([3, 0]).unwrap();
        assert_eq!((part.pixels(), part.labels()), (&[30, 31, 0, 1][..], &[1, 0][..]));
        let (first, rest) = four().split(1).unwrap();
        assert_eq!((first.labels(), rest.labels()), (&[0][..], &[1, 2, 1][..]));
        assert_eq!(four().label_counts(), [1, 2, 1]);
        assert_eq!(four().take(5), Err(DatasetError::IndexOutOfRange { index: 4, len: 4 }));
        assert_eq!(four().take(0), Err(DatasetError::Empty("four".into())));
        assert_eq!(four().split(4).err(), Some(DatasetError::Empty("four".into())));
    }

    #[test]
    fn a_concatenation_has_its_parts_in_order() {
        let (first, rest) = four().split(1).unwrap();
        assert_eq!(LabeledImages::concat(&[&first, &rest]).unwrap(), four());
        let other = LabeledImages::new("other", DOT, vec![1, 2], vec![0], 2).unwrap();
        let error = LabeledImages::concat(&[&first, &other]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "data sets `four` and `other` need images of one shape and the same number of classes, got 1x1x2 with 3 \
             classes and 1x1x2 with 2 classes"
        );
        assert!(matches!(LabeledImages::concat(&[]), Err(DatasetError::Empty(_))));
    }

    #[test]
    fn a_sample_has_no_image_twice() {
        let rng = &mut Streams::new(3).stream(Stream::Data);
        let sample = four().sample(4, rng).unwrap();
        let mut first: Vec<_> = sample.pixels().iter().step_by(2).copied().collect();
        first.sort_unstable();
        assert_eq!(first, [0, 10, 20, 30]);
        assert_eq!(four().sample(5, rng), Err(DatasetError::IndexOutOfRange { index: 4, len: 4 }));
    }

    #[test]
    fn new_labels_have_to_fit() {
        assert_eq!(four().with_labels(vec![2; 4]).unwrap().label_counts(), [0, 0, 4]);
        assert!(matches!(four().with_labels(vec![2; 3]), Err(DatasetError::Size { expected: 4, found: 3, .. })));
        assert!(matches!(four().with_labels(vec![3; 4]), Err(DatasetError::LabelOutOfRange { index: 0, .. })));
    }
}
