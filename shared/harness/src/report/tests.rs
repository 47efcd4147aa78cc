use std::fs;
use std::path::Path;

use super::*;
use crate::testing::record;
use crate::{DataFile, Experiment, Record};

const PAPER: &str = r#"
name = "sam"
title = "Sharpness <& \"Generalization\""
authors = "A. Author"
venue = "ICLR 2021"
url = "https://example.org/paper"
summary = "Takes <script>alert(1)</script> steps"

[[experiment]]
name = "e"
title = "Label noise"
description = "Trained on moons & stars."
tiers = ["smoke", "paper"]

[[experiment.metric]]
name = "accuracy"
title = "Accuracy"
unit = "%"
scale = 100.0
better = "higher"

[[experiment.plot]]
kind = "settings"
metric = "accuracy"
title = "Accuracy against noise"
x = "flipped labels, %"
y = "accuracy, %"
scale = 100.0

[[experiment.plot]]
kind = "methods"
metric = "accuracy"
title = "Accuracy"

[[experiment.plot]]
kind = "curves"
metric = "loss"
title = "Loss"
log = true

[[experiment.plot]]
kind = "bars"
metric = "error_"
of = ["fog", "gaussian_noise"]
title = "Error of every corruption"

[[experiment.plot]]
kind = "scatter"
metric = "error_"
against = "entropy_"
of = ["fog", "gaussian_noise"]
title = "Entropy against error"

[[experiment.plot]]
kind = "picture"
metric = "samples"
title = "Images <fog>"

[[claim]]
id = "noise"
kind = "direction"
statement = "SAM resists label noise"
place = "Table 4"
experiment = "e"
setting = "40 %"
metric = "accuracy"
method = "SAM <i>"
baseline = "SGD"
better = "higher"
paper = "93.4 against 68.8 %"
source = "read"
comparable = ["paper"]

[[claim]]
id = "level"
kind = "value"
statement = "SAM reaches 93.4 %"
place = "Table 4"
experiment = "e"
setting = "40 %"
metric = "accuracy"
method = "SAM <i>"
value = 0.934
tolerance = 0.01
source = "recalled"
comparable = ["paper"]
"#;

/// One black pixel.
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\0\0\0\0:~\x9bU\0\0\0\n\
    IDATx\x9cc`\0\0\0\x02\0\x01H\xaf\xa4q\0\0\0\0IEND\xaeB`\x82";

fn papers() -> Vec<Paper> {
    vec![Paper::parse(PAPER).unwrap(), Paper::parse(&PAPER.replace("\"sam\"", "\"tent\"")).unwrap()]
}

fn filled() -> Vec<Record> {
    let mut records = Vec::new();
    for (method, accuracy) in [("SGD", 0.70), ("SAM <i>", 0.80)] {
        for setting in ["0 %", "40 %"] {
            for seed in 1..=4 {
                let mut record = record(setting, method, seed, accuracy + seed as f64 / 500.0);
                record.results.curves.insert("loss".into(), vec![1.0, 0.5, 0.25]);
                for item in ["fog", "gaussian_noise"] {
                    record.results.metrics.insert(format!("error_{item}"), 1.0 - accuracy);
                    record.results.metrics.insert(format!("entropy_{item}"), accuracy / 2.0);
                }
                record.identity.files.insert("moons/a".into(), DataFile { sha256: "12".repeat(32), verified: false });
                record.run.command = "reproduce-sam run --cell 'x' --out <DIR>".into();
                record.run.host = "Some CPU & Linux".into();
                record.run.finished = 1_772_323_200;
                record.run.wall_seconds = 1.5;
                records.push(record);
            }
        }
    }
    records
}

fn write(out: &Path, records: &[Record]) {
    for record in records {
        let identity = &record.identity;
        let path = Record::path(out, &identity.paper, identity.tier, &identity.backend, &identity.cell);
        record.write(&path).unwrap();
    }
}

/// A results folder with records of smoke, one broken record, one in the wrong place and one of an unknown paper.
fn folder() -> tempfile::TempDir {
    let out = tempfile::tempdir().unwrap();
    let records = filled();
    write(out.path(), &records);
    let group = out.path().join("sam/smoke-flex");
    let mut order: Vec<String> = records.iter().rev().map(|record| record.identity.cell.id()).collect();
    order.push("e/40/sgd/9".into());
    fs::write(group.join("order.json"), serde_json::to_string(&order).unwrap()).unwrap();
    fs::write(group.join("e/broken.json"), "{").unwrap();
    fs::write(group.join("e/40/sgd/1.samples.png"), PNG).unwrap();
    fs::create_dir_all(group.join("artifacts")).unwrap();
    fs::write(group.join("artifacts/model-1.artifact"), "no record").unwrap();
    fs::create_dir_all(out.path().join("sam/paper-cuda/e")).unwrap();
    records[0].write(&out.path().join("sam/paper-cuda/e/0/sgd/1.json")).unwrap();
    records[0].write(&group.join("e/copy.json")).unwrap();
    records[0].write(&out.path().join("nerf/smoke-flex/e/0/sgd/1.json")).unwrap();
    out
}

