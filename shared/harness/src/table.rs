//! The tables of an experiment: rows are methods, columns are settings.

use serde::Serialize;

use crate::stats::Summary;
use crate::{Better, Experiment, Metric, Runs};

/// One metric of an experiment at one tier on one backend.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Table {
    /// What the numbers are.
    pub metric: Metric,
    /// The columns.
    pub settings: Vec<String>,
    /// The rows.
    pub rows: Vec<Row>,
}

/// A method's numbers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// The method.
    pub method: String,
    /// A number a setting.
    pub entries: Vec<TableEntry>,
}

/// One method in one setting.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct TableEntry {
    /// The metric over seeds in the unit shown; none without a usable number.
    pub summary: Option<Summary>,
    /// It has the best mean of its column.
    pub best: bool,
    /// The grid has it, and its records (if any) state the metric.
    pub planned: bool,
    /// Cells of the grid without a record.
    pub missing: usize,
    /// Records without a usable number.
    pub unusable: usize,
    /// Diverged runs that count with the worst score.
    pub diverged: usize,
    /// Records of an older source.
    pub stale: usize,
}

impl Table {
    /// A table for every metric of the experiment, in their order.
    pub fn all(experiment: &Experiment, runs: &Runs) -> Vec<Self> {
        experiment.metrics.iter().map(|metric| Self::new(&experiment.name, metric, runs)).collect()
    }

    fn new(experiment: &str, metric: &Metric, runs: &Runs) -> Self {
        let settings = runs.settings(experiment);
        let row = |method: String| {
            let entries = settings.iter().map(|setting| entry(experiment, setting, &method, metric, runs)).collect();
            Row { method, entries }
        };
        let mut rows: Vec<Row> = runs.methods(experiment).into_iter().map(row).collect();
        // A metric that only some settings or methods have needs only those columns and rows.
        let has = |column: usize| rows.iter().any(|row| row.entries[column].planned);
        let columns: Vec<usize> = (0..settings.len()).filter(|&column| has(column)).collect();
        for row in &mut rows {
            row.entries = columns.iter().map(|&column| row.entries[column].clone()).collect();
        }
        rows.retain(|row| row.entries.iter().any(|entry| entry.planned));
        let settings: Vec<String> = columns.iter().map(|&column| settings[column].clone()).collect();
        if let Some(better) = metric.better {
            (0..settings.len()).for_each(|column| mark_best(&mut rows, column, better));
        }
        Self { metric: metric.clone(), settings, rows }
    }

    /// The heading: the metric's title, its unit and which way is better.
    pub fn heading(&self) -> String {
        let unit = if self.metric.unit.is_empty() { String::new() } else { format!(" ({})", self.metric.unit) };
        let better = match self.metric.better {
            Some(Better::Higher) => ", higher is better",
            Some(Better::Lower) => ", lower is better",
            None => "",
        };
        format!("{}{unit}{better}", self.metric.title)
    }

    /// Whether no row has a number.
    pub fn is_empty(&self) -> bool {
        self.rows.iter().flat_map(|row| &row.entries).all(|entry| entry.summary.is_none())
    }
}

impl TableEntry {
    /// `mean ± sample sd`, or what stands in its place.
    pub fn value(&self, digits: usize) -> String {
        match self.summary {
            Some(Summary { mean, sd: Some(sd), .. }) => format!("{} ± {}", number(mean, digits), number(sd, digits)),
            Some(Summary { mean, .. }) => number(mean, digits),
            None if !self.planned => "–".into(),
            None if self.unusable > 0 => "no number".into(),
            None => "missing".into(),
        }
    }

    /// `[lo, hi]` of the 95 % interval.
    pub fn interval(&self, digits: usize) -> Option<String> {
        let interval = self.summary?.interval?;
        Some(format!("[{}, {}]", number(interval.lo, digits), number(interval.hi, digits)))
    }

    /// What a reader should know about the number, in a word or two each.
    pub fn remarks(&self) -> Vec<String> {
        let missing = if self.summary.is_some() { self.missing } else { 0 };
        let unusable = if self.summary.is_some() { self.unusable } else { 0 };
        [(missing, "missing"), (unusable, "without number"), (self.diverged, "diverged"), (self.stale, "stale")]
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} {what}"))
            .collect()
    }
}

fn entry(experiment: &str, setting: &str, method: &str, metric: &Metric, runs: &Runs) -> TableEntry {
    let Some(entry) = runs.entry(experiment, setting, method) else { return TableEntry::default() };
    let scores = runs.scores(entry, metric, metric.better);
    if scores.silent > 0 && scores.silent == entry.records.len() {
        return TableEntry::default();
    }
    TableEntry {
        summary: scores.summary().map(|summary| summary.scaled(metric.scale)),
        best: false,
        planned: true,
        missing: entry.missing(),
        unusable: scores.unusable,
        diverged: scores.diverged,
        stale: scores.stale,
    }
}

