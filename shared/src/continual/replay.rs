use std::collections::{BTreeMap, VecDeque};

use burn::tensor::Device;
use rand::seq::index;
use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};

use super::ContinualError;
use crate::data::{DatasetError, DeviceImages, ImageBatch, ImageShape, LabeledImages, Normalization};

/// How much a [`ReplayBuffer`] holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Capacity {
    /// This many samples.
    Samples(usize),
    /// As many samples as fit into this many bytes: those of the pixels, and four for label and task.
    Bytes(usize),
}

/// Which samples a [`ReplayBuffer`] keeps when it is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Retention {
    /// A uniform draw from all that was offered (reservoir sampling, Vitter, 1985): "ER-Reservoir" of Chaudhry et al. (2019).
    #[default]
    Reservoir,
    /// Equally many of each task, the newest of them.
    TaskBalanced,
    /// Equally many of each class of each task, the newest of them: the "ring buffer" of Chaudhry et al. (2019), for a
    /// number of classes that need not be known beforehand.
    ClassBalanced,
}

/// A memory of samples for experience replay (Chaudhry et al., 2019, "On Tiny Episodic Memories") and A-GEM.
///
/// Images are held as bytes, not as floats. A balanced buffer that is full gives up the oldest sample of its largest
/// group, that of the new sample itself where it is one of them: groups differ by one sample at most once each was offered
/// its share, and as long as there is room nothing is given up.
///
/// Offer each sample once, also where a task is trained for several epochs: another epoch would count as new samples.
#[derive(Debug, Clone, PartialEq)]
pub struct ReplayBuffer {
    shape: ImageShape,
    capacity: usize,
    retention: Retention,
    n_classes: usize,
    offered: u64,
    pixels: Vec<u8>,
    labels: Vec<u16>,
    tasks: Vec<u16>,
    /// Where the samples of each group lie, the oldest first; empty for a reservoir.
    groups: BTreeMap<(u16, u16), VecDeque<usize>>,
}

/// Samples drawn from a [`ReplayBuffer`].
#[derive(Debug, Clone, PartialEq)]
pub struct Replayed {
    /// The images with their labels.
    pub images: LabeledImages,
    /// The task that each of them came from, `[n]`.
    pub tasks: Vec<usize>,
}

/// Bytes of a sample beside its pixels: two for the label, two for the task.
const LABEL_BYTES: usize = 4;

impl ReplayBuffer {
    /// An empty buffer for images of this shape.
    ///
    /// # Errors
    ///
    /// [`ContinualError::BufferTooSmall`] if it would hold no sample.
    pub fn new(shape: ImageShape, capacity: Capacity, retention: Retention) -> Result<Self, ContinualError> {
        let sample = shape.len() + LABEL_BYTES;
        let (capacity, bytes) = match capacity {
            Capacity::Samples(samples) => (samples, samples.saturating_mul(sample)),
            Capacity::Bytes(bytes) => (bytes / sample, bytes),
        };
        if capacity == 0 {
            return Err(ContinualError::BufferTooSmall { capacity: bytes, sample });
        }
        Ok(Self {
            shape,
            capacity,
            retention,
            n_classes: 0,
            offered: 0,
            pixels: Vec::new(),
            labels: Vec::new(),
            tasks: Vec::new(),
            groups: BTreeMap::new(),
        })
    }

