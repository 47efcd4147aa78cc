use rand::Rng;
use rand::seq::SliceRandom;

use crate::data::DatasetError;

/// Batches of samples of about the same length, in random order: what is padded stays little.
///
/// Samples are sorted by length, those of the same length in random order, and cut into batches, whose last may be smaller.
///
/// # Errors
///
/// [`DatasetError::BatchSize`] for a `batch_size` of 0.
pub fn batches_by_length(
    lengths: &[usize],
    batch_size: usize,
    rng: &mut impl Rng,
) -> Result<Vec<Vec<usize>>, DatasetError> {
    if batch_size == 0 {
        return Err(DatasetError::BatchSize { batch_size, len: lengths.len() });
    }
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.shuffle(rng);
    // Stable.
    order.sort_by_key(|&sample| lengths[sample]);
    let mut batches: Vec<_> = order.chunks(batch_size).map(<[usize]>::to_vec).collect();
    batches.shuffle(rng);
    Ok(batches)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Stream, Streams};

    #[test]
    fn each_sample_comes_once_beside_others_of_its_length() {
        let lengths: Vec<_> = (0..50).map(|i| i * 7 % 10).collect();
        let mut rng = Streams::new(1).stream(Stream::Batches);
        let batches = batches_by_length(&lengths, 5, &mut rng).unwrap();
        let mut samples = batches.concat();
        samples.sort_unstable();
        assert_eq!(samples, (0..50).collect::<Vec<_>>());
        // Five of each length.
        assert!(batches.iter().all(|batch| batch.iter().all(|&it| lengths[it] == lengths[batch[0]])));
        let firsts: Vec<_> = batches.iter().map(|batch| lengths[batch[0]]).collect();
        assert!(!firsts.is_sorted(), "{firsts:?}");
        assert_ne!(batches_by_length(&lengths, 5, &mut rng).unwrap(), batches, "another epoch");
        let again = batches_by_length(&lengths, 5, &mut Streams::new(1).stream(Stream::Batches)).unwrap();
        assert_eq!(again, batches, "the same seed");
        assert_eq!(batches_by_length(&lengths[..7], 5, &mut rng).unwrap().iter().map(Vec::len).sum::<usize>(), 7);
        let error = batches_by_length(&lengths, 0, &mut rng).unwrap_err();
        assert_eq!(error, DatasetError::BatchSize { batch_size: 0, len: 50 });
    }
}
