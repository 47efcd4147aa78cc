//! The report as data: `report.json`, and the short form that the driver reads.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;
use serde_json::{Value, json};

use super::{Environment, PaperReport, Report, figures, words};
use crate::{Table, Tier, Verdict};

/// The verdicts in short.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ReportSummary {
    /// The HTML file.
    pub html: PathBuf,
    /// How many claims have each verdict, by its name.
    pub counts: BTreeMap<Verdict, usize>,
    /// Every claim of a paper that has results.
    pub claims: Vec<ClaimSummary>,
    /// Folders with records of unknown papers, with their number.
    pub unknown: BTreeMap<String, usize>,
    /// Broken records.
    pub broken: Vec<String>,
}

/// A claim's verdict.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClaimSummary {
    /// The paper's name.
    pub paper: String,
    /// The claim's id.
    pub id: String,
    /// The verdict of the most telling tier and backend.
    pub verdict: Verdict,
    /// That tier; none where the experiment was not run.
    pub tier: Option<Tier>,
    /// That backend.
    pub backend: Option<String>,
}

impl Report {
    /// The verdicts in short, for a report written to `html`.
    pub fn summary(&self, html: PathBuf) -> ReportSummary {
        let with_results = || self.papers.iter().filter(|report| report.has_results());
        let claims = with_results().flat_map(|report| {
            report.claims.iter().map(|claim| {
                let judgment = claim.judgments.first();
                ClaimSummary {
                    paper: report.paper.name.clone(),
                    id: claim.claim.id.clone(),
                    verdict: claim.verdict(),
                    tier: judgment.map(|judgment| judgment.tier),
                    backend: judgment.map(|judgment| judgment.backend.clone()),
                }
            })
        });
        ReportSummary {
            html,
            counts: self.counts(),
            claims: claims.collect(),
            unknown: self.unknown.clone(),
            broken: self.papers.iter().flat_map(|report| report.broken.clone()).collect(),
        }
    }
}

/// All of the report but its plots.
pub(super) fn document(report: &Report) -> Value {
    let papers: Vec<_> = report.papers.iter().filter(|report| report.has_results()).map(paper).collect();
    let not_run: Vec<_> = report.papers.iter().filter(|report| !report.has_results()).map(|r| &r.paper.name).collect();
    json!({ "counts": report.counts(), "papers": papers, "not_run": not_run, "unknown": report.unknown })
}

fn paper(report: &PaperReport) -> Value {
    let paper = &report.paper;
    let claims = report.claims.iter().map(|claim| {
        let mut value = json!(claim);
        value["verdict"] = json!(claim.verdict());
        value
    });
    let runs = report.runs.iter().map(|runs| {
        let experiments = paper.experiments.iter().filter(|experiment| runs.has(&experiment.name));
        let tables =
            experiments.clone().map(|experiment| (experiment.name.clone(), json!(Table::all(experiment, runs))));
        let pictures = experiments.flat_map(|experiment| figures::pictures(experiment, runs));
        json!({
            "tier": runs.tier,
            "backend": runs.backend,
            "command": words::command(&paper.name, runs),
            "environment": Environment::of(runs),
            "tables": tables.collect::<serde_json::Map<_, _>>(),
            "pictures": pictures.collect::<Vec<_>>(),
            "outside": runs.outside,
        })
    });
    json!({
        "name": paper.name,
        "title": paper.title,
        "authors": paper.authors,
        "venue": paper.venue,
        "url": paper.url,
        "counts": report.counts(),
        "claims": claims.collect::<Vec<_>>(),
        "runs": runs.collect::<Vec<_>>(),
        "broken": report.broken,
    })
}
