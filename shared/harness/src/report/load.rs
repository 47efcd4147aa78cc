use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

use super::{PaperReport, Report};
use crate::{Paper, Record, Runs, Tier};

impl Report {
    /// Reads the records below `out` of these papers: `<out>/<paper>/<tier>-<backend>/...`.
    ///
    /// `order.json` in a tier's folder, an array of cell ids, orders the tables and tells which cells are missing.
    /// Broken records are listed, never an error; a folder that does not exist has no records.
    ///
    /// # Errors
    ///
    /// If a folder cannot be listed.
    pub fn load(mut papers: Vec<Paper>, out: &Path) -> io::Result<Self> {
        papers.sort_by(|a, b| a.name.cmp(&b.name));
        let mut unknown = BTreeMap::new();
        for folder in folders(out)? {
            let name = name(&folder);
            if !papers.iter().any(|paper| paper.name == name) {
                let records = Record::read_all(&folder)?.0.len();
                (records > 0).then(|| unknown.insert(name, records));
            }
        }
        let papers = papers.into_iter().map(|paper| {
            let (mut runs, mut broken) = (Vec::new(), Vec::new());
            for folder in folders(&out.join(&paper.name))? {
                runs.extend(load(&paper.name, &folder, &mut broken)?);
            }
            Ok(PaperReport::new(paper, runs, broken))
        });
        Ok(Self { papers: papers.collect::<io::Result<_>>()?, unknown })
    }
}

/// The records of one tier and backend.
fn load(paper: &str, folder: &Path, broken: &mut Vec<String>) -> io::Result<Option<Runs>> {
    let name = name(folder);
    let Some((tier, backend)) = name.split_once('-').and_then(|(tier, backend)| Some((tier.parse().ok()?, backend)))
    else {
        broken.push(format!("{}: the folder's name is not <tier>-<backend>", folder.display()));
        return Ok(None);
    };
    let tier: Tier = tier;
    let order = order(&folder.join(Record::ORDER), broken);
    let mut records = Vec::new();
    for experiment in folders(folder)? {
        let (read, errors) = Record::read_all(&experiment)?;
        broken.extend(errors.iter().map(ToString::to_string));
        for record in read {
            let identity = &record.identity;
            let here = (identity.paper.as_str(), identity.tier, identity.backend.as_str()) == (paper, tier, backend);
            let same = |other: &Record| other.identity.cell.id() == identity.cell.id();
            if here && !records.iter().any(same) {
                records.push(record);
            } else {
                let twice = if here { "a second time " } else { "" };
                broken.push(format!(
                    "{}: holds {twice}the record of {}/{}-{}/{}",
                    experiment.display(),
                    identity.paper,
                    identity.tier,
                    identity.backend,
                    identity.cell.id()
                ));
            }
        }
    }
    let known = order.is_some() || !records.is_empty();
    let folder = Some(folder.to_owned());
    Ok(known.then(|| Runs { folder, ..Runs::new(tier, backend, records, order.as_deref()) }))
}

/// The ids of the grid's cells in the order of its tables; none where the file is missing or (named) broken.
fn order(path: &Path, broken: &mut Vec<String>) -> Option<Vec<String>> {
    let text = fs::read_to_string(path);
    match text {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => broken.push(format!("{}: {error}", path.display())),
        Ok(text) => match serde_json::from_str(&text) {
            Ok(order) => return Some(order),
            Err(error) => broken.push(format!("{}: not an array of cell ids: {error}", path.display())),
        },
    }
    None
}

/// The visible folders in `folder`, sorted; none where it does not exist.
fn folders(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(io::Error::new(error.kind(), format!("cannot list {}: {error}", folder.display()))),
        Ok(entries) => entries,
    };
    let paths = entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    let mut folders: Vec<_> = paths.into_iter().filter(|path| path.is_dir() && !name(path).starts_with('.')).collect();
    folders.sort();
    Ok(folders)
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
