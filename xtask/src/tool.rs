//! The harness's tools: built when they are asked for, then started with the rest of the command line.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use clap::Args;
use rekindle_harness::Exit;

use crate::build::{self, Target};
use crate::papers;

#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub(crate) struct DataArguments {
    /// What `rekindle-data` takes: `list`, `fetch [NAME...]`, `verify [NAME...]`, `--help`.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct ReportArguments {
    /// The folder of the records; the report is written there.
    #[arg(long, default_value = "results")]
    out: PathBuf,
    /// What is printed: text or json.
    #[arg(long, default_value = "text", value_parser = ["text", "json"])]
    format: String,
}

/// `cargo xtask data`.
pub(crate) fn data(arguments: &DataArguments) -> Result<Exit> {
    let executables = build::build(None, &[Target::Tool(DATA)], &[FETCH.into()])?;
    let status = Command::new(executables.get(DATA).context("cargo built no rekindle-data")?)
        .args(&arguments.arguments)
        .status()
        .context("cannot start rekindle-data")?;
    Ok(Exit::from_code(status.code()))
}

/// `cargo xtask report`.
pub(crate) fn report(arguments: &ReportArguments) -> Result<Exit> {
    let executables = build::build(None, &[Target::Tool(REPORT)], &[REPORT_FEATURE.into()])?;
    let tool = executables.get(REPORT).context("cargo built no rekindle-report")?;
    let status =
        report_command(tool, &papers::root(), &arguments.out).args(["--format", &arguments.format]).status()?;
    Ok(Exit::from_code(status.code()))
}

/// The report's tool, told where the papers and the records are.
pub(crate) fn report_command(tool: &Path, root: &Path, out: &Path) -> Command {
    let mut command = Command::new(tool);
    command.arg("--root").arg(root).arg("--out").arg(out);
    command
}

const DATA: &str = "rekindle-data";
const FETCH: &str = "rekindle-harness/fetch";
pub(crate) const REPORT: &str = "rekindle-report";
pub(crate) const REPORT_FEATURE: &str = "rekindle-harness/report";
