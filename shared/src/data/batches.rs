use std::ops::Range;

use burn::config::Config;
use rand::seq::SliceRandom;

use super::{DatasetError, Stream, Streams};

/// How samples are put into batches.
#[derive(Config, Debug, PartialEq)]
pub struct BatchesConfig {
    /// Samples in a batch; the last one of an epoch may have fewer.
    pub batch_size: usize,
    /// Whether a last batch with fewer samples is left out.
    #[config(default = false)]
    pub drop_last: bool,
    /// Whether each epoch has an order of its own, drawn from [`Stream::Batches`]; else it is the data set's.
    #[config(default = true)]
    pub shuffle: bool,
}

/// The batches of each epoch, as indices: every sample once an epoch.
///
/// The order depends on the root seed and the epoch alone, not on what was drawn before.
#[derive(Debug, Clone, PartialEq)]
pub struct Batches {
    len: usize,
    config: BatchesConfig,
    streams: Streams,
}

/// The batches of one epoch.
#[derive(Debug, Clone)]
pub struct EpochBatches {
    order: Vec<usize>,
    batch_size: usize,
    remaining: Range<usize>,
}

impl BatchesConfig {
    /// Batches of a data set with `len` samples.
    ///
    /// # Errors
    ///
    /// [`DatasetError::BatchSize`] if `batch_size` is 0 or an epoch would have no batch.
    pub fn init(&self, len: usize, streams: &Streams) -> Result<Batches, DatasetError> {
        let batches = Batches { len, config: self.clone(), streams: *streams };
        if self.batch_size == 0 || batches.per_epoch() == 0 {
            return Err(DatasetError::BatchSize { batch_size: self.batch_size, len });
        }
        Ok(batches)
    }
}

impl Batches {
    /// Batches in an epoch.
    pub fn per_epoch(&self) -> usize {
        if self.config.drop_last {
            self.len / self.config.batch_size
        } else {
            self.len.div_ceil(self.config.batch_size)
        }
    }

    /// The batches of an epoch, counted from 0: each a list of indices below the number of samples.
    pub fn epoch(&self, epoch: u64) -> EpochBatches {
        let mut order: Vec<_> = (0..self.len).collect();
        if self.config.shuffle {
            order.shuffle(&mut self.streams.substream(Stream::Batches, epoch));
        }
        EpochBatches { order, batch_size: self.config.batch_size, remaining: 0..self.per_epoch() }
    }
}

impl Iterator for EpochBatches {
    type Item = Vec<usize>;

    fn next(&mut self) -> Option<Self::Item> {
        let start = self.remaining.next()? * self.batch_size;
        let end = (start + self.batch_size).min(self.order.len());
        Some(self.order[start..end].to_vec())
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.remaining.size_hint()
    }
}

impl ExactSizeIterator for EpochBatches {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_batch_size_that_makes_no_batch_is_refused() {
        let streams = Streams::new(0);
        let refused = |batch_size, len| Err(DatasetError::BatchSize { batch_size, len });
        assert_eq!(BatchesConfig::new(0).init(10, &streams), refused(0, 10));
        assert_eq!(BatchesConfig::new(4).init(0, &streams), refused(4, 0));
        assert_eq!(BatchesConfig::new(11).with_drop_last(true).init(10, &streams), refused(11, 10));
        assert_eq!(BatchesConfig::new(11).init(10, &streams).unwrap().per_epoch(), 1);
    }

    #[test]
    fn without_shuffling_the_order_is_the_data_sets() {
        let batches = BatchesConfig::new(2).with_shuffle(false).init(5, &Streams::new(0)).unwrap();
        assert_eq!(batches.epoch(3).collect::<Vec<_>>(), [vec![0, 1], vec![2, 3], vec![4]]);
        let batches = BatchesConfig::new(2).with_shuffle(false).with_drop_last(true).init(5, &Streams::new(0)).unwrap();
        assert_eq!(batches.epoch(0).collect::<Vec<_>>(), [vec![0, 1], vec![2, 3]]);
    }

    #[test]
    fn epochs_and_seeds_have_orders_of_their_own() {
        let order =
            |seed, epoch| BatchesConfig::new(100).init(100, &Streams::new(seed)).unwrap().epoch(epoch).next().unwrap();
        assert_eq!(order(1, 0), order(1, 0));
        assert_ne!(order(1, 0), order(1, 1));
        assert_ne!(order(1, 0), order(2, 0));
    }

    proptest! {
        #[test]
        fn an_epoch_has_every_sample_once(len in 1_usize..300, batch_size in 1_usize..50, seed in any::<u64>(), epoch in 0_u64..5) {
            let batches = BatchesConfig::new(batch_size).init(len, &Streams::new(seed)).unwrap();
            let epoch: Vec<_> = batches.epoch(epoch).collect();
            prop_assert_eq!(epoch.len(), batches.per_epoch());
            prop_assert!(epoch[..epoch.len() - 1].iter().all(|batch| batch.len() == batch_size));
            let mut all = epoch.concat();
            all.sort_unstable();
            prop_assert_eq!(all, (0..len).collect::<Vec<_>>());
        }

        #[test]
        fn dropping_the_last_batch_leaves_whole_ones(len in 1_usize..300, batch_size in 1_usize..50) {
            prop_assume!(batch_size <= len);
            let batches = BatchesConfig::new(batch_size).with_drop_last(true).init(len, &Streams::new(0)).unwrap();
            let epoch: Vec<_> = batches.epoch(0).collect();
            prop_assert_eq!(epoch.len(), len / batch_size);
            prop_assert!(epoch.iter().all(|batch| batch.len() == batch_size));
        }
    }
}
