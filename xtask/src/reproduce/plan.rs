use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result};
use rekindle_harness::{Cell, Exit, Identity, Paper, Planned, Record};

use super::{Arguments, worker};
use crate::Refusal;

/// What a paper's run has to do.
pub(super) struct Plan {
    pub(super) paper: String,
    pub(super) worker: PathBuf,
    pub(super) out: PathBuf,
    pub(super) grid: Vec<String>,
    /// Cells to run, in the order of the grid, those that measure last.
    pub(super) cells: Vec<Cell>,
    /// Cells whose record is there and has the same identity.
    pub(super) done: usize,
    /// Cells that cannot run: id and reason.
    pub(super) blocked: Vec<(String, String)>,
    /// What the records that are kept already amount to.
    pub(super) exit: Exit,
}

impl Plan {
    pub(super) fn new(paper: &Paper, executable: &Path, arguments: &Arguments) -> Result<Self> {
        let out = std::path::absolute(&arguments.out)?;
        let mut plan = Self {
            paper: paper.name.clone(),
            worker: executable.into(),
            out,
            grid: arguments.grid(),
            cells: Vec::new(),
            done: 0,
            blocked: Vec::new(),
            exit: Exit::Done,
        };
        let planned = plan.list()?;
        plan.write_order(&planned, arguments)?;
        let wanted = |it: &Planned| arguments.wants(&it.identity.cell.experiment);
        for Planned { id, identity, blocked } in planned.into_iter().filter(wanted) {
            let path = Record::path(&plan.out, &paper.name, arguments.tier, &arguments.backend, &identity.cell);
            let record = Record::read(&path).ok();
            let current = |record: &&Record| same(&record.identity, &identity, arguments.keep_stale);
            if let Some(record) = record.as_ref().filter(current).filter(|_| !arguments.force && blocked.is_none()) {
                plan.done += 1;
                if record.results.diverged && !identity.cell.may_diverge {
                    plan.exit = plan.exit.worst(Exit::Diverged);
                }
            } else if let Some(reason) = blocked {
                plan.blocked.push((id, reason));
            } else {
                plan.cells.push(identity.cell);
            }
        }
        plan.cells.sort_by_key(|cell| cell.exclusive);
        Ok(plan)
    }

    /// Asks the worker for the grid.
    fn list(&self) -> Result<Vec<Planned>> {
        let output = worker(&self.worker, "cells", &self.grid)
            .stderr(Stdio::piped())
            .output()
            .with_context(|| format!("cannot start {}", self.worker.display()))?;
        if !output.status.success() {
            let message = String::from_utf8_lossy(&output.stderr).trim().trim_start_matches("error: ").to_owned();
            return Err(Refusal(Exit::from_code(output.status.code()), message).into());
        }
        serde_json::from_slice(&output.stdout).context("the worker's list of cells is no JSON")
    }

    /// Leaves the order of the grid for the report, whose tables follow it.
    fn write_order(&self, planned: &[Planned], arguments: &Arguments) -> Result<()> {
        let folder = Record::folder(&self.out, &self.paper, arguments.tier, &arguments.backend);
        let order: Vec<&str> = planned.iter().map(|planned| planned.id.as_str()).collect();
        std::fs::create_dir_all(&folder)?;
        let path = folder.join(Record::ORDER);
        std::fs::write(&path, serde_json::to_string_pretty(&order)?)
            .with_context(|| format!("cannot write {}", path.display()))
    }

    /// `--plan`: what would run, as commands that any engine can start.
    pub(super) fn describe(&self) -> String {
        let (run, done, blocked) = (self.cells.len(), self.done, self.blocked.len());
        let mut lines = vec![format!("# {}: {run} cells to run, {done} done, {blocked} blocked", self.paper)];
        for cell in &self.cells {
            lines.push(format!(
                "{} run {} --out={} --cell={}{}",
                self.worker.display(),
                self.grid.join(" "),
                self.out.display(),
                cell.id(),
                if cell.exclusive { "  # alone on the machine" } else { "" }
            ));
        }
        lines.extend(self.blocked.iter().map(|(id, reason)| format!("# blocked {id}: {reason}")));
        lines.join("\n") + "\n"
    }
}

/// Whether a record's identity is that of the cell; with `stale`, sources and versions may be older ones.
fn same(record: &Identity, planned: &Identity, stale: bool) -> bool {
    if !stale {
        return record == planned;
    }
    let aged = Identity {
        source: planned.source.clone(),
        burn: planned.burn.clone(),
        features: planned.features.clone(),
        ..record.clone()
    };
    aged == *planned
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use rekindle_harness::Tier;

    use super::*;

    fn identity(seed: u64, source: &str) -> Identity {
        Identity {
            paper: "sam".into(),
            cell: Cell::new("moons", "30 %", "SGD", seed, &()),
            tier: Tier::Smoke,
            backend: "flex".into(),
            files: BTreeMap::new(),
            source: source.into(),
            burn: "0.22.1".into(),
            features: Vec::new(),
        }
    }

    #[test]
    fn a_record_of_older_sources_counts_only_where_it_may() {
        assert!(same(&identity(1, "new"), &identity(1, "new"), false));
        assert!(!same(&identity(1, "old"), &identity(1, "new"), false));
        assert!(same(&identity(1, "old"), &identity(1, "new"), true));
        assert!(!same(&identity(2, "old"), &identity(1, "new"), true), "another cell never does");
    }
}