    /// Offers the images at these indices, in this order, as samples of `task`.
    ///
    /// Only a reservoir draws from `rng`.
    ///
    /// # Errors
    ///
    /// [`ContinualError::ImageShape`] for images of another shape, [`ContinualError::TooLarge`] for a task or a class above
    /// 65535, [`ContinualError::Images`] for an index past the end. Nothing is kept then.
    pub fn offer(
        &mut self,
        images: &LabeledImages,
        indices: impl IntoIterator<Item = usize>,
        task: usize,
        rng: &mut impl Rng,
    ) -> Result<(), ContinualError> {
        if images.shape() != self.shape {
            return Err(ContinualError::ImageShape { expected: self.shape, found: images.shape() });
        }
        let stored = |number: usize| u16::try_from(number).map_err(|_| ContinualError::TooLarge(number));
        stored(images.n_classes() - 1)?;
        let task = stored(task)?;
        let (indices, len) = (indices.into_iter().collect::<Vec<_>>(), images.len());
        if let Some(&index) = indices.iter().find(|&&index| index >= len) {
            return Err(DatasetError::IndexOutOfRange { index, len }.into());
        }
        self.n_classes = self.n_classes.max(images.n_classes());
        for index in indices {
            let label = stored(images.labels()[index])?;
            self.offered += 1;
            if let Some(place) = self.place(task, label, rng) {
                self.store(place, images.image(index), label, task);
            }
        }
        Ok(())
    }

    /// `n` different samples, every one equally likely; all of them, in random order, where there are fewer.
    ///
    /// None while the buffer is empty, and for `n` = 0.
    pub fn sample(&self, n: usize, rng: &mut impl Rng) -> Option<Replayed> {
        self.at(index::sample(rng, self.len(), n.min(self.len())).into_vec())
    }

    /// All samples, in no particular order; none if there are none.
    pub fn all(&self) -> Option<Replayed> {
        self.at((0..self.len()).collect())
    }

    /// Samples held.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether none is held.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The most samples that can be held.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// What the samples held take, in bytes: their pixels, and four each for label and task.
    pub fn bytes(&self) -> usize {
        self.len() * (self.shape.len() + LABEL_BYTES)
    }

    /// Samples held of each task that has any.
    pub fn task_counts(&self) -> BTreeMap<usize, usize> {
        let mut counts = BTreeMap::new();
        self.tasks.iter().for_each(|&task| *counts.entry(usize::from(task)).or_default() += 1);
        counts
    }

    /// Where a sample that is offered goes, if it is kept.
    fn place(&mut self, task: u16, label: u16, rng: &mut impl Rng) -> Option<usize> {
        let full = self.len() == self.capacity;
        let group = match self.retention {
            Retention::Reservoir if !full => return Some(self.len()),
            Retention::Reservoir => {
                let drawn = rng.random_range(0..self.offered);
                return (drawn < self.capacity as u64).then_some(drawn as usize);
            }
            Retention::TaskBalanced => (task, 0),
            Retention::ClassBalanced => (task, label),
        };
        let place = if full { self.give_up(group) } else { self.len() };
        self.groups.entry(group).or_default().push_back(place);
        Some(place)
    }

    /// The place of the oldest sample of the largest group, which is given up.
    fn give_up(&mut self, newcomer: (u16, u16)) -> usize {
        let largest = self.groups.values().map(VecDeque::len).max().unwrap_or_default();
        let is_largest = |group: &(u16, u16)| self.groups.get(group).is_some_and(|places| places.len() == largest);
        let group = Some(newcomer).filter(is_largest).or_else(|| self.groups.keys().copied().find(is_largest));
        let oldest = group.and_then(|group| self.groups.get_mut(&group)?.pop_front());
        oldest.expect("a full buffer has a largest group, and it is not empty")
    }

    fn store(&mut self, place: usize, image: &[u8], label: u16, task: u16) {
        if place == self.len() {
            self.pixels.extend_from_slice(image);
            self.labels.push(label);
            self.tasks.push(task);
        } else {
            self.pixels[place * image.len()..][..image.len()].copy_from_slice(image);
            (self.labels[place], self.tasks[place]) = (label, task);
        }
    }

    fn at(&self, places: Vec<usize>) -> Option<Replayed> {
        let len = self.shape.len();
        let pixels = places.iter().flat_map(|place| &self.pixels[place * len..][..len]).copied().collect();
        let labels = places.iter().map(|&place| usize::from(self.labels[place])).collect();
        let tasks = places.iter().map(|&place| usize::from(self.tasks[place])).collect();
        // Refused only if there is no sample: what is held was checked when it was offered.
        let images = LabeledImages::new("replay buffer", self.shape, pixels, labels, self.n_classes).ok()?;
        Some(Replayed { images, tasks })
    }
}

