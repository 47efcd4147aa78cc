//! Files that come out of archives.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use rekindle_harness::data::{DataDir, DataError, Registry, verify};

use crate::server::{Behavior, Server};
use crate::{Outcome, run, sha256, walk};

/// An entry of an archive: its path as it is written into the header, its type, its bytes.
type Entry<'a> = (&'a str, tar::EntryType, &'a [u8]);

fn tar(entries: &[Entry<'_>]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for &(path, kind, bytes) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(0o644);
        header.set_size(bytes.len() as u64);
        if kind == tar::EntryType::Symlink {
            header.set_link_name("../../outside").unwrap();
        }
        // Written by hand: the library refuses to write what a hostile archive would.
        header.as_gnu_mut().unwrap().name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_cksum();
        builder.append(&header, bytes).unwrap();
    }
    builder.into_inner().unwrap()
}

fn tar_gz(entries: &[Entry<'_>]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(&tar(entries)).unwrap();
    encoder.finish().unwrap()
}

const FILE: tar::EntryType = tar::EntryType::Regular;

/// Fetches a data set of two files, "aaa" and "bbbb", from this archive; returns also what was left in the folder
/// above the data folder.
fn unpacked(packed: Vec<u8>, truncate: usize, known: bool) -> (Outcome, Vec<String>) {
    let packed = packed[..packed.len() - truncate].to_vec();
    let sum = if known { format!("sha256 = \"{}\"\n", sha256(&packed)) } else { String::new() };
    let (bytes, a, b) = (packed.len(), sha256(b"aaa"), sha256(b"bbbb"));
    let server = Server::start("/x.tar.gz", packed, Behavior::Good);
    let url = format!("{}x.tar.gz", server.url());
    let registry = Registry::parse(&format!(
        "[[dataset]]\nname = \"one\"\ntitle = \"One\"\nlicense = \"none\"\ncitation = \"\"\norigin = \"\"\nfolder = \"one/bin\"\n\
         checksum_source = \"this test\"\n[dataset.archive]\nurls = [\"{url}\"]\nbytes = {bytes}\n{sum}\
         checksum_source = \"this test\"\nunpack = \"tar.gz\"\nfolder = \"bin\"\n\
         [[dataset.file]]\npath = \"a\"\nbytes = 3\nsha256 = \"{a}\"\n\
         [[dataset.file]]\npath = \"b\"\nbytes = 4\nsha256 = \"{b}\"\n"
    ))
    .unwrap();
    let above = tempfile::tempdir().unwrap();
    let folder = above.path().join("data");
    fs::create_dir(&folder).unwrap();
    let outcome = run(&folder, registry, false);
    let mut all = Vec::new();
    walk(above.path(), above.path(), &mut all);
    all.retain(|path| !path.starts_with("data/"));
    (outcome, all)
}

#[test]
fn only_the_registered_files_come_out_of_an_archive() {
    let packed = tar_gz(&[
        ("bin", tar::EntryType::Directory, b""),
        ("../escaped", FILE, b"x"),
        ("bin/../../escaped", FILE, b"x"),
        ("/rekindle-escaped", FILE, b"x"),
        ("bin/link", tar::EntryType::Symlink, b""),
        ("bin/readme", FILE, b"x"),
        ("./bin/a", FILE, b"aaa"),
        ("bin/b", FILE, b"bbbb"),
    ]);
    for known in [true, false] {
        let (outcome, outside) = unpacked(packed.clone(), 0, known);
        assert!(outcome.result.is_ok(), "{:?}", outcome.result);
        assert_eq!(outcome.left, ["one/bin/a", "one/bin/b"]);
        assert_eq!(outside, [""; 0]);
        assert!(!Path::new("/rekindle-escaped").exists());
    }
}

#[test]
fn a_bad_archive_leaves_no_file_in_place() {
    let good = tar_gz(&[("bin/a", FILE, b"aaa"), ("bin/b", FILE, b"bbbb")]);
    let in_place = |outcome: &Outcome| outcome.left.iter().any(|path| path.starts_with("one/"));
    for (packed, truncate, reason) in [
        (tar_gz(&[("bin/a", FILE, b"aaa")]), 0, "no plain file bin/b"),
        (tar_gz(&[("bin/a", FILE, b"aaa"), ("bin/b", tar::EntryType::Symlink, b"")]), 0, "no plain file bin/b"),
        (tar_gz(&[("bin/a", FILE, b"aaaa"), ("bin/b", FILE, b"bbbb")]), 0, "has 4 bytes, the registered file 3"),
        (tar_gz(&[("bin/a", FILE, b"aaa"), ("bin/b", FILE, b"bbbc")]), 0, "is not the registered file"),
        (good, 40, "cannot unpack"),
        (b"no archive at all".to_vec(), 0, "cannot unpack"),
    ] {
        let (outcome, _) = unpacked(packed, truncate, true);
        let text = outcome.result.as_ref().unwrap_err().to_string();
        assert!(text.contains(reason), "{text}");
        assert!(!in_place(&outcome), "{:?}", outcome.left);
    }
}

/// A registry with one data set, the files "aaa" and "bbbb" out of a plain archive; they have no checksum of their own.
fn plain(url: &str, bytes: usize, sum: Option<&str>) -> Registry {
    let sum = sum.map_or(String::new(), |sum| format!("sha256 = \"{sum}\"\nchecksum_source = \"this test\"\n"));
    Registry::parse(&format!(
        "[[dataset]]\nname = \"one\"\ntitle = \"One\"\nlicense = \"none\"\ncitation = \"\"\norigin = \"\"\nfolder = \"one/bin\"\n\
         [dataset.archive]\nurls = [\"{url}x.tar\"]\nbytes = {bytes}\n{sum}unpack = \"tar\"\nfolder = \"bin\"\n\
         [[dataset.file]]\npath = \"a\"\nbytes = 3\n[[dataset.file]]\npath = \"b\"\nbytes = 4\n"
    ))
    .unwrap()
}

const NOWHERE: &str = "http://127.0.0.1:1/";
const GOOD: [Entry<'_>; 2] = [("bin/a", FILE, b"aaa"), ("bin/b", FILE, b"bbbb")];

/// A data folder in which the data set has been fetched from `GOOD`, and its registry, which says that nothing is served.
fn fetched() -> (tempfile::TempDir, Registry) {
    let packed = tar(&GOOD);
    let (bytes, sum) = (packed.len(), sha256(&packed));
    let server = Server::start("/x.tar", packed, Behavior::Good);
    let folder = tempfile::tempdir().unwrap();
    let outcome = run(folder.path(), plain(&server.url(), bytes, Some(&sum)), false);
    assert!(outcome.result.is_ok() && outcome.unverified.is_empty(), "{:?}", outcome.result);
    assert_eq!(outcome.left, ["one/bin/SHA256SUMS", "one/bin/a", "one/bin/b"]);
    (folder, plain(NOWHERE, bytes, Some(&sum)))
}

fn verified(folder: &Path, registry: &Registry) -> Result<Vec<bool>, DataError> {
    let located = DataDir::in_folders(registry.clone(), [folder.into()]).locate("one")?;
    Ok(verify(&located, false)?.values().map(|file| file.verified).collect())
}

#[test]
fn a_verified_archive_vouches_for_its_files() {
    let (folder, registry) = fetched();
    assert_eq!(verified(folder.path(), &registry).unwrap(), [true, true]);
    assert!(run(folder.path(), registry.clone(), false).result.is_ok(), "nothing is downloaded again");
    let list = fs::read_to_string(folder.path().join("one/bin/SHA256SUMS")).unwrap();
    assert_eq!(list.lines().nth(1), Some(&*format!("{}  a", sha256(b"aaa"))));

    fs::write(folder.path().join("one/bin/b"), "bbbc").unwrap();
    let error = verified(folder.path(), &registry).unwrap_err();
    assert!(matches!(&error, DataError::Corrupt { found, .. } if found.contains(&sha256(b"bbbc"))), "{error}");
    fs::write(folder.path().join("one/bin/b"), "bbbbb").unwrap();
    let error = verified(folder.path(), &registry).unwrap_err();
    assert!(matches!(&error, DataError::Corrupt { found, .. } if found == "5 bytes"), "{error}");
}

#[test]
fn a_changed_file_out_of_an_archive_is_replaced() {
    let (folder, registry) = fetched();
    let part = folder.path().join("one.archive.part");
    for (file, content) in [("a", "aab"), ("b", "short"), ("SHA256SUMS", "lost")] {
        fs::write(folder.path().join("one/bin").join(file), content).unwrap();
        // An archive that was downloaded by hand: nothing is served.
        fs::write(&part, tar(&GOOD)).unwrap();
        let outcome = run(folder.path(), registry.clone(), false);
        assert!(outcome.result.is_ok() && outcome.started_at.is_empty(), "{:?}", outcome.result);
        assert_eq!(verified(folder.path(), &registry).unwrap(), [true, true]);
        assert!(!part.exists());
    }
}

#[test]
fn nothing_vouches_for_files_that_were_unpacked_by_hand() {
    let (folder, registry) = fetched();
    let list = folder.path().join("one/bin/SHA256SUMS");
    let kept = fs::read_to_string(&list).unwrap();
    // The list of another archive counts for nothing either.
    for text in [None, Some(kept.replacen("SHA-256 ", "SHA-256 0", 1)), Some(String::new())] {
        text.map_or_else(|| fs::remove_file(&list), |text| fs::write(&list, text)).unwrap();
        let error = verified(folder.path(), &registry).unwrap_err();
        assert!(matches!(error, DataError::Unverified { .. }), "{error}");
        assert!(error.to_string().contains("`cargo xtask data fetch one` takes it from a verified archive"), "{error}");
        let outcome = run(folder.path(), registry.clone(), false);
        assert!(matches!(outcome.result, Err(DataError::Download { .. })), "{:?}", outcome.result);
        assert!(run(folder.path(), registry.clone(), true).result.is_ok(), "they are taken if that is allowed");
    }
}

#[test]
fn an_archive_that_is_not_the_registered_one_vouches_for_nothing() {
    let packed = tar(&GOOD);
    let (bytes, other) = (packed.len(), sha256(b"other"));
    let server = Server::start("/x.tar", packed, Behavior::Good);
    let folder = tempfile::tempdir().unwrap();
    let refused = run(folder.path(), plain(&server.url(), bytes, Some(&other)), false);
    assert!(matches!(refused.result, Err(DataError::Download { .. })), "{:?}", refused.result);
    assert_eq!(refused.left, [""; 0]);
    for sum in [Some(other.as_str()), None] {
        let folder = tempfile::tempdir().unwrap();
        let registry = plain(&server.url(), bytes, sum);
        let allowed = run(folder.path(), registry.clone(), true);
        assert!(allowed.result.is_ok(), "{:?}", allowed.result);
        assert_eq!(allowed.unverified, [sha256(b"aaa"), sha256(b"bbbb")]);
        assert_eq!(allowed.left, ["one/bin/a", "one/bin/b"]);
        assert!(matches!(verified(folder.path(), &registry), Err(DataError::Unverified { .. })));
    }
}

#[test]
fn a_bad_plain_archive_leaves_no_file_in_place() {
    let padded = tar(&GOOD);
    let headers = 512 + 512 + 512;
    for (packed, reason) in [
        (padded[..headers + 2].to_vec(), "it ends after 2 of the 4 bytes of bin/b"),
        (padded[..512 + 1].to_vec(), "it ends after 1 of the 3 bytes of bin/a"),
        (padded[..1024 + 100].to_vec(), "cannot unpack"),
        (padded[..1024].to_vec(), "no plain file bin/b"),
        (tar_gz(&GOOD), "cannot unpack"),
        (vec![7; 2000], "cannot unpack"),
        (tar(&[("bin/a", FILE, b"aaa"), ("../bin/b", FILE, b"bbbb")]), "no plain file bin/b"),
        (tar(&[("bin/a", FILE, b"aaa"), ("/bin/b", FILE, b"bbbb")]), "no plain file bin/b"),
        (tar(&[("bin/a", FILE, b"aaa"), ("bin/b", tar::EntryType::Symlink, b"")]), "no plain file bin/b"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let (bytes, sum) = (packed.len(), sha256(&packed));
        File::create(folder.path().join("one.archive.part")).unwrap().write_all(&packed).unwrap();
        for allowed in [false, true] {
            let outcome = run(folder.path(), plain(NOWHERE, bytes, Some(&sum)), allowed);
            let error = outcome.result.unwrap_err();
            assert!(matches!(error, DataError::Archive { .. }), "{error}");
            assert!(error.to_string().contains(reason), "{error}");
            assert_eq!(outcome.left, ["one.archive.part"]);
        }
    }
}
