//! `cargo xtask check`: what a commit needs.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use clap::Args;
use rekindle_harness::Exit;

use crate::{build, papers};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Leave out the tests (formatting, lints, docs and layout remain).
    #[arg(long)]
    no_tests: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<Exit> {
    let root = papers::root();
    let mut failed = layout(&root)?;
    let mut steps: Vec<(&str, Vec<&str>)> = vec![
        ("fmt", vec!["fmt", "--all", "--check"]),
        ("clippy", vec!["clippy", "--all-targets", "--quiet", "--", "-D", "warnings"]),
        // Elsewhere the features of libraries are turned on by dev-dependencies, which docs are built without.
        ("doc", vec!["doc", "--no-deps", "--quiet", "--features", "rekindle-intrinsic-dimension/burn"]),
    ];
    if !arguments.no_tests {
        steps.push(("test", vec!["test"]));
    }
    for (name, command) in steps {
        eprintln!("check: cargo {}", command.join(" "));
        let mut cargo = build::cargo();
        cargo.args(&command).env("RUSTDOCFLAGS", "-D warnings");
        if !cargo.status().context("cannot start cargo")?.success() {
            failed.push(format!("cargo {name} does not pass"));
        }
    }
    for message in &failed {
        eprintln!("check: {message}");
    }
    Ok(if failed.is_empty() { Exit::Done } else { Exit::Failed })
}

/// Every crate of a paper has the files that the driver and a newcomer look for.
fn layout(root: &Path) -> Result<Vec<String>> {
    let mut missing = Vec::new();
    let crates = root.join("crates");
    for entry in fs::read_dir(&crates).with_context(|| format!("cannot list {}", crates.display()))? {
        let folder = entry?.path();
        for file in
            ["Cargo.toml", "README.md", "CHANGELOG.md", "paper.toml", "src/lib.rs", "examples/reproduce/main.rs"]
        {
            if !folder.join(file).is_file() {
                missing.push(format!("{} has no {file}", folder.display()));
            }
        }
        let name = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap_or_default();
        for line in [format!("name = \"rekindle-{name}\""), format!("name = \"reproduce-{name}\"")] {
            if !manifest.contains(&line) {
                missing.push(format!("{}/Cargo.toml has no line `{line}`", folder.display()));
            }
        }
    }
    papers::all(root)?;
    Ok(missing)
}
