//! Draws every corruption at every severity: one row a corruption, and for each image the clean one and severities 1 to 5.
//!
//! `cargo run -p rekindle-shared --example contact_sheet -- sheet.png` takes test images of CIFAR-10 and Fashion-MNIST
//! where they are found, and procedural glyphs where they are not.

use std::error::Error;
use std::fs;

use rekindle_shared::data::corruption::{AnyCorruption, Severity, corrupt};
use rekindle_shared::data::{
    ContactSheet, DataDir, DatasetError, GlyphsConfig, LabeledImages, Split, Stream, Streams, load,
};

/// Room for an image of 32 x 32 twice as large, and for a gap, in pixels.
const TILE: usize = 68;

fn main() -> Result<(), Box<dyn Error>> {
    let file = std::env::args().nth(1).ok_or("name the PNG file to write")?;
    let mut shown = Vec::new();
    for (dataset, indices) in [("cifar-10", [13, 25, 7]), ("fashion-mnist", [0, 3, 5])] {
        match DataDir::resolve(None).locate(dataset) {
            Ok(located) => shown.push(load(&located, Split::Test)?.subset(indices)?),
            Err(missing) => eprintln!("{missing}; glyphs are drawn instead"),
        }
    }
    if shown.is_empty() {
        shown.push(GlyphsConfig::new().init()?.sample(6, &mut Streams::new(1).stream(Stream::Data))?);
    }
    let columns = (1 + Severity::ALL.len()) * shown.iter().map(LabeledImages::len).sum::<usize>();
    let mut sheet = ContactSheet::new(AnyCorruption::all().count(), columns, TILE, TILE);
    for (row, kind) in AnyCorruption::all().enumerate() {
        println!("row {row}: {kind}{}", kind.deviation().map(|text| format!(" ({text})")).unwrap_or_default());
        let mut column = 0;
        for images in &shown {
            let corrupted = Severity::ALL.map(|severity| corrupt(images, kind, severity, 1));
            let corrupted = corrupted.into_iter().collect::<Result<Vec<_>, DatasetError>>()?;
            for i in 0..images.len() {
                for version in std::iter::once(images).chain(&corrupted) {
                    sheet.draw(row, column, version.image(i), version.shape());
                    column += 1;
                }
            }
        }
    }
    Ok(fs::write(file, sheet.png())?)
}
