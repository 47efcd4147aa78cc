use rand_chacha::ChaCha8Rng;

use super::effect::Effect;
use crate::data::ImageShape;

/// One axis of a zoom about the center: for each pixel the two that it is interpolated from.
#[derive(Debug, Clone)]
pub(super) struct ZoomAxis {
    /// The first of the two, and how far from it towards the second, in `[0, 1]`.
    pub(super) from: Vec<(usize, f32)>,
}

impl ZoomAxis {
    /// A zoom by `factor` of `side` pixels: the central ⌈side / factor⌉ are interpolated, with the ends kept at the ends,
    /// to the nearest whole number of pixels, of which the central `side` are taken.
    pub(super) fn new(side: usize, factor: f64) -> Self {
        let crop = (side as f64 / factor).ceil() as usize;
        let zoomed = (crop as f64 * factor).round_ties_even() as usize;
        let (start, trim) = ((side - crop) / 2, (zoomed - side) / 2);
        let step = (crop - 1) as f64 / (zoomed - 1) as f64;
        let from = (trim..trim + side).map(|i| {
            let position = (i as f64 * step).min((crop - 1) as f64);
            let first = (position as usize).min(crop - 2);
            (start + first, (position - first as f64) as f32)
        });
        Self { from: from.collect() }
    }
}

/// The mean of an image and its zoomed copies, the first of which is zoomed by 1.
pub(super) struct ZoomBlur {
    /// Rows and columns of each zoom.
    zooms: Vec<(ZoomAxis, ZoomAxis)>,
    shape: ImageShape,
}

impl ZoomBlur {
    /// Zooms by 1, 1.01, ... below `end`.
    pub(super) fn new(end: f64, shape: ImageShape) -> Self {
        // NumPy's `arange`: the count from the step, the values from the difference of the first two.
        let (count, step) = (((end - 1.0) / 0.01).ceil() as usize, 1.01 - 1.0);
        let factor = |i: usize| 1.0 + i as f64 * step;
        let axes = |i| (ZoomAxis::new(shape.height, factor(i)), ZoomAxis::new(shape.width, factor(i)));
        Self { zooms: (0..count).map(axes).collect(), shape }
    }
}

impl Effect for ZoomBlur {
    /// A channel, the sum of its copies, and the channel with columns zoomed.
    type Scratch = (Vec<f32>, Vec<f32>, Vec<f32>);

    fn scratch(&self) -> Self::Scratch {
        Default::default()
    }

    fn apply(&self, image: &[u8], out: &mut [u8], _: &mut ChaCha8Rng, (plane, sum, wide): &mut Self::Scratch) {
        let ImageShape { height, width, .. } = self.shape;
        for (out, channel) in out.chunks_exact_mut(height * width).zip(image.chunks_exact(height * width)) {
            plane.clear();
            plane.extend(channel.iter().map(|&value| f32::from(value) / 255.0));
            sum.clear();
            sum.resize(height * width, 0.0);
            for (rows, columns) in &self.zooms {
                wide.clear();
                for row in plane.chunks_exact(width) {
                    let mix = |&(x, t): &(usize, f32)| row[x] + (row[x + 1] - row[x]) * t;
                    wide.extend(columns.from.iter().map(mix));
                }
                for (sum, &(y, t)) in sum.chunks_exact_mut(width).zip(&rows.from) {
                    let (first, second) = wide[y * width..][..2 * width].split_at(width);
                    for ((sum, first), second) in sum.iter_mut().zip(first).zip(second) {
                        *sum += first + (second - first) * t;
                    }
                }
            }
            let count = (self.zooms.len() + 1) as f32;
            for ((out, value), sum) in out.iter_mut().zip(&*plane).zip(&*sum) {
                *out = (((value + sum) / count).clamp(0.0, 1.0) * 255.0) as u8;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zoom_by_1_changes_nothing() {
        let axis = ZoomAxis::new(5, 1.0);
        let position = |(first, t): (usize, f32)| first as f32 + t;
        assert_eq!(axis.from.into_iter().map(position).collect::<Vec<_>>(), [0.0, 1.0, 2.0, 3.0, 4.0]);
    }

    /// ⌈32 / 1.25⌉ = 26 pixels from the third become 26 · 1.25 = 32.5, to the even side 32.
    #[test]
    fn half_pixels_are_rounded_to_even() {
        let axis = ZoomAxis::new(32, 1.25);
        assert_eq!((axis.from[0], axis.from[31]), ((3, 0.0), (27, 1.0)));
        // `arange` has a factor a little above, and with it 33 pixels, of which the first 32 are taken.
        let above = ZoomAxis::new(32, 1.0 + 25.0 * (1.01 - 1.0));
        assert_eq!(above.from[0], (3, 0.0));
        let (first, t) = above.from[31];
        assert!((first as f64 + f64::from(t) - (3.0 + 31.0 * 25.0 / 32.0)).abs() < 1e-6);
    }

    #[test]
    fn the_counts_are_those_of_arange() {
        let shape = ImageShape { channels: 1, height: 32, width: 32 };
        let counts = [1.06, 1.11, 1.16, 1.21, 1.26].map(|end| ZoomBlur::new(end, shape).zooms.len());
        assert_eq!(counts, [7, 12, 16, 21, 26]);
    }
}
