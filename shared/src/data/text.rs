use std::fs;
use std::ops::Range;

use burn::tensor::{Device, Int, Tensor, TensorData};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rekindle_harness::data::Located;

use super::DatasetError;
use super::text_folder::read_joined;

/// A text as bytes, cut by position into what is trained on, what choices are made by, and what is tested on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ByteText {
    bytes: Vec<u8>,
    train: Range<usize>,
    validation: Range<usize>,
    test: Range<usize>,
}

/// Windows of a text for a model that predicts the next byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Windows<'a> {
    text: &'a [u8],
    length: usize,
}

/// Bytes, and those that follow each of them: `[batch, length]` both.
#[derive(Debug, Clone)]
pub struct TextBatch {
    /// What the model sees.
    pub inputs: Tensor<2, Int>,
    /// What it predicts.
    pub targets: Tensor<2, Int>,
}

impl ByteText {
    /// The first `train` of the text, the next `validation`, and the rest, as shares of it.
    ///
    /// # Errors
    ///
    /// [`DatasetError::Config`] if the shares are not positive or leave nothing for the test, and [`DatasetError::Empty`] for
    /// a text so short that a part has no bytes.
    pub fn split(name: &str, bytes: Vec<u8>, train: f64, validation: f64) -> Result<Self, DatasetError> {
        let rule = "positive, and leave something for the test";
        for (share, value) in [("train", train), ("validation", validation), ("train + validation", train + validation)]
        {
            if !(value > 0.0 && value < 1.0) {
                return Err(DatasetError::Config { name: share, rule, value });
            }
        }
        let at = |share: f64| (share * bytes.len() as f64).round() as usize;
        let (first, second) = (at(train), at(train + validation));
        Self::parts(name, [0..first, first..second, second..bytes.len()], bytes)
    }

    /// Reads a text of the registry: `tinyshakespeare`, cut 90/5/5; or `wikitext-2`, of which the validation file is cut 95/5
    /// to train on and to choose by, since its training file is not registered: results are not comparable with published ones; or `text`, the user's own.
    ///
    /// # Errors
    ///
    /// [`DatasetError::NoLoader`] for another data set, and [`DatasetError::Read`].
    pub fn load(located: &Located) -> Result<Self, DatasetError> {
        let read = |path: &str| {
            let file = located.path(path);
            fs::read(&file).map_err(|error| DatasetError::Read { file, reason: error.to_string() })
        };
        match located.dataset().name.as_str() {
            "tinyshakespeare" => Self::split("tinyshakespeare", read("input.txt")?, 0.9, 0.05),
            "wikitext-2" => {
                let (mut bytes, test) = (read("valid.txt")?, read("test.txt")?);
                let (known, first) = (bytes.len(), bytes.len() / 20 * 19);
                bytes.extend(test);
                Self::parts("wikitext-2", [0..first, first..known, known..bytes.len()], bytes)
            }
            "text" => {
                let [bytes, validation, test] =
                    ["train", "validation", "test"].map(|part| read_joined(&located.path(part)));
                let (mut bytes, validation, test) = (bytes?, validation?, test?);
                let first = bytes.len();
                let second = first + validation.len();
                bytes.extend(validation);
                bytes.extend(test);
                Self::parts("text", [0..first, first..second, second..bytes.len()], bytes)
            }
            other => Err(DatasetError::no_loader(other, "tinyshakespeare, wikitext-2 and text")),
        }
    }

    fn parts(name: &str, parts: [Range<usize>; 3], bytes: Vec<u8>) -> Result<Self, DatasetError> {
        if parts.iter().any(Range::is_empty) {
            return Err(DatasetError::Empty(name.into()));
        }
        let [train, validation, test] = parts;
        Ok(Self { bytes, train, validation, test })
    }

    /// What is trained on.
    pub fn train(&self) -> &[u8] {
        &self.bytes[self.train.clone()]
    }

    /// What choices are made by.
    pub fn validation(&self) -> &[u8] {
        &self.bytes[self.validation.clone()]
    }

    /// What is tested on.
    pub fn test(&self) -> &[u8] {
        &self.bytes[self.test.clone()]
    }
}

impl<'a> Windows<'a> {
    /// Windows of `length` bytes and the one after each.
    ///
    /// # Errors
    ///
    /// [`DatasetError::Config`] if they have no bytes, or the text fewer than one window needs.
    pub fn new(text: &'a [u8], length: usize) -> Result<Self, DatasetError> {
        if length == 0 || text.len() <= length {
            let rule = "at least 1 and below the number of bytes of the text";
            return Err(DatasetError::Config { name: "length", rule, value: length as f64 });
        }
        Ok(Self { text, length })
    }

    /// A batch from random places.
    pub fn draw(self, batch_size: usize, rng: &mut ChaCha8Rng, device: &Device) -> TextBatch {
        let starts: Vec<usize> = (0..batch_size).map(|_| rng.random_range(0..self.text.len() - self.length)).collect();
        self.batch(&starts, self.length, device)
    }

    /// Batches of all windows from the first on, each beginning where the one before it ended; what is left at the end is too
    /// short for one. The last batch may be smaller.
    pub fn in_order(self, batch_size: usize, device: &Device) -> impl Iterator<Item = TextBatch> {
        let n = (self.text.len() - 1) / self.length;
        (0..n).step_by(batch_size.max(1)).map(move |first| {
            let starts: Vec<usize> = (first..n.min(first + batch_size)).map(|i| i * self.length).collect();
            self.batch(&starts, self.length, device)
        })
    }

