use super::*;
use proptest::prelude::*;

fn instruction_sets() -> Vec<Arch> {
    let best = Arch::new();
    #[cfg(target_arch = "x86_64")]
    let middle = pulp::x86::V3::try_new().map(Arch::V3);
    #[cfg(not(target_arch = "x86_64"))]
    let middle = None;
    [Arch::Scalar, best].into_iter().chain(middle).collect()
}

fn grid() -> impl Strategy<Value = Grid> {
    let any = (1..7_usize, 1..40_usize, 1..70_usize);
    let batch = (60..300_usize, 1..4_usize, 1..5_usize);
    let channels = (1..4_usize, 500..1100_usize, 1..3_usize);
    let pixels = (1..4_usize, 1..4_usize, 500..2100_usize);
    prop_oneof![any, batch, channels, pixels].prop_map(|(images, channels, pixels)| Grid { images, channels, pixels })
}

/// Values about a mean and with a deviation that differ by channel.
fn values(grid: &Grid, seed: u64) -> Vec<f32> {
    let mut state = seed;
    (0..grid.len())
        .map(|i| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let channel = (i / grid.pixels % grid.channels) as f32;
            ((state >> 40) as f32 / (1 << 23) as f32 - 1.0) * (1.0 + channel % 3.0) + channel % 5.0 - 2.0
        })
        .collect()
}

fn by_channel(grid: &Grid, seed: u64) -> Vec<f32> {
    values(&Grid { images: 1, pixels: 1, ..*grid }, seed).into_iter().map(|v| v.abs() + 0.1).collect()
}

/// Σ f of each channel, in f64.
fn sums(grid: &Grid, f: impl Fn(usize, usize) -> f64) -> Vec<f64> {
    let mut sums = vec![0.0; grid.channels];
    for i in 0..grid.len() {
        let channel = i / grid.pixels % grid.channels;
        sums[channel] += f(i, channel);
    }
    sums
}

fn close(ours: &[f32], exact: impl Iterator<Item = f64>, tolerance: f64) -> Result<(), TestCaseError> {
    for (i, (ours, exact)) in ours.iter().zip(exact).enumerate() {
        let error = (*ours as f64 - exact).abs();
        prop_assert!(error <= tolerance * (1.0 + exact.abs()), "{i}: {ours} != {exact}");
    }
    Ok(())
}

