//! Sequences of bytes with their classes: images pixel after pixel, or reviews.

use burn::tensor::{Bool, Device, Int, Tensor, TensorData};
use rekindle_harness::worker::{Context, Failure};
use rekindle_shared::data::{LabeledImages, LabeledTexts, Split, load, read_text_folder};

pub(crate) struct Sequences {
    rows: Vec<Vec<u8>>,
    labels: Vec<usize>,
    pub(crate) n_classes: usize,
}

/// `[batch, length]`, true at padding where sequences differ in length, and `[batch]`.
pub(crate) struct Batch {
    pub(crate) tokens: Tensor<2, Int>,
    pub(crate) mask_pad: Option<Tensor<2, Bool>>,
    pub(crate) labels: Tensor<1, Int>,
}

impl Sequences {
    /// Training and test part of a data set of gray images, or of `imdb`; what is longer than `longest` is cut off.
    pub(crate) fn load(name: &str, longest: usize, context: &Context) -> Result<[Self; 2], Failure> {
        let files = context.data.locate(name).map_err(Failure::data)?;
        let part = |split| -> Result<Self, Failure> {
            let mut part = if name == "imdb" {
                let folder = files.path(if split == Split::Train { "train" } else { "test" });
                Self::texts(read_text_folder(name, &folder, &["neg", "pos"]).map_err(Failure::data)?)
            } else {
                Self::images(&load(&files, split).map_err(Failure::data)?)
            };
            part.rows.iter_mut().for_each(|row| row.truncate(longest));
            Ok(part)
        };
        Ok([part(Split::Train)?, part(Split::Test)?])
    }

    fn images(images: &LabeledImages) -> Self {
        let rows = (0..images.len()).map(|i| images.image(i).to_vec()).collect();
        Self { rows, labels: images.labels().to_vec(), n_classes: images.n_classes() }
    }

    fn texts(LabeledTexts { texts, labels }: LabeledTexts) -> Self {
        Self { rows: texts, labels, n_classes: 2 }
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(crate) fn longest(&self) -> usize {
        self.rows.iter().map(Vec::len).max().unwrap_or(0)
    }

    pub(crate) fn batch(&self, indices: &[usize], device: &Device) -> Batch {
        let rows: Vec<&[u8]> = indices.iter().map(|&i| &self.rows[i][..]).collect();
        let longest = rows.iter().map(|row| row.len()).max().unwrap_or(0);
        let padded = |row: &&[u8]| -> Vec<i32> {
            let bytes = row.iter().map(|&byte| i32::from(byte));
            bytes.chain(std::iter::repeat_n(0, longest - row.len())).collect()
        };
        let shape = [rows.len(), longest];
        let tokens: Vec<i32> = rows.iter().flat_map(padded).collect();
        let labels: Vec<i32> = indices.iter().map(|&i| self.labels[i] as i32).collect();
        let mask_pad = rows.iter().any(|row| row.len() < longest).then(|| {
            let mask: Vec<bool> = rows.iter().flat_map(|row| (0..longest).map(|at| at >= row.len())).collect();
            Tensor::from_data(TensorData::new(mask, shape), device)
        });
        Batch {
            tokens: Tensor::from_data(TensorData::new(tokens, shape), device),
            mask_pad,
            labels: Tensor::from_data(&labels[..], device),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_of_several_lengths_are_padded_and_the_padding_is_marked() {
        let device = Device::flex();
        let texts = vec![b"abc".to_vec(), b"d".to_vec(), b"efg".to_vec()];
        let sequences = Sequences::texts(LabeledTexts { texts, labels: vec![0, 1, 1] });
        let batch = sequences.batch(&[0, 1], &device);
        assert_eq!(batch.tokens.into_data().iter::<i64>().collect::<Vec<_>>(), [97, 98, 99, 100, 0, 0]);
        let mask: Vec<bool> = batch.mask_pad.unwrap().into_data().iter().collect();
        assert_eq!(mask, [false, false, false, false, true, true]);
        assert_eq!(batch.labels.into_data().iter::<i64>().collect::<Vec<_>>(), [0, 1]);
        assert!(sequences.batch(&[0, 2], &device).mask_pad.is_none());
    }
}
