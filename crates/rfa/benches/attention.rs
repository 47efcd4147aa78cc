//! Causal attention by length: Burn's own, ours with and without a gate, and what of it sines and cosines take; then chunk
//! sizes and decoding.
//!
//! One head of 64 dimensions, 64 directions, f32; the least of several runs. `cargo xtask bench rfa`, and with `--backend wgpu` or
//! `cuda` on a GPU.

use std::hint::black_box;

use burn::tensor::module::attention;
use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{Device, Distribution, Tensor};
use rekindle_harness::measure;
use rekindle_harness::peak::{self, Column};
use rekindle_rfa::{CausalInput, Kernel, RfaHeads, RfaHeadsConfig};
use rekindle_shared::backend;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const D: usize = 64;
const M: usize = 64;

fn heads(kernel: Kernel, chunk: usize, device: &Device) -> RfaHeads {
    let config = RfaHeadsConfig::new(1, D).with_n_features(M).with_kernel(kernel).with_chunk(chunk);
    config.init(device).expect("a valid configuration")
}

/// Queries, keys and values.
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

fn softmax([query, key, value]: [Tensor<4>; 3]) -> Tensor<4> {
    let options = AttentionModuleOptions { is_causal: true, ..Default::default() };
    attention(query, key, value, None, None, options)
}

fn ours(heads: &RfaHeads, gated: bool, [query, key, value]: [Tensor<4>; 3]) -> Tensor<4> {
    let input = CausalInput::new(query.clone(), key, value);
    // The logits of a gate depend on the tokens, and so does its gradient.
    let input = if gated { input.gate(query.narrow(3, 0, 1).squeeze_dim::<3>(3) + 2.0) } else { input };
    heads.causal(input, None).expect("valid inputs").0
}

fn backward(inputs: &[Tensor<4>; 3], attend: impl Fn([Tensor<4>; 3]) -> Tensor<4>) {
    black_box(attend(inputs.clone().map(Tensor::require_grad)).sum().backward());
}

/// Beside the inputs, with a gate: of a forward pass, and with gradients, for which everything is kept or some is computed again.
fn memory(device: &Device) {
    let autodiff = device.clone().autodiff();
    let checkpointing = autodiff.clone().gradient_checkpointing();
    let parts = |length, device: &Device| (heads(Kernel::Gaussian, 64, device), random(length, device));
    let both = |length, device: &Device| -> Box<dyn FnOnce()> {
        let (attention, inputs) = parts(length, device);
        Box::new(move || backward(&inputs, |x| ours(&attention, true, x)))
    };
    let longest = usize::MAX;
    let columns = [
        Column {
            name: "forward",
            longest,
            prepare: &|length| {
                let (attention, inputs) = parts(length, device);
                Box::new(move || drop(black_box(ours(&attention, true, inputs))))
            },
        },
        Column { name: "both", longest, prepare: &|length| both(length, &autodiff) },
        Column { name: "checkpointing", longest, prepare: &|length| both(length, &checkpointing) },
    ];
    let table = peak::table(&[1024, 2048, 4096, 8192, 16384], &columns).expect("this program runs again");
    println!("\n{table}");
}

