//! What a user sees who asks for something that is not there.

use std::fs;

use crate::driver::{Ended, run, worker};

#[test]
fn an_unknown_paper_is_named_with_those_there_are() {
    run(&["reproduce", "smm"]).expect(2, "unknown paper `smm`: one of ");
}

#[test]
fn an_unknown_backend_or_tier_is_a_usage_error_that_lists_the_known() {
    run(&["reproduce", "sam", "--backend", "tpu"]).expect(2, "flex, ndarray, wgpu, cuda");
    run(&["reproduce", "sam", "--tier", "huge"]).expect(2, "smoke, small, paper");
}

#[test]
fn no_seeds_and_no_jobs_are_usage_errors() {
    run(&["reproduce", "sam", "--seeds", "0"]).expect(2, "--seeds");
    run(&["reproduce", "sam", "--jobs", "0"]).expect(2, "--jobs");
    run(&["reproduce", "sam", "--jobs", "-1"]).expect(2, "--jobs");
    run(&["reproduce", "sam", "--seeds", "many"]).expect(2, "--seeds");
}

#[test]
fn missing_data_names_the_data_set_and_the_command_before_anything_is_built() {
    let out = tempfile::tempdir().unwrap();
    let path = out.path().to_str().unwrap();
    let ended = run(&["reproduce", "sam", "--tier", "small", "--out", path]);
    ended.expect(3, "cargo xtask data fetch fashion-mnist");
    assert!(!ended.stderr.contains("building"), "{}", ended.stderr);
}

#[test]
fn an_output_folder_that_cannot_be_written_is_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "not a folder").unwrap();
    let ended = run(&["reproduce", "sam", "--out", file.to_str().unwrap()]);
    ended.expect(1, "choose another folder with --out");
    assert!(!ended.stderr.contains("building"), "{}", ended.stderr);
}

#[test]
fn help_and_list_need_no_build_of_burn() {
    run(&["--help"]).expect(0, "reproduce");
    let listed = run(&["list"]);
    listed.expect(0, "Sharpness-Aware Minimization");
    let json = run(&["list", "--json"]);
    let papers: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    let sam = papers.as_array().unwrap().iter().find(|paper| paper["name"] == "sam").unwrap();
    assert_eq!(sam["data"][0]["present"], false);
}

#[test]
fn a_worker_refuses_a_backend_that_is_not_compiled_in_and_a_cell_that_is_not_there() {
    let out = tempfile::tempdir().unwrap();
    let path = out.path().to_str().unwrap();
    run(&["reproduce", "sam", "--plan", "--seeds", "1", "--out", path]).expect(0, "cells to run");
    let worker = worker(out.path(), "sam");
    let start = |arguments: &[&str]| Ended::new(std::process::Command::new(&worker).args(arguments).output().unwrap());
    start(&["cells", "--backend", "cuda"]).expect(4, "cuda");
    start(&["cells", "--backend", "tpu"]).expect(4, "tpu");
    start(&["run", "--cell", "moons/none/none/0", "--out", path]).expect(2, "no cell `moons/none/none/0`");
}