/// Marks the best means of a column that compares at least two methods.
fn mark_best(rows: &mut [Row], column: usize, better: Better) {
    let means = || rows.iter().filter_map(|row| Some(row.entries[column].summary?.mean));
    if means().count() < 2 {
        return;
    }
    let best = match better {
        Better::Higher => means().max_by(f64::total_cmp),
        Better::Lower => means().min_by(f64::total_cmp),
    };
    for row in rows {
        row.entries[column].best = row.entries[column].summary.map(|summary| summary.mean) == best;
    }
}

/// A number with so many digits behind the point, without a sign on zero.
pub(crate) fn number(value: f64, digits: usize) -> String {
    let text = format!("{value:.digits$}");
    match text.strip_prefix('-') {
        Some(zero) if zero.chars().all(|c| matches!(c, '0' | '.')) => zero.into(),
        _ => text.replacen('-', "−", 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Tier;
    use crate::testing::{metric, record};

    fn experiment(metric: Metric) -> Experiment {
        Experiment {
            name: "e".into(),
            title: "E".into(),
            description: String::new(),
            tiers: vec![Tier::Smoke],
            data: vec![],
            metrics: vec![metric],
            plots: vec![],
        }
    }

    #[test]
    fn a_table_shows_means_deviations_and_the_best_row() {
        let records = [("SGD", 0.5), ("SGD", 0.7), ("SAM", 0.8), ("SAM", 0.9), ("ASAM", f64::NAN)];
        let records = records.iter().zip(1..).map(|(&(method, value), seed)| record("40 %", method, seed, value));
        let grid = ["e/40/sgd/1", "e/40/sgd/2", "e/40/sgd/9", "e/40/sam/3", "e/40/asam/5", "e/80/sgd/1", "e/80/sam/1"];
        let runs = Runs::new(Tier::Smoke, "flex", records.collect(), Some(&grid.map(Into::into)));
        let table = &Table::all(&experiment(metric()), &runs)[0];
        assert_eq!(table.heading(), "Accuracy (%), higher is better");
        assert_eq!(table.settings, ["40 %", "80"]);
        let [sgd, sam, asam] = &table.rows[..] else { panic!("three rows") };
        assert_eq!((sgd.method.as_str(), sam.method.as_str(), asam.method.as_str()), ("SGD", "SAM", "ASAM"));
        assert_eq!(sgd.entries[0].value(2), "60.00 ± 14.14");
        assert_eq!(sgd.entries[0].interval(1).unwrap(), "[−67.1, 187.1]");
        assert_eq!(sgd.entries[0].remarks(), ["1 missing"]);
        assert_eq!((sgd.entries[0].best, sam.entries[0].best), (false, true));
        assert_eq!(asam.entries[0].value(2), "no number");
        assert_eq!((sgd.entries[1].value(2), asam.entries[1].value(2)), ("missing".into(), "–".into()));
        assert!(!sgd.entries[1].best && !table.is_empty());
    }

    #[test]
    fn lower_is_better_where_the_metric_says_so_and_a_lone_row_is_not_best() {
        let records = vec![record("a", "x", 1, 0.1), record("a", "y", 1, 0.2), record("b", "x", 1, 0.3)];
        let runs = Runs::new(Tier::Smoke, "flex", records, None);
        let best = |better| {
            let table = Table::all(&experiment(Metric { better, ..metric() }), &runs).remove(0);
            table.rows.iter().map(|row| row.entries.iter().map(|e| e.best).collect()).collect::<Vec<Vec<_>>>()
        };
        assert_eq!(best(Some(Better::Lower)), [[true, false], [false, false]]);
        assert_eq!(best(Some(Better::Higher)), [[false, false], [true, false]]);
        assert_eq!(best(None), [[false, false], [false, false]]);
    }

    #[test]
    fn rows_and_columns_that_do_not_state_the_metric_are_left_away() {
        let mut records = vec![record("a", "x", 1, 0.1), record("a", "y", 1, 0.2), record("b", "x", 1, 0.3)];
        records.push(record("b", "y", 1, 0.4));
        records[1..].iter_mut().for_each(|record| record.results.metrics.clear());
        let runs = Runs::new(Tier::Smoke, "flex", records, None);
        let table = &Table::all(&experiment(metric()), &runs)[0];
        assert_eq!((table.settings.clone(), table.rows.len()), (vec!["a".to_owned()], 1));
    }

    #[test]
    fn zero_has_no_sign() {
        assert_eq!((number(-0.001, 2), number(-1.0, 1), number(0.0, 0)), ("0.00".into(), "−1.0".into(), "0".into()));
    }
}
