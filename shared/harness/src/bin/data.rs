//! `rekindle-data`: lists, downloads and verifies the data sets of the reproductions.

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use indicatif::{HumanBytes, ProgressBar, ProgressStyle};
use rekindle_harness::Exit;
use rekindle_harness::data::{DataDir, DataError, Dataset, FetchEvent, Registry, fetch, verify};

/// Lists, downloads and verifies the data sets of the reproductions.
///
/// Data is looked for in the folder of `--data`, then in the one that REKINDLE_DATA names, then in the user's cache
/// folder; downloads go to the first of them. Exit codes: 0 all is well, 2 unknown name or bad flag, 3 data missing,
/// corrupt or not to be had.
#[derive(Debug, Parser)]
#[command(name = "rekindle-data", version)]
struct Arguments {
    /// A folder to look in first, and to download into.
    #[arg(long, global = true, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Another registry than the one that is built in.
    #[arg(long, global = true, value_name = "FILE", hide = true)]
    registry: Option<PathBuf>,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// The data sets: size, license, and where they are.
    List {
        /// Print JSON, with citation and origin.
        #[arg(long)]
        json: bool,
    },
    /// Downloads data sets (all of them where none is named, but for folders of classes), verifies and unpacks them.
    Fetch {
        /// Data sets by name.
        #[arg(value_name = "NAME")]
        names: Vec<String>,
        /// Take files whose checksum is not, or can't be, verified.
        #[arg(long)]
        allow_unverified: bool,
    },
    /// Compares sizes and checksums (of every data set that is there, where none is named).
    Verify {
        /// Data sets by name; one that is named and missing is an error.
        #[arg(value_name = "NAME")]
        names: Vec<String>,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    run(&arguments).unwrap_or_else(|error| report(&error)).into()
}

fn run(arguments: &Arguments) -> Result<Exit, DataError> {
    let registry = match &arguments.registry {
        None => Registry::builtin(),
        Some(file) => {
            let text = fs::read_to_string(file);
            Registry::parse(&text.map_err(|source| DataError::Read { path: file.clone(), source })?)?
        }
    };
    let data = DataDir::with_registry(registry, arguments.data.as_deref());
    match &arguments.action {
        Action::List { json } => Ok(list(&data, *json)),
        Action::Fetch { names, allow_unverified } => {
            let mut datasets = chosen(&data, names)?;
            if names.is_empty() {
                datasets.retain(|dataset| dataset.class_folders.is_empty());
            }
            Ok(fetch_all(&data, &datasets, *allow_unverified))
        }
        Action::Verify { names } => Ok(verify_all(&data, &chosen(&data, names)?, !names.is_empty())),
    }
}

/// The data sets named, or all; an unknown name is found before anything is done.
fn chosen<'a>(data: &'a DataDir, names: &[String]) -> Result<Vec<&'a Dataset>, DataError> {
    match names {
        [] => Ok(data.registry().datasets().iter().collect()),
        _ => names.iter().map(|name| data.registry().get(name)).collect(),
    }
}

fn list(data: &DataDir, json: bool) -> Exit {
    let place = |dataset: &Dataset| data.locate(&dataset.name).ok().map(|located| located.folder().to_path_buf());
    let datasets = data.registry().datasets();
    if json {
        let entries = datasets.iter().map(|dataset| {
            let folder = place(dataset);
            serde_json::json!({
                "name": dataset.name,
                "title": dataset.title,
                "bytes": dataset.bytes(),
                "license": dataset.license,
                "citation": dataset.citation,
                "origin": dataset.origin,
                "present": folder.is_some(),
                "folder": folder,
            })
        });
        print(&format!("{:#}", serde_json::Value::Array(entries.collect())));
    } else {
        let width = datasets.iter().map(|dataset| dataset.name.len()).max().unwrap_or(0);
        for dataset in datasets {
            let state = place(dataset).map_or("missing".into(), |folder| format!("present in {}", folder.display()));
            let size = match dataset.class_folders.is_empty() {
                true => HumanBytes(dataset.bytes()).to_string(),
                false => "folders".into(),
            };
            print(&format!("{:width$}  {size:>10}  {state}", dataset.name));
            print(&format!("{:width$}  {:>10}  {}; license: {}", "", "", dataset.title, dataset.license));
        }
    }
    Exit::Done
}

fn fetch_all(data: &DataDir, datasets: &[&Dataset], allow_unverified: bool) -> Exit {
    let mut exit = Exit::Done;
    for dataset in datasets {
        let mut shown = Shown::new(&dataset.name);
        let outcome = fetch(data, &dataset.name, allow_unverified, |event| shown.show(event));
        shown.clear();
        match outcome {
            Ok(folder) => print(&format!("{}: in {}", dataset.name, folder.display())),
            Err(error) => exit = exit.worst(report(&error)),
        }
    }
    exit
}

fn verify_all(data: &DataDir, datasets: &[&Dataset], named: bool) -> Exit {
    let mut exit = Exit::Done;
    for dataset in datasets {
        match data.locate(&dataset.name).and_then(|located| Ok((verify(&located, false)?, located))) {
            Ok((files, located)) => {
                let (n, folder) = (files.len(), located.folder().display());
                print(&format!("{}: {n} files verified in {folder}", dataset.name));
            }
            Err(DataError::Missing { .. } | DataError::MissingFolders { .. }) if !named => {
                print(&format!("{}: missing", dataset.name))
            }
            Err(error) => exit = exit.worst(report(&error)),
        }
    }
    exit
}

fn report(error: &DataError) -> Exit {
    eprintln!("error: {error}");
    error.exit()
}

/// A line on standard output; a reader that went away (`| head`) is no error.
fn print(line: &str) {
    drop(writeln!(io::stdout(), "{line}"));
}

/// Progress on standard error: a bar on a terminal, a line a step elsewhere.
struct Shown<'a> {
    dataset: &'a str,
    bar: Option<ProgressBar>,
    terminal: bool,
}

impl<'a> Shown<'a> {
    fn new(dataset: &'a str) -> Self {
        Self { dataset, bar: None, terminal: io::stderr().is_terminal() }
    }

    fn show(&mut self, event: FetchEvent<'_>) {
        match event {
            FetchEvent::Present { file } => self.say(&format!("{file} is there")),
            FetchEvent::Started { file, url, done, total } => {
                let left = match done {
                    0 => HumanBytes(total).to_string(),
                    _ => format!("{} of {} left", HumanBytes(total - done), HumanBytes(total)),
                };
                self.say(&format!("downloading {file} ({left}) from {url}"));
                if self.terminal {
                    self.bar = Some(bar(total, done));
                }
            }
            FetchEvent::Advanced { done } => self.bar.iter().for_each(|bar| bar.set_position(done)),
            FetchEvent::Finished { .. } => self.clear(),
            FetchEvent::Failed { url, reason } => self.say(&format!("{url}: {reason}")),
            FetchEvent::Unpacking { file } => self.say(&format!("unpacking {file}")),
            FetchEvent::Unverified { file, sha256 } => {
                self.say(&format!("{file} is not verified, its SHA-256 is {sha256}"))
            }
            _ => {}
        }
    }

    fn say(&mut self, text: &str) {
        self.clear();
        eprintln!("{}: {text}", self.dataset);
    }

    fn clear(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

fn bar(total: u64, done: u64) -> ProgressBar {
    let template = "{bar:30} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left";
    let style = ProgressStyle::with_template(template).expect("a template with known keys");
    let bar = ProgressBar::new(total).with_position(done).with_style(style);
    bar.reset_eta();
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}
