use jpeg_encoder::{ChromaSubsamplingMethod, ColorType, Encoder, SamplingFactor};
use rand_chacha::ChaCha8Rng;
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;

use super::effect::Effect;
use crate::data::ImageShape;

/// JPEG at a quality, encoded and decoded; colors with 4:2:0 subsampling.
pub(super) struct Jpeg {
    quality: u8,
    shape: ImageShape,
}

impl Jpeg {
    pub(super) fn new(quality: u8, shape: ImageShape) -> Self {
        Self { quality, shape }
    }

    /// Encodes pixels, `[height, width, channels]`, and decodes them in place.
    ///
    /// # Panics
    ///
    /// If the codecs disagree about a file that one of them wrote.
    fn compress(&self, pixels: &mut [u8], file: &mut Vec<u8>) {
        let ImageShape { channels, height, width } = self.shape;
        file.clear();
        let mut encoder = Encoder::new(&mut *file, self.quality);
        encoder.set_sampling_factor(SamplingFactor::R_4_2_0);
        encoder.set_chroma_subsampling_method(ChromaSubsamplingMethod::Average);
        let color = if channels == 1 { ColorType::Luma } else { ColorType::Rgb };
        encoder.encode(pixels, width as u16, height as u16, color).expect("a small image can be encoded");
        JpegDecoder::new(ZCursor::new(&*file)).decode_into(pixels).expect("a file just encoded can be decoded");
    }
}

impl Effect for Jpeg {
    /// Pixels with their channels together, and the file.
    type Scratch = (Vec<u8>, Vec<u8>);

    fn scratch(&self) -> Self::Scratch {
        (vec![0; self.shape.len()], Vec::new())
    }

    fn apply(&self, image: &[u8], out: &mut [u8], _: &mut ChaCha8Rng, (pixels, file): &mut Self::Scratch) {
        let ImageShape { channels, height, width } = self.shape;
        for (channel, plane) in image.chunks_exact(height * width).enumerate() {
            pixels[channel..].iter_mut().step_by(channels).zip(plane).for_each(|(pixel, &value)| *pixel = value);
        }
        self.compress(pixels, file);
        for (channel, plane) in out.chunks_exact_mut(height * width).enumerate() {
            plane.iter_mut().zip(pixels[channel..].iter().step_by(channels)).for_each(|(value, &pixel)| *value = pixel);
        }
    }
}
