//! `cargo xtask reproduce`: builds, plans, runs, reports.

mod plan;
mod pool;
mod progress;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use clap::Args;
use rekindle_harness::data::DataDir;
use rekindle_harness::{Exit, Experiment, Paper, Tier};

use crate::build::{self, Target};
use crate::{Refusal, papers, source, tool};
use plan::Plan;

/// The backends by name; each but `flex` is a feature of `rekindle-shared` that is compiled when it is asked for.
pub(crate) const BACKENDS: [&str; 4] = ["flex", "ndarray", "wgpu", "cuda"];

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The papers, by the names that `list` shows; all where none is named.
    papers: Vec<String>,
    /// How large: smoke (a minute, no download), small (an hour, real data), paper (its own setting, a GPU).
    #[arg(long, value_enum, default_value_t = Tier::Smoke)]
    tier: Tier,
    /// This experiment only, by the name that `list` shows; may be given more than once.
    #[arg(long = "experiment", value_name = "NAME")]
    experiments: Vec<String>,
    /// What computes: flex (CPU), ndarray (CPU, slow convolutions), wgpu, cuda.
    #[arg(long, default_value = "flex", value_parser = BACKENDS)]
    backend: String,
    /// Seeds an experiment, in place of its own count.
    #[arg(long, allow_negative_numbers = true, value_parser = clap::value_parser!(u64).range(1..))]
    seeds: Option<u64>,
    /// Cells that run at once [default: one a core on a CPU, 1 on a GPU].
    #[arg(long, allow_negative_numbers = true, value_parser = clap::value_parser!(u64).range(1..=1024))]
    jobs: Option<u64>,
    /// Where the data sets lie; else REKINDLE_DATA, else the user's cache.
    #[arg(long)]
    data: Option<PathBuf>,
    /// The folder of records and report.
    #[arg(long, default_value = "results")]
    out: PathBuf,
    /// Rerun cells that have a record.
    #[arg(long)]
    force: bool,
    /// Keep records of older sources instead of rerunning their cells; the report marks them.
    #[arg(long)]
    keep_stale: bool,
    /// Exit with 1 if a claim is not reproduced.
    #[arg(long)]
    strict: bool,
    /// Accept data files whose checksum is not the registry's; the records then say so.
    #[arg(long)]
    allow_unverified: bool,
    /// Build, then print what would run, with the workers' commands; run nothing.
    #[arg(long)]
    plan: bool,
}

impl Arguments {
    /// What the workers of this run are all told.
    fn grid(&self) -> Vec<String> {
        let mut grid = vec![format!("--tier={}", self.tier), format!("--backend={}", self.backend)];
        if let Some(seeds) = self.seeds {
            grid.push(format!("--seeds={seeds}"));
        }
        if let Some(data) = &self.data {
            grid.push(format!("--data={}", data.display()));
        }
        if self.allow_unverified {
            grid.push("--allow-unverified".into());
        }
        grid
    }

    /// Whether an experiment is one of those asked for.
    fn wants(&self, experiment: &str) -> bool {
        self.experiments.is_empty() || self.experiments.iter().any(|name| name == experiment)
    }

    fn jobs(&self, cores: usize) -> usize {
        let gpu = matches!(self.backend.as_str(), "wgpu" | "cuda");
        self.jobs.map_or(if gpu { 1 } else { cores }, |jobs| usize::try_from(jobs).unwrap_or(usize::MAX))
    }
}

pub(crate) fn run(arguments: &Arguments) -> Result<Exit> {
    let root = papers::root();
    let papers = papers::select(&root, &arguments.papers)?;
    let named = !arguments.papers.is_empty();
    let papers: Vec<Paper> = papers.into_iter().filter(|paper| named || runs_at(paper, arguments.tier)).collect();
    if let Some(paper) = papers.iter().find(|paper| !runs_at(paper, arguments.tier)) {
        let tiers: Vec<&str> = paper.tiers().iter().map(|tier| tier.name()).collect();
        let message = format!("{} has no tier {}: {}", paper.name, arguments.tier, tiers.join(", "));
        return Err(Refusal::usage(message));
    }
    for name in &arguments.experiments {
        known(name, &papers, arguments.tier)?;
    }
    writable(&arguments.out)?;
    if let Some(message) = all_data_missing(&papers, arguments) {
        return Err(Refusal(Exit::Data, message).into());
    }

    let mut exit = Exit::Done;
    let mut report_tool = None;
    let mut plans = Vec::new();
    for paper in &papers {
        let example = format!("reproduce-{}", paper.name);
        eprintln!("building {example}, the report's tool and what they need (the first time takes some minutes)");
        let mut features = vec![tool::REPORT_FEATURE.to_owned()];
        if arguments.backend != "flex" {
            features.push(format!("rekindle-shared/{}", arguments.backend));
        }
        let targets = [Target::Example(example.clone()), Target::Tool(tool::REPORT)];
        let built = build::build(Some(&paper.name), &targets, &features)?;
        report_tool = built.get(tool::REPORT).cloned();
        let worker = built.get(&example).with_context(|| format!("cargo built no {example}"))?;
        let worker = keep(worker, &arguments.out, &paper.name, &arguments.backend)?;
        match Plan::new(paper, &worker, arguments) {
            Ok(plan) => plans.push(plan),
            Err(error) => {
                let Some(Refusal(code, message)) = error.downcast_ref::<Refusal>() else { return Err(error) };
                eprintln!("error: {}: {message}", paper.name);
                exit = exit.worst(*code);
            }
        }
    }
    if arguments.plan {
        crate::print(&plans.iter().map(Plan::describe).collect::<String>())?;
        return Ok(exit);
    }

    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let commit = source::commit(&papers::workspace());
    let interrupted = pool::Interruption::watch()?;
    for plan in &plans {
        let pool = pool::Pool { cores, jobs: arguments.jobs(cores), commit: commit.as_deref() };
        exit = exit.worst(pool.run(plan, &interrupted)?);
        if interrupted.happened() {
            eprintln!("interrupted; the same command continues where it stopped");
            return Ok(Exit::Interrupted);
        }
    }
    let Some(tool) = report_tool else { return Ok(exit) };
    Ok(exit.worst(report(&tool, &root, &papers, arguments)?))
}

