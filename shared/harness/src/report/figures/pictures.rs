//! Pictures that cells handed back.

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use super::super::html::escape;
use super::{Drawing, Figure};
use crate::{Cell, Record};

/// The width of the page's text in logical pixels: small pictures are enlarged up to it.
const PAGE: u32 = 1232;
/// How often a picture's pixels are repeated at most.
const LARGEST: u32 = 4;

/// A picture of one cell.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(in super::super) struct Picture {
    /// The heading.
    pub(in super::super) title: String,
    /// The plot's metric: its name among the cell's pictures.
    pub(in super::super) name: String,
    /// The cell's id.
    pub(in super::super) cell: String,
    /// The file relative to the results folder, with `/` between its parts.
    pub(in super::super) file: String,
    /// Whose picture it is.
    #[serde(skip)]
    caption: String,
    #[serde(skip)]
    path: PathBuf,
}

impl Drawing<'_> {
    /// For every setting and method the picture of the first seed that has it.
    pub(super) fn pictures(&self) -> Vec<Picture> {
        let Some(folder) = &self.runs.folder else { return Vec::new() };
        let name = &self.plot.metric;
        let mut found: Vec<(&str, &str, &Record, PathBuf)> = Vec::new();
        for setting in &self.settings {
            for (_, method) in &self.methods {
                let records = self.entry(setting, method).into_iter().flat_map(|entry| entry.records.values());
                let with_path = records.map(|record| (record, file(folder, &record.identity.cell, name)));
                let first = with_path.into_iter().find(|(_, path)| path.is_file());
                found.extend(first.map(|(record, path)| (setting.as_str(), method.as_str(), record, path)));
            }
        }
        let several = |setting: &str| found.iter().filter(|other| other.0 == setting).count() > 1;
        let picture = |(setting, method, record, path): &(&str, &str, &Record, PathBuf)| {
            let (identity, mut title) = (&record.identity, self.title(setting));
            if several(setting) {
                title = format!("{title}, {method}");
            }
            let below = Record::folder(Path::new(""), &identity.paper, identity.tier, &identity.backend);
            Picture {
                title,
                name: name.clone(),
                cell: identity.cell.id(),
                file: file(&below, &identity.cell, name).to_string_lossy().replace('\\', "/"),
                caption: format!("{method}, seed {}", identity.cell.seed),
                path: path.clone(),
            }
        };
        found.iter().map(picture).collect()
    }
}

fn file(folder: &Path, cell: &Cell, name: &str) -> PathBuf {
    Record::picture(&folder.join(format!("{}.json", cell.id())), name)
}

impl Picture {
    /// The picture within the page; none where the file is no PNG.
    pub(super) fn figure(&self) -> Option<Figure> {
        let bytes = fs::read(&self.path).ok()?;
        let (width, height) = size(&bytes)?;
        // Whole multiples, so that every pixel is a square.
        let factor = (PAGE / width.max(1)).clamp(1, LARGEST);
        let class = if factor > 1 { "picture pixels" } else { "picture" };
        let body = format!(
            "<img class=\"{class}\" alt=\"{}\" width=\"{width}\" height=\"{height}\" style=\"width:{}px\" \
             src=\"data:image/png;base64,{}\">",
            escape(&self.title),
            width.saturating_mul(factor),
            STANDARD.encode(&bytes)
        );
        Some(Figure { title: self.title.clone(), caption: self.caption.clone(), body, wide: true })
    }
}

/// Width and height of a PNG file: what its first chunk begins with.
fn size(png: &[u8]) -> Option<(u32, u32)> {
    let header = png.strip_prefix(b"\x89PNG\r\n\x1a\n")?.get(4..16)?.strip_prefix(b"IHDR")?;
    let number = |bytes: &[u8]| Some(u32::from_be_bytes(bytes.try_into().ok()?));
    Some((number(&header[..4])?, number(&header[4..])?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pngs_size_is_in_its_header_and_other_files_have_none() {
        let png = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\x01\x02\0\0\0\x03rest";
        assert_eq!(size(png), Some((258, 3)));
        assert_eq!(size(&png[..20]), None);
        assert_eq!((size(b"GIF89a"), size(b"")), (None, None));
    }
}
