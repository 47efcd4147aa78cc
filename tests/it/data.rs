//! The data commands from the outside.

use std::fs;

use crate::driver::run;

#[test]
fn an_unknown_data_set_is_a_usage_error_that_lists_the_known() {
    run(&["data", "fetch", "imagenet-1"]).expect(2, "fashion-mnist");
}

#[test]
fn data_that_is_not_there_fails_verification_with_the_command_that_gets_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    run(&["data", "--data", path, "verify", "mnist"]).expect(3, "cargo xtask data fetch mnist");
}

#[test]
fn a_file_with_other_bytes_is_refused_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let set = folder.path().join("fashion-mnist");
    fs::create_dir(&set).unwrap();
    for part in ["train", "t10k"] {
        for kind in ["images-idx3", "labels-idx1"] {
            fs::write(set.join(format!("{part}-{kind}-ubyte.gz")), "other bytes").unwrap();
        }
    }
    let path = folder.path().to_str().unwrap();
    run(&["data", "--data", path, "verify", "fashion-mnist"]).expect(3, "-ubyte.gz");
    let out = tempfile::tempdir().unwrap();
    let out = out.path().to_str().unwrap();
    let ended = run(&["reproduce", "sam", "--tier", "small", "--seeds", "1", "--data", path, "--out", out]);
    ended.expect(3, "-ubyte.gz");
}