fn lengths(device: &Device) {
    let autodiff = device.clone().autodiff();
    let of = |kernel| [device, &autodiff].map(|device| heads(kernel, 64, device));
    let (gaussian, arc_cos) = (of(Kernel::Gaussian), of(Kernel::ArcCos));
    println!("\nmilliseconds, forward, then forward + backward");
    println!("length   softmax     rfa    gate arc-cos  features   softmax     rfa    gate arc-cos");
    let mut times = Vec::new();
    for length in [256, 512, 1024, 2048, 4096, 8192, 16384] {
        let (inputs, tracked) = (random(length, device), random(length, &autodiff));
        let forward =
            |attend: &dyn Fn([Tensor<4>; 3]) -> Tensor<4>| least(device, || drop(black_box(attend(inputs.clone()))));
        let both = |attend: &dyn Fn([Tensor<4>; 3]) -> Tensor<4>| least(device, || backward(&tracked, attend));
        let rfa = forward(&|x| ours(&gaussian[0], false, x));
        let features = least(device, || {
            for x in &inputs[..2] {
                black_box(gaussian[0].features(x.clone()).expect("valid inputs"));
            }
        });
        let gate = forward(&|x| ours(&gaussian[0], true, x));
        let arc = forward(&|x| ours(&arc_cos[0], false, x));
        print!("{length:>6} {:>9.2} {rfa:>7.2} {gate:>7.2} {arc:>7.2} {features:>9.2}", forward(&softmax));
        // Softmax keeps matrices of all pairs for its gradients.
        let theirs = if length <= 4096 { format!("{:.2}", both(&softmax)) } else { String::new() };
        let rfa_both = both(&|x| ours(&gaussian[1], false, x));
        let gate_both = both(&|x| ours(&gaussian[1], true, x));
        println!(" {theirs:>9} {rfa_both:>7.2} {gate_both:>7.2} {:>7.2}", both(&|x| ours(&arc_cos[1], false, x)));
        times.push((length as f64, gate, gate_both));
    }
    let slope = |of: fn(&(f64, f64, f64)) -> f64| {
        let [from, to] = [&times[2], &times[times.len() - 1]].map(|it| (it.0, of(it)));
        measure::slope(from, to)
    };
    println!("slope with a gate from 1,024 to 16,384: forward {:.2}, both {:.2}", slope(|t| t.1), slope(|t| t.2));
}

fn chunks(device: &Device) {
    let autodiff = device.clone().autodiff();
    println!("\nchunk  forward    gate  forward + backward    gate, of 4,096 tokens");
    for chunk in [16, 32, 64, 128, 256, 512] {
        let [plain, trained] = [device, &autodiff].map(|device| heads(Kernel::Gaussian, chunk, device));
        let (inputs, tracked) = (random(4096, device), random(4096, &autodiff));
        let forward = |gated| least(device, || drop(black_box(ours(&plain, gated, inputs.clone()))));
        let both = |gated| least(device, || backward(&tracked, |x| ours(&trained, gated, x)));
        println!("{chunk:>5} {:>8.2} {:>7.2} {:>19.2} {:>7.2}", forward(false), forward(true), both(false), both(true));
    }
}

fn decoding(device: &Device) {
    println!("\ntokens before  microseconds a decoded token, ours with a gate and softmax with a cache");
    let plain = heads(Kernel::Gaussian, 64, device);
    for before in [64, 1024, 4096] {
        let [query, key, value] = random(before, device);
        let logits = || Tensor::full([1, 1, before], 2.0, device);
        let input = CausalInput::new(query, key.clone(), value.clone()).gate(logits());
        let (_, state) = plain.causal(input, None).expect("valid inputs");
        let token = random(1, device);
        let time = least(device, || {
            let mut state = Some(state.clone());
            for _ in 0..100 {
                let [query, key, value] = token.clone().map(|x| x.squeeze_dim::<3>(2));
                let gate = Some(Tensor::full([1, 1], 2.0, device));
                let (output, next) = plain.step(query, key, value, gate, state).expect("valid inputs");
                black_box(output);
                state = Some(next);
            }
        });
        // The cache grows by copying, as a caller of Burn would have it.
        let cached = least(device, || {
            for _ in 0..100 {
                let [query, k, v] = token.clone();
                let (keys, values) = (Tensor::cat(vec![key.clone(), k], 2), Tensor::cat(vec![value.clone(), v], 2));
                black_box(attention(query, keys, values, None, None, AttentionModuleOptions::default()));
            }
        });
        println!("{before:>13} {:>10.1} {:>10.1}", 10.0 * time, 10.0 * cached);
    }
}

fn main() {
    let backend = std::env::var("REKINDLE_BACKEND").unwrap_or_else(|_| "flex".into());
    let device = match backend::open(&backend) {
        Ok(device) => device,
        Err(error) => return eprintln!("{error}"),
    };
    println!("{}", backend::describe(&device));
    memory(&device);
    lengths(&device);
    chunks(&device);
    decoding(&device);
}
