use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::{DataFile, Record, Runs};

/// Where and with what the records of one tier and backend were made; more than one entry where they differ.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Environment {
    /// Processors and operating systems.
    pub hosts: BTreeSet<String>,
    /// Devices in the backend's words.
    pub devices: BTreeSet<String>,
    /// Threads a worker.
    pub threads: BTreeSet<usize>,
    /// Versions of Burn.
    pub burn: BTreeSet<String>,
    /// Features that decide bits, as one list a record.
    pub features: BTreeSet<String>,
    /// Source hashes, the newest first.
    pub sources: Vec<String>,
    /// Commits of the working tree.
    pub commits: BTreeSet<String>,
    /// Data files by `dataset/file`; a file with two contents is there twice.
    pub files: BTreeMap<String, Vec<DataFile>>,
    /// Seconds of all cells together.
    pub wall_seconds: f64,
    /// The largest peak of a worker, where one is known.
    pub peak_memory_bytes: Option<u64>,
    /// The first and the last end of a cell, in seconds since 1970.
    pub finished: Option<(u64, u64)>,
    /// How many records there are.
    pub records: usize,
    /// What ran one of the cells, and runs it again: the worker's command in the newest record.
    pub worker_command: String,
}

impl Environment {
    /// What the records say.
    pub fn of(runs: &Runs) -> Self {
        let mut environment = Self { sources: vec![runs.source.clone()], ..Self::default() };
        let mut newest: Option<&Record> = None;
        for record in runs.records() {
            environment.add(record);
            if newest.is_none_or(|newest| record.run.finished >= newest.run.finished) {
                newest = Some(record);
            }
        }
        environment.worker_command = newest.map(|record| record.run.command.clone()).unwrap_or_default();
        environment
    }

    fn add(&mut self, record: &Record) {
        let (identity, run) = (&record.identity, &record.run);
        self.hosts.insert(run.host.clone());
        self.devices.insert(run.device.clone());
        self.threads.insert(run.threads);
        self.burn.insert(identity.burn.clone());
        self.features.insert(identity.features.join(", "));
        if !self.sources.contains(&identity.source) {
            self.sources.push(identity.source.clone());
        }
        self.commits.extend(run.commit.clone());
        for (name, file) in &identity.files {
            let contents = self.files.entry(name.clone()).or_default();
            if !contents.contains(file) {
                contents.push(file.clone());
            }
        }
        self.wall_seconds += run.wall_seconds;
        self.peak_memory_bytes = self.peak_memory_bytes.max(run.peak_memory_bytes);
        let (first, last) = self.finished.unwrap_or((run.finished, run.finished));
        self.finished = Some((first.min(run.finished), last.max(run.finished)));
        self.records += 1;
    }

    /// The rows that the report shows, each with its values.
    pub(super) fn rows(&self, backend: &str) -> Vec<(&'static str, Vec<String>)> {
        let strings = |set: &BTreeSet<String>| set.iter().filter(|text| !text.is_empty()).cloned().collect::<Vec<_>>();
        let mut sources: Vec<_> = self.sources.iter().map(|source| short(source)).collect();
        sources.iter_mut().skip(1).for_each(|source| source.push_str(" (older)"));
        let rows = vec![
            ("Host", strings(&self.hosts)),
            ("Backend", vec![backend.to_owned()]),
            ("Device", strings(&self.devices)),
            ("Threads a worker", self.threads.iter().filter(|&&n| n > 0).map(ToString::to_string).collect()),
            ("Burn", strings(&self.burn)),
            ("Features", strings(&self.features)),
            ("Commit", strings(&self.commits)),
            ("Source hash", sources),
            ("Cells", vec![self.records.to_string()]),
            ("Time of all cells", vec![duration(self.wall_seconds)]),
            ("Peak memory of a worker", self.peak_memory_bytes.map(bytes).into_iter().collect()),
            ("Finished", self.finished.map(|(first, last)| span(first, last)).into_iter().collect()),
        ];
        rows.into_iter().filter(|(_, values)| !values.is_empty()).collect()
    }
}

/// The first sixteen characters of a hash.
pub(super) fn short(hash: &str) -> String {
    hash.chars().take(16).collect()
}

fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 60.0 => format!("{s:.1} s"),
        s if s < 3600.0 => format!("{:.0} min {:.0} s", (s / 60.0).floor(), (s % 60.0).floor()),
        s => format!("{:.0} h {:.0} min", (s / 3600.0).floor(), (s % 3600.0 / 60.0).floor()),
    }
}

fn bytes(bytes: u64) -> String {
    const MIB: f64 = 1024.0 * 1024.0;
    match bytes as f64 / MIB {
        mib if mib < 1024.0 => format!("{mib:.0} MiB"),
        mib => format!("{:.2} GiB", mib / 1024.0),
    }
}

/// One day, or the first and the last.
pub(super) fn span(first: u64, last: u64) -> String {
    let (first, last) = (date(first), date(last));
    if first == last { first } else { format!("{first} to {last}") }
}

/// The day in UTC, `2026-03-01`.
///
/// Days are counted in years that begin in March, so that the leap day is their last.
fn date(seconds: u64) -> String {
    let days = seconds / 86_400 + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (year, month) = (year + era * 400 + month / 10, if month < 10 { month + 3 } else { month - 9 });
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Oracle: `date -u -d @N +%F`.
    #[test]
    fn days_are_those_of_the_calendar() {
        for (seconds, day) in [
            (0, "1970-01-01"),
            (951_782_399, "2000-02-28"),
            (951_782_400, "2000-02-29"),
            (1_735_689_599, "2024-12-31"),
            (1_772_323_200, "2026-03-01"),
            (4_107_542_400, "2100-03-01"),
        ] {
            assert_eq!(date(seconds), day);
        }
        assert_eq!(span(0, 90_000), "1970-01-01 to 1970-01-02");
    }

    #[test]
    fn sizes_and_times_read_well() {
        assert_eq!((bytes(300 << 20), bytes(3 << 29)), ("300 MiB".into(), "1.50 GiB".into()));
        assert_eq!(duration(59.94), "59.9 s");
        assert_eq!((duration(125.0), duration(7260.0)), ("2 min 5 s".into(), "2 h 1 min".into()));
    }
}
