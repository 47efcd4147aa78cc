//! The report as one HTML file: no network, no script.

mod claims;
mod results;

use std::collections::BTreeMap;
use std::fmt::Write;

use super::{Environment, PaperReport, Report, environment, words};
use crate::{Paper, Verdict};

const STYLE: &str = include_str!("style.css");

/// Text as HTML shows it, between tags or in an attribute.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

/// The whole page.
pub(super) fn page(report: &Report) -> String {
    let mut html = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>Rekindle: reproductions</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n"
    );
    head(&mut html, report);
    for paper in report.papers.iter().filter(|report| report.has_results() || !report.broken.is_empty()) {
        self::paper(&mut html, paper);
    }
    legend(&mut html);
    html.push_str("</main>\n</body>\n</html>\n");
    html
}

/// A verdict's badge: color, sign and words.
fn badge(verdict: Verdict) -> String {
    let (class, sign) = look(verdict);
    format!("<span class=\"badge {class}\"><span aria-hidden=\"true\">{sign}</span> {verdict}</span>")
}

fn look(verdict: Verdict) -> (&'static str, &'static str) {
    match verdict {
        Verdict::Reproduced => ("reproduced", "✓"),
        Verdict::DirectionOnly => ("direction", "↗"),
        Verdict::Inconclusive => ("inconclusive", "?"),
        Verdict::NotReproduced => ("not-reproduced", "✗"),
        Verdict::NotComparable => ("not-comparable", "–"),
    }
}

fn head(html: &mut String, report: &Report) {
    let with_results: Vec<_> = report.papers.iter().filter(|report| report.has_results()).collect();
    let records: usize = with_results.iter().flat_map(|report| &report.runs).map(|runs| runs.records().count()).sum();
    html.push_str("<header>\n<h1>Reproductions</h1>\n");
    let environments = with_results.iter().flat_map(|report| &report.runs).map(Environment::of);
    let days = environments
        .filter_map(|environment| environment.finished)
        .reduce(|(first, last), (other_first, other_last)| (first.min(other_first), last.max(other_last)))
        .map(|(first, last)| format!(", {}", environment::span(first, last)))
        .unwrap_or_default();
    let papers = if with_results.len() == 1 { "paper" } else { "papers" };
    let _ = writeln!(html, "<p class=\"muted\">{} {papers}, {records} records{days}</p>", with_results.len());
    html.push_str("<ul class=\"tiles\">\n");
    for (verdict, count) in report.counts() {
        let (class, _) = look(verdict);
        let none = if count == 0 { " none" } else { "" };
        let _ = writeln!(html, "<li class=\"{class}{none}\"><b>{count}</b> {verdict}</li>");
    }
    html.push_str("</ul>\n");
    if !with_results.is_empty() {
        html.push_str("<div class=\"scroll\"><table class=\"overview\">\n<thead><tr><th scope=\"col\">Paper</th>");
        html.push_str("<th scope=\"col\">Claims</th><th scope=\"col\">Run at</th></tr></thead>\n<tbody>\n");
        with_results.iter().for_each(|report| overview(html, report));
        html.push_str("</tbody>\n</table></div>\n");
    }
    let not_run: Vec<_> = report.papers.iter().filter(|report| !report.has_results()).collect();
    if !not_run.is_empty() {
        let names: Vec<_> = not_run.iter().map(|report| escape(&report.paper.name)).collect();
        let _ = writeln!(html, "<p class=\"muted\">No results yet: {}.</p>", names.join(", "));
    }
    for (name, records) in &report.unknown {
        let name = escape(name);
        let _ = writeln!(
            html,
            "<p class=\"warn\"><code>{name}</code> holds {records} records of a paper that is not known.</p>"
        );
    }
    html.push_str("</header>\n");
}

fn overview(html: &mut String, report: &PaperReport) {
    let name = escape(&report.paper.name);
    let counts: BTreeMap<_, _> = report.counts().into_iter().filter(|(_, count)| *count > 0).collect();
    let badges: Vec<_> = counts
        .iter()
        .map(|(verdict, count)| format!("<span class=\"badge {}\">{count} {verdict}</span>", look(*verdict).0))
        .collect();
    let badges = if badges.is_empty() { "no claims".into() } else { badges.join(" ") };
    let runs: Vec<_> = report.runs.iter().map(|runs| format!("{} ({})", runs.tier, escape(&runs.backend))).collect();
    let title = escape(&report.paper.title);
    let _ = writeln!(
        html,
        "<tr><th scope=\"row\"><a href=\"#{name}\">{name}</a> <span class=\"muted\">{title}</span></th>\
         <td>{badges}</td><td>{}</td></tr>",
        runs.join(", ")
    );
}

fn paper(html: &mut String, report: &PaperReport) {
    let paper = &report.paper;
    let _ = writeln!(html, "<article id=\"{}\">", escape(&paper.name));
    let _ = writeln!(html, "<p class=\"kicker\">{}</p>\n<h2>{}</h2>", escape(&paper.name), escape(&paper.title));
    let _ =
        writeln!(html, "<p class=\"muted\">{}</p>\n<p class=\"lead\">{}</p>", citation(paper), escape(&paper.summary));
    claims::section(html, report);
    for experiment in &paper.experiments {
        results::section(html, report, experiment);
    }
    results::runs(html, report);
    notes(html, report);
    html.push_str("</article>\n");
}

fn citation(paper: &Paper) -> String {
    let url = escape(&paper.url);
    // Only an address becomes a link: nothing else may stand in `href`.
    let link = if paper.url.starts_with("https://") || paper.url.starts_with("http://") {
        format!("<a href=\"{url}\">{url}</a>")
    } else {
        url
    };
    format!("{}. {}. {link}", escape(&paper.authors), escape(&paper.venue))
}

/// What is missing, stale, left out or broken.
fn notes(html: &mut String, report: &PaperReport) {
    let left_out: Vec<_> = report.runs.iter().flat_map(words::left_out).collect();
    if left_out.is_empty() && report.broken.is_empty() {
        return;
    }
    html.push_str("<section>\n<h3>Not in these numbers, or with a reservation</h3>\n<ul class=\"notes\">\n");
    for line in left_out {
        let _ = writeln!(html, "<li>{}</li>", escape(&line));
    }
    for line in &report.broken {
        let _ = writeln!(html, "<li class=\"warn\">{}</li>", escape(line));
    }
    html.push_str("</ul>\n</section>\n");
}

fn legend(html: &mut String) {
    html.push_str("<footer>\n<h2>How a verdict is reached</h2>\n<p>Every verdict is computed from the records. ");
    html.push_str("A claim that compares two methods is judged on their differences (or ratios) over common seeds, ");
    html.push_str("turned so that positive is the paper’s direction, with the 95 % interval of Student’s t, or of a single run on fixed data the interval that it states itself. ");
    html.push_str("A run that diverged where it may counts with the worst score. ");
    html.push_str("Measured times and memory count only where the cell had the machine to itself.</p>\n<dl>\n");
    for verdict in Verdict::ALL {
        let _ = writeln!(html, "<dt>{}</dt><dd>{}</dd>", badge(verdict), escape(words::meaning(verdict)));
    }
    html.push_str("</dl>\n</footer>\n");
}
