//! Starts `cargo xtask` as a user does.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The workspace's folder.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the workspace")
}

/// `cargo xtask` with these arguments, in the workspace's folder, without data of the user's.
pub(crate) fn xtask(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.arg("xtask").args(arguments).current_dir(root()).stdin(Stdio::null());
    // A user's shell has none of what `cargo test` tells its tests.
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST") || name == "REKINDLE_DATA" {
            command.env_remove(name);
        }
    }
    command.env("XDG_CACHE_HOME", root().join("target/no-user-cache"));
    command
}

/// Runs it to its end.
pub(crate) fn run(arguments: &[&str]) -> Ended {
    Ended::new(xtask(arguments).output().expect("cargo starts"))
}

/// How a command ended and what it said.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    pub(crate) fn new(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// The exit code is `code` and the messages hold `part`.
    #[track_caller]
    pub(crate) fn expect(&self, code: i32, part: &str) {
        assert_eq!(self.code, Some(code), "{}\n{}", self.stdout, self.stderr);
        assert!(self.stderr.contains(part) || self.stdout.contains(part), "no `{part}` in:\n{}", self.stderr);
    }
}

/// The worker of a paper, built by a run of the driver into `out`.
pub(crate) fn worker(out: &Path, paper: &str) -> PathBuf {
    let path = out.join(".workers").join(format!("reproduce-{paper}-flex{}", std::env::consts::EXE_SUFFIX));
    assert!(path.is_file(), "{} is there after a run", path.display());
    path
}
