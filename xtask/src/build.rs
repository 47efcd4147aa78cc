//! Builds what a command starts: examples of the papers, tools of the harness.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::{papers, source};

/// A target to build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    /// `reproduce-<paper>`.
    Example(String),
    /// A tool of the harness.
    Tool(&'static str),
}

/// What Cargo says about one artifact.
#[derive(Debug, Deserialize)]
struct Artifact {
    reason: String,
    target: Option<Named>,
    executable: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
struct Named {
    name: String,
}

/// Builds the targets with these features and returns their executables by name.
///
/// `paper` is whose sources are stamped into an example. No package is named: features then resolve as in `cargo test`,
/// and the two share what they build.
pub(crate) fn build(paper: Option<&str>, targets: &[Target], features: &[String]) -> Result<BTreeMap<String, PathBuf>> {
    let mut cargo = cargo();
    cargo.args(["build", "--message-format=json-render-diagnostics"]);
    for target in targets {
        match target {
            Target::Example(name) => cargo.args(["--example", name]),
            Target::Tool(name) => cargo.args(["--bin", name]),
        };
    }
    if !features.is_empty() {
        cargo.args(["--features", &features.join(",")]);
    }
    if let Some(paper) = paper {
        cargo.env("REKINDLE_SOURCE", source::hash(&papers::root(), paper)?);
        if let Some(version) = source::burn_version(&papers::workspace()) {
            cargo.env("REKINDLE_BURN", version);
        }
    }
    let mut child = cargo.stdout(Stdio::piped()).spawn().context("cannot start cargo")?;
    let mut executables = BTreeMap::new();
    for line in BufReader::new(child.stdout.take().context("cargo has no output")?).lines() {
        let Ok(artifact) = serde_json::from_str::<Artifact>(&line?) else { continue };
        if let ("compiler-artifact", Some(target), Some(path)) =
            (artifact.reason.as_str(), artifact.target, artifact.executable)
        {
            executables.insert(target.name, path);
        }
    }
    if !child.wait()?.success() {
        bail!("the build failed; Cargo's messages above say where");
    }
    Ok(executables)
}

/// Cargo in the workspace's folder, the one that started the driver where it did.
pub(crate) fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(papers::workspace());
    // What `cargo run` told the driver about itself is not for the packages that it builds.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CARGO_PKG_") || name == "CARGO_MANIFEST_DIR" {
            cargo.env_remove(name);
        }
    }
    cargo
}
