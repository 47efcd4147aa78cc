//! The hash of the sources that decide a paper's results, and the versions that go with them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use xxhash_rust::xxh3::Xxh3Default;

/// Parts of `shared` that decide results; the harness only counts and shows them.
const SHARED: [&str; 2] = ["shared/src", "shared/kernels/src"];

/// XXH3 (128 bits) over the sources of a paper's crate (`src/`, `examples/`) and of `shared`, in hexadecimal.
///
/// Names and contents count, in the order of the names; line ends count as one byte, so that a checkout
/// with `CRLF` has the same hash.
pub(crate) fn hash(root: &Path, paper: &str) -> Result<String> {
    let mut files = Vec::new();
    for part in ["src", "examples"] {
        collect(&root.join("crates").join(paper).join(part), &mut files)?;
    }
    for part in SHARED {
        collect(&root.join(part), &mut files)?;
    }
    files.sort();
    let mut hasher = Xxh3Default::new();
    for path in files {
        let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().replace('\\', "/");
        let mut content = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        content.retain(|&byte| byte != b'\r');
        hasher.update(&(name.len() as u64).to_le_bytes());
        hasher.update(name.as_bytes());
        hasher.update(&(content.len() as u64).to_le_bytes());
        hasher.update(&content);
    }
    Ok(format!("{:032x}", hasher.digest128()))
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    if !folder.is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(())
}

/// The version of Burn that `Cargo.lock` resolves.
pub(crate) fn burn_version(root: &Path) -> Option<String> {
    let lock = fs::read_to_string(root.join("Cargo.lock")).ok()?;
    let mut lines = lock.lines();
    lines.find(|line| *line == "name = \"burn\"")?;
    Some(lines.next()?.strip_prefix("version = \"")?.strip_suffix('"')?.to_owned())
}

/// The commit of the working tree, with `+` behind it where the tree was changed; none outside git.
pub(crate) fn commit(root: &Path) -> Option<String> {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").arg("-C").arg(root).args(arguments).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let commit = git(&["rev-parse", "--short=12", "HEAD"])?;
    let changed = git(&["status", "--porcelain", "--untracked-files=no"])?;
    Some(if changed.is_empty() { commit } else { format!("{commit}+") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_follows_names_and_contents_but_not_line_ends() {
        let root = std::env::temp_dir().join(format!("rekindle-source-{}", std::process::id()));
        let folder = root.join("crates/sam/src");
        fs::create_dir_all(&folder).unwrap();
        let hash_of = |name: &str, text: &str| {
            fs::write(folder.join(name), text).unwrap();
            let found = hash(&root, "sam").unwrap();
            fs::remove_file(folder.join(name)).unwrap();
            found
        };
        let first = hash_of("a.rs", "one\n");
        assert_eq!(first.len(), 32);
        assert_eq!(first, hash_of("a.rs", "one\r\n"));
        assert_ne!(first, hash_of("a.rs", "two\n"));
        assert_ne!(first, hash_of("b.rs", "one\n"));
        assert_eq!(hash_of("a.md", "one"), hash_of("a.md", "two"), "only sources count");
        fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn the_version_of_burn_is_that_of_the_lock_file() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let version = burn_version(root).unwrap();
        assert_eq!(version.split('.').count(), 3, "{version}");
    }
}
