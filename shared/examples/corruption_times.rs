//! Seconds that each corruption takes for 10,000 images of 32 x 32 colors at severity 5, on all threads of the pool
//! (RAYON_NUM_THREADS): `cargo run -p rekindle-shared --example corruption_times`.
//!
//! The images are the test images of CIFAR-10 where they are found, and otherwise random.

use std::error::Error;
use std::time::Instant;

use rand::Rng;
use rekindle_shared::data::corruption::{AnyCorruption, Severity, corrupt};
use rekindle_shared::data::{DataDir, ImageShape, LabeledImages, Split, Stream, Streams, load};

/// Runs of each kind, of which the median counts.
const RUNS: usize = 3;

fn main() -> Result<(), Box<dyn Error>> {
    let images = match DataDir::resolve(None).locate("cifar-10") {
        Ok(located) => load(&located, Split::Test)?,
        Err(missing) => {
            eprintln!("{missing}; random images are used instead");
            random()?
        }
    };
    let severity = Severity::new(5)?;
    let mut total = 0.0;
    for kind in AnyCorruption::all() {
        let mut seconds = Vec::new();
        for _ in 0..RUNS {
            let start = Instant::now();
            corrupt(&images, kind, severity, 1)?;
            seconds.push(start.elapsed().as_secs_f64());
        }
        seconds.sort_by(f64::total_cmp);
        println!("{kind:<18} {:.3} s", seconds[RUNS / 2]);
        if matches!(kind, AnyCorruption::Benchmark(_)) {
            total += seconds[RUNS / 2];
        }
    }
    println!("all 15 of the benchmark, {} images: {total:.2} s", images.len());
    Ok(())
}

fn random() -> Result<LabeledImages, Box<dyn Error>> {
    let shape = ImageShape { channels: 3, height: 32, width: 32 };
    let mut pixels = vec![0; 10_000 * shape.len()];
    Streams::new(1).stream(Stream::Data).fill_bytes(&mut pixels);
    Ok(LabeledImages::new("random", shape, pixels, vec![0; 10_000], 1)?)
}
