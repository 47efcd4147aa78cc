use burn::prelude::*;

use super::normalize::Table;
use super::{Augmentation, DatasetError, ImageShape, LabeledImages, Normalization, Stream, Streams};

/// Images with their labels, on a device.
#[derive(Debug, Clone)]
pub struct ImageBatch {
    /// `[batch, channels, height, width]`.
    pub images: Tensor<4>,
    /// `[batch]`.
    pub labels: Tensor<1, Int>,
}

/// Batches that are augmented and normalized on the host.
///
/// What becomes of an image depends on the root seed, the epoch and its index, not on the batch it is in.
#[derive(Debug, Clone)]
pub struct HostImages<'a> {
    images: &'a LabeledImages,
    table: Table,
    augmentation: Augmentation,
    streams: Streams,
    device: Device,
}

impl<'a> HostImages<'a> {
    /// Batches of `images` for `device`, with augmentation from [`Stream::Augmentation`].
    ///
    /// # Errors
    ///
    /// [`DatasetError::Channels`] if the normalization is for another number of channels.
    pub fn new(
        images: &'a LabeledImages,
        normalization: &Normalization,
        augmentation: &Augmentation,
        streams: &Streams,
        device: &Device,
    ) -> Result<Self, DatasetError> {
        let table = normalization.table(images)?;
        let (augmentation, device) = (augmentation.clone(), device.clone());
        Ok(Self { images, table, augmentation, streams: *streams, device })
    }

    /// The images at these indices, in this order, as they look in this epoch.
    ///
    /// # Panics
    ///
    /// If an index is not below the number of images, or there are none.
    pub fn batch(&self, epoch: u32, indices: &[usize]) -> ImageBatch {
        let shape = self.images.shape();
        let mut values = Vec::with_capacity(indices.len() * shape.len());
        for &index in indices {
            let image = self.images.image(index);
            if self.augmentation.is_none() {
                self.table.extend(image, &mut values);
            } else {
                let place = u64::from(epoch) << 32 | index as u64;
                let mut rng = self.streams.substream(Stream::Augmentation, place);
                self.augmentation.extend(image, shape, &self.table, &mut rng, &mut values);
            }
        }
        let labels = indices.iter().map(|&index| self.images.labels()[index]);
        ImageBatch { images: images_tensor(values, shape, &self.device), labels: labels_tensor(labels, &self.device) }
    }
}

/// `[n, channels, height, width]`.
pub(super) fn images_tensor(values: Vec<f32>, shape: ImageShape, device: &Device) -> Tensor<4> {
    let dims = [values.len() / shape.len(), shape.channels, shape.height, shape.width];
    Tensor::from_data(TensorData::new(values, dims), device)
}

/// `[n]`; also used for indices.
pub(super) fn labels_tensor(labels: impl Iterator<Item = usize>, device: &Device) -> Tensor<1, Int> {
    let labels: Vec<_> = labels.map(|label| label as i64).collect();
    let n = labels.len();
    Tensor::from_data(TensorData::new(labels, [n]), device)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::AugmentationConfig;

    fn images() -> LabeledImages {
        let shape = ImageShape { channels: 3, height: 6, width: 6 };
        let pixels = (0..10 * shape.len()).map(|i| (i * 37 % 256) as u8).collect();
        LabeledImages::new("x", shape, pixels, (0..10).map(|i| i % 4).collect(), 4).unwrap()
    }

    fn values(batch: &ImageBatch) -> Vec<f32> {
        batch.images.clone().into_data().try_into_vec().unwrap()
    }

    #[test]
    fn an_image_looks_the_same_in_every_batch_of_an_epoch() {
        let (images, device) = (images(), Device::flex());
        let augmentation = AugmentationConfig::new().with_cutout(3).init();
        let host = |seed| {
            let normalization = Normalization::of(&images);
            HostImages::new(&images, &normalization, &augmentation, &Streams::new(seed), &device).unwrap()
        };
        let batch = host(1).batch(2, &[7, 4]);
        assert_eq!(batch.images.dims(), [2, 3, 6, 6]);
        assert_eq!(batch.labels.clone().into_data().iter::<i64>().collect::<Vec<_>>(), [3, 0]);
        let (alone, len) = (values(&host(1).batch(2, &[4])), images.shape().len());
        assert_eq!(values(&batch)[len..], alone);
        assert_ne!(values(&host(1).batch(3, &[4])), alone, "another epoch");
        assert_ne!(values(&host(2).batch(2, &[4])), alone, "another seed");
        assert_ne!(values(&host(1).batch(2, &[3])), alone, "another image");
    }
}
