//! The tool `rekindle-report` as the driver and a user start it.
#![cfg(feature = "report")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use rekindle_harness::{Cell, Identity, Record, Results, Run, Tier};

const PAPER: &str = r#"
name = "sam"
title = "Sharpness"
authors = "A. Author"
venue = "ICLR 2021"
url = "https://example.org"
summary = "s"

[[experiment]]
name = "moons"
title = "Moons"
tiers = ["smoke", "small"]

[[experiment.metric]]
name = "accuracy"
title = "Accuracy"
better = "higher"

[[claim]]
id = "better"
kind = "direction"
statement = "SAM is better"
place = "Table 4"
experiment = "moons"
setting = "30 %"
metric = "accuracy"
method = "sam"
baseline = "sgd"
better = "higher"
source = "read"
comparable = ["small"]
"#;

/// A workspace with one paper, whose smoke tier speaks against its claim and whose small tier for it.
fn workspace() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir_all(root.path().join("crates/sam")).unwrap();
    fs::write(root.path().join("crates/sam/paper.toml"), PAPER).unwrap();
    for (tier, sign) in [(Tier::Smoke, -1.0), (Tier::Small, 1.0)] {
        for (method, gain) in [("sgd", 0.0), ("sam", 0.1)] {
            for seed in 1..=3 {
                write(root.path(), tier, method, seed, 0.5 + sign * gain + seed as f64 / 100.0);
            }
        }
    }
    root
}

fn write(root: &Path, tier: Tier, method: &str, seed: u64, accuracy: f64) {
    let cell = Cell::new("moons", "30 %", method, seed, &());
    let path = Record::path(&root.join("results"), "sam", tier, "flex", &cell);
    let identity = Identity {
        paper: "sam".into(),
        cell,
        tier,
        backend: "flex".into(),
        files: BTreeMap::new(),
        source: "s".into(),
        burn: "0.22.1".into(),
        features: vec![],
    };
    let results = Results { metrics: BTreeMap::from([("accuracy".into(), accuracy)]), ..Results::default() };
    Record { identity, results, measurements: BTreeMap::new(), run: Run::default() }.write(&path).unwrap();
}

fn run(root: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rekindle-report"));
    let Output { status, stdout, stderr } = command.current_dir(root).args(arguments).output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

#[test]
fn it_prints_tables_and_claims_and_writes_three_files() {
    let root = workspace();
    let (code, stdout, stderr) = run(root.path(), &[]);
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    for wanted in ["sam: Sharpness", "*0.62 ± 0.01 (3)", "reproduced      SAM is better", "report.html"] {
        assert!(stdout.contains(wanted), "{wanted} is not in\n{stdout}");
    }
    for name in ["report.html", "report.md", "report.json"] {
        assert!(root.path().join("results").join(name).is_file(), "{name}");
    }
}

#[test]
fn a_tier_is_judged_for_the_print_and_the_files_hold_all() {
    let root = workspace();
    let (code, stdout, _) = run(root.path(), &["--tier", "smoke", "--only", "sam", "--format", "json"]);
    let json: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((code, &json["claims"][0]["verdict"]), (Some(0), &"not reproduced".into()));
    assert_eq!(json["counts"]["not reproduced"], 1);
    let file: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(root.path().join("results/report.json")).unwrap()).unwrap();
    assert_eq!(file["papers"][0]["claims"][0]["verdict"], "reproduced");
}

#[test]
fn what_is_unknown_is_a_usage_error_that_says_so() {
    let root = workspace();
    for (arguments, message) in [
        (&["--only", "nerf"][..], "unknown paper `nerf`: one of sam"),
        (&["--tier", "huge"], "huge"),
        (&["--out", "nowhere"], "no results folder `nowhere`"),
        (&["--root", "nowhere"], "cannot list nowhere/crates"),
        (&["--format", "xml"], "xml"),
    ] {
        let (code, stdout, stderr) = run(root.path(), arguments);
        assert_eq!((code, stdout.as_str()), (Some(2), ""), "{arguments:?}");
        assert!(stderr.contains(message), "{stderr}");
    }
}

#[test]
fn a_broken_description_fails_after_the_others_are_reported() {
    let root = workspace();
    fs::create_dir_all(root.path().join("crates/tent")).unwrap();
    fs::write(root.path().join("crates/tent/paper.toml"), "name = ").unwrap();
    let (code, stdout, stderr) = run(root.path(), &[]);
    assert_eq!(code, Some(1));
    assert!(stdout.contains("sam: Sharpness") && stderr.contains("tent/paper.toml"), "{stderr}");
}

#[test]
fn a_file_that_cannot_be_written_is_a_failure() {
    let root = workspace();
    fs::create_dir_all(root.path().join("results/report.md/x")).unwrap();
    let (code, _, stderr) = run(root.path(), &[]);
    assert_eq!(code, Some(1));
    assert!(stderr.contains("cannot write") && stderr.contains("report.md"), "{stderr}");
}
