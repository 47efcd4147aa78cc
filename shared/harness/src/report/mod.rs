//! The report over all papers: what was claimed, what came out, where and how it ran.

mod chart;
mod environment;
mod figures;
mod html;
mod legend;
mod load;
mod markdown;
mod scale;
mod summary;
mod svg;
mod terminal;
mod words;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;

pub use environment::Environment;
pub use summary::{ClaimSummary, ReportSummary};

use crate::verdict::judge;
use crate::{Claim, Judgment, Metric, Paper, Runs, Tier, Verdict, whole};

/// The results of every paper that has some, judged.
#[derive(Debug, Clone)]
pub struct Report {
    /// The papers in the order of their names, also those without results.
    pub papers: Vec<PaperReport>,
    /// Folders with records of papers that are not known, with the number of their records.
    pub unknown: BTreeMap<String, usize>,
}

/// The results of one paper.
#[derive(Debug, Clone)]
pub struct PaperReport {
    /// The paper as its crate describes it.
    pub paper: Paper,
    /// Its records, the largest tier first.
    pub runs: Vec<Runs>,
    /// Its claims, judged on every tier and backend that ran their experiment.
    pub claims: Vec<JudgedClaim>,
    /// Files that are no records, or records in the wrong place, each with the reason.
    pub broken: Vec<String>,
}

/// A claim with what each tier and backend says about it.
#[derive(Debug, Clone, Serialize)]
pub struct JudgedClaim {
    /// The claim.
    #[serde(flatten)]
    pub claim: Claim,
    /// The judgments, the most telling first; none where the experiment has not been run.
    pub judgments: Vec<Judgment>,
}

/// Where a report was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// `report.html`.
    pub html: PathBuf,
    /// `report.md`.
    pub markdown: PathBuf,
    /// `report.json`.
    pub json: PathBuf,
}

impl JudgedClaim {
    fn new(paper: &Paper, claim: &Claim, runs: &[Runs]) -> Self {
        let metric =
            paper.experiment(&claim.experiment).and_then(|e| e.metrics.iter().find(|m| m.name == claim.metric));
        let ran = runs.iter().filter(|runs| runs.has(&claim.experiment));
        let mut judgments: Vec<Judgment> =
            metric.map(|metric| ran.map(|runs| judge(claim, metric, runs)).collect()).unwrap_or_default();
        judgments.sort_by_key(|judgment| {
            let says = judgment.verdict != Verdict::NotComparable;
            let seeds = judgment.estimate.map_or(0, |estimate| estimate.n);
            std::cmp::Reverse((says, judgment.comparable, judgment.tier, seeds))
        });
        Self { claim: claim.clone(), judgments }
    }

    /// The verdict of the most telling judgment: a comparable tier before others, then the larger tier, then more seeds.
    pub fn verdict(&self) -> Verdict {
        self.judgments.first().map_or(Verdict::NotComparable, |judgment| judgment.verdict)
    }
}

impl PaperReport {
    /// Judges the paper's claims on its records.
    pub fn new(paper: Paper, mut runs: Vec<Runs>, broken: Vec<String>) -> Self {
        runs.sort_by(|a, b| b.tier.cmp(&a.tier).then_with(|| a.backend.cmp(&b.backend)));
        let claims = paper.claims.iter().map(|claim| JudgedClaim::new(&paper, claim, &runs)).collect();
        Self { paper, runs, claims, broken }
    }

    /// Whether anything of it ran.
    pub fn has_results(&self) -> bool {
        self.runs.iter().any(|runs| runs.records().next().is_some())
    }

    /// How many claims have each verdict.
    pub fn counts(&self) -> BTreeMap<Verdict, usize> {
        let mut counts: BTreeMap<_, _> = Verdict::ALL.into_iter().map(|verdict| (verdict, 0)).collect();
        self.claims.iter().for_each(|claim| *counts.entry(claim.verdict()).or_default() += 1);
        counts
    }

    /// The claims whose experiment ran, and the others.
    fn split_claims(&self) -> (Vec<&JudgedClaim>, Vec<&JudgedClaim>) {
        self.claims.iter().partition(|claim| !claim.judgments.is_empty())
    }

    fn metric(&self, claim: &Claim) -> Option<&Metric> {
        self.paper.experiment(&claim.experiment)?.metrics.iter().find(|metric| metric.name == claim.metric)
    }
}

impl Report {
    /// The report on these papers and tiers alone; every one where none is named. Claims are judged anew.
    #[must_use]
    pub fn only(&self, papers: &[String], tiers: &[Tier], backends: &[String]) -> Self {
        let chosen = self.papers.iter().filter(|report| papers.is_empty() || papers.contains(&report.paper.name));
        let papers = chosen.map(|report| {
            let wanted = |runs: &&Runs| {
                (tiers.is_empty() || tiers.contains(&runs.tier))
                    && (backends.is_empty() || backends.contains(&runs.backend))
            };
            let runs = report.runs.iter().filter(wanted).cloned().collect();
            PaperReport::new(report.paper.clone(), runs, report.broken.clone())
        });
        Self { papers: papers.collect(), unknown: self.unknown.clone() }
    }

    /// How many claims of the papers with results have each verdict.
    pub fn counts(&self) -> BTreeMap<Verdict, usize> {
        let mut counts: BTreeMap<_, _> = Verdict::ALL.into_iter().map(|verdict| (verdict, 0)).collect();
        for report in self.papers.iter().filter(|report| report.has_results()) {
            report.counts().into_iter().for_each(|(verdict, count)| *counts.entry(verdict).or_default() += count);
        }
        counts
    }

    /// The report as one HTML file that needs nothing else.
    pub fn html(&self) -> String {
        html::page(self)
    }

    /// The report in Markdown, without plots; pictures are links relative to the results folder.
    pub fn markdown(&self) -> String {
        markdown::document(self)
    }

    /// Tables and claims for a terminal.
    pub fn terminal(&self) -> String {
        terminal::text(self)
    }

    /// Writes `report.html`, `report.md` and `report.json` into `out`, each whole or not at all.
    ///
    /// # Errors
    ///
    /// If a file cannot be written; the error names it.
    pub fn write(&self, out: &Path) -> io::Result<Written> {
        let written =
            Written { html: out.join("report.html"), markdown: out.join("report.md"), json: out.join("report.json") };
        let json = serde_json::to_string_pretty(&summary::document(self))? + "\n";
        for (path, text) in [(&written.html, self.html()), (&written.markdown, self.markdown()), (&written.json, json)]
        {
            whole::write(path, &[text.as_bytes()])
                .map_err(|error| io::Error::new(error.kind(), format!("cannot write {}: {error}", path.display())))?;
        }
        Ok(written)
    }
}

#[cfg(test)]
mod tests;
