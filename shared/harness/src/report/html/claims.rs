use std::fmt::Write;

use super::super::words;
use super::{badge, escape};
use crate::report::PaperReport;
use crate::{JudgedClaim, Judgment, Metric};

/// The claims: what the paper says, what we found, the verdict. Those that nothing tested yet are folded away.
pub(super) fn section(html: &mut String, report: &PaperReport) {
    if report.claims.is_empty() {
        return;
    }
    let (ran, waiting) = report.split_claims();
    html.push_str("<section>\n<h3>Claims</h3>\n");
    if !ran.is_empty() {
        table(html, report, &ran);
    }
    if !waiting.is_empty() {
        let _ = writeln!(html, "<details>\n<summary>{}</summary>", escape(&words::waiting(report, &waiting)));
        table(html, report, &waiting);
        html.push_str("</details>\n");
    }
    html.push_str("</section>\n");
}

fn table(html: &mut String, report: &PaperReport, claims: &[&JudgedClaim]) {
    html.push_str("<table class=\"claims\">\n<thead><tr><th scope=\"col\">Verdict</th>");
    html.push_str("<th scope=\"col\">Claim</th><th scope=\"col\">Ours</th><th scope=\"col\">Paper</th></tr></thead>\n");
    html.push_str("<tbody>\n");
    claims.iter().for_each(|claim| row(html, claim, report.metric(&claim.claim)));
    html.push_str("</tbody>\n</table>\n");
}

fn row(html: &mut String, judged: &JudgedClaim, metric: Option<&Metric>) {
    let claim = &judged.claim;
    let _ =
        write!(html, "<tr><td>{}</td>\n<td class=\"statement\">{}", badge(judged.verdict()), escape(&claim.statement));
    let (test, setting) = (escape(&words::test(claim, metric)), escape(&claim.setting));
    let _ = writeln!(html, "<span class=\"small\">{}. {test}; {setting}</span></td>", escape(&claim.place));
    html.push_str("<td data-label=\"Ours\">");
    if judged.judgments.is_empty() {
        html.push_str("not run");
    }
    for judgment in &judged.judgments {
        ours(html, judgment, judged, metric);
    }
    html.push_str("</td>\n<td data-label=\"Paper\">");
    let numbers = claim.paper.as_deref().map(escape).unwrap_or_else(|| "no numbers".into());
    let tiers: Vec<_> = claim.comparable.iter().map(ToString::to_string).collect();
    let tiers = if tiers.is_empty() { "at no tier".into() } else { format!("at tier {}", tiers.join(", ")) };
    let source = words::source(claim.source);
    let _ = writeln!(html, "{numbers}<span class=\"small\">{source}; comparable {tiers}</span></td></tr>");
}

fn ours(html: &mut String, judgment: &Judgment, judged: &JudgedClaim, metric: Option<&Metric>) {
    let estimate = words::estimate(judgment, metric);
    let (number, rest) = estimate.split_once(" [").unwrap_or((&estimate, ""));
    let rest = if rest.is_empty() { String::new() } else { format!(" [{rest}") };
    let _ = write!(html, "<div class=\"ours\"><b>{}</b>{}", escape(number), escape(&rest));
    let mut small = vec![words::place(judgment)];
    small.extend(words::notes(judgment));
    let _ = write!(html, "<span class=\"small\">{}</span>", escape(&small.join("; ")));
    if judgment.verdict != judged.verdict() {
        html.push_str(&badge(judgment.verdict));
    }
    html.push_str("</div>");
}
