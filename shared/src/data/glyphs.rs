use burn::config::Config;
use rand::{Rng, RngExt};
use rand_distr::{Distribution, StandardNormal};

use super::strokes::{Canvas, Point, Stroke, arc, lines};
use super::{DatasetError, ImageShape, LabeledImages};

/// How many shapes there are.
pub const N_GLYPHS: usize = 16;

/// A data set of drawn shapes that needs no file: digits, polygons and curves, jittered.
#[derive(Config, Debug, PartialEq)]
pub struct GlyphsConfig {
    /// Classes, the first of [`N_GLYPHS`] shapes.
    #[config(default = 10)]
    pub n_classes: usize,
    /// Rows and columns of an image, from 8 to 64.
    #[config(default = 28)]
    pub size: usize,
    /// 1 for gray, 3 for colors that say nothing about the class.
    #[config(default = 1)]
    pub channels: usize,
    /// Greatest turn to either side, in degrees.
    #[config(default = 15.0)]
    pub rotation: f64,
    /// Greatest shift in each direction, as a share of the size.
    #[config(default = 0.08)]
    pub translation: f64,
    /// Greatest relative change of each side's length.
    #[config(default = 0.2)]
    pub scale: f64,
    /// Width of the strokes, as a share of the size.
    #[config(default = 0.09)]
    pub stroke: f64,
    /// Greatest relative change of the strokes' width.
    #[config(default = 0.35)]
    pub stroke_jitter: f64,
    /// Standard deviation by which each point of a stroke moves, as a share of half the size.
    #[config(default = 0.035)]
    pub point_jitter: f64,
    /// Standard deviation of the noise on each value, where 1 is from black to white.
    #[config(default = 0.08)]
    pub noise: f64,
}

/// A generator of drawn shapes.
#[derive(Debug, Clone, PartialEq)]
pub struct Glyphs {
    config: GlyphsConfig,
}

impl GlyphsConfig {
    /// Checks the configuration.
    ///
    /// # Errors
    ///
    /// [`DatasetError::Config`] for the first field out of its range.
    pub fn init(&self) -> Result<Glyphs, DatasetError> {
        let check =
            |name, value: f64, rule, ok| if ok { Ok(()) } else { Err(DatasetError::Config { name, rule, value }) };
        check("n_classes", self.n_classes as f64, "from 1 to 16", (1..=N_GLYPHS).contains(&self.n_classes))?;
        check("size", self.size as f64, "from 8 to 64", (8..=64).contains(&self.size))?;
        check("channels", self.channels as f64, "1 or 3", self.channels == 1 || self.channels == 3)?;
        let ranges = [
            ("rotation", self.rotation, 0.0..=180.0, "from 0 to 180"),
            ("translation", self.translation, 0.0..=0.5, "from 0 to 0.5"),
            ("scale", self.scale, 0.0..=0.9, "from 0 to 0.9"),
            ("stroke", self.stroke, 0.01..=0.5, "from 0.01 to 0.5"),
            ("stroke_jitter", self.stroke_jitter, 0.0..=0.9, "from 0 to 0.9"),
            ("point_jitter", self.point_jitter, 0.0..=1.0, "from 0 to 1"),
            ("noise", self.noise, 0.0..=1.0, "from 0 to 1"),
        ];
        for (name, value, range, rule) in ranges {
            check(name, value, rule, range.contains(&value))?;
        }
        Ok(Glyphs { config: self.clone() })
    }
}

impl Glyphs {
    /// Draws `n` images; classes take turns, so that every beginning of the set is balanced.
    ///
    /// # Errors
    ///
    /// [`DatasetError::Empty`] for `n` = 0.
    pub fn sample(&self, n: usize, rng: &mut impl Rng) -> Result<LabeledImages, DatasetError> {
        let GlyphsConfig { n_classes, size, channels, .. } = self.config;
        let labels: Vec<_> = (0..n).map(|i| i % n_classes).collect();
        let mut pixels = Vec::with_capacity(n * channels * size * size);
        for &label in &labels {
            self.draw(label, rng, &mut pixels);
        }
        LabeledImages::new("glyphs", ImageShape { channels, height: size, width: size }, pixels, labels, n_classes)
    }

