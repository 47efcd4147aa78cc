//! Draws every corruption at every severity: one row a corruption, and for each image the clean one and severities 1 to 5.
//!
//! `cargo run -p rekindle-shared --example contact_sheet -- sheet.png` takes test images of CIFAR-10 and Fashion-MNIST
//! where they are found, and procedural glyphs where they are not.

use std::error::Error;
use std::fs::File;
use std::io::{self, BufWriter, Write};

use flate2::write::ZlibEncoder;
use flate2::{Compression, Crc};
use rekindle_shared::data::corruption::{AnyCorruption, Severity, corrupt};
use rekindle_shared::data::{
    DataDir, DatasetError, GlyphsConfig, ImageShape, LabeledImages, Split, Stream, Streams, load,
};

/// Each image's place in the sheet, in pixels, and the pixels drawn for one of its own.
const TILE: usize = 68;
const ZOOM: usize = 2;

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
    let mut sheet = Sheet::new(AnyCorruption::all().count(), columns);
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
    sheet.write(&file)
}

/// An RGB picture of tiles.
struct Sheet {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
}

impl Sheet {
    fn new(rows: usize, columns: usize) -> Self {
        let (width, height) = (columns * TILE, rows * TILE);
        Self { width, height, pixels: vec![255; 3 * width * height] }
    }

    fn draw(&mut self, row: usize, column: usize, image: &[u8], shape: ImageShape) {
        let ImageShape { channels, height, width } = shape;
        for y in 0..(height * ZOOM).min(TILE) {
            for x in 0..(width * ZOOM).min(TILE) {
                let start = 3 * ((row * TILE + y) * self.width + column * TILE + x);
                for (channel, out) in self.pixels[start..start + 3].iter_mut().enumerate() {
                    *out = image[(channel % channels) * height * width + y / ZOOM * width + x / ZOOM];
                }
            }
        }
    }

    fn write(&self, file: &str) -> Result<(), Box<dyn Error>> {
        let mut out = BufWriter::new(File::create(file)?);
        out.write_all(b"\x89PNG\r\n\x1a\n")?;
        let size = [self.width as u32, self.height as u32].map(u32::to_be_bytes).concat();
        // 8 bits a channel, RGB, and the only methods of compression, filtering and order that need no choice.
        chunk(&mut out, b"IHDR", &[&size[..], &[8, 2, 0, 0, 0]].concat())?;
        let mut packed = ZlibEncoder::new(Vec::new(), Compression::default());
        for row in self.pixels.chunks_exact(3 * self.width) {
            packed.write_all(&[0])?;
            packed.write_all(row)?;
        }
        chunk(&mut out, b"IDAT", &packed.finish()?)?;
        chunk(&mut out, b"IEND", &[])?;
        Ok(out.flush()?)
    }
}

/// Writes a part of a PNG file: its length, name, content and checksum.
fn chunk(out: &mut impl Write, name: &[u8; 4], content: &[u8]) -> io::Result<()> {
    let mut checksum = Crc::new();
    checksum.update(name);
    checksum.update(content);
    out.write_all(&(content.len() as u32).to_be_bytes())?;
    out.write_all(name)?;
    out.write_all(content)?;
    out.write_all(&checksum.sum().to_be_bytes())
}
