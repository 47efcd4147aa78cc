//! Data of known dimension, the same for the same seed on every machine.

mod images;
mod manifold;
mod noise;
mod shapes;

pub use images::{ImageGenerator, ImageSize, resize_nearest};
pub use manifold::Manifold;
pub use noise::{noise_pixels, with_noise};
pub use shapes::{ball, cube, embed, fibonacci_sphere, gaussian, sphere};

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// A generator for one use of a seed.
fn stream(seed: u64, stream: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(stream);
    rng
}
