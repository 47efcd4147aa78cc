//! Two classes of generated images, which depend on the latents alone.

use rekindle_intrinsic_dimension::data::{ImageGenerator, ImageSize};
use rekindle_intrinsic_dimension::{IdError, Points};

use crate::samples::Images;

/// Hidden units of the network that decides the class.
const TEACHER: usize = 16;

/// Images with their classes.
pub(crate) struct Labeled {
    pub(crate) images: Points<'static, f32>,
    pub(crate) classes: Vec<bool>,
}

/// Training and test images. The class is whether the output of a random network of the latent is above its median.
pub(crate) fn draw(images: Images, n_train: usize, n_test: usize, seed: u64) -> Result<[Labeled; 2], IdError> {
    let one = ImageSize { channels: 1, height: 1, width: 1 };
    // Another seed than that of the images' network.
    let teacher = ImageGenerator::new(images.d, TEACHER, one, !seed)?;
    let latents = images.latents(n_train + n_test, seed)?;
    let outputs = teacher.images(&latents)?;
    let mut sorted = outputs.values().to_vec();
    sorted.sort_unstable_by(f32::total_cmp);
    let median = sorted[sorted.len() / 2];
    let points = images.of(&latents, seed)?;
    let part = |rows: std::ops::Range<usize>| {
        let classes = outputs.values()[rows.clone()].iter().map(|output| *output >= median).collect();
        Ok(Labeled { images: points.select(&rows.collect::<Vec<_>>())?, classes })
    };
    Ok([part(n_test..n_test + n_train)?, part(0..n_test)?])
}
