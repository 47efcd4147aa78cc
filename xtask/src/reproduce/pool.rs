use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::process::{ChildStdin, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use rekindle_harness::{Cell, Exit, Message};

use super::plan::Plan;
use super::progress::Progress;
use super::worker;

/// Ctrl-C and the like: no new cell starts and the running workers end.
///
/// A worker ends when its standard input is closed, however its driver ended.
#[derive(Clone, Default)]
pub(super) struct Interruption {
    happened: Arc<AtomicBool>,
    workers: Arc<Mutex<BTreeMap<u64, ChildStdin>>>,
    next: Arc<AtomicU64>,
}

impl Interruption {
    pub(super) fn watch() -> Result<Self> {
        let interruption = Self::default();
        let signaled = interruption.clone();
        ctrlc::set_handler(move || {
            signaled.happened.store(true, Ordering::SeqCst);
            lock(&signaled.workers).clear();
        })
        .context("cannot watch for Ctrl-C")?;
        Ok(interruption)
    }

    pub(super) fn happened(&self) -> bool {
        self.happened.load(Ordering::SeqCst)
    }

    fn hold(&self, stdin: ChildStdin) -> u64 {
        let key = self.next.fetch_add(1, Ordering::Relaxed);
        lock(&self.workers).insert(key, stdin);
        if self.happened() {
            lock(&self.workers).clear();
        }
        key
    }

    fn release(&self, key: u64) {
        lock(&self.workers).remove(&key);
    }
}

/// Runs the cells of a plan in worker processes.
pub(super) struct Pool<'a> {
    pub(super) cores: usize,
    pub(super) jobs: usize,
    pub(super) commit: Option<&'a str>,
}

impl Pool<'_> {
    /// Shared cells first, `jobs` at a time; then the exclusive ones, alone and with all cores.
    pub(super) fn run(&self, plan: &Plan, interruption: &Interruption) -> Result<Exit> {
        let split = plan.cells.partition_point(|cell| !cell.exclusive);
        let (shared, exclusive) = plan.cells.split_at(split);
        let progress = Progress::new(plan, self.jobs);
        let exit = Mutex::new(plan.exit);
        for (id, reason) in &plan.blocked {
            progress.say(&format!("blocked {id}: {reason}"));
            let worst = lock(&exit).worst(Exit::Data);
            *lock(&exit) = worst;
        }
        let phases = [(shared, self.jobs.min(shared.len())), (exclusive, exclusive.len().min(1))];
        for (cells, jobs) in phases {
            let next = Mutex::new(cells.iter());
            let threads = (self.cores / jobs.max(1)).max(1);
            std::thread::scope(|scope| {
                for _ in 0..jobs {
                    scope.spawn(|| {
                        while !interruption.happened() {
                            let Some(cell) = lock(&next).next() else { break };
                            let ended = self.cell(plan, cell, threads, interruption, &progress);
                            let worst = lock(&exit).worst(ended);
                            *lock(&exit) = worst;
                        }
                    });
                }
            });
        }
        progress.finish();
        Ok(exit.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    /// Runs one cell to its end and says how it ended.
    fn cell(&self, plan: &Plan, cell: &Cell, threads: usize, interruption: &Interruption, progress: &Progress) -> Exit {
        let id = cell.id();
        progress.start(&id);
        let ended = self.start(plan, &id, threads, interruption, |fraction| progress.part(&id, cell.cost, fraction));
        let (exit, message) = match ended {
            Ok(_) if interruption.happened() => (Exit::Interrupted, String::new()),
            Ok((exit, message)) => (exit, message),
            Err(error) => (Exit::Failed, format!("{error:#}")),
        };
        if !matches!(exit, Exit::Done | Exit::Interrupted) {
            progress.say(&format!("failed {id}: {}", message.trim()));
        }
        progress.end(&id, cell.cost, exit);
        exit
    }

    fn start(
        &self,
        plan: &Plan,
        id: &str,
        threads: usize,
        interruption: &Interruption,
        on_progress: impl Fn(f64),
    ) -> Result<(Exit, String)> {
        let mut command = worker(&plan.worker, "run", &plan.grid);
        command.arg("--cell").arg(id).arg("--out").arg(&plan.out).args(["--progress", "--until-stdin-closes"]);
        command.env("RAYON_NUM_THREADS", threads.to_string());
        if let Some(commit) = self.commit {
            command.env("REKINDLE_COMMIT", commit);
        }
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", plan.worker.display()))?;
        let key = child.stdin.take().map(|stdin| interruption.hold(stdin));
        let mut stderr = child.stderr.take().context("the worker has no standard error")?;
        let said = std::thread::spawn(move || {
            let mut said = Vec::new();
            let _ = stderr.read_to_end(&mut said);
            String::from_utf8_lossy(&said).into_owned()
        });
        for line in BufReader::new(child.stdout.take().context("the worker has no output")?).lines() {
            if let Ok(Message::Progress { fraction }) = serde_json::from_str(&line?) {
                on_progress(fraction);
            }
        }
        let status = child.wait()?;
        if let Some(key) = key {
            interruption.release(key);
        }
        let mut message = said.join().unwrap_or_default();
        if status.code().is_none() {
            message = format!("{message}the worker was ended by the system ({status})");
        }
        Ok((Exit::from_code(status.code()), message.trim_start_matches("error: ").to_owned()))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
