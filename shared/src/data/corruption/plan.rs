use super::blur::{DefocusBlur, GaussianBlur};
use super::color::{Brightness, Contrast, Saturate};
use super::effect::AnyEffect;
use super::elastic::Elastic;
use super::frost::FrostLike;
use super::glass::GlassBlur;
use super::jpeg::Jpeg;
use super::motion::MotionBlur;
use super::noise::{GaussianNoise, ImpulseNoise, ShotNoise, SpeckleNoise};
use super::pixelate::Pixelate;
use super::spatter::Spatter;
use super::weather::{Fog, Snow};
use super::zoom::ZoomBlur;
use super::{AnyCorruption, Corruption, ExtraCorruption, Severity};
use crate::data::ImageShape;

/// The corruption with the benchmark's parameters for 32 x 32 images (CIFAR-10-C); lengths that the original ties to the
/// side of 32 are tied to the image's own.
pub(super) fn plan(kind: AnyCorruption, severity: Severity, shape: ImageShape) -> Box<dyn AnyEffect> {
    match kind {
        AnyCorruption::Benchmark(kind) => benchmark(kind, severity.index(), shape),
        AnyCorruption::Extra(kind) => extra(kind, severity.index(), shape),
    }
}

fn benchmark(kind: Corruption, severity: usize, shape: ImageShape) -> Box<dyn AnyEffect> {
    match kind {
        Corruption::GaussianNoise => Box::new(GaussianNoise { sd: [0.04, 0.06, 0.08, 0.09, 0.10][severity] }),
        Corruption::ShotNoise => Box::new(ShotNoise::new([500.0, 250.0, 100.0, 75.0, 50.0][severity])),
        Corruption::ImpulseNoise => Box::new(ImpulseNoise { amount: [0.01, 0.02, 0.03, 0.05, 0.07][severity] }),
        Corruption::DefocusBlur => {
            let (radius, alias) = [(0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1.0, 0.2), (1.5, 0.1)][severity];
            Box::new(DefocusBlur::new(radius, alias, shape))
        }
        Corruption::GlassBlur => {
            let (sigma, iterations) = [(0.05, 1), (0.25, 1), (0.4, 1), (0.25, 2), (0.4, 2)][severity];
            Box::new(GlassBlur::new(sigma, iterations, shape))
        }
        Corruption::MotionBlur => {
            let (radius, sigma) = [(6, 1.0), (6, 1.5), (6, 2.0), (8, 2.0), (9, 2.5)][severity];
            Box::new(MotionBlur::new(radius, sigma, shape))
        }
        Corruption::ZoomBlur => Box::new(ZoomBlur::new([1.06, 1.11, 1.16, 1.21, 1.26][severity], shape)),
        Corruption::Snow => {
            let parameters = [
                (0.1, 0.2, 1.0, 0.6, 8, 3.0, 0.95),
                (0.1, 0.2, 1.0, 0.5, 10, 4.0, 0.9),
                (0.15, 0.3, 1.75, 0.55, 10, 4.0, 0.9),
                (0.25, 0.3, 2.25, 0.6, 12, 6.0, 0.85),
                (0.3, 0.3, 1.25, 0.65, 14, 12.0, 0.8),
            ];
            Box::new(Snow::new(parameters[severity], shape))
        }
        Corruption::FrostLike => {
            let (image, texture) = [(1.0, 0.2), (1.0, 0.3), (0.9, 0.4), (0.85, 0.4), (0.75, 0.45)][severity];
            Box::new(FrostLike::new(image, texture, shape))
        }
        Corruption::Fog => {
            let (amount, decay) = [(0.2, 3.0), (0.5, 3.0), (0.75, 2.5), (1.0, 2.0), (1.5, 1.75)][severity];
            Box::new(Fog::new(amount, decay, shape))
        }
        Corruption::Brightness => Box::new(Brightness { added: [0.05, 0.1, 0.15, 0.2, 0.3][severity], shape }),
        Corruption::Contrast => Box::new(Contrast { factor: [0.75, 0.5, 0.4, 0.3, 0.15][severity], shape }),
        Corruption::Elastic => {
            let parameters =
                [(0.0, 0.0, 0.08), (0.05, 0.2, 0.07), (0.08, 0.06, 0.06), (0.1, 0.04, 0.05), (0.1, 0.03, 0.03)];
            Box::new(Elastic::new(parameters[severity], shape))
        }
        Corruption::Pixelate => Box::new(Pixelate::new([0.95, 0.9, 0.85, 0.75, 0.65][severity], shape)),
        Corruption::Jpeg => Box::new(Jpeg::new([80, 65, 58, 50, 40][severity], shape)),
    }
}

fn extra(kind: ExtraCorruption, severity: usize, shape: ImageShape) -> Box<dyn AnyEffect> {
    match kind {
        ExtraCorruption::SpeckleNoise => Box::new(SpeckleNoise { sd: [0.06, 0.1, 0.12, 0.16, 0.2][severity] }),
        ExtraCorruption::GaussianBlur => Box::new(GaussianBlur::new([0.4, 0.6, 0.7, 0.8, 1.0][severity], shape)),
        ExtraCorruption::Spatter => {
            let parameters = [
                (0.62, 0.1, 0.7, 0.7, 0.5, false),
                (0.65, 0.1, 0.8, 0.7, 0.5, false),
                (0.65, 0.3, 1.0, 0.69, 0.5, false),
                (0.65, 0.1, 0.7, 0.69, 0.6, true),
                (0.65, 0.1, 0.5, 0.68, 0.6, true),
            ];
            Box::new(Spatter::new(parameters[severity], shape))
        }
        ExtraCorruption::Saturate => {
            let (factor, offset) = [(0.3, 0.0), (0.1, 0.0), (1.5, 0.0), (2.0, 0.1), (2.5, 0.2)][severity];
            Box::new(Saturate { factor, offset, shape })
        }
    }
}
