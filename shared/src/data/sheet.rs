use std::io::Write;

use flate2::write::ZlibEncoder;
use flate2::{Compression, Crc};

use super::ImageShape;

/// A picture of many images side by side, on white, as a PNG file shows it.
///
/// ```
/// use rekindle_shared::data::{ContactSheet, ImageShape};
///
/// let shape = ImageShape { channels: 1, height: 28, width: 28 };
/// let mut sheet = ContactSheet::new(1, 2, 60, 60);
/// sheet.draw(0, 0, &[0; 28 * 28], shape); // twice as large, with 4 white pixels to the next tile
/// sheet.draw(0, 1, &[128; 28 * 28], shape);
/// assert!(sheet.png().starts_with(b"\x89PNG"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContactSheet {
    columns: usize,
    tile: [usize; 2],
    /// `[height, width, 3]`.
    pixels: Vec<u8>,
}

impl ContactSheet {
    /// A white sheet of `rows` by `columns` tiles of `tile_height` by `tile_width` pixels.
    ///
    /// # Panics
    ///
    /// If one of them is 0: a PNG file has at least one pixel.
    pub fn new(rows: usize, columns: usize, tile_height: usize, tile_width: usize) -> Self {
        let n = rows * columns * tile_height * tile_width;
        assert!(n > 0, "a sheet has no pixels with {rows} x {columns} tiles of {tile_height} x {tile_width} pixels");
        Self { columns, tile: [tile_height, tile_width], pixels: vec![255; 3 * n] }
    }

    /// Draws an image into the upper left corner of a tile, enlarged by the largest whole factor that fits; what of a larger
    /// image does not fit at its own size is cut off.
    ///
    /// # Shapes
    ///
    /// - `image`: `[channels, height, width]`, with 1 channel for gray or 3 for red, green, blue
    ///
    /// # Panics
    ///
    /// If the sheet has no such tile, or `shape` is not that of `image` or has another number of channels.
    pub fn draw(&mut self, row: usize, column: usize, image: &[u8], shape: ImageShape) {
        let ImageShape { channels, height, width } = shape;
        let [tile_height, tile_width] = self.tile;
        assert!(row < self.rows() && column < self.columns, "no tile ({row}, {column})");
        assert!(matches!(channels, 1 | 3), "images to draw have 1 or 3 channels, this one has {channels}");
        assert!(image.len() == shape.len() && !shape.is_empty(), "{} values are no {shape:?}", image.len());
        let zoom = (tile_height / height).min(tile_width / width).max(1);
        let columns = (width * zoom).min(tile_width);
        for y in 0..(height * zoom).min(tile_height) {
            let start = 3 * ((row * tile_height + y) * self.width() + column * tile_width);
            for (x, pixel) in self.pixels[start..start + 3 * columns].chunks_exact_mut(3).enumerate() {
                for (channel, value) in pixel.iter_mut().enumerate() {
                    *value = image[(channel % channels) * height * width + y / zoom * width + x / zoom];
                }
            }
        }
    }

    /// The bytes of a PNG file: 8 bits a channel, red, green, blue.
    pub fn png(&self) -> Vec<u8> {
        let mut packed = ZlibEncoder::new(Vec::new(), Compression::default());
        for row in self.pixels.chunks_exact(3 * self.width()) {
            // Each row begins with the number of its filter; 0 leaves it as it is.
            packed.write_all(&[0]).expect(IN_MEMORY);
            packed.write_all(row).expect(IN_MEMORY);
        }
        let height = self.rows() * self.tile[0];
        let size = [self.width() as u32, height as u32].map(u32::to_be_bytes).concat();
        let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
        // 8 bits, RGB, and the only methods of compression, filtering and order that need no choice.
        chunk(&mut png, b"IHDR", &[&size[..], &[8, 2, 0, 0, 0]].concat());
        chunk(&mut png, b"IDAT", &packed.finish().expect(IN_MEMORY));
        chunk(&mut png, b"IEND", &[]);
        png
    }

    fn rows(&self) -> usize {
        self.pixels.len() / (3 * self.width() * self.tile[0])
    }

    fn width(&self) -> usize {
        self.columns * self.tile[1]
    }
}

