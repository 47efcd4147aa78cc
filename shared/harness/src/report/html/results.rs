use std::fmt::Write;

use super::super::{Environment, environment, figures, words};
use super::escape;
use crate::report::PaperReport;
use crate::{Experiment, Runs, Table, TableEntry};

/// An experiment: its description, and for every tier and backend its tables and plots.
pub(super) fn section(html: &mut String, report: &PaperReport, experiment: &Experiment) {
    let _ = writeln!(html, "<section>\n<h3>{}</h3>", escape(&experiment.title));
    if !experiment.description.is_empty() {
        let _ = writeln!(html, "<p>{}</p>", escape(&experiment.description));
    }
    let ran: Vec<_> = report.runs.iter().filter(|runs| runs.has(&experiment.name)).collect();
    if ran.is_empty() {
        let tiers: Vec<_> = experiment.tiers.iter().map(ToString::to_string).collect();
        let _ = writeln!(html, "<p class=\"muted\">Not run yet. Tiers: {}.</p>", tiers.join(", "));
    }
    for runs in ran {
        let _ = writeln!(html, "<h4>{} tier, {}</h4>", runs.tier, escape(&runs.backend));
        let _ = writeln!(html, "<p class=\"small\">{}.</p>\n<div class=\"tables\">", words::TABLE_NOTE);
        for table in Table::all(experiment, runs).iter().filter(|table| !table.is_empty()) {
            self::table(html, table);
        }
        html.push_str("</div>\n");
        let figures: Vec<_> = experiment.plots.iter().flat_map(|plot| figures::draw(plot, experiment, runs)).collect();
        if !figures.is_empty() {
            html.push_str("<div class=\"figures\">\n");
            for figure in figures {
                let (title, caption) = (escape(&figure.title), escape(&figure.caption));
                let class = if figure.wide { " class=\"wide\"" } else { "" };
                let _ = writeln!(
                    html,
                    "<figure{class}>\n<figcaption>{title}<span class=\"small\">{caption}</span></figcaption>"
                );
                let _ = writeln!(html, "<div class=\"scroll\">{}</div>\n</figure>", figure.body);
            }
            html.push_str("</div>\n");
        }
    }
    html.push_str("</section>\n");
}

fn table(html: &mut String, table: &Table) {
    html.push_str("<div class=\"scroll\"><table class=\"results\">\n");
    let _ = writeln!(html, "<caption>{}</caption>", escape(&table.heading()));
    html.push_str("<thead><tr><th scope=\"col\">Method</th>");
    for setting in &table.settings {
        let _ = write!(html, "<th scope=\"col\">{}</th>", escape(setting));
    }
    html.push_str("</tr></thead>\n<tbody>\n");
    for row in &table.rows {
        let _ = write!(html, "<tr><th scope=\"row\">{}</th>", escape(&row.method));
        row.entries.iter().for_each(|entry| self::entry(html, entry, table.metric.digits));
        html.push_str("</tr>\n");
    }
    html.push_str("</tbody>\n</table></div>\n");
}

fn entry(html: &mut String, entry: &TableEntry, digits: usize) {
    let class = match (entry.best, entry.summary) {
        (true, _) => " class=\"best\"",
        (_, None) => " class=\"muted\"",
        _ => "",
    };
    let _ = write!(html, "<td{class}>{}", entry.value(digits));
    let mut small: Vec<String> = entry.summary.iter().map(|summary| format!("n {}", summary.n)).collect();
    small.extend(entry.interval(digits));
    if !small.is_empty() {
        let _ = write!(html, "<span class=\"small\">{}</span>", small.join(" · "));
    }
    if !entry.remarks().is_empty() {
        let _ = write!(html, "<span class=\"small warn\">{}</span>", entry.remarks().join(", "));
    }
    html.push_str("</td>");
}

/// How every tier and backend ran: environment, data, commands.
pub(super) fn runs(html: &mut String, report: &PaperReport) {
    for runs in report.runs.iter().filter(|runs| runs.records().next().is_some()) {
        let _ = writeln!(
            html,
            "<section class=\"run\">\n<h3>How it ran: {} tier, {}</h3>",
            runs.tier,
            escape(&runs.backend)
        );
        run(html, &report.paper.name, runs);
        html.push_str("</section>\n");
    }
}

fn run(html: &mut String, paper: &str, runs: &Runs) {
    let environment = Environment::of(runs);
    html.push_str("<dl>\n");
    for (name, values) in environment.rows(&runs.backend) {
        let values: Vec<_> = values.iter().map(|value| escape(value)).collect();
        let _ = writeln!(html, "<dt>{name}</dt><dd>{}</dd>", values.join("<br>"));
    }
    html.push_str("</dl>\n");
    if !environment.files.is_empty() {
        html.push_str("<div class=\"scroll\"><table class=\"files\">\n<thead><tr><th scope=\"col\">Data file</th>");
        html.push_str("<th scope=\"col\">SHA-256</th><th scope=\"col\">Checksum</th></tr></thead>\n<tbody>\n");
        for (name, contents) in &environment.files {
            for file in contents {
                let verified = if file.verified { "verified" } else { "<span class=\"warn\">not verified</span>" };
                let (name, full) = (escape(name), escape(&file.sha256));
                let hash = escape(&environment::short(&file.sha256));
                let _ = writeln!(
                    html,
                    "<tr><td>{name}</td><td><code title=\"{full}\">{hash}…</code></td><td>{verified}</td></tr>"
                );
            }
        }
        html.push_str("</tbody>\n</table></div>\n");
    }
    let _ = writeln!(html, "<p class=\"small\">The commands: all cells, and one of them.</p>");
    let mut commands = words::command(paper, runs);
    if !environment.worker_command.is_empty() {
        commands.push('\n');
        commands.push_str(&environment.worker_command);
    }
    let _ = writeln!(html, "<pre class=\"scroll\"><code>{}</code></pre>", escape(&commands));
}
