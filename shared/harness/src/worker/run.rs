use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::sync::Mutex;
use std::time::{Instant, SystemTime};

use super::arguments::{Grid, One};
use super::artifact::Artifacts;
use super::{BuildInfo, Context, Environment, Failure, Reproduction, host, picture};
use crate::data::DataDir;
use crate::measure::resident_peak;
use crate::{Cell, DataFile, Exit, Identity, Paper, Planned, Record, Run};

/// Prints the grid as JSON, each cell with the identity that its record would have.
pub(super) fn cells(
    paper: &Paper,
    build: BuildInfo,
    reproduction: &impl Reproduction,
    grid: &Grid,
) -> Result<Exit, Failure> {
    let environment = reproduction.environment(&grid.backend)?;
    let data = DataDir::resolve(grid.data.as_deref());
    let mut files = Files { data: &data, allow_unverified: grid.allow_unverified, seen: BTreeMap::new() };
    let planned: Vec<Planned> = reproduction
        .cells(grid.tier, grid.seeds)
        .into_iter()
        .map(|cell| {
            let (found, blocked) = match files.of(&cell) {
                Ok(found) => (found, None),
                Err(error) => (BTreeMap::new(), Some(error)),
            };
            Planned { id: cell.id(), identity: identity(paper, build, &environment, grid, cell, found), blocked }
        })
        .collect();
    writeln!(std::io::stdout(), "{}", serde_json::to_string(&planned)?)?;
    Ok(Exit::Done)
}

/// Runs one cell and writes its record.
pub(super) fn run(
    paper: &Paper,
    build: BuildInfo,
    reproduction: &impl Reproduction,
    one: &One,
) -> Result<Exit, Failure> {
    if one.until_stdin_closes {
        end_with_stdin();
    }
    let grid = &one.grid;
    let environment = reproduction.environment(&grid.backend)?;
    let cell = find(reproduction, grid, &one.cell)?;
    let data = DataDir::resolve(grid.data.as_deref());
    let mut files = Files { data: &data, allow_unverified: grid.allow_unverified, seen: BTreeMap::new() };
    let found = files.of(&cell).map_err(Failure::data)?;

    let may_diverge = cell.may_diverge;
    let path = Record::path(&one.out, &paper.name, grid.tier, &grid.backend, &cell);
    let identity = identity(paper, build, &environment, grid, cell, found);
    let folder = Record::folder(&one.out, &paper.name, grid.tier, &grid.backend);
    let context = Context {
        backend: grid.backend.clone(),
        data: data.clone(),
        threads: host::threads(),
        report: one.progress,
        last: Mutex::new(None),
        artifacts: Artifacts::new(folder.join("artifacts"), &identity),
    };
    let start = Instant::now();
    let outcome = reproduction.run(&identity.cell, &context)?;
    let run = Run {
        wall_seconds: start.elapsed().as_secs_f64(),
        peak_memory_bytes: resident_peak(),
        threads: context.threads,
        device: environment.device.clone(),
        host: host::describe(),
        finished: SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs()),
        commit: std::env::var("REKINDLE_COMMIT").ok(),
        command: command(paper, one),
    };
    let diverged = outcome.results.diverged && !may_diverge;
    // Pictures first: who sees the record sees its pictures.
    picture::write(&path, &outcome.pictures)?;
    Record { identity, results: outcome.results, measurements: outcome.measurements, run }
        .write(&path)
        .map_err(|error| Failure::unwritten(&path, &error))?;
    if diverged {
        eprintln!("error: cell `{}` diverged (NaN or infinity), which it may not", one.cell);
        return Ok(Exit::Diverged);
    }
    Ok(Exit::Done)
}

fn find(reproduction: &impl Reproduction, grid: &Grid, id: &str) -> Result<Cell, Failure> {
    reproduction.cells(grid.tier, grid.seeds).into_iter().find(|cell| cell.id() == id).ok_or_else(|| {
        Failure::usage(format!("no cell `{id}` at tier {}: `cells --tier {}` lists them", grid.tier, grid.tier))
    })
}

fn identity(
    paper: &Paper,
    build: BuildInfo,
    environment: &Environment,
    grid: &Grid,
    cell: Cell,
    files: BTreeMap<String, DataFile>,
) -> Identity {
    Identity {
        paper: paper.name.clone(),
        cell,
        tier: grid.tier,
        backend: grid.backend.clone(),
        files,
        source: build.source.into(),
        burn: build.burn.into(),
        features: environment.features.clone(),
    }
}

/// The files of the data sets, each set verified once a process.
struct Files<'a> {
    data: &'a DataDir,
    allow_unverified: bool,
    seen: BTreeMap<String, Result<BTreeMap<String, DataFile>, String>>,
}

impl Files<'_> {
    fn of(&mut self, cell: &Cell) -> Result<BTreeMap<String, DataFile>, String> {
        let mut files = BTreeMap::new();
        for name in &cell.data {
            let (data, allow_unverified) = (self.data, self.allow_unverified);
            let found = self.seen.entry(name.clone()).or_insert_with(|| {
                data.locate(name)
                    .and_then(|located| crate::data::verify(&located, allow_unverified))
                    .map_err(|error| error.to_string())
            });
            files.extend(found.clone()?.into_iter().map(|(file, found)| (format!("{name}/{file}"), found)));
        }
        Ok(files)
    }
}

/// The command that runs this cell again.
fn command(paper: &Paper, one: &One) -> String {
    let grid = &one.grid;
    let seeds = grid.seeds.map_or(String::new(), |seeds| format!(" --seeds {seeds}"));
    format!("reproduce-{} run --tier {} --backend {}{seeds} --cell {}", paper.name, grid.tier, grid.backend, one.cell)
}

/// Ends the process when standard input is closed, so that a worker does not outlive a killed driver.
fn end_with_stdin() {
    std::thread::spawn(|| {
        let mut rest = [0];
        while matches!(std::io::stdin().read(&mut rest), Ok(1..)) {}
        std::process::exit(Exit::Interrupted as i32);
    });
}
