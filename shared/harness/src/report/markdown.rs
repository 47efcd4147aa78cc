//! The report in Markdown.

use std::fmt::Write;

use super::{Environment, PaperReport, Report, figures, words};
use crate::{Experiment, JudgedClaim, Runs, Table};

pub(super) fn document(report: &Report) -> String {
    let mut text = String::from("# Reproductions\n\n");
    let _ = writeln!(text, "{}.\n", words::counted(&report.counts()));
    for (name, records) in &report.unknown {
        let _ = writeln!(text, "`{name}` holds {records} records of a paper that is not known.\n");
    }
    for paper in report.papers.iter().filter(|report| report.has_results() || !report.broken.is_empty()) {
        self::paper(&mut text, paper);
    }
    text
}

fn paper(text: &mut String, report: &PaperReport) {
    let paper = &report.paper;
    let _ = writeln!(text, "## {}: {}\n", escape(&paper.name), escape(&paper.title));
    let _ = writeln!(text, "{}. {}. <{}>\n", escape(&paper.authors), escape(&paper.venue), paper.url);
    let _ = writeln!(text, "{}\n", escape(&paper.summary));
    if !report.claims.is_empty() {
        text.push_str("| verdict | claim | ours | paper |\n| --- | --- | --- | --- |\n");
        report.claims.iter().for_each(|claim| self::claim(text, report, claim));
        text.push('\n');
    }
    for experiment in &paper.experiments {
        let _ = writeln!(text, "### {}\n", escape(&experiment.title));
        if !experiment.description.is_empty() {
            let _ = writeln!(text, "{}\n", escape(&experiment.description));
        }
        let mut ran = report.runs.iter().filter(|runs| runs.has(&experiment.name)).peekable();
        if ran.peek().is_none() {
            text.push_str("Not run yet.\n\n");
        }
        for runs in ran {
            tables(text, experiment, runs);
            pictures(text, experiment, runs);
        }
    }
    for runs in &report.runs {
        environment(text, &paper.name, runs);
    }
    let left_out: Vec<_> = report.runs.iter().flat_map(words::left_out).collect();
    for line in left_out.iter().chain(&report.broken) {
        let _ = writeln!(text, "- {}", escape(line));
    }
    text.push('\n');
}

fn claim(text: &mut String, report: &PaperReport, claim: &JudgedClaim) {
    let metric = report.metric(&claim.claim);
    let ours: Vec<_> = claim
        .judgments
        .iter()
        .map(|judgment| {
            let notes: String = words::notes(judgment).iter().map(|note| format!("; {note}")).collect();
            let (estimate, place) = (words::estimate(judgment, metric), words::place(judgment));
            let other = if judgment.verdict == claim.verdict() { "" } else { judgment.verdict.name() };
            let colon = if other.is_empty() { "" } else { ": " };
            escape(&format!("{other}{colon}{estimate} ({place}){notes}"))
        })
        .collect();
    let ours = if ours.is_empty() { "not run".into() } else { ours.join("<br>") };
    let source = words::source(claim.claim.source);
    let paper = claim.claim.paper.as_deref().map_or_else(|| source.into(), |numbers| format!("{numbers} ({source})"));
    let statement = format!("{} ({}; {})", claim.claim.statement, claim.claim.place, words::test(&claim.claim, metric));
    let _ = writeln!(text, "| **{}** | {} | {ours} | {} |", claim.verdict(), escape(&statement), escape(&paper));
}

fn tables(text: &mut String, experiment: &Experiment, runs: &Runs) {
    for table in Table::all(experiment, runs).iter().filter(|table| !table.is_empty()) {
        let _ = writeln!(text, "{} ({} tier, {}):\n", escape(&table.heading()), runs.tier, escape(&runs.backend));
        let settings: String = table.settings.iter().map(|setting| format!(" {} |", escape(setting))).collect();
        let _ = writeln!(text, "| method |{settings}\n| --- |{}", " --- |".repeat(table.settings.len()));
        for row in &table.rows {
            let _ = write!(text, "| {} |", escape(&row.method));
            for entry in &row.entries {
                let value = entry.value(table.metric.digits);
                let value = if entry.best { format!("**{value}**") } else { value };
                let mut behind: Vec<_> = entry.summary.iter().map(|summary| summary.n.to_string()).collect();
                behind.extend(entry.interval(table.metric.digits).map(|interval| format!("95 % {interval}")));
                behind.extend(entry.remarks());
                let behind = if behind.is_empty() { String::new() } else { format!(" ({})", behind.join("; ")) };
                let _ = write!(text, " {value}{behind} |");
            }
            text.push('\n');
        }
        text.push('\n');
    }
    let _ = writeln!(text, "{}.\n", words::TABLE_NOTE);
}

fn pictures(text: &mut String, experiment: &Experiment, runs: &Runs) {
    for picture in figures::pictures(experiment, runs) {
        let title = escape(&picture.title);
        let _ = writeln!(text, "{title} (`{}`):\n\n![{title}]({})\n", picture.file, picture.file);
    }
}

fn environment(text: &mut String, paper: &str, runs: &Runs) {
    let environment = Environment::of(runs);
    let _ = writeln!(text, "### Run: {} tier, {}\n", runs.tier, escape(&runs.backend));
    for (name, values) in environment.rows(&runs.backend) {
        let _ = writeln!(text, "- {name}: {}", escape(&values.join("; ")));
    }
    for (name, contents) in &environment.files {
        for file in contents {
            let verified = if file.verified { "verified" } else { "not verified" };
            let _ = writeln!(text, "- Data: {} sha256 {} ({verified})", escape(name), escape(&file.sha256));
        }
    }
    let _ = writeln!(text, "\n    {}", words::command(paper, runs));
    if !environment.worker_command.is_empty() {
        let _ = writeln!(text, "    {}", environment.worker_command.replace('\n', " "));
    }
    text.push('\n');
}

/// Text that Markdown shows as it is, in a table too.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '#' => escaped.extend(['\\', c]),
            '<' => escaped.push_str("&lt;"),
            '&' => escaped.push_str("&amp;"),
            '\n' | '\r' => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}