/// Compares sums over a channel, whose terms may cancel, by their means.
fn close_sums(grid: &Grid, ours: &[f32], exact: &[f64]) -> Result<(), TestCaseError> {
    let n = grid.per_channel();
    let means: Vec<_> = ours.iter().map(|sum| sum / n as f32).collect();
    close(&means, exact.iter().map(|sum| sum / n as f64), 3e-5)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn training_is_that_of_f64(grid in grid(), seed in any::<u64>()) {
        let (x, dy) = (values(&grid, seed), values(&grid, seed.wrapping_mul(3) ^ 0x5555));
        let (gamma, beta) = (by_channel(&grid, seed ^ 1), by_channel(&grid, seed ^ 2));
        let (epsilon, n) = (1e-3, grid.per_channel() as f64);
        let mean: Vec<_> = sums(&grid, |i, _| x[i] as f64).iter().map(|sum| sum / n).collect();
        let squares = sums(&grid, |i, c| (x[i] as f64 - mean[c]).powi(2));
        let variance: Vec<_> = squares.iter().map(|sum| sum / n).collect();
        let channel = |i: usize| i / grid.pixels % grid.channels;
        let normal = |i: usize| (x[i] as f64 - mean[channel(i)]) / (variance[channel(i)] + epsilon).sqrt();
        let beta_gradient = sums(&grid, |i, _| dy[i] as f64);
        let gamma_gradient = sums(&grid, |i, _| dy[i] as f64 * normal(i));
        let x_gradient = |i: usize| {
            let c = channel(i);
            let centered = dy[i] as f64 - (beta_gradient[c] + normal(i) * gamma_gradient[c]) / n;
            gamma[c] as f64 / (variance[c] + epsilon).sqrt() * centered
        };
        for arch in instruction_sets() {
            let ours = forward_train(arch, &grid, &x, &gamma, &beta, epsilon);
            close(&ours.mean, mean.iter().copied(), 1e-6)?;
            close(&ours.variance, variance.iter().copied(), 1e-6)?;
            let exact = (0..grid.len()).map(|i| normal(i) * gamma[channel(i)] as f64 + beta[channel(i)] as f64);
            close(&ours.output, exact, 1e-4)?;
            let channels = Channels { gamma: &gamma, mean: &ours.mean, variance: &ours.variance, epsilon };
            let gradients = backward_train(arch, &grid, &x, &dy, channels, true);
            close(&gradients.x.unwrap(), (0..grid.len()).map(x_gradient), 1e-3)?;
            close_sums(&grid, &gradients.beta, &beta_gradient)?;
            close_sums(&grid, &gradients.gamma, &gamma_gradient)?;
            let frozen = backward_train(arch, &grid, &x, &dy, channels, false);
            prop_assert!(frozen.x.is_none());
            prop_assert_eq!(frozen.gamma, gradients.gamma);
            prop_assert_eq!(frozen.beta, gradients.beta);
        }
    }

    #[test]
    fn inference_is_that_of_f64(grid in grid(), seed in any::<u64>()) {
        let (x, dy) = (values(&grid, seed), values(&grid, seed.wrapping_mul(3) ^ 0x5555));
        let [gamma, beta, mean, variance] = [1, 2, 3, 4].map(|i| by_channel(&grid, seed ^ i));
        let epsilon = 1e-5;
        let channel = |i: usize| i / grid.pixels % grid.channels;
        let inverse = |i: usize| 1.0 / (variance[channel(i)] as f64 + epsilon).sqrt();
        let normal = |i: usize| (x[i] as f64 - mean[channel(i)] as f64) * inverse(i);
        let channels = Channels { gamma: &gamma, mean: &mean, variance: &variance, epsilon };
        for arch in instruction_sets() {
            let exact = (0..grid.len()).map(|i| normal(i) * gamma[channel(i)] as f64 + beta[channel(i)] as f64);
            close(&forward(arch, &grid, &x, &beta, channels), exact, 1e-5)?;
            let exact = (0..grid.len()).map(|i| dy[i] as f64 * gamma[channel(i)] as f64 * inverse(i));
            close(&backward_x(arch, &grid, &dy, channels), exact, 1e-5)?;
            let (gamma_gradient, beta_gradient) = backward_affine(arch, &grid, &x, &dy, channels);
            close_sums(&grid, &gamma_gradient, &sums(&grid, |i, _| dy[i] as f64 * normal(i)))?;
            close_sums(&grid, &beta_gradient, &sums(&grid, |i, _| dy[i] as f64))?;
        }
    }

    #[test]
    fn threads_change_no_bit(grid in grid(), seed in any::<u64>()) {
        // More values than are computed in one place.
        let grid = Grid { images: grid.images + (1 << 16) / (grid.channels * grid.pixels), ..grid };
        let (x, dy) = (values(&grid, seed), values(&grid, seed.wrapping_mul(3) ^ 0x5555));
        let (gamma, beta) = (by_channel(&grid, seed ^ 1), by_channel(&grid, seed ^ 2));
        let bits = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let Normalized { output, mean, variance } =
                    forward_train(Arch::new(), &grid, &x, &gamma, &beta, 1e-5);
                let channels = Channels { gamma: &gamma, mean: &mean, variance: &variance, epsilon: 1e-5 };
                let gradients = backward_train(Arch::new(), &grid, &x, &dy, channels, true);
                let all = [output, gradients.x.unwrap(), gradients.gamma, gradients.beta, mean, variance];
                all.map(|values| values.into_iter().map(f32::to_bits).collect::<Vec<_>>())
            })
        };
        let one = bits(1);
        prop_assert!(one == bits(2) && one == bits(7));
    }
}

#[test]
fn a_large_mean_leaves_the_variance_exact() {
    let grid = Grid { images: 16, channels: 3, pixels: 1500 };
    let x: Vec<_> = (0..grid.len()).map(|i| 4096.0 + (i % 2) as f32).collect();
    let ones = [1.0; 3];
    let ours = forward_train(Arch::new(), &grid, &x, &ones, &ones, 0.0);
    assert_eq!(ours.mean, [4096.5; 3]);
    assert_eq!(ours.variance, [0.25; 3]);
}