    fn draw(&self, class: usize, rng: &mut impl Rng, pixels: &mut Vec<u8>) {
        let config = &self.config;
        let mut within = |limit: f64| (rng.random_range(-1.0..=1.0) * limit) as f32;
        let (sin, cos) = within(config.rotation).to_radians().sin_cos();
        // Glyphs fill four fifths of an image, the rest is room to move.
        let half = config.size as f32 / 2.0;
        let reach = [0.8 * half * (1.0 + within(config.scale)), 0.8 * half * (1.0 + within(config.scale))];
        let shift = [within(config.translation), within(config.translation)].map(|share| share * config.size as f32);
        let width = config.size as f32 * config.stroke as f32 * (1.0 + within(config.stroke_jitter));
        let place = |[x, y]: Point| {
            let (x, y) = (x * reach[0], y * reach[1]);
            [half + shift[0] + cos * x - sin * y, half + shift[1] + sin * x + cos * y]
        };
        let mut canvas = Canvas::new(config.size);
        for mut stroke in shape(class) {
            for point in &mut stroke {
                let moved = point.map(|it| it + config.point_jitter as f32 * rng.sample::<f32, _>(StandardNormal));
                *point = place(moved);
            }
            // Thinner than a pixel would be fainter, not thinner.
            canvas.draw(&stroke, width.max(1.0) / 2.0);
        }
        for _ in 0..config.channels {
            let (paper, pen) = match config.channels {
                1 => (0.0, 1.0),
                _ => (rng.random_range(0.0..0.35), rng.random_range(0.65..1.0)),
            };
            for ink in canvas.ink() {
                let noise: f32 = StandardNormal.sample(rng);
                let value = paper + (pen - paper) * ink + config.noise as f32 * noise;
                pixels.push((value.clamp(0.0, 1.0) * 255.0).round() as u8);
            }
        }
    }
}

