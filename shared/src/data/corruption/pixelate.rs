use rand_chacha::ChaCha8Rng;

use super::effect::Effect;
use crate::data::ImageShape;

/// A box-filter resize to fewer pixels and back, in bytes, as Pillow does it: columns first, each pass rounded.
pub(super) struct Pixelate {
    /// Columns and rows to the smaller size, then columns and rows back.
    passes: [Vec<Span>; 4],
    small: (usize, usize),
    shape: ImageShape,
}

/// The pixels of which one of the result is the mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    start: usize,
    count: usize,
}

impl Pixelate {
    /// Sides of ⌊side · `share`⌋ pixels.
    pub(super) fn new(share: f64, shape: ImageShape) -> Self {
        let ImageShape { height, width, .. } = shape;
        let small = ((height as f64 * share) as usize, (width as f64 * share) as usize);
        let passes = [spans(width, small.1), spans(height, small.0), spans(small.1, width), spans(small.0, height)];
        Self { passes, small, shape }
    }
}

/// For each of `to` pixels, those of `from` whose centers lie in a box around its center: of the larger pixel's size, with
/// its upper end and without its lower one, up to rounding, which is Pillow's.
fn spans(from: usize, to: usize) -> Vec<Span> {
    let scale = from as f64 / to as f64;
    let size = scale.max(1.0);
    let span = |i: usize| {
        let center = (i as f64 + 0.5) * scale;
        let reached = (center - size / 2.0 + 0.5) as usize..((center + size / 2.0 + 0.5) as usize).min(from);
        let inside = |&j: &usize| {
            let distance = (j as f64 - center + 0.5) * (1.0 / size);
            distance > -0.5 && distance <= 0.5
        };
        let start = reached.clone().find(inside).unwrap_or(0);
        Span { start, count: (start..reached.end).take_while(inside).count() }
    };
    (0..to).map(span).collect()
}

/// Sums over spans become means in fixed point, as Pillow's.
fn mean(sum: u32, count: usize) -> u8 {
    const BITS: u32 = 22;
    let weight = (f64::from(1_u32 << BITS) / count as f64).round() as u32;
    ((sum * weight + (1 << (BITS - 1))) >> BITS) as u8
}

/// Resizes each row of `width` pixels.
fn columns(image: &[u8], width: usize, spans: &[Span], out: &mut Vec<u8>) {
    out.clear();
    for row in image.chunks_exact(width) {
        out.extend(spans.iter().map(|&Span { start, count }| match count {
            1 => row[start],
            _ => mean(row[start..start + count].iter().map(|&value| u32::from(value)).sum(), count),
        }));
    }
}

/// Resizes the columns of an image of `width` pixels.
fn rows(image: &[u8], width: usize, spans: &[Span], out: &mut Vec<u8>) {
    out.clear();
    for &Span { start, count } in spans {
        if count == 1 {
            out.extend_from_slice(&image[start * width..][..width]);
        } else {
            let column = |x: usize| (start..start + count).map(|y| u32::from(image[y * width + x])).sum();
            out.extend((0..width).map(|x| mean(column(x), count)));
        }
    }
}

impl Effect for Pixelate {
    type Scratch = (Vec<u8>, Vec<u8>);

    fn scratch(&self) -> Self::Scratch {
        Default::default()
    }

    fn apply(&self, image: &[u8], out: &mut [u8], _: &mut ChaCha8Rng, (a, b): &mut Self::Scratch) {
        let ImageShape { height, width, .. } = self.shape;
        let [shrink_columns, shrink_rows, grow_columns, grow_rows] = &self.passes;
        for (out, channel) in out.chunks_exact_mut(height * width).zip(image.chunks_exact(height * width)) {
            columns(channel, width, shrink_columns, a);
            rows(a, self.small.1, shrink_rows, b);
            columns(b, self.small.1, grow_columns, a);
            rows(a, width, grow_rows, b);
            out.copy_from_slice(b);
        }
    }
}
