use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

use serde::{Deserialize, Deserializer, Serialize};

use crate::{Cell, Interval, Tier, whole};

/// What one cell left behind.
///
/// Two records are *equal* where identity and results are: measurements and the circumstances of the run may differ.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Record {
    /// What was run.
    pub identity: Identity,
    /// What came out; the same bits on the same machine.
    pub results: Results,
    /// Times and peak memory that the experiment is about, in the unit that the name ends with (`step_seconds`).
    #[serde(default)]
    pub measurements: BTreeMap<String, f64>,
    /// When, where and for how long.
    pub run: Run,
}

/// Everything that decides a cell's results.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Identity {
    /// The paper, by the name of its crate's folder.
    pub paper: String,
    /// The cell with its configuration and seed.
    #[serde(flatten)]
    pub cell: Cell,
    /// The tier whose grid the cell belongs to.
    pub tier: Tier,
    /// The backend by name.
    pub backend: String,
    /// The data files read, by `dataset/file`.
    pub files: BTreeMap<String, DataFile>,
    /// Hash of the sources that the cell ran: the crate's and those of `shared`.
    pub source: String,
    /// The version of Burn.
    pub burn: String,
    /// Features that decide bits: SIMD level, threads, kernels.
    pub features: Vec<String>,
}

/// A data file as a cell found it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataFile {
    /// Its SHA-256, in hexadecimal.
    pub sha256: String,
    /// Whether that is the registry's checksum; `false` only where the user allowed it.
    pub verified: bool,
}

/// What a cell found out.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// The run ended in NaN or infinity.
    #[serde(default)]
    pub diverged: bool,
    /// Final figures by name, in the unit that `paper.toml` states.
    #[serde(deserialize_with = "numbers")]
    pub metrics: BTreeMap<String, f64>,
    /// 95 % intervals of metrics that this run alone gives (a bootstrap over the points of a fixed data set), by the
    /// metric's name. They count where the run has no other seeds beside it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub intervals: BTreeMap<String, Interval>,
    /// Figures over time (an epoch or so), by name.
    #[serde(default, deserialize_with = "curves")]
    pub curves: BTreeMap<String, Vec<f64>>,
    /// Counts of what happened.
    #[serde(default)]
    pub counters: BTreeMap<String, u64>,
}

/// Figures by name, as [`Results`] holds them.
pub fn named<const N: usize>(figures: [(&str, f64); N]) -> BTreeMap<String, f64> {
    figures.map(|(name, value)| (name.to_owned(), value)).into()
}

/// JSON has no NaN and no infinity; they are written as `null` and read back as NaN.
fn numbers<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, f64>, D::Error> {
    let read = BTreeMap::<String, Option<f64>>::deserialize(deserializer)?;
    Ok(read.into_iter().map(|(name, value)| (name, value.unwrap_or(f64::NAN))).collect())
}

fn curves<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, Vec<f64>>, D::Error> {
    let read = BTreeMap::<String, Vec<Option<f64>>>::deserialize(deserializer)?;
    let numbers = |values: Vec<Option<f64>>| values.into_iter().map(|value| value.unwrap_or(f64::NAN)).collect();
    Ok(read.into_iter().map(|(name, values)| (name, numbers(values))).collect())
}

/// The circumstances of a run, which decide nothing.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Wall time, in seconds.
    pub wall_seconds: f64,
    /// Peak memory of the worker in bytes, where the system tells.
    pub peak_memory_bytes: Option<u64>,
    /// Threads that the worker might use.
    pub threads: usize,
    /// The device, in the backend's words.
    pub device: String,
    /// Processor and operating system.
    pub host: String,
    /// Seconds since 1970 at the end of the run.
    pub finished: u64,
    /// The commit of the working tree, with `+` behind it where the tree was changed.
    pub commit: Option<String>,
    /// The command that ran the cell.
    pub command: String,
}

impl Record {
    /// The file beside the records of a tier and backend that lists the ids of the grid's cells in order.
    pub const ORDER: &str = "order.json";

    /// Whether identity and results are the same.
    pub fn equals(&self, other: &Self) -> bool {
        // By text, so that NaN equals NaN and every other number is compared bit by bit.
        let essence = |record: &Self| serde_json::to_string(&(&record.identity, &record.results)).ok();
        essence(self) == essence(other)
    }

