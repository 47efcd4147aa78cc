//! Tables and claims as plain text.

use std::fmt::Write;

use super::{JudgedClaim, PaperReport, Report, words};
use crate::{Experiment, Runs, Table};

pub(super) fn text(report: &Report) -> String {
    let mut text = String::new();
    for paper in report.papers.iter().filter(|report| report.has_results() || !report.broken.is_empty()) {
        self::paper(&mut text, paper);
    }
    let not_run: Vec<_> =
        report.papers.iter().filter(|report| !report.has_results()).map(|r| r.paper.name.as_str()).collect();
    if !not_run.is_empty() {
        let _ = writeln!(text, "No results yet: {}\n", not_run.join(", "));
    }
    for (name, records) in &report.unknown {
        let _ = writeln!(text, "`{name}` holds {records} records of a paper that is not known\n");
    }
    let _ = writeln!(text, "Verdicts: {}", words::counted(&report.counts()));
    text
}

fn paper(text: &mut String, report: &PaperReport) {
    let title = format!("{}: {}", report.paper.name, report.paper.title);
    let _ = writeln!(text, "{title}\n{}", "=".repeat(title.chars().count()));
    for experiment in &report.paper.experiments {
        for runs in report.runs.iter().filter(|runs| runs.has(&experiment.name)) {
            tables(text, experiment, runs);
        }
    }
    let (ran, waiting) = report.split_claims();
    if !report.claims.is_empty() {
        let _ = writeln!(text, "\nClaims");
    }
    ran.iter().for_each(|claim| self::claim(text, report, claim));
    if !waiting.is_empty() {
        let _ = writeln!(text, "  {}", words::waiting(report, &waiting));
    }
    let left_out: Vec<_> = report.runs.iter().flat_map(words::left_out).collect();
    for line in left_out.iter().chain(&report.broken) {
        let _ = writeln!(text, "  note: {line}");
    }
    text.push('\n');
}

fn claim(text: &mut String, report: &PaperReport, claim: &JudgedClaim) {
    let said = &claim.claim;
    let _ = writeln!(text, "  {:<15} {} ({}; {})", claim.verdict(), said.statement, said.setting, said.place);
    let metric = report.metric(said);
    for judgment in &claim.judgments {
        let estimate = words::estimate(judgment, metric);
        let place = words::place(judgment);
        let verdict =
            if judgment.verdict == claim.verdict() { String::new() } else { format!("{}: ", judgment.verdict) };
        let notes: String = words::notes(judgment).iter().map(|note| format!("; {note}")).collect();
        let _ = writeln!(text, "  {:<15} {verdict}{estimate} ({place}){notes}", "");
    }
    if let Some(numbers) = &said.paper {
        let _ = writeln!(text, "  {:<15} paper: {numbers} ({})", "", words::source(said.source));
    }
}

fn tables(text: &mut String, experiment: &Experiment, runs: &Runs) {
    let _ = writeln!(text, "\n{} ({} tier, {})", experiment.title, runs.tier, runs.backend);
    for table in Table::all(experiment, runs).iter().filter(|table| !table.is_empty()) {
        let mut rows = vec![std::iter::once(String::new()).chain(table.settings.iter().cloned()).collect::<Vec<_>>()];
        for row in &table.rows {
            let entries = row.entries.iter().map(|entry| {
                let seeds = entry.summary.map_or(String::new(), |summary| format!(" ({})", summary.n));
                let remarks: String = entry.remarks().iter().map(|remark| format!(", {remark}")).collect();
                let best = if entry.best { "*" } else { "" };
                format!("{best}{}{seeds}{remarks}", entry.value(table.metric.digits))
            });
            rows.push(std::iter::once(row.method.clone()).chain(entries).collect());
        }
        let _ = writeln!(text, "\n  {}", table.heading());
        aligned(text, &rows);
    }
    let _ = writeln!(text, "\n  mean ± sample sd (seeds); * best of its column");
}

/// Columns padded to their widest text, the first to the left and the others to the right.
fn aligned(text: &mut String, rows: &[Vec<String>]) {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..columns).map(width).collect();
    for row in rows {
        let mut line = format!("  {:<width$}", row[0], width = widths[0]);
        for (cell, width) in row.iter().zip(&widths).skip(1) {
            let _ = write!(line, "  {cell:>width$}");
        }
        let _ = writeln!(text, "{}", line.trim_end());
    }
}
