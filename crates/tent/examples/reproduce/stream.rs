//! The test stream: corrupted images in batches, in an order.

use burn::tensor::{Device, Int, Tensor};
use rand::seq::SliceRandom;
use rekindle_harness::worker::Failure;
use rekindle_shared::data::corruption::{AnyCorruption, Severity, corrupt};
use rekindle_shared::data::{DeviceImages, ImageBatch, LabeledImages, Normalization, Stream, Streams};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Order {
    /// At random, the same for every method.
    Shuffled,
    /// Class after class.
    Sorted,
    /// Corruption after corruption, shuffled in each.
    ByDomain,
}

/// A batch as an evaluation sees it.
pub(crate) struct TestBatch {
    pub(crate) images: Tensor<4>,
    pub(crate) labels: Tensor<1, Int>,
    /// The same labels, on the host.
    pub(crate) classes: Vec<usize>,
}

/// Test images on a plain device with their order.
pub(crate) struct TestStream {
    images: DeviceImages,
    labels: Vec<usize>,
    /// The corruption of each image, by its place in the list; 0 where there is one.
    domains: Vec<usize>,
    order: Vec<usize>,
    batch_size: usize,
}

impl TestStream {
    /// These images as they are.
    pub(crate) fn new(
        images: &LabeledImages,
        normalization: &Normalization,
        streams: Streams,
        device: &Device,
    ) -> Result<Self, Failure> {
        let mut order: Vec<usize> = (0..images.len()).collect();
        order.shuffle(&mut streams.stream(Stream::Batches));
        let labels = images.labels().to_vec();
        Ok(Self {
            images: DeviceImages::new(images, normalization, &device.clone().inner())?,
            domains: vec![0; labels.len()],
            labels,
            order,
            batch_size: 200,
        })
    }

    /// `clean` under one corruption, the same for every cell of a seed.
    pub(crate) fn corrupted(
        clean: &LabeledImages,
        corruption: AnyCorruption,
        severity: Severity,
        normalization: &Normalization,
        streams: Streams,
        device: &Device,
    ) -> Result<Self, Failure> {
        Self::new(&corrupt(clean, corruption, severity, streams.root_seed())?, normalization, streams, device)
    }

    /// `clean` under these corruptions in turn.
    pub(crate) fn mixed(
        clean: &LabeledImages,
        corruptions: &[AnyCorruption],
        severity: Severity,
        normalization: &Normalization,
        streams: Streams,
        device: &Device,
    ) -> Result<Self, Failure> {
        let (n, len) = (corruptions.len(), clean.shape().len());
        let mut pixels = clean.pixels().to_vec();
        for (domain, &corruption) in corruptions.iter().enumerate() {
            let corrupted = corrupt(clean, corruption, severity, streams.root_seed())?;
            for index in (domain..clean.len()).step_by(n) {
                pixels[index * len..][..len].copy_from_slice(corrupted.image(index));
            }
        }
        let labels = clean.labels().to_vec();
        let images = LabeledImages::new(clean.name(), clean.shape(), pixels, labels, clean.n_classes())?;
        let domains = (0..clean.len()).map(|index| index % n).collect();
        Ok(Self { domains, ..Self::new(&images, normalization, streams, device)? })
    }

    /// The same images in batches of this size and this order.
    #[must_use]
    pub(crate) fn arranged(mut self, order: Order, batch_size: usize) -> Self {
        let Self { labels, domains, order: indices, .. } = &mut self;
        match order {
            Order::Shuffled => {}
            Order::Sorted => indices.sort_by_key(|&index| labels[index]),
            Order::ByDomain => indices.sort_by_key(|&index| domains[index]),
        }
        Self { batch_size, ..self }
    }

    pub(crate) fn batches(&self) -> impl Iterator<Item = TestBatch> {
        self.order.chunks(self.batch_size).map(|indices| {
            let ImageBatch { images, labels } = self.images.select(indices);
            TestBatch { images, labels, classes: indices.iter().map(|&index| self.labels[index]).collect() }
        })
    }
}