#[test]
fn a_folder_is_read_judged_and_written() {
    let out = folder();
    let report = Report::load(papers(), out.path()).unwrap();
    assert_eq!(report.unknown, BTreeMap::from([("nerf".into(), 1)]));
    let [sam, tent] = &report.papers[..] else { panic!("two papers") };
    assert!(sam.has_results() && !tent.has_results());
    assert_eq!((sam.runs.len(), sam.broken.len()), (1, 3), "{:?}", sam.broken);
    assert_eq!(sam.runs[0].settings("e"), ["40 %", "0 %"], "in the order of order.json");
    assert_eq!(sam.claims[0].verdict(), Verdict::DirectionOnly);
    assert_eq!(sam.claims[1].verdict(), Verdict::NotComparable);
    let written = report.write(out.path()).unwrap();
    let json: serde_json::Value = serde_json::from_str(&fs::read_to_string(&written.json).unwrap()).unwrap();
    assert_eq!(json["papers"][0]["claims"][0]["verdict"], "direction only");
    assert_eq!(json["papers"][0]["runs"][0]["tables"]["e"][0]["rows"][0]["method"], "SAM <i>");
    assert_eq!(
        json["papers"][0]["runs"][0]["pictures"],
        serde_json::json!([{
            "title": "Images <fog>: 40 %", "name": "samples", "cell": "e/40/sgd/1",
            "file": "sam/smoke-flex/e/40/sgd/1.samples.png"
        }])
    );
    assert_eq!(json["counts"]["not comparable"], 1);
    assert_eq!(json["not_run"], serde_json::json!(["tent"]));
    let names = fs::read_dir(out.path()).unwrap().filter(|e| e.as_ref().unwrap().path().is_file()).count();
    assert_eq!(names, 3, "no partial file is left");
    let again = Report::load(papers(), out.path()).unwrap();
    assert_eq!(again.html(), report.html(), "the report's own files are no records, and it is the same every time");
}

#[test]
fn the_summary_is_what_the_driver_needs() {
    let out = folder();
    let report = Report::load(papers(), out.path()).unwrap();
    let json = serde_json::to_value(report.summary("r.html".into())).unwrap();
    assert_eq!(
        json["claims"][0],
        serde_json::json!({
            "paper": "sam", "id": "noise", "verdict": "direction only", "tier": "smoke", "backend": "flex"
        })
    );
    assert_eq!(json["counts"]["direction only"], 1);
    let none = report.only(&["tent".into()], &[], &[]);
    assert_eq!((none.papers.len(), none.summary("r".into()).claims.len()), (1, 0));
    assert!(!report.only(&[], &[Tier::Paper], &[]).papers[0].has_results());
    assert!(!report.only(&[], &[], &["wgpu".into()]).papers[0].has_results());
}

#[test]
fn claims_that_nothing_tested_are_counted_by_tier_and_folded_away() {
    let mut paper = papers().remove(0);
    let other = Experiment { name: "f".into(), tiers: vec![Tier::Small], ..paper.experiments[0].clone() };
    let claim = Claim { id: "later".into(), experiment: "f".into(), ..paper.claims[0].clone() };
    paper.experiments.push(other);
    paper.claims.push(claim);
    let runs = vec![Runs::new(Tier::Smoke, "flex", filled(), None)];
    let report = Report { papers: vec![PaperReport::new(paper, runs, vec![])], unknown: BTreeMap::new() };
    assert!(report.terminal().contains("\n  1 claim not run yet: 1 by --tier small\n"), "{}", report.terminal());
    let html = report.html();
    let folded = html.split_once("<summary>1 claim not run yet: 1 by --tier small</summary>").unwrap().1;
    let (folded, _) = folded.split_once("</details>").unwrap();
    assert_eq!(folded.matches("class=\"statement\"").count(), 1, "{folded}");
}

#[test]
fn a_comparable_tier_speaks_before_a_larger_count_of_seeds() {
    let mut paper = filled();
    paper.retain(|record| record.identity.cell.seed <= 3);
    for record in &mut paper {
        record.identity.tier = Tier::Paper;
        record.identity.source = "other".into();
    }
    let runs = |tier, records| Runs::new(tier, "flex", records, None);
    let both = vec![runs(Tier::Smoke, filled()), runs(Tier::Paper, paper)];
    let report = PaperReport::new(papers().remove(0), both, vec![]);
    assert_eq!(report.claims[0].verdict(), Verdict::Reproduced);
    assert_eq!(report.claims[0].judgments[1].verdict, Verdict::DirectionOnly);
}

