//! The tool `rekindle-data` as a process.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::server::{Behavior, Server};
use crate::{content, sha256};

struct Output {
    code: i32,
    stdout: String,
    stderr: String,
}

fn tool(data: &Path, arguments: &[&str]) -> Output {
    let output = Command::new(env!("CARGO_BIN_EXE_rekindle-data"))
        .arg("--data")
        .arg(data)
        .args(arguments)
        // Else the machine's own data would be found.
        .env_remove("REKINDLE_DATA")
        .env("XDG_CACHE_HOME", data.join("no-cache"))
        .env("HOME", data.join("no-home"))
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Output { code: output.status.code().unwrap(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// A registry file with one data set that has this checksum.
fn registry(folder: &Path, server: &Server, sum: Option<&str>) -> String {
    let path = folder.join("registry.toml");
    let sum = sum.map_or(String::new(), |sum| format!("sha256 = \"{sum}\"\n"));
    let text = format!(
        "[[dataset]]\nname = \"one\"\ntitle = \"One\"\nlicense = \"CC0\"\ncitation = \"\"\norigin = \"\"\nfolder = \"one\"\n\
         mirrors = [\"{}\"]\nchecksum_source = \"this test\"\n[[dataset.file]]\npath = \"a.bin\"\nbytes = 200000\n{sum}",
        server.url()
    );
    fs::write(&path, text).unwrap();
    path.display().to_string()
}

#[test]
fn a_data_set_is_listed_fetched_and_verified() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start("/a.bin", content(), Behavior::Good);
    let registry = registry(folder.path(), &server, Some(&sha256(&content())));
    let run = |arguments: &[&str]| tool(folder.path(), &[&["--registry", &registry], arguments].concat());

    let list = run(&["list"]);
    assert!(list.code == 0 && list.stdout.contains("missing") && list.stdout.contains("CC0"), "{}", list.stdout);
    let missing = run(&["verify", "one"]);
    assert_eq!(missing.code, 3);
    assert!(missing.stderr.contains("cargo xtask data fetch one"), "{}", missing.stderr);
    assert_eq!(run(&["verify"]).code, 0, "nothing that is there is wrong");

    let fetched = run(&["fetch", "one"]);
    assert_eq!(fetched.code, 0, "{}", fetched.stderr);
    assert!(
        fetched.stderr.contains("downloading a.bin") && fetched.stderr.contains(&server.url()),
        "{}",
        fetched.stderr
    );
    let again = run(&["fetch"]);
    assert!(again.code == 0 && again.stderr.contains("a.bin is there"), "{}", again.stderr);
    assert_eq!(run(&["verify", "one"]).stdout.lines().count(), 1);
    let json: serde_json::Value = serde_json::from_str(&run(&["list", "--json"]).stdout).unwrap();
    assert_eq!(
        (&json[0]["name"], &json[0]["present"], &json[0]["bytes"]),
        (&"one".into(), &true.into(), &200_000.into())
    );

    fs::write(folder.path().join("one/a.bin"), "other").unwrap();
    let corrupt = run(&["verify"]);
    assert_eq!(corrupt.code, 3);
    assert!(corrupt.stderr.contains("expected 200000 bytes, found 5 bytes"), "{}", corrupt.stderr);
    assert_eq!(run(&["fetch", "one"]).code, 0, "and is replaced");
    assert_eq!(run(&["verify"]).code, 0);
}

#[test]
fn an_unverified_file_has_to_be_allowed() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start("/a.bin", content(), Behavior::Good);
    let registry = registry(folder.path(), &server, None);
    let run = |arguments: &[&str]| tool(folder.path(), &[&["--registry", &registry], arguments].concat());
    let refused = run(&["fetch", "one"]);
    assert_eq!(refused.code, 3);
    assert!(refused.stderr.contains(&sha256(&content())) && refused.stderr.contains("--allow-unverified"));
    let allowed = run(&["fetch", "one", "--allow-unverified"]);
    assert_eq!(allowed.code, 0, "{}", allowed.stderr);
    assert!(allowed.stderr.contains("not verified"), "{}", allowed.stderr);
}

#[test]
fn what_cannot_be_had_exits_3() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start("/elsewhere", content(), Behavior::Good);
    let registry = registry(folder.path(), &server, None);
    let output = tool(folder.path(), &["--registry", &registry, "fetch", "one"]);
    assert_eq!(output.code, 3);
    assert!(output.stderr.contains("404"), "{}", output.stderr);
}

#[test]
fn an_unknown_name_exits_2_with_the_known_ones() {
    let folder = tempfile::tempdir().unwrap();
    for action in ["fetch", "verify"] {
        let output = tool(folder.path(), &[action, "mnist", "mnits"]);
        assert_eq!(output.code, 2);
        assert!(output.stderr.contains("`mnits`: one of mnist, fashion-mnist"), "{}", output.stderr);
    }
    assert_eq!(tool(folder.path(), &["frobnicate"]).code, 2);
    assert_eq!(tool(folder.path(), &["list", "--jsno"]).code, 2);
}
