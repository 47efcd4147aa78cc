use rand_chacha::ChaCha8Rng;

use super::dct::{Block, forward, inverse};
use super::effect::Effect;
use crate::data::ImageShape;

/// What JPEG at a quality loses, as libjpeg and with it Pillow compute it: colors as luma and chroma, chroma at half the
/// resolution (4:2:0), blocks of cosine coefficients rounded to multiples of a table, and the way back.
///
/// The entropy code in between loses nothing and is left out.
pub(super) struct Jpeg {
    luma: Block,
    chroma: Block,
    shape: ImageShape,
}

/// The sample tables of the standard (ITU-T T.81, Annex K).
const LUMA: Block = [
    [16, 11, 10, 16, 24, 40, 51, 61],
    [12, 12, 14, 19, 26, 58, 60, 55],
    [14, 13, 16, 24, 40, 57, 69, 56],
    [14, 17, 22, 29, 51, 87, 80, 62],
    [18, 22, 37, 56, 68, 109, 103, 77],
    [24, 35, 55, 64, 81, 104, 113, 92],
    [49, 64, 78, 87, 103, 121, 120, 101],
    [72, 92, 95, 98, 112, 100, 103, 99],
];
const CHROMA: Block = [
    [17, 18, 24, 47, 99, 99, 99, 99],
    [18, 21, 26, 66, 99, 99, 99, 99],
    [24, 26, 56, 99, 99, 99, 99, 99],
    [47, 66, 99, 99, 99, 99, 99, 99],
    [99, 99, 99, 99, 99, 99, 99, 99],
    [99, 99, 99, 99, 99, 99, 99, 99],
    [99, 99, 99, 99, 99, 99, 99, 99],
    [99, 99, 99, 99, 99, 99, 99, 99],
];

impl Jpeg {
    /// JPEG of this quality, 1 to 100, on libjpeg's scale.
    pub(super) fn new(quality: i32, shape: ImageShape) -> Self {
        let percent = if quality < 50 { 5000 / quality } else { 200 - 2 * quality };
        let scaled = |table: Block| table.map(|row| row.map(|step| ((step * percent + 50) / 100).clamp(1, 255)));
        Self { luma: scaled(LUMA), chroma: scaled(CHROMA), shape }
    }
}

/// A channel in whole blocks, of which the upper left part counts.
#[derive(Default)]
struct Plane {
    samples: Vec<u8>,
    /// Samples from row to row.
    stride: usize,
    height: usize,
    width: usize,
}

impl Plane {
    fn new(height: usize, width: usize) -> Self {
        let stride = width.next_multiple_of(8);
        Self { samples: vec![0; stride * height.next_multiple_of(8)], stride, height, width }
    }

    /// Sets the sample of each pixel, also beyond the right edge; rows below the last repeat it.
    fn fill(&mut self, sample: impl Fn(usize, usize) -> u8) {
        for (y, row) in self.samples.chunks_exact_mut(self.stride).take(self.height).enumerate() {
            row.iter_mut().enumerate().for_each(|(x, value)| *value = sample(y, x));
        }
        let (above, below) = self.samples.split_at_mut(self.height * self.stride);
        let last = &above[above.len() - self.stride..];
        below.chunks_exact_mut(self.stride).for_each(|row| row.copy_from_slice(last));
    }

    /// Rounds every block's coefficients to multiples of the table's.
    fn quantize(&mut self, table: &Block) {
        for rows in self.samples.chunks_exact_mut(8 * self.stride) {
            for left in (0..self.stride).step_by(8) {
                let sample = |y: usize, x: usize| i32::from(rows[y * self.stride + left + x]) - 128;
                let block = std::array::from_fn(|y| std::array::from_fn(|x| sample(y, x)));
                let mut coefficients = forward(&block);
                for (row, steps) in coefficients.iter_mut().zip(table) {
                    for (value, step) in row.iter_mut().zip(steps) {
                        // The transform's values are 8 times too large; halves are rounded away from 0.
                        *value = value.signum() * ((value.abs() + 4 * step) / (8 * step)) * step;
                    }
                }
                for (y, row) in inverse(&coefficients).iter().enumerate() {
                    let out = &mut rows[y * self.stride + left..][..8];
                    out.iter_mut().zip(row).for_each(|(out, value)| *out = (value + 128).clamp(0, 255) as u8);
                }
            }
        }
    }

    fn row(&self, y: usize) -> &[u8] {
        &self.samples[y * self.stride..][..self.width]
    }

