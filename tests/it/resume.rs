//! A run that was killed continues, and its records equal an unbroken run's.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::driver::{run, xtask};
use crate::papers::{assert_equal, records};

fn written(folder: &Path) -> usize {
    rekindle_harness::Record::read_all(folder).map_or(0, |(records, _)| records.len())
}

#[test]
fn a_killed_run_continues_and_its_records_equal_an_unbroken_runs() {
    let (broken, whole) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = broken.path().to_str().unwrap();
    let arguments = ["reproduce", "sam", "--seeds", "1", "--jobs", "2", "--out", path];
    let mut child = xtask(&arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let start = Instant::now();
    while written(&broken.path().join("sam")) < 2 && child.try_wait().unwrap().is_none() {
        assert!(start.elapsed() < Duration::from_secs(1800), "no record in half an hour");
        std::thread::sleep(Duration::from_millis(20));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    // A record that is cut off is run again, and a partial file is none.
    let (before, _) = rekindle_harness::Record::read_all(&broken.path().join("sam")).unwrap();
    let cell = &before[0].identity;
    let torn = rekindle_harness::Record::path(broken.path(), "sam", cell.tier, &cell.backend, &cell.cell);
    let text = fs::read_to_string(&torn).unwrap();
    fs::write(&torn, &text[..text.len() / 2]).unwrap();

    run(&arguments).expect(0, "report.html");
    let other = whole.path().to_str().unwrap();
    run(&["reproduce", "sam", "--seeds", "1", "--jobs", "1", "--out", other]).expect(0, "report.html");
    assert_equal(&records(broken.path(), "sam"), &records(whole.path(), "sam"));
}
