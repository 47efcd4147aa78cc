//! Peaks of memory, each in a process of its own: a process keeps the largest it ever had.

use std::env;
use std::io::{self, Write};
use std::process::{Command, exit};

use crate::measure::resident_peak;

/// What is to be measured next, in the process that measures it.
const VARIABLE: &str = "REKINDLE_PEAK";

/// Bytes that a measurement takes at its peak above what was resident before it; none where the system tells no peak, and in a
/// process that measures another name.
///
/// `prepare` makes what is there before, and gives what is measured. This program is run once more, with the same arguments, up to the
/// call of this name, and ends there: call it at the beginning of `main`, before anything larger, and with every name once.
///
/// # Errors
///
/// If the program cannot be run again, or fails.
pub fn peak_above<R: FnOnce()>(name: &str, prepare: impl FnOnce() -> R) -> io::Result<Option<u64>> {
    match env::var(VARIABLE) {
        Ok(asked) if asked == name => {
            let run = prepare();
            let before = resident_peak();
            run();
            if let Some((before, after)) = before.zip(resident_peak()) {
                // Not println, which tests capture.
                write!(io::stdout(), "\n{}", after - before)?;
                io::stdout().flush()?;
            }
            exit(0)
        }
        Ok(_) => Ok(None),
        Err(_) => {
            let mut again = Command::new(env::current_exe()?);
            let output = again.args(env::args_os().skip(1)).env(VARIABLE, name).output()?;
            if !output.status.success() {
                let said = String::from_utf8_lossy(&output.stderr).into_owned();
                return Err(io::Error::other(format!("measuring {name} ended with {}: {said}", output.status)));
            }
            Ok(String::from_utf8_lossy(&output.stdout).lines().last().and_then(|line| line.parse().ok()))
        }
    }
}

/// A column of a table of peaks by length.
pub struct Column<'a> {
    /// Its heading.
    pub name: &'a str,
    /// The longest that is measured.
    pub longest: usize,
    /// What is measured at a length, as [`peak_above`] takes it.
    pub prepare: &'a dyn Fn(usize) -> Box<dyn FnOnce()>,
}

/// [Peaks](peak_above) in MiB as text, a row for each length, beside the matrix of f32 of all pairs.
///
/// # Errors
///
/// Those of [`peak_above`].
pub fn table(lengths: &[usize], columns: &[Column<'_>]) -> io::Result<String> {
    let mib = |bytes: u64| format!("{:.1}", bytes as f64 / 1048576.0);
    let names: Vec<_> = columns.iter().map(|column| format!("{:>14}", column.name)).collect();
    let mut table = format!("MiB at the peak\nlength       matrix{}\n", names.concat());
    for &length in lengths {
        table.push_str(&format!("{length:>6}{:>13}", mib(4 * (length * length) as u64)));
        for Column { name, longest, prepare } in columns {
            let peak = match length <= *longest {
                true => peak_above(&format!("{name} {length}"), || prepare(length))?,
                false => None,
            };
            table.push_str(&format!("{:>14}", peak.map(mib).unwrap_or_default()));
        }
        table.push('\n');
    }
    Ok(table)
}