/// The strokes of a class. Small turns make none of them into another.
fn shape(class: usize) -> Vec<Stroke> {
    match class {
        // Zero, one, two, three, four, seven, eight.
        0 => vec![arc([0.0, 0.0], [0.62, 0.9], 0.0, 360.0)],
        1 => vec![lines(&[[-0.4, -0.45], [0.0, -0.9], [0.0, 0.9]])],
        2 => {
            let mut stroke = arc([0.0, -0.42], [0.52, 0.46], 190.0, 385.0);
            stroke.extend([[-0.55, 0.88], [0.6, 0.88]]);
            vec![stroke]
        }
        3 => vec![arc([-0.05, -0.44], [0.5, 0.45], 205.0, 450.0), arc([-0.05, 0.43], [0.6, 0.46], 270.0, 515.0)],
        4 => vec![lines(&[[0.25, 0.9], [0.25, -0.9], [-0.65, 0.3], [0.7, 0.3]])],
        5 => vec![lines(&[[-0.6, -0.85], [0.6, -0.85], [-0.2, 0.9]]), lines(&[[-0.3, 0.05], [0.5, 0.05]])],
        6 => vec![arc([0.0, -0.45], [0.42, 0.42], -90.0, 270.0), arc([0.0, 0.42], [0.52, 0.46], -90.0, 270.0)],
        // Triangle, square, plus.
        7 => vec![lines(&[[0.0, -0.85], [0.85, 0.7], [-0.85, 0.7], [0.0, -0.85]])],
        8 => vec![lines(&[[-0.7, -0.7], [0.7, -0.7], [0.7, 0.7], [-0.7, 0.7], [-0.7, -0.7]])],
        9 => vec![lines(&[[0.0, -0.9], [0.0, 0.9]]), lines(&[[-0.9, 0.0], [0.9, 0.0]])],
        // Saltire, five-pointed star, spiral, cup, zigzag, comb.
        10 => vec![lines(&[[-0.75, -0.75], [0.75, 0.75]]), lines(&[[-0.75, 0.75], [0.75, -0.75]])],
        11 => {
            // Every second of five points on a circle, in turn.
            let tip = |i: usize| {
                let (sin, cos) = (144.0 * i as f32 - 90.0).to_radians().sin_cos();
                [0.95 * cos, 0.05 + 0.95 * sin]
            };
            vec![(0..=5).map(tip).collect()]
        }
        12 => {
            let turn = |i: usize| {
                let share = i as f32 / 30.0;
                let (sin, cos) = (share * 4.5 * std::f32::consts::PI).sin_cos();
                [0.9 * share * cos, 0.9 * share * sin]
            };
            vec![(0..=30).map(turn).collect()]
        }
        13 => {
            let mut stroke = lines(&[[0.6, -0.85]]);
            stroke.extend(arc([0.0, 0.2], [0.6, 0.65], 0.0, 180.0));
            stroke.push([-0.6, -0.85]);
            vec![stroke]
        }
        14 => vec![lines(&[[-0.9, -0.5], [-0.45, 0.6], [0.0, -0.5], [0.45, 0.6], [0.9, -0.5]])],
        _ => vec![lines(&[[0.6, -0.85], [-0.5, -0.85], [-0.5, 0.85], [0.6, 0.85]]), lines(&[[-0.5, 0.0], [0.4, 0.0]])],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Stream, Streams};

    fn sample(config: &GlyphsConfig, n: usize, seed: u64) -> LabeledImages {
        config.init().unwrap().sample(n, &mut Streams::new(seed).stream(Stream::Data)).unwrap()
    }

    #[test]
    fn every_size_and_number_of_channels_is_drawn() {
        for size in [8, 13, 28, 32, 64] {
            for channels in [1, 3] {
                let config = GlyphsConfig::new().with_size(size).with_channels(channels).with_n_classes(N_GLYPHS);
                let images = sample(&config, 32, 1);
                assert_eq!(images.shape(), ImageShape { channels, height: size, width: size });
                assert_eq!(images.label_counts(), [2; N_GLYPHS]);
                for i in 0..32 {
                    let image = images.image(i);
                    assert!(
                        image.iter().max().unwrap() - image.iter().min().unwrap() > 60,
                        "class {} has no ink",
                        i % 16
                    );
                }
            }
        }
    }

    #[test]
    fn a_seed_decides_the_images() {
        let config = GlyphsConfig::new();
        assert_eq!(sample(&config, 20, 1), sample(&config, 20, 1));
        assert_ne!(sample(&config, 20, 1), sample(&config, 20, 2));
        assert_eq!(sample(&config, 20, 1).take(5).unwrap(), sample(&config, 5, 1), "a beginning is the smaller set");
    }

    #[test]
    fn values_out_of_their_range_are_refused() {
        let name = |config: GlyphsConfig| match config.init() {
            Err(DatasetError::Config { name, .. }) => name,
            other => panic!("{other:?}"),
        };
        let config = GlyphsConfig::new;
        assert_eq!(name(config().with_n_classes(0)), "n_classes");
        assert_eq!(name(config().with_n_classes(17)), "n_classes");
        assert_eq!(name(config().with_size(7)), "size");
        assert_eq!(name(config().with_size(65)), "size");
        assert_eq!(name(config().with_channels(2)), "channels");
        assert_eq!(name(config().with_rotation(f64::NAN)), "rotation");
        assert_eq!(name(config().with_scale(1.0)), "scale");
        assert_eq!(name(config().with_noise(-0.1)), "noise");
    }

    /// Jitter leaves the classes apart: one example per class at rest recognizes most of the jittered ones.
    #[test]
    fn classes_are_distinct() {
        let config = GlyphsConfig::new().with_n_classes(N_GLYPHS);
        let still = config
            .clone()
            .with_rotation(0.0)
            .with_translation(0.0)
            .with_scale(0.0)
            .with_stroke(0.15)
            .with_point_jitter(0.0)
            .with_noise(0.0);
        let (templates, images) = (sample(&still, N_GLYPHS, 1), sample(&config, 800, 2));
        let correlation = |a: &[u8], b: &[u8]| {
            let mean = |it: &[u8]| it.iter().map(|&v| f64::from(v)).sum::<f64>() / it.len() as f64;
            let (ma, mb) = (mean(a), mean(b));
            let product = |x: &[u8], mx: f64, y: &[u8], my: f64| {
                x.iter().zip(y).map(|(&x, &y)| (f64::from(x) - mx) * (f64::from(y) - my)).sum::<f64>()
            };
            product(a, ma, b, mb) / (product(a, ma, a, ma) * product(b, mb, b, mb)).sqrt()
        };
        let mut right = 0;
        for (i, &label) in images.labels().iter().enumerate() {
            let scores: Vec<_> =
                (0..N_GLYPHS).map(|class| correlation(images.image(i), templates.image(class))).collect();
            right += usize::from((0..N_GLYPHS).all(|class| class == label || scores[class] < scores[label]));
        }
        assert!(right > 400, "{right} of 800, by chance 50");
    }
}
