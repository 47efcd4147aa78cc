//! The driver: lists the papers, reproduces them, reports, fetches data.
//!
//! It does not link Burn. It builds what a command needs (a paper's example, a tool of the harness) and starts it.

mod bench;
mod build;
mod check;
mod list;
mod papers;
mod reproduce;
mod source;
mod tool;

use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use rekindle_harness::Exit;

/// Reproduces fourteen ICLR 2021 papers in Rust and says honestly whether they hold.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List papers, experiments, tiers and the data they need; builds nothing.
    List(list::Arguments),
    /// Run the experiments of one paper or of all, and report.
    Reproduce(reproduce::Arguments),
    /// Write the report of the records that are there, and print tables and verdicts.
    Report(tool::ReportArguments),
    /// List, download and verify data sets.
    Data(tool::DataArguments),
    /// Measure the speed figures.
    Bench(bench::Arguments),
    /// What a commit needs: formatting, lints, tests, docs, layout.
    Check(check::Arguments),
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::List(arguments) => list::run(&arguments),
        Command::Reproduce(arguments) => reproduce::run(&arguments),
        Command::Report(arguments) => tool::report(&arguments),
        Command::Data(arguments) => tool::data(&arguments),
        Command::Bench(arguments) => bench::run(&arguments),
        Command::Check(arguments) => check::run(&arguments),
    };
    done.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        error.downcast_ref::<Refusal>().map_or(Exit::Failed, |refusal| refusal.0)
    })
    .into()
}

/// Prints for the user; whoever reads only the first lines is no error.
fn print(text: &str) -> std::io::Result<()> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// An error with an exit code of its own.
#[derive(Debug)]
struct Refusal(Exit, String);

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.1)
    }
}

impl std::error::Error for Refusal {}

impl Refusal {
    /// A name or a value that the command line should not have had.
    fn usage(message: impl Into<String>) -> anyhow::Error {
        Self(Exit::Usage, message.into()).into()
    }
}
