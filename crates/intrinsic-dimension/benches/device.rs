//! Time of the neighbor search on the CPU, and with its products on the device `flex`, which is the same CPU.
//!
//! `cargo bench -p rekindle-intrinsic-dimension --bench device -- [N ...]` runs the sizes given; without, a small set. Points are uniform in
//! a cube of 784 dimensions, k = 20, each search once, on an idle machine.

use std::time::Instant;

use burn::tensor::Device;
use rekindle_intrinsic_dimension::{Knn, data};

const DIM: usize = 784;
const K: usize = 20;

fn main() {
    let mut sizes: Vec<usize> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    if sizes.is_empty() {
        sizes = vec![1_000, 4_000];
    }
    let device = Device::flex();
    for n in sizes {
        let points = data::cube(n, DIM, 0).expect("sizes are positive");
        let knn = Knn::new(K);
        let start = Instant::now();
        let expected = knn.search(&points).expect("drawn points have no copies");
        let cpu = start.elapsed().as_secs_f64();
        for block in [1024, 4096] {
            let on = knn.with_block(block).on(&device);
            let start = Instant::now();
            let found = on.search(&points).expect("drawn points have no copies");
            let seconds = start.elapsed().as_secs_f64();
            assert_eq!(found, expected, "the device changes nothing");
            println!("n = {n:6}, dim {DIM}, k {K}: CPU {cpu:7.2} s, flex with blocks of {block} {seconds:7.2} s");
        }
    }
}
