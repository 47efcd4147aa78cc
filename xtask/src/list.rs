//! `cargo xtask list`.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use rekindle_harness::data::DataDir;
use rekindle_harness::{Exit, Paper, Tier};
use serde::Serialize;

use crate::papers;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Where the data sets lie; else REKINDLE_DATA, else the user's cache.
    #[arg(long)]
    data: Option<PathBuf>,
}

#[derive(Debug, Serialize)]
struct Listed {
    #[serde(flatten)]
    paper: Paper,
    data: Vec<DataSet>,
}

#[derive(Debug, Serialize)]
struct DataSet {
    name: String,
    present: bool,
    /// Whether the user brings it, in place of a download.
    own_files: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<Exit> {
    let data = DataDir::resolve(arguments.data.as_deref());
    let listed: Vec<Listed> = papers::all(&papers::root())?
        .into_iter()
        .map(|paper| {
            let state = |name: &String| DataSet {
                name: name.clone(),
                present: data.locate(name).is_ok(),
                own_files: data.registry().get(name).is_ok_and(|set| !set.class_folders.is_empty()),
            };
            Listed { data: datasets(&paper, &Tier::ALL).iter().map(state).collect(), paper }
        })
        .collect();
    let text = if arguments.json { format!("{}\n", serde_json::to_string_pretty(&listed)?) } else { table(&listed) };
    crate::print(&text)?;
    Ok(Exit::Done)
}

fn table(listed: &[Listed]) -> String {
    let mut lines = Vec::new();
    for Listed { paper, data } in listed {
        lines.push(format!("{}  {} ({})", paper.name, paper.title, paper.venue));
        for experiment in &paper.experiments {
            let tiers: Vec<&str> = experiment.tiers.iter().map(|tier| tier.name()).collect();
            lines.push(format!("  {:<24} {:<12} {}", experiment.name, tiers.join(" "), experiment.title));
        }
        for set in data {
            let state = match set {
                DataSet { present: true, .. } => "present".to_owned(),
                DataSet { own_files: true, .. } => "missing: a folder of yours, see cargo xtask data list".to_owned(),
                DataSet { name, .. } => format!("missing: cargo xtask data fetch {name}"),
            };
            lines.push(format!("  data {:<19} {state}", set.name));
        }
        lines.push(format!("  {} claims; run it with: cargo xtask reproduce {}\n", paper.claims.len(), paper.name));
    }
    lines.join("\n")
}

/// The data sets that a paper's experiments read at these tiers, each once.
pub(crate) fn datasets(paper: &Paper, tiers: &[Tier]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for experiment in paper.experiments.iter().filter(|e| e.tiers.iter().any(|tier| tiers.contains(tier))) {
        for name in &experiment.data {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
    }
    names
}
