use rekindle_harness::data::Located;

use super::{ParallelText, read_parallel_text};
use crate::data::DatasetError;

/// A language of Multi30k.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Language {
    /// German.
    German,
    /// English.
    English,
}

/// A part of Multi30k.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Multi30kPart {
    /// 29,000 lines to train with.
    Train,
    /// 1,014 lines to choose by.
    Validation,
    /// The 1,000 lines of the test of 2016.
    Test2016,
}

/// Reads a part of Multi30k (Elliott et al. 2016, task 1, raw text), to translate from the first language to the second.
///
/// Hashes are not checked here, see [`verify`](crate::data::verify).
///
/// # Errors
///
/// [`DatasetError::NoLoader`] for another data set, [`DatasetError::Size`] for another number of lines, and what
/// [`read_parallel_text`] says of files.
pub fn load_multi30k(
    located: &Located,
    part: Multi30kPart,
    [source, target]: [Language; 2],
) -> Result<ParallelText, DatasetError> {
    let name = located.dataset().name.as_str();
    if name != "multi30k" {
        return Err(DatasetError::no_loader(name, "multi30k"));
    }
    let (stem, expected) = match part {
        Multi30kPart::Train => ("train", 29_000),
        Multi30kPart::Validation => ("val", 1_014),
        Multi30kPart::Test2016 => ("test_2016_flickr", 1_000),
    };
    let file = |language| {
        let suffix = match language {
            Language::German => "de",
            Language::English => "en",
        };
        located.path(&format!("{stem}.{suffix}.gz"))
    };
    let text = read_parallel_text(name, &file(source), &file(target))?;
    match text.len() {
        found if found == expected => Ok(text),
        found => Err(DatasetError::Size { name: name.into(), what: "lines", expected, found }),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rekindle_harness::data::{DataDir, Registry, verify};

    use super::*;
    use crate::data::idx::tests::gzip;
    use crate::data::translation::Vocabulary;

    #[test]
    fn the_official_files_have_their_lines_and_words() {
        if std::env::var_os("REKINDLE_DATA").is_none() {
            println!("skipped: REKINDLE_DATA is not set");
            return;
        }
        let Ok(located) = DataDir::resolve(None).locate("multi30k") else {
            println!("skipped: REKINDLE_DATA has no multi30k");
            return;
        };
        verify(&located, false).unwrap();
        let load = |part| load_multi30k(&located, part, [Language::German, Language::English]).unwrap();
        let train = load(Multi30kPart::Train);
        assert_eq!(train.source()[0], "Zwei junge weiße Männer sind im Freien in der Nähe vieler Büsche.");
        assert_eq!(train.target()[0], "Two young, White males are outside near many bushes.");
        assert_eq!(load(Multi30kPart::Validation).len(), 1_014);
        let test = load(Multi30kPart::Test2016);
        assert_eq!(test.target()[999], "A girl at the shore of a beach with a mountain in the distance.");

        let [german, english] = [train.source(), train.target()].map(|lines| Vocabulary::new(lines, 2).unwrap());
        // As counted with sacreBLEU's tokenizer.
        assert_eq!([german.len(), english.len()], [7_818, 5_975]);
        let line = &test.target()[0];
        assert_eq!(english.decode(&english.encode(line)).unwrap(), "a man in an orange hat starring at something .");
    }

    #[test]
    fn another_number_of_lines_and_another_data_set_are_refused() {
        let root = tempfile::tempdir().unwrap();
        for dataset in ["multi30k", "mnist"] {
            fs::create_dir(root.path().join(dataset)).unwrap();
            for file in &Registry::builtin().get(dataset).unwrap().files {
                fs::write(root.path().join(dataset).join(&file.path), gzip(b"Ein Hund.\n")).unwrap();
            }
        }
        let data = DataDir::in_folders(Registry::builtin(), [root.path().to_path_buf()]);
        let load = |name| {
            let languages = [Language::German, Language::English];
            load_multi30k(&data.locate(name).unwrap(), Multi30kPart::Validation, languages).unwrap_err()
        };
        let expected = DatasetError::Size { name: "multi30k".into(), what: "lines", expected: 1_014, found: 1 };
        assert_eq!(load("multi30k"), expected);
        assert_eq!(load("mnist"), DatasetError::no_loader("mnist", "multi30k"));
    }
}