    /// The text as `n_streams` of equal length beside each other: each batch goes on where the one before it ended, so that a
    /// state can be carried from one to the next. The last one may be shorter; what is left of the text is dropped.
    pub fn streams(self, n_streams: usize, device: &Device) -> impl Iterator<Item = TextBatch> {
        let each = (self.text.len() - 1) / n_streams.max(1);
        (0..each).step_by(self.length).map(move |at| {
            let starts: Vec<usize> = (0..n_streams).map(|stream| stream * each + at).collect();
            self.batch(&starts, self.length.min(each - at), device)
        })
    }

    fn batch(self, starts: &[usize], length: usize, device: &Device) -> TextBatch {
        let tensor = |shift: usize| {
            let windows = starts.iter().flat_map(|start| &self.text[start + shift..start + shift + length]);
            let values: Vec<i32> = windows.map(|&byte| i32::from(byte)).collect();
            Tensor::from_data(TensorData::new(values, [starts.len(), length]), device)
        };
        TextBatch { inputs: tensor(0), targets: tensor(1) }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    fn rows(tensor: &Tensor<2, Int>) -> Vec<Vec<i64>> {
        let length = tensor.dims()[1];
        tensor.to_data().iter::<i64>().collect::<Vec<_>>().chunks(length).map(<[i64]>::to_vec).collect()
    }

    #[test]
    fn a_text_is_cut_by_position() {
        let text = ByteText::split("digits", (0..100).collect(), 0.9, 0.05).unwrap();
        assert_eq!(
            (text.train().len(), text.validation(), text.test()),
            (90, &[90, 91, 92, 93, 94][..], &[95, 96, 97, 98, 99][..])
        );
        assert_eq!(ByteText::split("short", vec![1, 2], 0.9, 0.05), Err(DatasetError::Empty("short".into())));
        for (train, validation) in [(0.0, 0.5), (0.5, 0.5), (f64::NAN, 0.1), (-0.5, 0.6)] {
            assert!(ByteText::split("digits", vec![0; 9], train, validation).is_err(), "{train} {validation}");
        }
    }

    /// The official files where REKINDLE_DATA names a folder that has them.
    #[test]
    fn official_texts_have_their_parts() {
        if std::env::var_os("REKINDLE_DATA").is_none() {
            println!("skipped: REKINDLE_DATA is not set");
            return;
        }
        let data = crate::data::DataDir::resolve(None);
        for (name, lengths, start) in [
            ("tinyshakespeare", [1_003_855, 55_769, 55_770], &b"First Citizen:"[..]),
            ("wikitext-2", [1_065_596, 56_085, 1_256_449], b" \n = Homarus gammarus ="),
        ] {
            let Ok(files) = data.locate(name) else {
                println!("skipped: REKINDLE_DATA has no {name}");
                continue;
            };
            let text = ByteText::load(&files).unwrap();
            assert_eq!([text.train(), text.validation(), text.test()].map(<[u8]>::len), lengths, "{name}");
            assert!(text.train().starts_with(start), "{name}: {:?}", &text.train()[..40]);
        }
    }

    #[test]
    fn windows_in_order_cover_the_text_once() {
        let (text, device) = ((0..12).collect::<Vec<u8>>(), Device::flex());
        let batches: Vec<_> = Windows::new(&text, 3).unwrap().in_order(2, &device).collect();
        let inputs: Vec<_> = batches.iter().flat_map(|batch| rows(&batch.inputs)).collect();
        assert_eq!(inputs, [[0, 1, 2], [3, 4, 5], [6, 7, 8]]);
        let targets: Vec<_> = batches.iter().flat_map(|batch| rows(&batch.targets)).collect();
        assert_eq!(targets, [[1, 2, 3], [4, 5, 6], [7, 8, 9]]);
    }

    #[test]
    fn streams_go_on_where_they_stopped() {
        let (text, device) = ((0..12).collect::<Vec<u8>>(), Device::flex());
        let batches: Vec<_> = Windows::new(&text, 3).unwrap().streams(2, &device).collect();
        assert_eq!(rows(&batches[0].inputs), [[0, 1, 2], [5, 6, 7]]);
        assert_eq!(rows(&batches[1].inputs), [[3, 4], [8, 9]]);
        assert_eq!(rows(&batches[1].targets), [[4, 5], [9, 10]]);
        assert_eq!(batches.len(), 2);
    }

    #[test]
    fn drawn_windows_lie_in_the_text_and_depend_on_the_generator_alone() {
        let (text, device) = ((0..12).collect::<Vec<u8>>(), Device::flex());
        let draw = |seed| Windows::new(&text, 11).unwrap().draw(4, &mut ChaCha8Rng::seed_from_u64(seed), &device);
        // There is one place only.
        assert_eq!(rows(&draw(0).targets), vec![(1..12).collect::<Vec<i64>>(); 4]);
        let windows = Windows::new(&text, 2).unwrap();
        let drawn = |seed| rows(&windows.draw(9, &mut ChaCha8Rng::seed_from_u64(seed), &device).inputs);
        assert!(drawn(1) == drawn(1) && drawn(1) != drawn(2));
        assert!(drawn(3).iter().all(|row| row[1] == row[0] + 1));
    }

    #[test]
    fn windows_that_do_not_fit_are_refused() {
        for (text, length) in [(&b"abc"[..], 0), (b"abc", 3), (b"", 1)] {
            let error = Windows::new(text, length).unwrap_err().to_string();
            assert!(error.starts_with("length has to be at least 1 and below the number of bytes"), "{error}");
        }
    }
}
