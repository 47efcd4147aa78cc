//! `rekindle-report`: judges the records of a results folder and writes the report.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs};

use clap::{Parser, ValueEnum};
use rekindle_harness::{Exit, Paper, Report, Tier};

/// Judges the records of a results folder, writes report.html, report.md and report.json there and prints them.
#[derive(Debug, Parser)]
#[command(name = "rekindle-report", version)]
struct Arguments {
    /// The folder of the records (`PAPER/TIER-BACKEND/...`); the report is written there.
    #[arg(long, default_value = "results")]
    out: PathBuf,
    /// The workspace: every `crates/*/paper.toml` below it is a paper.
    #[arg(long, default_value = ".")]
    root: PathBuf,
    /// Print only these papers; the files hold all.
    #[arg(long, num_args = 1.., value_name = "PAPER")]
    only: Vec<String>,
    /// Print, and judge for the print, only this tier (repeatable); the files hold all.
    #[arg(long, value_enum)]
    tier: Vec<Tier>,
    /// Print, and judge for the print, only this backend (repeatable); the files hold all.
    #[arg(long)]
    backend: Vec<String>,
    /// What is printed: tables and claims to read, or a verdict a claim as JSON.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(exit) => exit.into(),
        Err((exit, message)) => {
            eprintln!("error: {message}");
            exit.into()
        }
    }
}

fn run(arguments: &Arguments) -> Result<Exit, (Exit, String)> {
    let failed = |error: io::Error| (Exit::Failed, error.to_string());
    let (papers, broken) = papers(&arguments.root.join("crates")).map_err(|message| (Exit::Usage, message))?;
    if let Some(name) = arguments.only.iter().find(|name| !papers.iter().any(|paper| paper.name == **name)) {
        let known: Vec<_> = papers.iter().map(|paper| paper.name.as_str()).collect();
        return Err((Exit::Usage, format!("unknown paper `{name}`: one of {}", known.join(", "))));
    }
    if !arguments.out.is_dir() {
        let out = arguments.out.display();
        return Err((Exit::Usage, format!("no results folder `{out}`: `cargo xtask reproduce` makes one")));
    }
    let report = Report::load(papers, &arguments.out).map_err(failed)?;
    let written = report.write(&arguments.out).map_err(failed)?;
    let shown = report.only(&arguments.only, &arguments.tier, &arguments.backend);
    let html = fs::canonicalize(&written.html).unwrap_or(written.html);
    let text = match arguments.format {
        Format::Text => format!("{}Report: {}\n", shown.terminal(), html.display()),
        Format::Json => {
            serde_json::to_string_pretty(&shown.summary(html)).map_err(|error| failed(error.into()))? + "\n"
        }
    };
    match io::stdout().lock().write_all(text.as_bytes()) {
        // Who closed the pipe has read enough.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return Err(failed(error)),
        _ => {}
    }
    broken.iter().for_each(|message| eprintln!("error: {message}"));
    Ok(if broken.is_empty() { Exit::Done } else { Exit::Failed })
}

/// Every paper below `crates`, and what is wrong with those that cannot be read.
fn papers(crates: &Path) -> Result<(Vec<Paper>, Vec<String>), String> {
    let here = || env::current_dir().map(|path| format!(" (from {})", path.display())).unwrap_or_default();
    let entries = fs::read_dir(crates).map_err(|error| {
        format!("cannot list {}{}: {error}; --root names the workspace's folder", crates.display(), here())
    })?;
    let (mut papers, mut broken) = (Vec::new(), Vec::new());
    for entry in entries {
        let path =
            entry.map_err(|error| format!("cannot list {}: {error}", crates.display()))?.path().join("paper.toml");
        match fs::read_to_string(&path) {
            Ok(text) => match Paper::parse(&text) {
                Ok(paper) => papers.push(paper),
                Err(error) => broken.push(format!("{}: {error}", path.display())),
            },
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {}
            Err(error) => broken.push(format!("{}: {error}", path.display())),
        }
    }
    Ok((papers, broken))
}
