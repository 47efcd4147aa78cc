//! `cargo xtask bench`.

use anyhow::{Context, Result};
use clap::Args;
use rekindle_harness::Exit;

use crate::reproduce::BACKENDS;
use crate::{build, papers};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The papers; all where none is named.
    papers: Vec<String>,

    /// What computes, for benches that can choose: flex (CPU), ndarray (CPU), wgpu, cuda.
    #[arg(long, default_value = "flex", value_parser = BACKENDS)]
    backend: String,

    /// Without the feature `kernels` of the papers that have it.
    #[arg(long)]
    without_kernels: bool,
}

/// Runs the papers' benches (`crates/<name>/benches`) with the profile of tests and smoke runs.
pub(crate) fn run(arguments: &Arguments) -> Result<Exit> {
    let root = papers::root();
    let mut cargo = build::cargo();
    cargo.args(["bench", "--profile", "dev"]);
    let papers = papers::select(&root, &arguments.papers)?;
    if arguments.without_kernels {
        cargo.args(["--package", "rekindle-general-benches"]);
        if arguments.papers.is_empty() {
            cargo.arg("--benches");
        } else {
            papers.iter().for_each(|paper| {
                cargo.args(["--bench", &paper.name]);
            });
        }
    } else {
        for paper in papers.iter().filter(|paper| root.join("crates").join(&paper.name).join("benches").is_dir()) {
            cargo.args(["--package", &format!("rekindle-{}", paper.name), "--benches"]);
        }
    }
    cargo.args(["--features", &format!("rekindle-shared/{}", arguments.backend)]);
    let status = cargo.env("REKINDLE_BACKEND", &arguments.backend).status().context("cannot start cargo")?;
    Ok(if status.success() { Exit::Done } else { Exit::Failed })
}