/// Refuses the name of an experiment that none of the papers has at this tier.
fn known(name: &str, papers: &[Paper], tier: Tier) -> Result<()> {
    let there = papers.iter().flat_map(|paper| &paper.experiments).filter(|it| it.tiers.contains(&tier));
    let names: Vec<&str> = there.map(|experiment| experiment.name.as_str()).collect();
    match names.contains(&name) {
        true => Ok(()),
        false => {
            Err(Refusal::usage(format!("unknown experiment `{name}` at tier {tier}: one of {}", names.join(", "))))
        }
    }
}

fn runs_at(paper: &Paper, tier: Tier) -> bool {
    paper.experiments.iter().any(|experiment| experiment.tiers.contains(&tier))
}

/// A message if no experiment of any paper can run for want of data, said before minutes of building.
fn all_data_missing(papers: &[Paper], arguments: &Arguments) -> Option<String> {
    let data = DataDir::resolve(arguments.data.as_deref());
    let mut reasons = Vec::new();
    for paper in papers {
        let runs = |it: &&Experiment| it.tiers.contains(&arguments.tier) && arguments.wants(&it.name);
        for experiment in paper.experiments.iter().filter(runs) {
            match experiment.data.iter().find_map(|name| data.locate(name).err()) {
                None => return None,
                Some(error) => reasons.push(error.to_string()),
            }
        }
    }
    reasons.dedup();
    (!reasons.is_empty()).then(|| reasons.join("\n"))
}

/// An error before the build rather than after an hour if the results can't be written.
fn writable(out: &Path) -> Result<()> {
    let probe = out.join(format!(".probe-{}", std::process::id()));
    std::fs::create_dir_all(out)
        .and_then(|()| std::fs::write(&probe, b"rekindle"))
        .and_then(|()| std::fs::remove_file(&probe))
        .map_err(|error| {
            Refusal(
                Exit::Failed,
                format!("cannot write to {}: {error}; choose another folder with --out", out.display()),
            )
            .into()
        })
}

/// A copy of the worker beside the results, so that sources edited and built during a long run don't change it.
///
/// There is one a paper and backend; the next run replaces it.
fn keep(worker: &Path, out: &Path, paper: &str, backend: &str) -> Result<PathBuf> {
    let folder = out.join(".workers");
    let kept = folder.join(format!("reproduce-{paper}-{backend}{}", std::env::consts::EXE_SUFFIX));
    let part = folder.join(format!("{}.part", std::process::id()));
    std::fs::create_dir_all(&folder)
        .and_then(|()| std::fs::copy(worker, &part))
        .and_then(|_| std::fs::rename(&part, &kept))
        .with_context(|| format!("cannot copy the worker to {}", kept.display()))?;
    Ok(kept.canonicalize()?)
}

/// Writes the report, prints tables and verdicts, and with `--strict` judges them.
fn report(tool: &Path, root: &Path, papers: &[Paper], arguments: &Arguments) -> Result<Exit> {
    let mut command = tool::report_command(tool, root, &arguments.out);
    command.args(["--tier", arguments.tier.name(), "--backend", &arguments.backend, "--only"]);
    command.args(papers.iter().map(|paper| &paper.name));
    let status = command.status().context("cannot start rekindle-report")?;
    let exit = Exit::from_code(status.code());
    if !arguments.strict {
        return Ok(exit);
    }
    let output =
        command.arg("--format=json").stdout(Stdio::piped()).output().context("cannot start rekindle-report")?;
    let summary: serde_json::Value =
        serde_json::from_slice(&output.stdout).context("the report's summary is no JSON")?;
    Ok(if refuted(&summary) { exit.worst(Exit::Failed) } else { exit })
}

/// Whether a claim of the summary is not reproduced.
fn refuted(summary: &serde_json::Value) -> bool {
    let claims = summary["claims"].as_array().map_or(&[][..], Vec::as_slice);
    claims.iter().any(|claim| claim["verdict"] == "not reproduced")
}

/// The worker's command with what every call is told.
fn worker(executable: &Path, verb: &str, grid: &[String]) -> Command {
    let mut command = Command::new(executable);
    command.arg(verb).args(grid);
    command
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn strict_looks_at_every_claim() {
        let summary = |last: &str| json!({ "claims": [{ "verdict": "direction only" }, { "verdict": last }] });
        assert!(refuted(&summary("not reproduced")));
        assert!(!refuted(&summary("inconclusive")));
        assert!(!refuted(&json!({})));
    }
}
