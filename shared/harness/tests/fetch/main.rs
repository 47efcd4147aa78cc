//! Downloads from a server on this machine that can do what servers do wrong.

#![cfg(feature = "fetch")]

mod archives;
mod server;
mod tool;

use std::fs;
use std::path::{Path, PathBuf};

use rekindle_harness::data::{DataDir, DataError, FetchEvent, Registry, fetch};
use server::{Behavior, Server};
use sha2::{Digest, Sha256};

/// 200,000 bytes that repeat nowhere soon.
fn content() -> Vec<u8> {
    (0..200_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A registry with one data set, `one`, of one file, `a.bin`.
fn registry(mirrors: &[String], bytes: usize, sha256: Option<&str>) -> Registry {
    let sum = sha256.map_or(String::new(), |sum| format!("sha256 = \"{sum}\"\n"));
    Registry::parse(&format!(
        "[[dataset]]\nname = \"one\"\ntitle = \"One\"\nlicense = \"none\"\ncitation = \"\"\norigin = \"\"\nfolder = \"one/deep\"\n\
         mirrors = {mirrors:?}\nchecksum_source = \"this test\"\n[[dataset.file]]\npath = \"a.bin\"\nbytes = {bytes}\n{sum}"
    ))
    .unwrap()
}

/// What happened in a download, and every file that it left.
struct Outcome {
    result: Result<PathBuf, DataError>,
    failures: Vec<String>,
    started_at: Vec<u64>,
    unverified: Vec<String>,
    left: Vec<String>,
}

fn run(folder: &Path, registry: Registry, allow_unverified: bool) -> Outcome {
    let (mut failures, mut started_at, mut unverified) = (Vec::new(), Vec::new(), Vec::new());
    let data = DataDir::in_folders(registry, [folder.to_path_buf()]);
    let result = fetch(&data, "one", allow_unverified, |event| match event {
        FetchEvent::Failed { reason, .. } => failures.push(reason.to_string()),
        FetchEvent::Started { done, .. } => started_at.push(done),
        FetchEvent::Unverified { sha256, .. } => unverified.push(sha256.to_string()),
        _ => {}
    });
    let mut left = Vec::new();
    walk(folder, folder, &mut left);
    left.sort();
    Outcome { result, failures, started_at, unverified, left }
}

fn walk(root: &Path, folder: &Path, files: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(root, &path, files);
        } else {
            files.push(path.strip_prefix(root).unwrap().display().to_string());
        }
    }
}

/// Runs against one server of this behavior, in a folder that has `part` of the file from before.
fn one(behavior: Behavior, part: &[u8], allow_unverified: bool) -> (Outcome, Vec<u8>) {
    let server = Server::start("/a.bin", content(), behavior);
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("one/deep")).unwrap();
    if !part.is_empty() {
        fs::write(folder.path().join("one/deep/a.bin.part"), part).unwrap();
    }
    let sum = sha256(&content());
    let outcome = run(folder.path(), registry(&[server.url()], content().len(), Some(&sum)), allow_unverified);
    let file = fs::read(folder.path().join("one/deep/a.bin")).unwrap_or_default();
    (outcome, file)
}

#[test]
fn a_file_is_downloaded_whole() {
    let (outcome, file) = one(Behavior::Good, &[], false);
    assert!(outcome.result.is_ok(), "{:?}", outcome.result);
    assert_eq!(outcome.left, ["one/deep/a.bin"]);
    assert!(file == content());
}

#[test]
fn what_is_there_is_not_downloaded_again() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("one/deep")).unwrap();
    fs::write(folder.path().join("one/deep/a.bin"), content()).unwrap();
    let sum = sha256(&content());
    let nowhere = ["http://127.0.0.1:1/".to_string()];
    let outcome = run(folder.path(), registry(&nowhere, content().len(), Some(&sum)), false);
    assert!(outcome.result.is_ok() && outcome.started_at.is_empty());
    // A file of the right size with one wrong byte is.
    let mut wrong = content();
    wrong[7] ^= 1;
    fs::write(folder.path().join("one/deep/a.bin"), wrong).unwrap();
    let server = Server::start("/a.bin", content(), Behavior::Good);
    let outcome = run(folder.path(), registry(&[server.url()], content().len(), Some(&sum)), false);
    assert!(outcome.result.is_ok());
    assert!(fs::read(folder.path().join("one/deep/a.bin")).unwrap() == content());
}

#[test]
fn a_download_continues_where_it_stopped() {
    let (outcome, file) = one(Behavior::Good, &content()[..150_000], false);
    assert_eq!(outcome.started_at, [150_000]);
    assert!(file == content());
    let (outcome, file) = one(Behavior::IgnoresRange, &content()[..150_000], false);
    assert!(outcome.result.is_ok() && file == content(), "a server without ranges sends everything");
    let (outcome, file) = one(Behavior::Good, &content(), false);
    assert!(outcome.started_at.is_empty() && file == content(), "all was there but the last step");
}