/// Every tag of the text with its name, whether it closes, and its attributes.
fn tags(html: &str) -> Vec<(String, bool, String)> {
    let body = html.split_once("</style>").unwrap().1;
    let tags = body.split('<').skip(1).map(|part| part.split_once('>').expect("every tag ends").0);
    tags.map(|tag| {
        let closes = tag.starts_with('/');
        let (name, attributes) =
            tag.trim_start_matches('/').split_once(' ').unwrap_or((tag.trim_start_matches('/'), ""));
        (name.to_owned(), closes, attributes.to_owned())
    })
    .collect()
}

#[test]
fn the_page_is_well_formed_and_needs_nothing_else() {
    let out = folder();
    let html = Report::load(papers(), out.path()).unwrap().html();
    let mut open = vec!["html".to_owned(), "head".into()];
    for (name, closes, attributes) in tags(&html) {
        if closes {
            assert_eq!(open.pop().as_ref(), Some(&name));
        } else if !attributes.ends_with('/') && name != "br" && name != "img" {
            open.push(name);
        }
        for address in attributes.split("href=\"").skip(1).chain(attributes.split("src=\"").skip(1)) {
            let known = ["#", "https://example.org/paper\"", "data:image/png;base64,"];
            assert!(known.iter().any(|start| address.starts_with(start)), "{address}");
        }
    }
    assert!(open.is_empty(), "{open:?} is left open");
    for forbidden in ["<script", "<i>", "@import", "url(", "<link", "onload"] {
        assert!(!html.contains(forbidden), "{forbidden}");
    }
    for wanted in [
        "Sharpness &lt;&amp; &quot;Generalization&quot;",
        "direction only",
        "1 missing",
        "cargo xtask reproduce sam --tier smoke --backend flex",
        "reproduce-sam run --cell &#39;x&#39; --out &lt;DIR&gt;",
        "not verified",
        "broken.json",
        "<code>nerf</code>",
        "2026-03-01",
        "93.4 against 68.8 %",
        "recalled, not read",
        "No results yet: tent",
    ] {
        assert!(html.contains(wanted), "{wanted}");
    }
    // One plot over settings, one for each setting of the four other kinds, and one setting has a picture.
    assert_eq!(html.matches("<svg").count(), 9);
    assert_eq!(html.matches("<img").count(), 1);
    assert!(html.contains("alt=\"Images &lt;fog&gt;: 40 %\""));
}

#[test]
fn an_address_that_is_none_is_no_link() {
    let mut paper = papers().remove(0);
    paper.url = "javascript:alert(1)".into();
    let runs = vec![Runs::new(Tier::Smoke, "flex", filled(), None)];
    let report = Report { papers: vec![PaperReport::new(paper, runs, vec![])], unknown: BTreeMap::new() };
    assert!(!report.html().contains("href=\"javascript"));
}

#[test]
fn terminal_and_markdown_say_the_same() {
    let out = folder();
    let report = Report::load(papers(), out.path()).unwrap();
    let terminal = report.terminal();
    assert!(terminal.contains("*80.50 ± 0.26 (4)"), "{terminal}");
    assert!(terminal.contains("70.50 ± 0.26 (4), 1 missing"), "{terminal}");
    assert!(terminal.contains("+10.00 points [10.00, 10.00], n = 4 (smoke tier, flex)"), "{terminal}");
    let markdown = report.markdown();
    assert!(markdown.contains("| SAM &lt;i> | **80.50 ± 0.26** (4; 95 % [80.09, 80.91]) |"), "{markdown}");
    assert!(markdown.contains("![Images &lt;fog>: 40 %](sam/smoke-flex/e/40/sgd/1.samples.png)"), "{markdown}");
    assert!(markdown.contains("| **direction only** | SAM resists label noise"), "{markdown}");
}

#[test]
fn an_empty_folder_has_a_report_too() {
    let out = tempfile::tempdir().unwrap();
    let report = Report::load(papers(), &out.path().join("none")).unwrap();
    assert!(report.html().contains("No results yet: sam, tent"));
    assert!(report.terminal().contains("Verdicts: no claims"));
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let out = tempfile::tempdir().unwrap();
    let error = Report::load(papers(), out.path()).unwrap().write(&out.path().join("none")).unwrap_err();
    assert!(error.to_string().contains("report.html"), "{error}");
}
