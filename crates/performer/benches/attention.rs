//! Causal attention by length: Burn's own, ours, and the matrix products that ours is made of; then chunk sizes and decoding.
//!
//! One head of 64 dimensions, 128 positive features, f32; the least of several runs. `cargo xtask bench performer`, and with
//! `--backend wgpu` or `cuda` on a GPU.

use std::hint::black_box;

use burn::tensor::module::attention;
use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{Device, Distribution, Tensor};
use rekindle_harness::measure;
use rekindle_harness::peak::{self, Column};
use rekindle_performer::{Favor, FavorConfig};
use rekindle_shared::backend;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const D: usize = 64;
const R: usize = 128;
/// With gradients: softmax keeps matrices of all pairs for them.
const LONGEST_SOFTMAX: usize = 4096;

fn favor(chunk: usize, device: &Device) -> Favor {
    let config = FavorConfig::new(D).with_n_features(R).with_causal(true).with_chunk(chunk);
    config.init(device).expect("a valid configuration")
}

fn random(length: usize, device: &Device) -> [Tensor<4>; 3] {
    [0; 3].map(|_| Tensor::random([1, 1, length, D], Distribution::Normal(0.0, 1.0), device))
}

/// Milliseconds, the least of several runs.
fn least(device: &Device, mut run: impl FnMut()) -> f64 {
    let run = || {
        run();
        device.sync()
    };
    1e3 * measure::least(0.5, run).expect("the device works")
}

fn softmax(query: Tensor<4>, key: Tensor<4>, value: Tensor<4>) -> Tensor<4> {
    let options = AttentionModuleOptions { is_causal: true, ..Default::default() };
    attention(query, key, value, None, None, options)
}

fn backward(inputs: &[Tensor<4>; 3], attend: impl Fn(Tensor<4>, Tensor<4>, Tensor<4>) -> Tensor<4>) {
    let [query, key, value] = inputs.clone().map(Tensor::require_grad);
    black_box(attend(query, key, value).sum().backward());
}

/// Products of the sizes that attention in chunks of 64 has: features, scores, values, states.
fn products(length: usize, device: &Device) -> f64 {
    const CHUNK: usize = 64;
    let random = |shape: [usize; 3]| Tensor::<3>::random(shape, Distribution::Default, device);
    let n = length.div_ceil(CHUNK);
    let (x, w) = (random([1, length, D]), random([1, D, R]));
    let (features, values) = (random([n, CHUNK, R]), random([n, CHUNK, D + 1]));
    let (scores, states) = (random([n, CHUNK, CHUNK]), random([n, R, D + 1]));
    least(device, || {
        black_box(x.clone().matmul(w.clone()));
        black_box(x.clone().matmul(w.clone()));
        black_box(features.clone().matmul(features.clone().transpose()));
        black_box(scores.clone().matmul(values.clone()));
        black_box(features.clone().transpose().matmul(values.clone()));
        black_box(features.clone().matmul(states.clone()));
    })
}

/// Beside the inputs: of a forward pass, and with gradients, for which everything is kept or some is computed again.
fn memory(device: &Device) {
    let autodiff = device.clone().autodiff();
    let checkpointing = autodiff.clone().gradient_checkpointing();
    let both = |length, device: &Device| -> Box<dyn FnOnce()> {
        let (attention, inputs) = (favor(64, device), random(length, device));
        Box::new(move || backward(&inputs, |q, k, v| attention.attend(q, k, v, None).expect("valid inputs")))
    };
    let longest = usize::MAX;
    let columns = [
        Column {
            name: "forward",
            longest,
            prepare: &|length| {
                let (attention, [query, key, value]) = (favor(64, device), random(length, device));
                Box::new(move || drop(black_box(attention.attend(query, key, value, None).expect("valid inputs"))))
            },
        },
        Column { name: "both", longest, prepare: &|length| both(length, &autodiff) },
        Column { name: "checkpointing", longest, prepare: &|length| both(length, &checkpointing) },
        Column {
            name: "softmax, both",
            longest: LONGEST_SOFTMAX,
            prepare: &|length| {
                let inputs = random(length, &autodiff);
                Box::new(move || backward(&inputs, softmax))
            },
        },
    ];
    let table = peak::table(&[1024, 2048, 4096, 8192, 16384], &columns).expect("this program runs again");
    println!("\n{table}");
}

