//! The records of one paper at one tier on one backend, and the numbers that tables and verdicts take from them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use crate::cell::slug;
use crate::stats::Summary;
use crate::{Better, Interval, Metric, Record, Tier};

/// The records of a paper at one tier on one backend, in the order of its grid.
#[derive(Debug, Clone)]
pub struct Runs {
    /// The tier of every record.
    pub tier: Tier,
    /// The backend of every record.
    pub backend: String,
    /// Rows by columns: the records of one method in one setting each.
    pub entries: Vec<Entry>,
    /// Records (by cell) of rows that the grid no longer has; they count nowhere.
    pub outside: Vec<String>,
    /// The source hash of the record that finished last. Records of other sources are stale.
    pub source: String,
    /// The folder of the records, which has their pictures too; none for records that were not read from a folder.
    pub folder: Option<PathBuf>,
}

/// The records of one method in one setting of an experiment: a table's cell.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The experiment's name.
    pub experiment: String,
    /// The column.
    pub setting: String,
    /// The row.
    pub method: String,
    /// The seeds that the grid asks for; empty where the grid is not known.
    pub expected: BTreeSet<u64>,
    /// The records that are there, by seed.
    pub records: BTreeMap<u64, Record>,
}

/// What the records of an [`Entry`] say about one metric.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Scores {
    /// The metric by seed, in the unit of the records; finite.
    pub by_seed: BTreeMap<u64, f64>,
    /// How many of them diverged where they may, and count with the worst score.
    pub diverged: usize,
    /// Records with a number that is not finite, or that diverged where they may not.
    pub unusable: usize,
    /// Records that do not state the metric, or did not measure it alone.
    pub silent: usize,
    /// How many of the records are of an older source.
    pub stale: usize,
    /// The interval that the only number's record states.
    pub own: Option<Interval>,
}

impl Scores {
    /// Mean, deviation and interval of the numbers; none where there are none.
    pub fn summary(&self) -> Option<Summary> {
        let values: Vec<f64> = self.by_seed.values().copied().collect();
        let summary = Summary::of(&values)?;
        Some(Summary { interval: summary.interval.or(self.own), ..summary })
    }
}

impl Entry {
    fn is(&self, experiment: &str, setting: &str, method: &str) -> bool {
        slug(&self.experiment) == slug(experiment)
            && slug(&self.setting) == slug(setting)
            && slug(&self.method) == slug(method)
    }

    /// How many cells of the grid have no record.
    pub fn missing(&self) -> usize {
        self.expected.iter().filter(|seed| !self.records.contains_key(seed)).count()
    }
}

impl Runs {
    /// Puts `records`, all of that tier and backend, into the order of `grid`: the ids of its cells, row by row. Without
    /// a grid the order is alphabetical and no cell is known to be missing.
    pub fn new(tier: Tier, backend: &str, mut records: Vec<Record>, grid: Option<&[String]>) -> Self {
        let newest = records.iter().max_by_key(|record| record.run.finished);
        let source = newest.map(|record| record.identity.source.clone()).unwrap_or_default();
        records.sort_by(|a, b| {
            let key = |record: &Record| {
                let cell = &record.identity.cell;
                (cell.experiment.clone(), cell.setting.clone(), cell.method.clone(), cell.seed)
            };
            key(a).cmp(&key(b))
        });
        let mut entries: Vec<Entry> = Vec::new();
        for id in grid.unwrap_or_default() {
            let parts: Vec<&str> = id.split('/').collect();
            let [experiment, setting, method, seed] = parts[..] else { continue };
            let Ok(seed) = seed.parse() else { continue };
            entry(&mut entries, experiment, setting, method).expected.insert(seed);
        }
        let mut outside = Vec::new();
        for record in records {
            let cell = &record.identity.cell;
            let known = entries.iter().any(|entry| entry.is(&cell.experiment, &cell.setting, &cell.method));
            if grid.is_some() && !known {
                outside.push(cell.id());
                continue;
            }
            let entry = entry(&mut entries, &cell.experiment, &cell.setting, &cell.method);
            // The grid spells names as file names; the records know how they are written.
            (entry.experiment, entry.setting, entry.method) =
                (cell.experiment.clone(), cell.setting.clone(), cell.method.clone());
            entry.records.insert(cell.seed, record);
        }
        Self { tier, backend: backend.into(), entries, outside, source, folder: None }
    }

