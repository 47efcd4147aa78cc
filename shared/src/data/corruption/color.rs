use rand_chacha::ChaCha8Rng;

use super::effect::{Effect, byte, unit};
use crate::data::ImageShape;

/// c added to the value of hue, saturation and value; a gray image gets it added as it is.
pub(super) struct Brightness {
    pub(super) added: f64,
    pub(super) shape: ImageShape,
}

/// Saturation of hue, saturation and value times a factor plus an offset; a gray image has none and stays.
pub(super) struct Saturate {
    pub(super) factor: f64,
    pub(super) offset: f64,
    pub(super) shape: ImageShape,
}

/// Distance from each channel's mean times a factor.
pub(super) struct Contrast {
    pub(super) factor: f64,
    pub(super) shape: ImageShape,
}

/// A color as hue in sixths of the circle, saturation and value.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Hsv {
    hue: f64,
    saturation: f64,
    value: f64,
}

impl Hsv {
    fn from_rgb([red, green, blue]: [f64; 3]) -> Self {
        let value = red.max(green).max(blue);
        let delta = value - red.min(green).min(blue);
        if delta == 0.0 {
            return Self { hue: 0.0, saturation: 0.0, value };
        }
        let hue = if blue == value {
            4.0 + (red - green) / delta
        } else if green == value {
            2.0 + (blue - red) / delta
        } else {
            (green - blue) / delta
        };
        Self { hue: if hue < 0.0 { hue + 6.0 } else { hue }, saturation: delta / value, value }
    }

    fn to_rgb(self) -> [f64; 3] {
        let Self { hue, saturation, value } = self;
        let (sector, part) = (hue.floor(), hue - hue.floor());
        let low = value * (1.0 - saturation);
        let falling = value * (1.0 - part * saturation);
        let rising = value * (1.0 - (1.0 - part) * saturation);
        match sector as u8 {
            1 => [falling, value, low],
            2 => [low, value, rising],
            3 => [low, falling, value],
            4 => [rising, low, value],
            5 => [value, low, falling],
            _ => [value, rising, low],
        }
    }
}

/// Changes every color of an image, `[3, height, width]`.
fn recolor(image: &[u8], out: &mut [u8], change: impl Fn(Hsv) -> Hsv) {
    let len = image.len() / 3;
    for i in 0..len {
        let place = [i, len + i, 2 * len + i];
        let color = change(Hsv::from_rgb(place.map(|place| unit(image[place])))).to_rgb();
        place.into_iter().zip(color).for_each(|(place, value)| out[place] = byte(value));
    }
}

impl Effect for Brightness {
    type Scratch = ();

    fn scratch(&self) {}

    fn apply(&self, image: &[u8], out: &mut [u8], _: &mut ChaCha8Rng, (): &mut ()) {
        let brighter = |value: f64| (value + self.added).min(1.0);
        if self.shape.channels == 1 {
            out.iter_mut().zip(image).for_each(|(out, &value)| *out = byte(brighter(unit(value))));
        } else {
            recolor(image, out, |color| Hsv { value: brighter(color.value), ..color });
        }
    }
}

impl Effect for Saturate {
    type Scratch = ();

    fn scratch(&self) {}

    fn apply(&self, image: &[u8], out: &mut [u8], _: &mut ChaCha8Rng, (): &mut ()) {
        if self.shape.channels == 1 {
            out.iter_mut().zip(image).for_each(|(out, &value)| *out = byte(unit(value)));
        } else {
            let change = |saturation: f64| (saturation * self.factor + self.offset).clamp(0.0, 1.0);
            recolor(image, out, |color| Hsv { saturation: change(color.saturation), ..color });
        }
    }
}

impl Effect for Contrast {
    type Scratch = ();

    fn scratch(&self) {}

    fn apply(&self, image: &[u8], out: &mut [u8], _: &mut ChaCha8Rng, (): &mut ()) {
        let len = self.shape.height * self.shape.width;
        for (out, channel) in out.chunks_exact_mut(len).zip(image.chunks_exact(len)) {
            let mean = channel.iter().map(|&value| unit(value)).sum::<f64>() / len as f64;
            let table: [u8; 256] = std::array::from_fn(|value| byte((unit(value as u8) - mean) * self.factor + mean));
            out.iter_mut().zip(channel).for_each(|(out, &value)| *out = table[usize::from(value)]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colors_have_the_usual_hues() {
        let hsv = |hue, saturation, value| Hsv { hue, saturation, value };
        assert_eq!(Hsv::from_rgb([0.25, 0.25, 0.25]), hsv(0.0, 0.0, 0.25));
        assert_eq!(Hsv::from_rgb([1.0, 0.5, 0.0]), hsv(0.5, 1.0, 1.0));
        assert_eq!(Hsv::from_rgb([0.25, 0.5, 0.25]), hsv(2.0, 0.5, 0.5));
        assert_eq!(Hsv::from_rgb([0.0, 0.25, 1.0]), hsv(3.75, 1.0, 1.0));
        assert_eq!(Hsv::from_rgb([1.0, 0.0, 0.5]), hsv(5.5, 1.0, 1.0));
    }

    #[test]
    fn every_color_comes_back() {
        let steps = || (0..=5).map(|i| f64::from(i) / 5.0);
        for color in steps().flat_map(|r| steps().flat_map(move |g| steps().map(move |b| [r, g, b]))) {
            let back = Hsv::from_rgb(color).to_rgb();
            assert!(color.iter().zip(back).all(|(a, b)| (a - b).abs() < 1e-12), "{color:?} became {back:?}");
        }
    }
}