    /// The folder of a tier and backend below the results folder: `<paper>/<tier>-<backend>`.
    pub fn folder(out: &Path, paper: &str, tier: Tier, backend: &str) -> PathBuf {
        out.join(paper).join(format!("{tier}-{backend}"))
    }

    /// Where the record of `cell` lies below the results folder: `<paper>/<tier>-<backend>/<cell id>.json`.
    pub fn path(out: &Path, paper: &str, tier: Tier, backend: &str, cell: &Cell) -> PathBuf {
        Self::folder(out, paper, tier, backend).join(format!("{}.json", cell.id()))
    }

    /// Writes the record to `path`, whole or not at all: a reader never sees half of it.
    ///
    /// # Errors
    ///
    /// If the folder or the file cannot be written; a record that was there stays.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
        whole::write(path, &[serde_json::to_string_pretty(self)?.as_bytes(), b"\n"])
    }

    /// Where the picture `name` of a cell lies whose record is at `record`: beside it, `<cell id>.<name>.png`.
    pub fn picture(record: &Path, name: &str) -> PathBuf {
        record.with_extension(format!("{name}.png"))
    }

    /// Reads a record.
    ///
    /// # Errors
    ///
    /// If the file cannot be read or is no record (named with its position).
    pub fn read(path: &Path) -> io::Result<Self> {
        let text = fs::read_to_string(path)?;
        serde_json::from_str(&text)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, format!("{}: {error}", path.display())))
    }

    /// Every record below `folder` in the order of their paths, and the files that are none, each with the reason.
    ///
    /// # Errors
    ///
    /// If a folder cannot be listed; a folder that does not exist has no records.
    pub fn read_all(folder: &Path) -> io::Result<(Vec<Self>, Vec<io::Error>)> {
        let (mut records, mut broken) = (Vec::new(), Vec::new());
        let mut paths = Vec::new();
        walk(folder, &mut paths)?;
        paths.sort();
        let is_record = |path: &&PathBuf| {
            path.extension().is_some_and(|extension| extension == "json") && !path.ends_with(Self::ORDER)
        };
        for path in paths.iter().filter(is_record) {
            match Self::read(path) {
                Ok(record) => records.push(record),
                Err(error) => broken.push(error),
            }
        }
        Ok((records, broken))
    }
}

fn walk(folder: &Path, paths: &mut Vec<PathBuf>) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            walk(&entry.path(), paths)?;
        } else {
            paths.push(entry.path());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(value: f64) -> Record {
        Record {
            identity: Identity {
                paper: "sam".into(),
                cell: Cell::new("moons", "30 %", "sgd", 1, &serde_json::json!({ "rho": 0.05 })),
                tier: Tier::Smoke,
                backend: "flex".into(),
                files: BTreeMap::new(),
                source: "abc".into(),
                burn: "0.22.1".into(),
                features: vec!["simd".into()],
            },
            results: Results {
                metrics: BTreeMap::from([("accuracy".into(), value)]),
                curves: BTreeMap::from([("loss".into(), vec![1.0, f64::NAN])]),
                ..Results::default()
            },
            measurements: BTreeMap::new(),
            run: Run::default(),
        }
    }

    #[test]
    fn a_record_survives_the_disk_bit_for_bit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b.json");
        let written = record(0.1 + 0.2);
        written.write(&path).unwrap();
        let read = Record::read(&path).unwrap();
        assert!(written.equals(&read));
        assert!(read.results.curves["loss"][1].is_nan());
        assert!(!written.equals(&record(0.3)));
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "no partial file is left");
    }

    #[test]
    fn a_broken_record_is_named_and_the_others_are_read() {
        let folder = tempfile::tempdir().unwrap();
        record(0.5).write(&folder.path().join("sam/good.json")).unwrap();
        fs::write(folder.path().join("sam/bad.json"), "{\"identity\":").unwrap();
        fs::write(folder.path().join("sam").join(Record::ORDER), "[]").unwrap();
        let (records, broken) = Record::read_all(folder.path()).unwrap();
        assert_eq!((records.len(), broken.len()), (1, 1));
        assert!(broken[0].to_string().contains("bad.json"));
    }
}
