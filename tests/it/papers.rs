//! What every paper must pass, found by its `paper.toml`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use rekindle_harness::{Claim, ClaimKind, Paper, Record, Tier};

use crate::driver::{root, run};

fn papers() -> Vec<Paper> {
    let mut papers = Vec::new();
    for entry in fs::read_dir(root().join("crates")).unwrap() {
        let path = entry.unwrap().path().join("paper.toml");
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        papers.push(Paper::parse(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display())));
    }
    papers
}

/// The records of a paper by cell.
pub(crate) fn records(out: &Path, paper: &str) -> BTreeMap<String, Record> {
    let (records, broken) = Record::read_all(&out.join(paper)).unwrap();
    assert!(broken.is_empty(), "{broken:?}");
    records.into_iter().map(|record| (record.identity.cell.id(), record)).collect()
}

#[track_caller]
pub(crate) fn assert_equal(left: &BTreeMap<String, Record>, right: &BTreeMap<String, Record>) {
    assert_eq!(left.keys().collect::<Vec<_>>(), right.keys().collect::<Vec<_>>());
    for (id, record) in left {
        assert!(record.equals(&right[id]), "{id}: {:?} is not {:?}", record.results, right[id].results);
    }
}

#[test]
fn the_same_seed_gives_the_same_record_whatever_runs_beside_it() {
    for Paper { name, .. } in papers() {
        // On two cores the workers have two threads, then one.
        let runs = ["1", "2"].map(|jobs| {
            let out = tempfile::tempdir().unwrap();
            let path = out.path().to_str().unwrap();
            run(&["reproduce", &name, "--seeds", "1", "--jobs", jobs, "--out", path]).expect(0, "report.html");
            for file in ["report.html", "report.md", "report.json"] {
                assert!(out.path().join(file).is_file(), "{file}");
            }
            records(out.path(), &name)
        });
        assert!(!runs[0].is_empty());
        assert_equal(&runs[0], &runs[1]);
    }
}

/// Whether the claim is about the method or compares with it.
fn names(claim: &Claim, method: &str) -> bool {
    let baseline = match &claim.kind {
        ClaimKind::Direction { baseline, .. } => Some(baseline),
        ClaimKind::Threshold { baseline, .. } => baseline.as_ref(),
        ClaimKind::Value { .. } => None,
    };
    claim.method == method || baseline.is_some_and(|baseline| baseline == method)
}

#[test]
fn a_smoke_run_beats_chance_stays_small_and_is_not_run_again() {
    for paper in papers() {
        let out = tempfile::tempdir().unwrap();
        let path = out.path().to_str().unwrap();
        run(&["reproduce", &paper.name, "--seeds", "2", "--out", path]).expect(0, "Verdicts: ");
        let records = records(out.path(), &paper.name);
        let mut wall = Duration::ZERO;
        for (id, record) in &records {
            assert!(!record.results.diverged, "{id}");
            assert_eq!(record.identity.tier, Tier::Smoke);
            let cell = &record.identity.cell;
            if let Some(&accuracy) = record.results.metrics.get("test_accuracy") {
                // A row that no claim is about may show where a method fails; it has to learn on one seed at least.
                let claimed =
                    paper.claims.iter().any(|claim| claim.experiment == cell.experiment && names(claim, &cell.method));
                let row = records.values().filter(|other| {
                    let other = &other.identity.cell;
                    (&other.experiment, &other.setting, &other.method)
                        == (&cell.experiment, &cell.setting, &cell.method)
                });
                let best = row.map(|other| other.results.metrics["test_accuracy"]).fold(accuracy, f64::max);
                let judged = if claimed { accuracy } else { best };
                assert!(judged > 0.55, "{id} is no better than chance: {judged}");
            }
            if let Some(bytes) = record.run.peak_memory_bytes {
                assert!(bytes < 1 << 30, "{id} took {bytes} bytes");
            }
            wall += Duration::from_secs_f64(record.run.wall_seconds);
        }
        assert!(wall < Duration::from_secs(600), "two seeds of a minute's run took {wall:?}");
        let again = run(&["reproduce", &paper.name, "--seeds", "2", "--out", path]);
        again.expect(0, &format!("{} done already", records.len()));
        assert!(again.stderr.contains(": 0 cells to run"), "{}", again.stderr);
    }
}
