use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::data::DatasetError;

/// The 15 corruptions of the benchmark, in the order of its tables (Hendrycks and Dietterich, 2019).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Corruption {
    /// Normal noise added to every value.
    GaussianNoise,
    /// Poisson noise, as of few photons.
    ShotNoise,
    /// Single values set to black or white.
    ImpulseNoise,
    /// The blur of a lens out of focus: the mean over a disk.
    DefocusBlur,
    /// The view through frosted glass: near pixels copied over each other, between two blurs.
    GlassBlur,
    /// The blur of a camera that moves along a line.
    MotionBlur,
    /// The blur of a camera that moves towards the scene: the mean over zoomed copies.
    ZoomBlur,
    /// A brighter scene under streaks of snow.
    Snow,
    /// A procedural frost texture over the image. The original takes photographs of frost, hence the name.
    FrostLike,
    /// Clouds from a fractal, over the whole image.
    Fog,
    /// Value of hue, saturation and value raised.
    Brightness,
    /// Less distance from each channel's mean.
    Contrast,
    /// A random affine map, then a smooth field of small displacements.
    #[serde(rename = "elastic_transform")]
    Elastic,
    /// Fewer pixels, drawn as squares.
    Pixelate,
    /// Lossy compression.
    #[serde(rename = "jpeg_compression")]
    Jpeg,
}

/// The four corruptions that the benchmark keeps apart, for choosing hyper-parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExtraCorruption {
    /// Normal noise in proportion to each value.
    SpeckleNoise,
    /// A Gaussian filter.
    GaussianBlur,
    /// Splashes of water (severities 1 to 3) or mud (4 and 5).
    Spatter,
    /// Saturation of hue, saturation and value lowered (severities 1 and 2) or raised (3 to 5).
    Saturate,
}

/// Any of the 15 + 4 corruptions.
///
/// Texts and serialized values are [`name`](Self::name)s.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum AnyCorruption {
    /// One of the 15.
    Benchmark(Corruption),
    /// One of the four for tuning.
    Extra(ExtraCorruption),
}

const DRAWS: &str = "the original's distributions, other random draws than NumPy's";

impl Corruption {
    /// All 15.
    pub const ALL: [Self; 15] = [
        Self::GaussianNoise,
        Self::ShotNoise,
        Self::ImpulseNoise,
        Self::DefocusBlur,
        Self::GlassBlur,
        Self::MotionBlur,
        Self::ZoomBlur,
        Self::Snow,
        Self::FrostLike,
        Self::Fog,
        Self::Brightness,
        Self::Contrast,
        Self::Elastic,
        Self::Pixelate,
        Self::Jpeg,
    ];

    /// The name of its published file, but `frost_like` for what has no photographs.
    pub fn name(self) -> &'static str {
        match self {
            Self::GaussianNoise => "gaussian_noise",
            Self::ShotNoise => "shot_noise",
            Self::ImpulseNoise => "impulse_noise",
            Self::DefocusBlur => "defocus_blur",
            Self::GlassBlur => "glass_blur",
            Self::MotionBlur => "motion_blur",
            Self::ZoomBlur => "zoom_blur",
            Self::Snow => "snow",
            Self::FrostLike => "frost_like",
            Self::Fog => "fog",
            Self::Brightness => "brightness",
            Self::Contrast => "contrast",
            Self::Elastic => "elastic_transform",
            Self::Pixelate => "pixelate",
            Self::Jpeg => "jpeg_compression",
        }
    }

    /// What differs from the original beyond rounding; `None` where the definitions are equal.
    pub fn deviation(self) -> Option<&'static str> {
        match self {
            Self::DefocusBlur | Self::ZoomBlur | Self::Brightness | Self::Contrast | Self::Pixelate | Self::Jpeg => {
                None
            }
            Self::GaussianNoise
            | Self::ShotNoise
            | Self::ImpulseNoise
            | Self::GlassBlur
            | Self::Fog
            | Self::Elastic => Some(DRAWS),
            Self::MotionBlur | Self::Snow => {
                Some("ImageMagick's motion blur as its Python port has it, and other random draws than the original's")
            }
            Self::FrostLike => Some("a procedural texture in the place of photographs of frost"),
        }
    }
}

impl ExtraCorruption {
    /// All four.
    pub const ALL: [Self; 4] = [Self::SpeckleNoise, Self::GaussianBlur, Self::Spatter, Self::Saturate];

