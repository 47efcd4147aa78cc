//! The exit codes of a run, on a paper whose cells end in every way that a cell can end.

use std::path::Path;
use std::process::Command;

use rekindle_harness::Record;

use crate::driver::{Ended, root, xtask};

/// `cargo xtask reproduce toy` into `out`.
fn reproduce(out: &Path, arguments: &[&str]) -> Command {
    let mut command = xtask(&["reproduce", "toy", "--out", out.to_str().unwrap()]);
    command.args(arguments).env("REKINDLE_ROOT", root().join("tests/toy"));
    command
}

fn run(out: &Path, arguments: &[&str]) -> Ended {
    Ended::new(reproduce(out, arguments).output().unwrap())
}

fn records(out: &Path) -> Vec<Record> {
    let (records, broken) = Record::read_all(&out.join("toy")).unwrap();
    assert!(broken.is_empty(), "{broken:?}");
    records
}

#[test]
fn a_claim_that_is_not_reproduced_fails_a_strict_run_alone() {
    let out = tempfile::tempdir().unwrap();
    run(out.path(), &[]).expect(0, "not reproduced  The worse method scores higher");
    run(out.path(), &["--strict"]).expect(1, "1 direction only, 1 not reproduced");
}

#[test]
fn a_cell_that_measures_runs_alone_with_every_core() {
    let out = tempfile::tempdir().unwrap();
    run(out.path(), &["--jobs", "2"]).expect(0, "7 of 7 cells ran");
    let cores = std::thread::available_parallelism().unwrap().get();
    for record in records(out.path()) {
        let threads = if record.identity.cell.exclusive { cores } else { (cores / 2).max(1) };
        assert_eq!(record.run.threads, threads, "{}", record.identity.cell.id());
        assert_eq!(record.measurements.contains_key("seconds"), record.identity.cell.exclusive);
    }
}

#[test]
fn one_experiment_can_be_run_without_the_others() {
    let out = tempfile::tempdir().unwrap();
    run(out.path(), &["--experiment", "clock"]).expect(0, "1 of 1 cells ran");
    run(out.path(), &["--experiment", "clock", "--experiment", "coins"]).expect(0, "6 of 6 cells ran");
    run(out.path(), &["--experiment", "clocks"])
        .expect(2, "unknown experiment `clocks` at tier smoke: one of coins, clock");
}

#[test]
fn workers_share_what_is_expensive_and_their_pictures_are_in_the_report() {
    let out = tempfile::tempdir().unwrap();
    let made = out.path().join("made");
    let run = || {
        Ended::new(reproduce(out.path(), &["--jobs", "2", "--force"]).env("REKINDLE_TOY_MADE", &made).output().unwrap())
    };
    run().expect(0, "7 of 7 cells ran");
    // A forced run reruns the cells; what they share depends on nothing that changed.
    run().expect(0, "7 of 7 cells ran");
    assert_eq!(std::fs::read_to_string(&made).unwrap().lines().count(), 1);
    assert!(out.path().join("toy/smoke-flex/coins/plain/better/0.coin.png").is_file());
    let html = std::fs::read_to_string(out.path().join("report.html")).unwrap();
    assert_eq!(html.matches("<img").count(), 2, "one a setting");
}

#[test]
fn a_run_goes_on_past_cells_that_fail_and_runs_only_those_again() {
    let out = tempfile::tempdir().unwrap();
    let ended = run(out.path(), &["--tier", "small", "--seeds", "1"]);
    ended.expect(1, "failed coins/plain/fails/0: a cell that fails");
    ended.expect(1, "a cell that panics");
    ended.expect(1, "failed coins/plain/diverges/0");
    assert_eq!(records(out.path()).len(), 3, "better, diverges, timed");
    run(out.path(), &["--tier", "small", "--seeds", "1", "--jobs", "2"])
        .expect(1, "2 cells to run with 2 at a time, 3 done already");
}

#[test]
fn a_cell_may_diverge_only_where_it_says_so() {
    let out = tempfile::tempdir().unwrap();
    let ended = run(out.path(), &["--tier", "paper", "--seeds", "1"]);
    ended.expect(5, "failed coins/plain/diverges/0");
    assert!(!ended.stderr.contains("failed coins/plain/may-diverge"), "{}", ended.stderr);
    run(out.path(), &["--tier", "paper", "--seeds", "1"]).expect(5, ": 0 cells to run");
}

#[cfg(unix)]
#[test]
fn an_interrupted_run_says_so_and_the_same_command_continues() {
    use std::os::unix::process::CommandExt;
    use std::process::Stdio;
    use std::time::{Duration, Instant};

    let out = tempfile::tempdir().unwrap();
    // Ctrl-C goes to the whole group of the terminal: Cargo, the driver and its workers.
    let mut command = reproduce(out.path(), &["--jobs", "1", "--seeds", "20"]);
    let child = command.process_group(0).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (start, group) = (Instant::now(), child.id());
    while !out.path().join("toy").is_dir() || records(out.path()).is_empty() {
        assert!(start.elapsed() < Duration::from_secs(600), "no record in ten minutes");
        std::thread::sleep(Duration::from_millis(20));
    }
    let signaled = Command::new("sh").args(["-c", &format!("kill -INT -{group}")]).status().unwrap();
    assert!(signaled.success());
    let ended = Ended::new(child.wait_with_output().unwrap());
    ended.expect(130, "interrupted; the same command continues where it stopped");
    let before = records(out.path()).len();
    assert!((1..41).contains(&before), "{before} of 41 records");
    run(out.path(), &["--seeds", "20"]).expect(0, &format!("{before} done already"));
    assert_eq!(records(out.path()).len(), 41);
}