#[test]
fn a_part_of_another_file_is_given_up() {
    let (outcome, file) = one(Behavior::Good, &[9; 1000], false);
    assert_eq!(outcome.started_at, [1000, 0]);
    assert!(outcome.failures[0].contains("SHA-256"), "{:?}", outcome.failures);
    assert!(file == content());
    let (outcome, file) = one(Behavior::Good, &[9; 300_000], false);
    assert_eq!(outcome.started_at, [0], "a part that is too long can't be this file's");
    assert!(file == content());
}

#[test]
fn a_broken_connection_is_taken_up_again() {
    let (outcome, file) = one(Behavior::Breaks { after: 60_000 }, &[], false);
    assert!(outcome.result.is_ok(), "{:?}", outcome.result);
    assert!(outcome.started_at.len() >= 4 && outcome.started_at[1] > 0, "{:?}", outcome.started_at);
    assert!(file == content());
}

#[test]
fn a_server_that_sends_nothing_is_given_up_and_the_part_kept() {
    let (outcome, _) = one(Behavior::Breaks { after: 0 }, &content()[..10], false);
    let error = outcome.result.unwrap_err();
    assert!(matches!(error, DataError::Download { .. }), "{error}");
    assert_eq!(outcome.started_at, [10, 10, 10]);
    assert_eq!(outcome.left, ["one/deep/a.bin.part"]);
}

#[test]
fn a_wrong_file_is_deleted() {
    let (outcome, _) = one(Behavior::WrongContent, &[], false);
    let text = outcome.result.unwrap_err().to_string();
    assert!(text.contains("its SHA-256 is") && text.contains("deleted"), "{text}");
    assert_eq!(outcome.left, [""; 0]);
    let (outcome, file) = one(Behavior::WrongContent, &[], true);
    assert!(outcome.result.is_ok());
    assert_eq!(outcome.unverified, [sha256(&file)]);
}

#[test]
fn another_length_is_refused() {
    let (outcome, _) = one(Behavior::Longer, &[], false);
    let text = outcome.result.unwrap_err().to_string();
    assert!(text.contains("200001 bytes, the registered file 200000"), "{text}");
    let (outcome, _) = one(Behavior::LongerWithoutLength, &[], true);
    let text = outcome.result.unwrap_err().to_string();
    assert!(text.contains("more than the registered 200000 bytes"), "{text}");
}

#[test]
fn addresses_are_tried_in_order_and_all_named_in_the_end() {
    let gone = Server::start("/elsewhere", content(), Behavior::Good);
    let good = Server::start("/a.bin", content(), Behavior::Good);
    let folder = tempfile::tempdir().unwrap();
    let sum = sha256(&content());
    let closed = "http://127.0.0.1:1/".to_string();
    let mirrors = [closed.clone(), gone.url(), good.url()];
    let outcome = run(folder.path(), registry(&mirrors, content().len(), Some(&sum)), false);
    assert!(outcome.result.is_ok(), "{:?}", outcome.result);
    assert_eq!(outcome.left, ["one/deep/a.bin"]);

    let folder = tempfile::tempdir().unwrap();
    let outcome = run(folder.path(), registry(&[closed, gone.url()], content().len(), Some(&sum)), false);
    let text = outcome.result.unwrap_err().to_string();
    assert!(text.contains("127.0.0.1:1/a.bin") && text.to_lowercase().contains("refused"), "{text}");
    assert!(text.contains("404 Not Found"), "{text}");
    assert_eq!((outcome.started_at, outcome.left), (vec![0, 0], vec![]), "neither is asked twice, nothing is left");
}

#[test]
fn a_file_without_a_checksum_has_to_be_allowed() {
    let server = Server::start("/a.bin", content(), Behavior::Good);
    let folder = tempfile::tempdir().unwrap();
    let registry = || registry(&[server.url()], content().len(), None);
    let error = run(folder.path(), registry(), false).result.unwrap_err();
    assert!(matches!(&error, DataError::Unverified { sha256: sum, .. } if *sum == sha256(&content())), "{error}");
    let outcome = run(folder.path(), registry(), true);
    assert!(outcome.result.is_ok() && outcome.started_at.is_empty(), "what was downloaded is used");
    assert_eq!((outcome.left, outcome.unverified), (vec!["one/deep/a.bin".into()], vec![sha256(&content())]));
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let blocked = folder.path().join("file");
    fs::write(&blocked, "in the way").unwrap();
    let outcome = fetch(
        &DataDir::in_folders(registry(&["http://127.0.0.1:1/".into()], 3, None), [blocked.clone()]),
        "one",
        false,
        |_| {},
    );
    let text = outcome.unwrap_err().to_string();
    assert!(text.contains("cannot write") && text.contains(&blocked.display().to_string()), "{text}");
}
