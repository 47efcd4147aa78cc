//! The papers of the workspace: every `crates/<name>/paper.toml`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use rekindle_harness::Paper;

use crate::Refusal;

/// The folder whose `crates/` has the papers: the workspace's, unless `REKINDLE_ROOT` names another (the driver's tests do).
pub(crate) fn root() -> PathBuf {
    std::env::var_os("REKINDLE_ROOT").map_or_else(workspace, PathBuf::from)
}

/// The workspace's folder, where Cargo builds.
pub(crate) fn workspace() -> PathBuf {
    // Cargo tells where the driver's manifest lies now; the compiled-in path serves a driver started by hand.
    let xtask = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    Path::new(&xtask).parent().map(Path::to_path_buf).unwrap_or_default()
}

/// Every paper, in the order of their names.
pub(crate) fn all(root: &Path) -> Result<Vec<Paper>> {
    let crates = root.join("crates");
    let mut folders: Vec<PathBuf> = fs::read_dir(&crates)
        .with_context(|| format!("cannot list {}", crates.display()))?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    folders.sort();
    let mut papers = Vec::new();
    for folder in folders {
        let path = folder.join("paper.toml");
        if !path.is_file() {
            continue;
        }
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let paper = Paper::parse(&text).map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))?;
        if folder.file_name().is_none_or(|name| name != paper.name.as_str()) {
            bail!("{}: the name `{}` is not that of its folder", path.display(), paper.name);
        }
        papers.push(paper);
    }
    Ok(papers)
}

/// The papers of those names, in that order; all where none is named.
pub(crate) fn select(root: &Path, names: &[String]) -> Result<Vec<Paper>> {
    let papers = all(root)?;
    if names.is_empty() {
        return Ok(papers);
    }
    let known = || papers.iter().map(|paper| paper.name.as_str()).collect::<Vec<_>>().join(", ");
    let mut selected: Vec<Paper> = Vec::new();
    for name in names {
        let Some(paper) = papers.iter().find(|paper| paper.name == *name) else {
            return Err(Refusal::usage(format!("unknown paper `{name}`: one of {}", known())));
        };
        if !selected.iter().any(|other| other.name == paper.name) {
            selected.push(paper.clone());
        }
    }
    Ok(selected)
}