    /// Writes rows of twice the height and width, less what is not asked for: each sample is ¾ of the nearest and ¼ of
    /// the next in both directions.
    fn enlarge(&self, out: &mut [u8], width: usize, sums: &mut Vec<u32>) {
        for (y, out) in out.chunks_exact_mut(width).enumerate() {
            let near = y / 2;
            let far = if y % 2 == 0 { near.saturating_sub(1) } else { (near + 1).min(self.height - 1) };
            sums.clear();
            let pairs = self.row(near).iter().zip(self.row(far));
            sums.extend(pairs.map(|(&near, &far)| 3 * u32::from(near) + u32::from(far)));
            for (x, out) in out.iter_mut().enumerate() {
                let near = x / 2;
                // Rounding alternates, so that it has no bias.
                let (far, half) =
                    if x % 2 == 0 { (near.saturating_sub(1), 8) } else { ((near + 1).min(self.width - 1), 7) };
                *out = ((3 * sums[near] + sums[far] + half) >> 4) as u8;
            }
        }
    }
}

/// Luma and both chromas of a color, in fixed point of 16 bits.
fn from_rgb([red, green, blue]: [i32; 3]) -> [u8; 3] {
    const HALF: i32 = 1 << 15;
    const CENTER: i32 = (128 << 16) + HALF - 1;
    [
        ((19595 * red + 38470 * green + 7471 * blue + HALF) >> 16) as u8,
        ((CENTER - 11059 * red - 21709 * green + 32768 * blue) >> 16) as u8,
        ((CENTER + 32768 * red - 27439 * green - 5329 * blue) >> 16) as u8,
    ]
}

fn to_rgb([luma, blue, red]: [u8; 3]) -> [u8; 3] {
    const HALF: i32 = 1 << 15;
    let (luma, blue, red) = (i32::from(luma), i32::from(blue) - 128, i32::from(red) - 128);
    let color = [
        luma + ((91881 * red + HALF) >> 16),
        luma + ((HALF - 22554 * blue - 46802 * red) >> 16),
        luma + ((116_130 * blue + HALF) >> 16),
    ];
    color.map(|value| value.clamp(0, 255) as u8)
}

/// Luma, both chromas at half the resolution, and room for the conversions.
pub(super) struct JpegScratch {
    luma: Plane,
    chroma: Plane,
    /// Luma and chromas of each pixel, `[3, height, width]`.
    colors: Vec<u8>,
    sums: Vec<u32>,
}

impl Effect for Jpeg {
    type Scratch = JpegScratch;

    fn scratch(&self) -> Self::Scratch {
        let ImageShape { height, width, .. } = self.shape;
        let (luma, chroma) = (Plane::new(height, width), Plane::new(height.div_ceil(2), width.div_ceil(2)));
        JpegScratch { luma, chroma, colors: vec![0; self.shape.len()], sums: Vec::new() }
    }

    fn apply(&self, image: &[u8], out: &mut [u8], _: &mut ChaCha8Rng, scratch: &mut Self::Scratch) {
        let JpegScratch { luma, chroma, colors, sums } = scratch;
        let ImageShape { channels, height, width } = self.shape;
        let len = height * width;
        if channels == 1 {
            colors.copy_from_slice(image);
        } else {
            for i in 0..len {
                let color = from_rgb([0, 1, 2].map(|channel| i32::from(image[channel * len + i])));
                (0..3).for_each(|channel| colors[channel * len + i] = color[channel]);
            }
        }
        for (channel, plane) in colors.chunks_exact_mut(len).enumerate() {
            let at = |y: usize, x: usize| plane[y.min(height - 1) * width + x.min(width - 1)];
            if channel == 0 {
                luma.fill(at);
                luma.quantize(&self.luma);
                (0..height).for_each(|y| plane[y * width..][..width].copy_from_slice(luma.row(y)));
            } else {
                chroma.fill(|y, x| {
                    let (y, x) = (2 * y, 2 * x);
                    let sum =
                        [at(y, x), at(y, x + 1), at(y + 1, x), at(y + 1, x + 1)].map(u32::from).iter().sum::<u32>();
                    // Rounding alternates, so that it has no bias.
                    ((sum + 1 + (x as u32 / 2) % 2) >> 2) as u8
                });
                chroma.quantize(&self.chroma);
                chroma.enlarge(plane, width, sums);
            }
        }
        if channels == 1 {
            out.copy_from_slice(colors);
        } else {
            for i in 0..len {
                let color = to_rgb([0, 1, 2].map(|channel| colors[channel * len + i]));
                (0..3).for_each(|channel| out[channel * len + i] = color[channel]);
            }
        }
    }
}
