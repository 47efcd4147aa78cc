use burn::config::Config;
use rand::{Rng, RngExt};

use super::ImageShape;
use super::normalize::Table;

/// The usual augmentation of small images; the defaults are those of CIFAR training without cutout.
#[derive(Config, Debug, PartialEq)]
pub struct AugmentationConfig {
    /// Black pixels put around an image before a window of its size is cut out at random; 0 for none.
    #[config(default = 4)]
    pub pad: usize,
    /// Whether half of the images are mirrored left to right.
    #[config(default = true)]
    pub flip: bool,
    /// Side of the square that is cut out (DeVries and Taylor, 2017), in pixels; 0 for none. Its center is any pixel, so
    /// that it may reach over the edge, and its values are 0 after normalization, the mean.
    #[config(default = 0)]
    pub cutout: usize,
}

/// Random changes of an image: pad and crop, flip, cutout, in this order.
#[derive(Debug, Clone, PartialEq)]
pub struct Augmentation {
    config: AugmentationConfig,
}

impl AugmentationConfig {
    /// The augmentation; every configuration is possible.
    pub fn init(&self) -> Augmentation {
        Augmentation { config: self.clone() }
    }
}

impl Augmentation {
    /// Images as they are.
    pub fn none() -> Self {
        AugmentationConfig::new().with_pad(0).with_flip(false).init()
    }

    /// Whether images stay as they are.
    pub fn is_none(&self) -> bool {
        *self == Self::none()
    }

    /// Appends the changed and normalized image, `[channels, height, width]`.
    pub(super) fn extend(
        &self,
        image: &[u8],
        shape: ImageShape,
        table: &Table,
        rng: &mut impl Rng,
        values: &mut Vec<f32>,
    ) {
        let AugmentationConfig { pad, flip, cutout } = self.config;
        let ImageShape { channels, height, width } = shape;
        let mut offset = || if pad == 0 { 0 } else { rng.random_range(0..=2 * pad) };
        // Where the window's first pixel lies in the padded image.
        let (top, left) = (offset(), offset());
        let mirrored = flip && rng.random_bool(0.5);
        let hole = (cutout > 0).then(|| {
            let center = (rng.random_range(0..height), rng.random_range(0..width));
            (span(center.0, cutout, height), span(center.1, cutout, width))
        });
        for channel in 0..channels {
            let (plane, row) = (&image[channel * height * width..][..height * width], table.channel(channel));
            for y in 0..height {
                for x in 0..width {
                    let cut = hole.as_ref().is_some_and(|(rows, columns)| rows.contains(&y) && columns.contains(&x));
                    let source = (y + top, if mirrored { width - 1 - x } else { x } + left);
                    let inside = (pad..pad + height).contains(&source.0) && (pad..pad + width).contains(&source.1);
                    values.push(match (cut, inside) {
                        (true, _) => 0.0,
                        (false, true) => row[usize::from(plane[(source.0 - pad) * width + source.1 - pad])],
                        (false, false) => row[0],
                    });
                }
            }
        }
    }
}

/// The part of a side of `size` pixels around `center` that lies in the image.
fn span(center: usize, size: usize, len: usize) -> std::ops::Range<usize> {
    let start = center as isize - (size / 2) as isize;
    let end = start + size as isize;
    start.max(0) as usize..(end.max(0) as usize).min(len)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::data::{LabeledImages, Normalization, Stream, Streams};

    const SHAPE: ImageShape = ImageShape { channels: 1, height: 5, width: 4 };

    fn augmented(config: &AugmentationConfig, seed: u64) -> Vec<f32> {
        let image: Vec<_> = (1..=20).collect();
        let images = LabeledImages::new("x", SHAPE, image.clone(), vec![0], 1).unwrap();
        // A mean of -1 keeps padded pixels (value 1) and cut ones (value 0) apart.
        let table = Normalization::new(vec![-1.0], vec![1.0 / 255.0]).unwrap().table(&images).unwrap();
        let mut values = Vec::new();
        config.init().extend(&image, SHAPE, &table, &mut Streams::new(seed).stream(Stream::Augmentation), &mut values);
        values.iter().map(|value| value.round()).collect()
    }

    /// What pixel `(y, x)` of the original becomes; black outside of it.
    fn original(y: isize, x: isize) -> f32 {
        let inside = (0..5).contains(&y) && (0..4).contains(&x);
        255.0 + if inside { (y * 4 + x + 1) as f32 } else { 0.0 }
    }

    fn shifted(dy: isize, dx: isize, mirrored: bool) -> Vec<f32> {
        let pixel = |i: isize| original(i / 4 + dy, if mirrored { 3 - i % 4 } else { i % 4 } + dx);
        (0..20).map(pixel).collect()
    }

    #[test]
    fn without_augmentation_an_image_stays_as_it_is() {
        assert!(Augmentation::none().is_none());
        assert!(!AugmentationConfig::new().init().is_none());
        assert_eq!(augmented(&Augmentation::none().config, 3), shifted(0, 0, false));
    }

    #[test]
    fn half_of_the_images_are_mirrored() {
        let config = AugmentationConfig::new().with_pad(0);
        let mirrored = (0..1000).filter(|&seed| augmented(&config, seed) == shifted(0, 0, true)).count();
        assert!((430..570).contains(&mirrored), "{mirrored}");
    }

    proptest! {
        #[test]
        fn a_crop_is_a_shift_of_the_padded_image(seed in any::<u64>(), pad in 1_usize..4) {
            let image = augmented(&AugmentationConfig::new().with_pad(pad), seed);
            let range = || -(pad as isize)..=pad as isize;
            let shifts = range().flat_map(|dy| range().flat_map(move |dx| [(dy, dx, false), (dy, dx, true)]));
            let shift = shifts.into_iter().find(|&(dy, dx, mirrored)| image == shifted(dy, dx, mirrored));
            prop_assert!(shift.is_some(), "{image:?}");
        }

        #[test]
        fn cutout_clears_a_clipped_square(seed in any::<u64>(), cutout in 1_usize..7) {
            let config = AugmentationConfig::new().with_pad(0).with_flip(false).with_cutout(cutout);
            let image = augmented(&config, seed);
            let cut: Vec<_> = (0..20).filter(|&i| image[i] == 0.0).collect();
            let bounds = |it: Vec<usize>| it.iter().max().unwrap() - it.iter().min().unwrap() + 1;
            let rows = bounds(cut.iter().map(|i| i / 4).collect());
            let columns = bounds(cut.iter().map(|i| i % 4).collect());
            prop_assert_eq!(cut.len(), rows * columns, "a rectangle");
            prop_assert!(rows <= cutout && columns <= cutout);
            prop_assert!(rows >= cutout.div_ceil(2).min(5) && columns >= cutout.div_ceil(2).min(4));
            prop_assert!((0..20).all(|i| cut.contains(&i) || image[i] == 256.0 + i as f32));
        }
    }
}