    /// Every record that counts.
    pub fn records(&self) -> impl Iterator<Item = &Record> {
        self.entries.iter().flat_map(|entry| entry.records.values())
    }

    /// The entries of an experiment, in the order of the grid.
    pub fn of(&self, experiment: &str) -> impl Iterator<Item = &Entry> {
        let experiment = slug(experiment);
        self.entries.iter().filter(move |entry| slug(&entry.experiment) == experiment)
    }

    /// Whether any cell of the experiment left a record.
    pub fn has(&self, experiment: &str) -> bool {
        self.of(experiment).any(|entry| !entry.records.is_empty())
    }

    /// The settings (columns) of an experiment, each once, in the order of the grid.
    pub fn settings(&self, experiment: &str) -> Vec<String> {
        distinct(self.of(experiment).map(|entry| (&entry.setting, !entry.records.is_empty())))
    }

    /// The methods (rows) of an experiment, each once, in the order of the grid.
    pub fn methods(&self, experiment: &str) -> Vec<String> {
        distinct(self.of(experiment).map(|entry| (&entry.method, !entry.records.is_empty())))
    }

    /// The records of a method in a setting.
    pub fn entry(&self, experiment: &str, setting: &str, method: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.is(experiment, setting, method))
    }

    /// Whether the record is of another source than the newest one.
    pub fn is_stale(&self, record: &Record) -> bool {
        record.identity.source != self.source
    }

    /// The numbers of `metric` in `entry`.
    ///
    /// A diverged record of a cell that may diverge counts with its own number where that is finite (an experiment may
    /// say what a diverged run is worth), else with the worst finite number of its experiment, setting and metric;
    /// where `better` is not known or nothing is finite, it has no number.
    pub fn scores(&self, entry: &Entry, metric: &Metric, better: Option<Better>) -> Scores {
        let mut scores = Scores::default();
        for (&seed, record) in &entry.records {
            scores.stale += usize::from(self.is_stale(record));
            let (diverged, may) = (record.results.diverged, record.identity.cell.may_diverge);
            let stated = stated(record, metric);
            let value = match stated.filter(|value| value.is_finite()) {
                _ if diverged && !may => None,
                None if diverged => self.worst(entry, metric, better),
                value => value,
            };
            match value {
                Some(value) => drop(scores.by_seed.insert(seed, value)),
                None if stated.is_some() || diverged => scores.unusable += 1,
                None => scores.silent += 1,
            }
            scores.diverged += usize::from(diverged && value.is_some());
        }
        if let [seed] = scores.by_seed.keys().collect::<Vec<_>>()[..] {
            scores.own = entry.records[seed].results.intervals.get(&metric.name).copied();
        }
        scores
    }

    fn worst(&self, entry: &Entry, metric: &Metric, better: Option<Better>) -> Option<f64> {
        let column = self.of(&entry.experiment).filter(|other| slug(&other.setting) == slug(&entry.setting));
        let values = column.flat_map(|other| other.records.values()).filter_map(|record| stated(record, metric));
        let values = values.filter(|value| value.is_finite());
        match better? {
            Better::Higher => values.min_by(f64::total_cmp),
            Better::Lower => values.max_by(f64::total_cmp),
        }
    }
}

/// The record's number, finite or not; a measurement only if it was taken with the machine to itself.
fn stated(record: &Record, metric: &Metric) -> Option<f64> {
    let numbers = match metric.measured {
        true if !record.identity.cell.exclusive => return None,
        true => &record.measurements,
        false => &record.results.metrics,
    };
    numbers.get(&metric.name).copied()
}

fn entry<'a>(entries: &'a mut Vec<Entry>, experiment: &str, setting: &str, method: &str) -> &'a mut Entry {
    let found = entries.iter().position(|entry| entry.is(experiment, setting, method));
    let index = found.unwrap_or_else(|| {
        entries.push(Entry {
            experiment: experiment.into(),
            setting: setting.into(),
            method: method.into(),
            expected: BTreeSet::new(),
            records: BTreeMap::new(),
        });
        entries.len() - 1
    });
    &mut entries[index]
}