impl Replayed {
    /// The samples on a device, as [`DeviceImages`] puts them there.
    ///
    /// # Errors
    ///
    /// [`ContinualError::Images`] if the normalization is for another number of channels.
    pub fn batch(&self, normalization: &Normalization, device: &Device) -> Result<ImageBatch, ContinualError> {
        Ok(DeviceImages::new(&self.images, normalization, device)?.range(0..self.images.len()))
    }

    /// The samples task by task, in ascending order: for a network with a head for each task.
    pub fn by_task(&self) -> Vec<(usize, LabeledImages)> {
        let mut places = BTreeMap::<usize, Vec<usize>>::new();
        self.tasks.iter().enumerate().for_each(|(place, &task)| places.entry(task).or_default().push(place));
        places.into_iter().filter_map(|(task, places)| Some((task, self.images.subset(places).ok()?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Stream, Streams};

    const SHAPE: ImageShape = ImageShape { channels: 1, height: 1, width: 2 };

    /// Image `i` has the pixels `(i, i)` and the label `i % n_classes`.
    fn images(n: usize, n_classes: usize) -> LabeledImages {
        let pixels = (0..2 * n).map(|i| (i / 2) as u8).collect();
        LabeledImages::new("x", SHAPE, pixels, (0..n).map(|i| i % n_classes).collect(), n_classes).unwrap()
    }

    fn buffer(capacity: Capacity, retention: Retention) -> ReplayBuffer {
        ReplayBuffer::new(SHAPE, capacity, retention).unwrap()
    }

    fn rng(seed: u64) -> rand_chacha::ChaCha8Rng {
        Streams::new(seed).stream(Stream::Method)
    }

    fn held(buffer: &ReplayBuffer) -> Vec<u8> {
        let mut held: Vec<_> = buffer.pixels.iter().step_by(2).copied().collect();
        held.sort_unstable();
        held
    }

    #[test]
    fn a_capacity_in_bytes_counts_pixels_and_labels() {
        let shape = ImageShape { channels: 1, height: 28, width: 28 };
        let bytes = |bytes| ReplayBuffer::new(shape, Capacity::Bytes(bytes), Retention::Reservoir);
        assert_eq!(bytes(788 * 5 + 787).unwrap().capacity(), 5);
        assert_eq!(bytes(787), Err(ContinualError::BufferTooSmall { capacity: 787, sample: 788 }));
        assert!(ReplayBuffer::new(shape, Capacity::Samples(0), Retention::Reservoir).is_err());
        let mut buffer = buffer(Capacity::Bytes(20), Retention::Reservoir);
        buffer.offer(&images(9, 3), 0..9, 0, &mut rng(1)).unwrap();
        assert_eq!((buffer.len(), buffer.bytes()), (3, 18));
    }

    /// The chance to be held is capacity / offered for every sample, whenever it came.
    #[test]
    fn a_reservoir_is_a_uniform_draw() {
        let (images, mut counts) = (images(20, 2), [0; 20]);
        for seed in 0..2000 {
            let mut buffer = buffer(Capacity::Samples(5), Retention::Reservoir);
            let rng = &mut rng(seed);
            buffer.offer(&images, 0..12, 0, rng).unwrap();
            buffer.offer(&images, 12..20, 1, rng).unwrap();
            assert_eq!(buffer.len(), 5);
            held(&buffer).iter().for_each(|&i| counts[usize::from(i)] += 1);
        }
        // 500 expected, standard deviation 19.
        assert!(counts.iter().all(|count| (420..580).contains(count)), "{counts:?}");
    }

    #[test]
    fn a_task_balanced_buffer_shrinks_the_older_tasks() {
        let mut buffer = buffer(Capacity::Samples(6), Retention::TaskBalanced);
        let (images, rng) = (images(20, 2), &mut rng(1));
        buffer.offer(&images, 0..10, 0, rng).unwrap();
        assert_eq!(held(&buffer), [4, 5, 6, 7, 8, 9], "the newest");
        buffer.offer(&images, 10..12, 3, rng).unwrap();
        assert_eq!(held(&buffer), [6, 7, 8, 9, 10, 11], "room is not wasted");
        buffer.offer(&images, 12..15, 3, rng).unwrap();
        assert_eq!(held(&buffer), [7, 8, 9, 12, 13, 14]);
        assert_eq!(buffer.task_counts(), BTreeMap::from([(0, 3), (3, 3)]));
    }

    #[test]
    fn a_class_balanced_buffer_keeps_every_class_of_every_task() {
        let mut buffer = buffer(Capacity::Samples(4), Retention::ClassBalanced);
        let (images, rng) = (images(20, 2), &mut rng(1));
        // Nine samples of class 0, then one of class 1.
        buffer.offer(&images, [0, 2, 4, 6, 8, 10, 12, 14, 16, 1], 0, rng).unwrap();
        assert_eq!(held(&buffer), [1, 12, 14, 16]);
        buffer.offer(&images, [17, 18, 19], 1, rng).unwrap();
        assert_eq!(held(&buffer), [1, 16, 18, 19]);
    }

    #[test]
    fn samples_keep_pixels_labels_and_tasks_together() {
        let mut buffer = buffer(Capacity::Samples(8), Retention::Reservoir);
        assert_eq!(buffer.sample(3, &mut rng(0)), None);
        buffer.offer(&images(4, 2), 0..4, 0, &mut rng(0)).unwrap();
        buffer.offer(&images(10, 5), 4..8, 7, &mut rng(0)).unwrap();
        let drawn = buffer.sample(100, &mut rng(0)).unwrap();
        assert_eq!((drawn.images.len(), drawn.images.n_classes()), (8, 5));
        for (place, &task) in drawn.tasks.iter().enumerate() {
            let i = usize::from(drawn.images.image(place)[0]);
            assert_eq!((task, drawn.images.labels()[place]), if i < 4 { (0, i % 2) } else { (7, i % 5) });
        }
        let by_task = drawn.by_task();
        assert_eq!(by_task.iter().map(|(task, images)| (*task, images.len())).collect::<Vec<_>>(), [(0, 4), (7, 4)]);
        assert!(by_task[1].1.pixels().iter().all(|&pixel| pixel >= 4));
        let batch = drawn.batch(&Normalization::identity(1), &Device::flex()).unwrap();
        assert_eq!((batch.images.dims(), batch.labels.dims()), ([8, 1, 1, 2], [8]));
        assert_eq!(buffer.sample(0, &mut rng(0)), None);
        let some = buffer.sample(3, &mut rng(0)).unwrap();
        assert_eq!(some, buffer.sample(3, &mut rng(0)).unwrap());
        assert_ne!(some, buffer.sample(3, &mut rng(1)).unwrap());
    }

    #[test]
    fn what_does_not_fit_is_refused_and_nothing_is_kept() {
        let mut buffer = buffer(Capacity::Samples(8), Retention::Reservoir);
        let rng = &mut rng(0);
        let found = ImageShape { channels: 2, height: 1, width: 1 };
        let other = LabeledImages::new("x", found, vec![0, 0], vec![0], 1).unwrap();
        let error = buffer.offer(&other, [0], 0, rng);
        assert_eq!(error, Err(ContinualError::ImageShape { expected: SHAPE, found }));
        assert_eq!(buffer.offer(&images(2, 2), [0], 1 << 16, rng), Err(ContinualError::TooLarge(1 << 16)));
        assert_eq!(buffer.offer(&images(1, 70_000), [0], 0, rng), Err(ContinualError::TooLarge(69_999)));
        let past = buffer.offer(&images(2, 2), [0, 2], 0, rng);
        assert_eq!(past, Err(DatasetError::IndexOutOfRange { index: 2, len: 2 }.into()));
        assert!(buffer.is_empty() && buffer.all().is_none());
    }
}