fn main() {
    let backend = std::env::var("REKINDLE_BACKEND").unwrap_or_else(|_| "flex".into());
    let device = match backend::open(&backend) {
        Ok(device) => device,
        Err(error) => return eprintln!("{error}"),
    };
    println!("{}", backend::describe(&device));
    memory(&device);

    println!("\nmilliseconds      forward                                forward + backward");
    println!("length  products    ours   softmax   ratio  x products    ours   softmax   ratio");
    let autodiff = device.clone().autodiff();
    let (plain, trained) = (favor(64, &device), favor(64, &autodiff));
    let mut ours = Vec::new();
    for length in [256, 512, 1024, 2048, 4096, 8192, 16384] {
        let inputs = random(length, &device);
        let [query, key, value] = &inputs;
        let forward = least(&device, || {
            black_box(plain.attend(query.clone(), key.clone(), value.clone(), None).expect("valid inputs"));
        });
        let theirs = least(&device, || {
            black_box(softmax(query.clone(), key.clone(), value.clone()));
        });
        let products = products(length, &device);
        let with_grad = random(length, &autodiff);
        let both =
            least(&device, || backward(&with_grad, |q, k, v| trained.attend(q, k, v, None).expect("valid inputs")));
        print!(
            "{length:>6} {products:>9.2} {forward:>7.2} {theirs:>9.2} {:>7.1} {:>11.2}",
            theirs / forward,
            forward / products
        );
        if length <= LONGEST_SOFTMAX {
            let theirs = least(&device, || backward(&with_grad, softmax));
            println!(" {both:>7.2} {theirs:>9.2} {:>7.1}", theirs / both);
        } else {
            println!(" {both:>7.2}");
        }
        ours.push((length as f64, forward, both));
    }
    let slope = |of: fn(&(f64, f64, f64)) -> f64| {
        let [from, to] = [&ours[2], &ours[ours.len() - 1]].map(|it| (it.0, of(it)));
        measure::slope(from, to)
    };
    println!("slope from 1,024 to 16,384: forward {:.2}, both {:.2}", slope(|o| o.1), slope(|o| o.2));

    println!("\nchunk  forward  forward + backward, of 4,096 tokens");
    for chunk in [32, 64, 128, 256, 512] {
        let (plain, trained) = (favor(chunk, &device), favor(chunk, &autodiff));
        let (inputs, with_grad) = (random(4096, &device), random(4096, &autodiff));
        let forward = least(&device, || {
            let [query, key, value] = inputs.clone();
            black_box(plain.attend(query, key, value, None).expect("valid inputs"));
        });
        let both =
            least(&device, || backward(&with_grad, |q, k, v| trained.attend(q, k, v, None).expect("valid inputs")));
        println!("{chunk:>5} {forward:>8.2} {both:>19.2}");
    }

    println!("\ntokens before  microseconds a decoded token");
    for before in [64, 4096] {
        let mut state = plain.init_state(1, 1, D, &device).expect("causal");
        let [query, key, value] = random(before, &device);
        plain.prefill(query, key, value, None, &mut state).expect("valid inputs");
        let [query, key, value] = random(1, &device).map(|x| x.squeeze_dim::<3>(2));
        let time = least(&device, || {
            let mut state = state.clone();
            for _ in 0..100 {
                let token = plain.step(query.clone(), key.clone(), value.clone(), &mut state);
                black_box(token.expect("valid inputs"));
            }
        });
        println!("{before:>13} {:>10.1}", 10.0 * time);
    }
}