/// Names in the order of their first appearance; of two spellings with one slug that of a record.
fn distinct<'a>(names: impl Iterator<Item = (&'a String, bool)>) -> Vec<String> {
    let mut distinct: Vec<(String, bool)> = Vec::new();
    for (name, recorded) in names {
        match distinct.iter_mut().find(|(other, _)| slug(other) == slug(name)) {
            Some(known) if recorded && !known.1 => *known = (name.clone(), true),
            Some(_) => {}
            None => distinct.push((name.clone(), recorded)),
        }
    }
    distinct.into_iter().map(|(name, _)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{metric, record};

    fn grid(ids: &[&str]) -> Vec<String> {
        ids.iter().map(|&id| id.into()).collect()
    }

    #[test]
    fn the_grid_orders_rows_and_columns_and_tells_what_is_missing() {
        let records = vec![record("0 %", "SAM", 1, 0.9), record("80 %", "SGD", 2, 0.5), record("old", "SGD", 1, 0.1)];
        let ids = grid(&["e/80/sgd/1", "e/80/sgd/2", "e/80/sam/1", "e/0/sgd/1", "e/0/sam/1"]);
        let runs = Runs::new(Tier::Smoke, "flex", records, Some(&ids));
        assert_eq!(runs.settings("e"), ["80 %", "0 %"]);
        assert_eq!(runs.methods("e"), ["SGD", "SAM"]);
        assert_eq!(runs.entry("e", "80 %", "SGD").unwrap().missing(), 1);
        assert_eq!(runs.entry("e", "0 %", "SGD").unwrap().missing(), 1);
        assert_eq!(runs.outside, ["e/old/sgd/1"]);
        assert_eq!(runs.records().count(), 2);
    }

    #[test]
    fn without_a_grid_the_order_is_alphabetical() {
        let records = vec![record("b", "z", 1, 0.9), record("a", "y", 2, 0.5), record("a", "x", 10, 0.1)];
        let runs = Runs::new(Tier::Smoke, "flex", records, None);
        assert_eq!((runs.settings("e"), runs.methods("e")), (grid(&["a", "b"]), grid(&["x", "y", "z"])));
        assert!(runs.entries.iter().all(|entry| entry.missing() == 0));
    }

    #[test]
    fn seeds_beyond_the_grid_count_and_older_sources_are_stale() {
        let mut old = record("a", "x", 2, 0.5);
        old.identity.source = "old".into();
        let mut new = record("a", "x", 1, 0.7);
        new.run.finished = 9;
        let runs = Runs::new(Tier::Smoke, "flex", vec![old, new], Some(&grid(&["e/a/x/1"])));
        let scores = runs.scores(&runs.entries[0], &metric(), Some(Better::Higher));
        assert_eq!(scores.by_seed, BTreeMap::from([(1, 0.7), (2, 0.5)]));
        assert_eq!(scores.stale, 1);
    }

    #[test]
    fn a_diverged_run_that_may_counts_with_the_worst_score() {
        let mut diverged = record("a", "x", 2, f64::NAN);
        diverged.results.diverged = true;
        let mut allowed = diverged.clone();
        allowed.identity.cell.may_diverge = true;
        let others = [record("a", "x", 1, 0.9), record("a", "y", 1, 0.3), record("b", "x", 1, 0.1)];
        let scores = |record: &Record, better| {
            let records = others.iter().chain([record]).cloned().collect();
            let runs = Runs::new(Tier::Smoke, "flex", records, None);
            runs.scores(runs.entry("e", "a", "x").unwrap(), &metric(), better)
        };
        let counted = scores(&allowed, Some(Better::Higher));
        assert_eq!((counted.by_seed[&2], counted.diverged, counted.unusable), (0.3, 1, 0));
        assert_eq!(scores(&allowed, Some(Better::Lower)).by_seed[&2], 0.9);
        assert_eq!(scores(&allowed, None).unusable, 1);
        assert_eq!(scores(&diverged, Some(Better::Higher)).unusable, 1);
        allowed.results.metrics.insert("accuracy".into(), 0.25);
        assert_eq!(scores(&allowed, Some(Better::Higher)).by_seed[&2], 0.25);
    }

    #[test]
    fn measurements_count_only_where_the_cell_was_alone() {
        let mut shared = record("a", "x", 1, 0.9);
        shared.measurements.insert("accuracy".into(), 3.0);
        let mut alone = shared.clone();
        alone.identity.cell.seed = 2;
        alone.identity.cell.exclusive = true;
        let runs = Runs::new(Tier::Smoke, "flex", vec![shared, alone], None);
        let scores = runs.scores(&runs.entries[0], &Metric { measured: true, ..metric() }, None);
        assert_eq!((scores.by_seed, scores.silent), (BTreeMap::from([(2, 3.0)]), 1));
    }
}
