use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::arguments::{Grid, One};
use super::*;
use crate::Record;

const PAPER: &str = r#"
name = "sam"
title = "t"
authors = "a"
venue = "v"
url = "u"
summary = "s"
"#;

/// One black pixel.
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\0\0\0\0:~\x9bU\0\0\0\n\
    IDATx\x9cc`\0\0\0\x02\0\x01H\xaf\xa4q\0\0\0\0IEND\xaeB`\x82";

/// Two methods that need the same expensive number; the first hands back pictures.
#[derive(Default)]
struct Shared {
    made: AtomicUsize,
    pictures: BTreeMap<String, Vec<u8>>,
}

impl Reproduction for Shared {
    fn cells(&self, _: Tier, _: Option<u64>) -> Vec<Cell> {
        ["one", "two"].map(|method| Cell::new("e", "s", method, 1, &())).into()
    }

    fn environment(&self, backend: &str) -> Result<Environment, Failure> {
        Ok(Environment { device: backend.into(), features: vec![] })
    }

    fn run(&self, cell: &Cell, context: &Context) -> Result<Outcome, Failure> {
        let bytes = context.artifact(&format!("number of seed {}", cell.seed), || {
            self.made.fetch_add(1, Ordering::SeqCst);
            Ok(f64::to_le_bytes(0.1 + 0.2 * cell.seed as f64).to_vec())
        })?;
        let number = f64::from_le_bytes(bytes[..].try_into()?);
        let metrics = BTreeMap::from([("number".to_owned(), number)]);
        let pictures = if cell.method == "one" { self.pictures.clone() } else { BTreeMap::new() };
        Ok(Outcome { results: Results { metrics, ..Results::default() }, pictures, ..Outcome::default() })
    }
}

fn run(out: &Path, source: &'static str, reproduction: &Shared, method: &str) -> Result<Exit, Failure> {
    let paper = Paper::parse(PAPER).unwrap();
    let grid = Grid {
        tier: Tier::Smoke,
        backend: "flex".into(),
        seeds: None,
        data: Some(out.join("data")),
        allow_unverified: false,
    };
    let cell = format!("e/s/{method}/1");
    let one = One { grid, cell, out: out.into(), progress: false, until_stdin_closes: false };
    run::run(&paper, BuildInfo { source, burn: "0.22.1" }, reproduction, &one)
}

/// The two records of a run into a folder of its own, and how often the number was made.
fn records(source: &'static str, prepare: impl FnOnce(&Path)) -> ([Record; 2], usize) {
    let out = tempfile::tempdir().unwrap();
    prepare(out.path());
    let reproduction = Shared::default();
    let record = |method: &str| {
        assert_eq!(run(out.path(), source, &reproduction, method).ok(), Some(Exit::Done));
        Record::read(&out.path().join(format!("sam/smoke-flex/e/s/{method}/1.json"))).unwrap()
    };
    (["one", "two"].map(record), reproduction.made.into_inner())
}

#[test]
fn results_are_the_same_with_artifacts_and_without() {
    let (stored, made) = records("abc", |_| {});
    assert_eq!(made, 1);
    // Where the folder is a file nothing can be stored.
    let (without, made) = records("abc", |out| {
        std::fs::create_dir_all(out.join("sam/smoke-flex")).unwrap();
        std::fs::write(out.join("sam/smoke-flex/artifacts"), "").unwrap();
    });
    assert_eq!(made, 2);
    for (left, right) in stored.iter().zip(&without) {
        assert!(left.equals(right), "{left:?} is not {right:?}");
    }
    assert_eq!(records(BuildInfo::UNKNOWN, |_| {}).1, 2, "a worker that does not know its sources stores nothing");
}

#[test]
fn newer_sources_make_their_own_artifacts() {
    let out = tempfile::tempdir().unwrap();
    let reproduction = Shared::default();
    for (source, made) in [("abc", 1), ("abc", 1), ("def", 2), ("def", 2)] {
        run(out.path(), source, &reproduction, "one").unwrap();
        assert_eq!(reproduction.made.load(Ordering::SeqCst), made);
    }
    let (found, broken) = Record::read_all(out.path()).unwrap();
    assert_eq!((found.len(), broken.len()), (1, 0), "an artifact is no record");
}

#[test]
fn pictures_lie_beside_the_record_and_do_not_decide_whether_it_equals() {
    let out = tempfile::tempdir().unwrap();
    let folder = out.path().join("sam/smoke-flex/e/s/one");
    let with = Shared { pictures: BTreeMap::from([("samples".into(), PNG.to_vec())]), ..Shared::default() };
    run(out.path(), "abc", &with, "one").unwrap();
    assert_eq!(std::fs::read(folder.join("1.samples.png")).unwrap(), PNG);
    let first = Record::read(&folder.join("1.json")).unwrap();
    run(out.path(), "abc", &Shared::default(), "one").unwrap();
    assert!(!folder.join("1.samples.png").exists(), "a rerun without the picture leaves none");
    assert!(first.equals(&Record::read(&folder.join("1.json")).unwrap()));
    let no_png = Shared { pictures: BTreeMap::from([("samples".into(), b"text".to_vec())]), ..Shared::default() };
    let failure = run(out.path(), "abc", &no_png, "one").unwrap_err();
    assert_eq!((failure.exit(), failure.to_string().contains("`samples`")), (Exit::Failed, true));
}