const IN_MEMORY: &str = "writing to memory does not fail";

/// Appends a part of a PNG file: its length, name, content and checksum.
fn chunk(png: &mut Vec<u8>, name: &[u8; 4], content: &[u8]) {
    let mut checksum = Crc::new();
    checksum.update(name);
    checksum.update(content);
    png.extend((content.len() as u32).to_be_bytes());
    png.extend(name);
    png.extend(content);
    png.extend(checksum.sum().to_be_bytes());
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::ZlibDecoder;

    use super::*;

    /// Width, height and `[height, width, 3]` of a PNG file whose rows have no filter.
    fn decode(png: &[u8]) -> (u32, u32, Vec<u8>) {
        assert_eq!(png[..8], [0x89, b'P', b'N', b'G', 13, 10, 26, 10]);
        let word = |at: usize| u32::from_be_bytes(png[at..at + 4].try_into().unwrap());
        let (mut at, mut chunks) = (8, Vec::new());
        while at < png.len() {
            let end = at + 8 + word(at) as usize;
            let mut checksum = Crc::new();
            checksum.update(&png[at + 4..end]);
            assert_eq!(checksum.sum(), word(end));
            chunks.push((&png[at + 4..at + 8], &png[at + 8..end]));
            at = end + 4;
        }
        assert_eq!(chunks.iter().map(|(name, _)| *name).collect::<Vec<_>>(), [b"IHDR", b"IDAT", b"IEND"]);
        assert_eq!(chunks[0].1[8..], [8, 2, 0, 0, 0]);
        let (width, height) = (word(16), word(20));
        let mut rows = Vec::new();
        ZlibDecoder::new(chunks[1].1).read_to_end(&mut rows).unwrap();
        let row = 1 + 3 * width as usize;
        assert!(rows.len() == height as usize * row && rows.chunks(row).all(|row| row[0] == 0));
        (width, height, rows.chunks(row).flat_map(|row| row[1..].to_vec()).collect())
    }

    #[test]
    fn an_end_chunk_has_the_checksum_that_every_png_file_ends_with() {
        let png = ContactSheet::new(1, 1, 1, 1).png();
        assert_eq!(png[png.len() - 12..], [0, 0, 0, 0, b'I', b'E', b'N', b'D', 0xae, 0x42, 0x60, 0x82]);
    }

    #[test]
    fn a_sheet_decodes_to_the_images_drawn() {
        let mut sheet = ContactSheet::new(2, 2, 3, 5);
        sheet.draw(0, 1, &[1, 2, 3, 4], ImageShape { channels: 1, height: 2, width: 2 }); // fits once
        sheet.draw(1, 0, &[10, 11, 20, 21, 30, 31], ImageShape { channels: 3, height: 1, width: 2 }); // fits twice
        let (width, height, pixels) = decode(&sheet.png());
        assert_eq!((width, height), (10, 6));
        let at = |y: usize, x: usize| <[u8; 3]>::try_from(&pixels[3 * (y * 10 + x)..][..3]).unwrap();
        let expected = |y, x| match (y, x) {
            (0 | 1, 5 | 6) => [(1 + 2 * y + x - 5) as u8; 3],
            (3 | 4, 0 | 1) => [10, 20, 30],
            (3 | 4, 2 | 3) => [11, 21, 31],
            _ => [255; 3],
        };
        for (y, x) in (0..6).flat_map(|y| (0..10).map(move |x| (y, x))) {
            assert_eq!(at(y, x), expected(y, x), "({y}, {x})");
        }
    }

    #[test]
    fn what_does_not_fit_is_cut_off() {
        let mut sheet = ContactSheet::new(1, 2, 1, 2);
        sheet.draw(0, 0, &[1, 2, 3, 4, 5, 6], ImageShape { channels: 1, height: 2, width: 3 });
        assert_eq!(decode(&sheet.png()).2, [[1; 3], [2; 3], [255; 3], [255; 3]].concat());
    }

    #[test]
    #[should_panic(expected = "no tile (0, 2)")]
    fn a_tile_outside_is_a_bug() {
        ContactSheet::new(1, 2, 1, 1).draw(0, 2, &[0], ImageShape { channels: 1, height: 1, width: 1 });
    }
}