    /// The name of its published file.
    pub fn name(self) -> &'static str {
        match self {
            Self::SpeckleNoise => "speckle_noise",
            Self::GaussianBlur => "gaussian_blur",
            Self::Spatter => "spatter",
            Self::Saturate => "saturate",
        }
    }

    /// What differs from the original beyond rounding; `None` where the definitions are equal.
    pub fn deviation(self) -> Option<&'static str> {
        match self {
            Self::GaussianBlur | Self::Saturate => None,
            Self::SpeckleNoise | Self::Spatter => Some(DRAWS),
        }
    }
}

impl AnyCorruption {
    /// All 19: the benchmark's, then the four for tuning.
    pub fn all() -> impl Iterator<Item = Self> {
        Corruption::ALL.into_iter().map(Self::from).chain(ExtraCorruption::ALL.into_iter().map(Self::from))
    }

    /// As [`Corruption::name`].
    pub fn name(self) -> &'static str {
        match self {
            Self::Benchmark(kind) => kind.name(),
            Self::Extra(kind) => kind.name(),
        }
    }

    /// As [`Corruption::deviation`].
    pub fn deviation(self) -> Option<&'static str> {
        match self {
            Self::Benchmark(kind) => kind.deviation(),
            Self::Extra(kind) => kind.deviation(),
        }
    }

    /// The name that the published file has, without its extension.
    pub(in crate::data) fn published_name(self) -> &'static str {
        match self {
            Self::Benchmark(Corruption::FrostLike) => "frost",
            other => other.name(),
        }
    }

    /// Its place among the 19, which is part of what a random stream is derived from.
    pub(super) fn number(self) -> u64 {
        match self {
            Self::Benchmark(kind) => kind as u64,
            Self::Extra(kind) => Corruption::ALL.len() as u64 + kind as u64,
        }
    }
}

impl From<Corruption> for AnyCorruption {
    fn from(kind: Corruption) -> Self {
        Self::Benchmark(kind)
    }
}

impl From<ExtraCorruption> for AnyCorruption {
    fn from(kind: ExtraCorruption) -> Self {
        Self::Extra(kind)
    }
}

impl fmt::Display for Corruption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl fmt::Display for ExtraCorruption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl fmt::Display for AnyCorruption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for AnyCorruption {
    type Err = DatasetError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::all().find(|kind| kind.name() == text).ok_or_else(|| DatasetError::UnknownCorruption(text.into()))
    }
}

impl TryFrom<String> for AnyCorruption {
    type Error = DatasetError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<AnyCorruption> for String {
    fn from(kind: AnyCorruption) -> Self {
        kind.name().into()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use serde::de::value::{self, StrDeserializer};

    use super::*;

    #[test]
    fn names_and_numbers_are_those_of_one_corruption() {
        let names: HashSet<_> = AnyCorruption::all().map(AnyCorruption::name).collect();
        assert_eq!(names.len(), 19);
        let numbers: Vec<_> = AnyCorruption::all().map(AnyCorruption::number).collect();
        assert_eq!(numbers, (0..19).collect::<Vec<_>>());
        for kind in AnyCorruption::all() {
            assert_eq!(kind.name().parse(), Ok(kind));
            assert_eq!(AnyCorruption::try_from(String::from(kind)), Ok(kind));
        }
    }

    #[test]
    fn serialized_kinds_are_names() {
        type Text = StrDeserializer<'static, value::Error>;
        for kind in AnyCorruption::all() {
            assert_eq!(AnyCorruption::deserialize(Text::new(kind.name())), Ok(kind));
            let found = match kind {
                AnyCorruption::Benchmark(_) => Corruption::deserialize(Text::new(kind.name())).map(AnyCorruption::from),
                AnyCorruption::Extra(_) => {
                    ExtraCorruption::deserialize(Text::new(kind.name())).map(AnyCorruption::from)
                }
            };
            assert_eq!(found, Ok(kind));
        }
    }

    #[test]
    fn an_unknown_name_lists_those_that_there_are() {
        let error = "frost".parse::<AnyCorruption>().unwrap_err().to_string();
        assert!(error.starts_with("no corruption `frost`: there are gaussian_noise, shot_noise,"), "{error}");
        for kind in AnyCorruption::all() {
            assert!(error.contains(kind.name()), "{error}");
        }
    }
}
