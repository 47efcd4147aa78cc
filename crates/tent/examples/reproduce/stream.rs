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
    order: Vec<usize>,
    batch_size: usize,
}

impl TestStream {
    /// `clean` under one corruption, which is the same for every cell of a seed.
    pub(crate) fn new(
        clean: &LabeledImages,
        corruption: Option<AnyCorruption>,
        severity: Severity,
        normalization: &Normalization,
        streams: Streams,
        device: &Device,
    ) -> Result<Self, Failure> {
        let images = match corruption {
            Some(corruption) => corrupt(clean, corruption, severity, streams.root_seed())?,
            None => clean.clone(),
        };
        let mut order: Vec<usize> = (0..images.len()).collect();
        order.shuffle(&mut streams.stream(Stream::Batches));
        let labels = images.labels().to_vec();
        Ok(Self {
            images: DeviceImages::new(&images, normalization, &device.clone().inner())?,
            labels,
            order,
            batch_size: 200,
        })
    }

    /// The same images in batches of this size and this order.
    #[must_use]
    pub(crate) fn arranged(mut self, order: Order, batch_size: usize) -> Self {
        if order == Order::Sorted {
            let labels = &self.labels;
            self.order.sort_by_key(|&index| labels[index]);
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
