//! The wording that the HTML, the Markdown and the terminal share.

use std::collections::BTreeMap;

use super::PaperReport;
use crate::stats::{MAX_SEEDS, Summary};
use crate::table::number;
use crate::{Better, Claim, ClaimKind, Interval, JudgedClaim, Judgment, Metric, Quantity, Runs, Source, Tier, Verdict};

/// What the numbers of the tables are.
pub(super) const TABLE_NOTE: &str = "Mean ± sample standard deviation over n seeds, and the 95 % t interval of the mean (of a single run that of the run)";

/// Digits behind the point of a ratio.
const RATIO_DIGITS: usize = 3;

/// What a verdict means, in a sentence.
pub(super) fn meaning(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Reproduced => "At a tier that compares with the paper, the 95 % interval lies where the claim says.",
        Verdict::DirectionOnly => {
            "The interval lies where the claim says, but at a tier whose numbers do not compare with the paper's (or \
             against a number that is only recalled)."
        }
        Verdict::Inconclusive => "Fewer than three seeds, or the interval leaves it open.",
        Verdict::NotReproduced => "The interval excludes what the claim says.",
        Verdict::NotComparable => "Not run at a tier that can say anything about the claim.",
    }
}

/// How the paper's numbers were had.
pub(super) fn source(source: Source) -> &'static str {
    match source {
        Source::Read => "read in the paper",
        Source::Secondary => "read in a secondary source",
        Source::Recalled => "recalled, not read",
    }
}

/// `24 claims not run yet: 8 by --tier small, 16 by --tier paper`.
pub(super) fn waiting(report: &PaperReport, claims: &[&JudgedClaim]) -> String {
    let mut counts: BTreeMap<&[Tier], usize> = BTreeMap::new();
    for claim in claims {
        let tiers = report.paper.experiment(&claim.claim.experiment).map_or(&[][..], |experiment| &experiment.tiers);
        *counts.entry(tiers).or_default() += 1;
    }
    let by = counts.iter().map(|(tiers, count)| {
        let tiers: Vec<_> = tiers.iter().map(|tier| format!("--tier {tier}")).collect();
        format!("{count} by {}", tiers.join(" or "))
    });
    let claims = if claims.len() == 1 { "1 claim".into() } else { format!("{} claims", claims.len()) };
    format!("{claims} not run yet: {}", by.collect::<Vec<_>>().join(", "))
}

/// What is compared with what, and where the claim expects it.
pub(super) fn test(claim: &Claim, metric: Option<&Metric>) -> String {
    let title = metric.map_or(claim.metric.as_str(), |metric| metric.title.as_str());
    let method = &claim.method;
    let level = |value: f64| metric.map_or_else(|| value.to_string(), |metric| with_unit(value * metric.scale, metric));
    let side = |better: &Better| match better {
        Better::Higher => "at least",
        Better::Lower => "at most",
    };
    match &claim.kind {
        ClaimKind::Direction { baseline, better, .. } => {
            let better = match better {
                Better::Higher => "higher",
                Better::Lower => "lower",
            };
            format!("{title}: {method} {better} than {baseline}")
        }
        ClaimKind::Value { value, tolerance } => {
            format!("{title}: {method} at {} ± {}", level(*value), level(*tolerance))
        }
        ClaimKind::Threshold { baseline: None, better, bound } => {
            format!("{title}: {method} {} {}", side(better), level(*bound))
        }
        ClaimKind::Threshold { baseline: Some(baseline), better, bound } => {
            format!("{title}: {method} / {baseline} {} {bound}", side(better))
        }
    }
}

fn with_unit(value: f64, metric: &Metric) -> String {
    format!("{}{}", number(value, metric.digits), unit(&metric.unit))
}

fn unit(unit: &str) -> String {
    if unit.is_empty() { String::new() } else { format!(" {unit}") }
}

/// `+3.21 points [1.20, 5.22], n = 5`; what stands in its place where there is no number.
pub(super) fn estimate(judgment: &Judgment, metric: Option<&Metric>) -> String {
    let Some(estimate) = judgment.estimate else { return "no number".into() };
    let scale = metric.map_or(1.0, |metric| metric.scale);
    let (scale, digits, unit) = match (judgment.quantity, metric) {
        (Quantity::Ratio, _) => (1.0, RATIO_DIGITS, " ×".into()),
        // A difference of percentages is not a percentage.
        (Quantity::Difference, Some(metric)) if metric.unit == "%" => (scale, metric.digits, " points".into()),
        (_, Some(metric)) => (scale, metric.digits, unit(&metric.unit)),
        (_, None) => (scale, RATIO_DIGITS, String::new()),
    };
    let Summary { n, mean, interval, .. } = estimate.scaled(scale);
    let sign = if judgment.quantity == Quantity::Difference && mean > 0.0 { "+" } else { "" };
    let interval = interval
        .map(|Interval { lo, hi }| format!(" [{}, {}]", number(lo, digits), number(hi, digits)))
        .unwrap_or_default();
    format!("{sign}{}{unit}{interval}, n = {n}", number(mean, digits))
}

/// What else a reader should know about a judgment.
pub(super) fn notes(judgment: &Judgment) -> Vec<String> {
    let mut notes = judgment.notes.clone();
    let spread = judgment.estimate.and_then(|estimate| estimate.sd);
    match (judgment.verdict, judgment.seeds_to_settle, spread) {
        (Verdict::Inconclusive, Some(seeds), _) => notes.push(format!("about {seeds} seeds would settle it")),
        (Verdict::Inconclusive, None, Some(_)) => notes.push(format!("{MAX_SEEDS} seeds would not settle it")),
        _ => {}
    }
    notes
}

/// `small · flex`, and whether the tier compares with the paper.
pub(super) fn place(judgment: &Judgment) -> String {
    format!("{} tier, {}", judgment.tier, judgment.backend)
}

/// The command that makes the records of a tier and backend.
pub(super) fn command(paper: &str, runs: &Runs) -> String {
    format!("cargo xtask reproduce {paper} --tier {} --backend {}", runs.tier, runs.backend)
}

/// The verdicts that occur, with their number: `2 reproduced, 1 inconclusive`.
pub(super) fn counted(counts: &BTreeMap<Verdict, usize>) -> String {
    let some = counts.iter().filter(|(_, count)| **count > 0);
    let words: Vec<_> = some.map(|(verdict, count)| format!("{count} {verdict}")).collect();
    if words.is_empty() { "no claims".into() } else { words.join(", ") }
}

/// What of a paper's results is not shown, a line each.
pub(super) fn left_out(runs: &Runs) -> Vec<String> {
    let missing: usize = runs.entries.iter().map(crate::Entry::missing).sum();
    let stale = runs.records().filter(|record| runs.is_stale(record)).count();
    [
        (missing, "cells of the grid without a record"),
        (stale, "records of an older source than the newest (marked stale)"),
        (runs.outside.len(), "records of rows that the grid no longer has (not shown)"),
    ]
    .into_iter()
    .filter(|(count, _)| *count > 0)
    .map(|(count, what)| format!("{} tier, {}: {what}: {count}", runs.tier, runs.backend))
    .collect()
}
