use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::Tier;

/// Lists and runs the cells of one paper's reproduction; `cargo xtask reproduce` runs them all.
#[derive(Debug, Parser)]
pub(super) struct Arguments {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List the grid of a tier as JSON.
    Cells(Grid),
    /// Run one cell and write its record.
    Run(One),
}

#[derive(Debug, Args)]
pub(super) struct Grid {
    /// How large the reproduction is.
    #[arg(long, value_enum, default_value_t = Tier::Smoke)]
    pub(super) tier: Tier,
    /// What computes: flex, ndarray, wgpu, cuda.
    #[arg(long, default_value = "flex")]
    pub(super) backend: String,
    /// Seeds an experiment, in place of its own count.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) seeds: Option<u64>,
    /// Where the data sets lie; else REKINDLE_DATA, else the user's cache.
    #[arg(long)]
    pub(super) data: Option<PathBuf>,
    /// Accept data files whose checksum is not the registry's; the record then says so.
    #[arg(long)]
    pub(super) allow_unverified: bool,
}

#[derive(Debug, Args)]
pub(super) struct One {
    #[command(flatten)]
    pub(super) grid: Grid,
    /// The cell, by the id that `cells` lists.
    #[arg(long)]
    pub(super) cell: String,
    /// The folder of the records.
    #[arg(long, default_value = "results")]
    pub(super) out: PathBuf,
    /// Print progress as JSON lines.
    #[arg(long)]
    pub(super) progress: bool,
    /// End when standard input is closed: a worker does not outlive who started it.
    #[arg(long)]
    pub(super) until_stdin_closes: bool,
}
