use std::ops::Range;

use burn::prelude::*;

use super::host::{images_tensor, labels_tensor};
use super::{DatasetError, ImageBatch, LabeledImages, Normalization};

/// Normalized images that lie on a device as a whole, from which batches are selected there.
///
/// The quick way where there is no augmentation: batches equal those of [`HostImages`](super::HostImages) bit for bit.
/// It takes four bytes a pixel (188 MB for the 60,000 MNIST images, 614 MB for the 50,000 of CIFAR-10).
#[derive(Debug, Clone)]
pub struct DeviceImages {
    images: Tensor<4>,
    labels: Tensor<1, Int>,
    device: Device,
}

impl DeviceImages {
    /// Puts the images on `device`.
    ///
    /// # Errors
    ///
    /// [`DatasetError::Channels`] if the normalization is for another number of channels.
    pub fn new(images: &LabeledImages, normalization: &Normalization, device: &Device) -> Result<Self, DatasetError> {
        let table = normalization.table(images)?;
        let mut values = Vec::with_capacity(images.pixels().len());
        (0..images.len()).for_each(|index| table.extend(images.image(index), &mut values));
        Ok(Self {
            images: images_tensor(values, images.shape(), device),
            labels: labels_tensor(images.labels().iter().copied(), device),
            device: device.clone(),
        })
    }

    /// The number of images.
    pub fn len(&self) -> usize {
        self.labels.dims()[0]
    }

    /// Never: a data set has at least one image.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The images at these indices, in this order.
    ///
    /// # Panics
    ///
    /// If an index is not below [`len`](Self::len), or there are none.
    pub fn select(&self, indices: &[usize]) -> ImageBatch {
        // Not every device finds such an index by itself.
        assert!(indices.iter().all(|&index| index < self.len()), "an index is not below {}", self.len());
        let indices = labels_tensor(indices.iter().copied(), &self.device);
        ImageBatch {
            images: self.images.clone().select(0, indices.clone()),
            labels: self.labels.clone().select(0, indices),
        }
    }

    /// Neighboring images, for evaluation in order.
    ///
    /// # Panics
    ///
    /// If the range is empty or reaches past [`len`](Self::len).
    pub fn range(&self, range: Range<usize>) -> ImageBatch {
        assert!(range.end <= self.len(), "{range:?} reaches past {}", self.len());
        ImageBatch { images: self.images.clone().slice(range.clone()), labels: self.labels.clone().slice(range) }
    }

    /// All images in pieces of `batch_size`, the last one smaller where it does not divide their number.
    ///
    /// # Panics
    ///
    /// If `batch_size` is 0.
    pub fn chunks(&self, batch_size: usize) -> impl Iterator<Item = ImageBatch> {
        let len = self.len();
        (0..len).step_by(batch_size).map(move |start| self.range(start..(start + batch_size).min(len)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Augmentation, HostImages, ImageShape, Streams};

    #[test]
    fn batches_equal_those_of_the_host_bit_for_bit() {
        let shape = ImageShape { channels: 3, height: 5, width: 4 };
        let pixels = (0..10 * shape.len()).map(|i| (i * 101 % 256) as u8).collect();
        let images = LabeledImages::new("x", shape, pixels, (0..10).map(|i| i % 4).collect(), 4).unwrap();
        let (normalization, device) = (Normalization::of(&images), Device::flex());
        let host = HostImages::new(&images, &normalization, &Augmentation::none(), &Streams::new(0), &device).unwrap();
        let resident = DeviceImages::new(&images, &normalization, &device).unwrap();
        let pairs = [
            (host.batch(0, &[9, 0, 3, 3]), resident.select(&[9, 0, 3, 3])),
            (host.batch(5, &[4, 5, 6]), resident.range(4..7)),
            (host.batch(0, &[8, 9]), resident.chunks(4).last().unwrap()),
        ];
        for (host, resident) in pairs {
            assert_eq!(host.images.dims(), resident.images.dims());
            host.images.into_data().assert_eq(&resident.images.into_data(), true);
            host.labels.into_data().assert_eq(&resident.labels.into_data(), true);
        }
        assert_eq!(resident.chunks(4).map(|batch| batch.labels.dims()[0]).collect::<Vec<_>>(), [4, 4, 2]);
    }
}
