//! Time and memory of the neighbor search against n, on noise images of CIFAR-10's size.
//!
//! `cargo bench -p rekindle-intrinsic-dimension --bench neighbors -- [N ...]` runs the sizes given, each search once; memory is the peak of the
//! process so far, so sizes go upward. Without sizes a small set runs.

use std::time::Instant;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rekindle_harness::measure::resident_peak;
use rekindle_intrinsic_dimension::{Knn, Mle, Points};

const DIM: usize = 3072;
const K: usize = 20;
/// Dimension of the data: a random linear map of that many uniform numbers, as bytes.
const LATENT: usize = 30;

/// Bytes that have correlated pixels, as images do.
fn images(n: usize) -> Vec<u8> {
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let map: Vec<f32> = (0..LATENT * DIM).map(|_| rng.random::<f32>() - 0.5).collect();
    let mut values = Vec::with_capacity(n * DIM);
    let mut image = vec![0.0; DIM];
    for _ in 0..n {
        image.fill(128.0);
        for row in map.chunks(DIM) {
            let latent = 40.0 * (rng.random::<f32>() - 0.5);
            image.iter_mut().zip(row).for_each(|(pixel, weight)| *pixel += latent * weight);
        }
        values.extend(image.iter().map(|pixel| (pixel + 8.0 * (rng.random::<f32>() - 0.5)) as u8));
    }
    values
}

fn main() {
    let mut sizes: Vec<usize> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    if sizes.is_empty() {
        sizes = vec![1_000, 2_000, 5_000];
    }
    let mut last: Option<(usize, f64)> = None;
    for n in sizes {
        let values = images(n);
        let points = Points::new(&values, n, DIM).expect("bytes are finite");
        let start = Instant::now();
        let table = Knn::new(K).search(&points).expect("noise has no copies");
        let seconds = start.elapsed().as_secs_f64();
        let slope = last.map(|(m, before)| (seconds / before).ln() / (n as f64 / m as f64).ln());
        let dimension = Mle::new().fit(&table).expect("distances are positive").dimension;
        println!(
            "n = {n:6}: {seconds:8.2} s, peak {} MiB, data {} MiB, slope {}, dimension {dimension:.2}",
            resident_peak().map_or_else(|| "?".into(), |peak| (peak >> 20).to_string()),
            values.len() / (1 << 20),
            slope.map_or_else(|| "-".into(), |slope| format!("{slope:.2}")),
        );
        last = Some((n, seconds));
    }
}
