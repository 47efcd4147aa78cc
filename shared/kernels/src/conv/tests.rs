//! Against loops in f64, on every instruction set that the machine has.

use std::sync::LazyLock;

use burn::tensor::ops::ConvOptions;
use proptest::prelude::*;
use pulp::{Arch, WithSimd};
use rayon::{ThreadPool, ThreadPoolBuilder};

use super::{Geometry, Instructions, backward_bias, backward_input, backward_weight, forward};

/// Vectors of 16 floats in plain Rust: the way of AVX-512 where the processor doesn't have it.
#[derive(Clone, Copy)]
struct Sixteen;

impl Instructions for Sixteen {
    fn run<Op: WithSimd>(self, operation: Op) -> Op::Output {
        pulp::Simd::vectorize(pulp::Scalar512b, operation)
    }
}

static POOLS: LazyLock<[ThreadPool; 3]> =
    LazyLock::new(|| [1, 2, 7].map(|threads| ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool")));

fn values(len: usize, seed: u64) -> Vec<f32> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1_u64 << 24) as f32 - 0.5
    };
    (0..len).map(|_| next()).collect()
}

#[derive(Clone, Debug)]
struct Case {
    x: [usize; 4],
    weight: [usize; 4],
    stride: [usize; 2],
    padding: [(usize, usize); 2],
    dilation: [usize; 2],
    groups: usize,
}

impl Case {
    fn geometry(&self) -> Option<Geometry> {
        let options = ConvOptions::new_with_padding(self.stride, self.padding, self.dilation, self.groups);
        Geometry::new(self.x, self.weight, &options)
    }

    /// Output, and gradients of input, weight and bias.
    fn reference(
        &self,
        x: &[f32],
        weight: &[f32],
        bias: &[f32],
        grad: impl Fn(usize) -> Vec<f32>,
    ) -> ([Vec<f64>; 4], Vec<f32>) {
        let ([batch, _, height, width], [outs, ins, kh, kw]) = (self.x, self.weight);
        let size = [0, 1].map(|axis| {
            let (begin, end) = self.padding[axis];
            (self.x[2 + axis] + begin + end - self.dilation[axis] * (self.weight[2 + axis] - 1) - 1) / self.stride[axis]
                + 1
        });
        let grad = grad(batch * outs * size[0] * size[1]);
        let mut y = vec![0.0; grad.len()];
        let (mut dx, mut dw, mut db) = (vec![0.0; x.len()], vec![0.0; weight.len()], vec![0.0; outs]);
        for image in 0..batch {
            for out in 0..outs {
                for oy in 0..size[0] {
                    for ox in 0..size[1] {
                        let at = ((image * outs + out) * size[0] + oy) * size[1] + ox;
                        let d = f64::from(grad[at]);
                        y[at] = f64::from(bias[out]);
                        db[out] += d;
                        for channel in 0..ins {
                            for ky in 0..kh {
                                for kx in 0..kw {
                                    let row =
                                        (oy * self.stride[0] + ky * self.dilation[0]).checked_sub(self.padding[0].0);
                                    let col =
                                        (ox * self.stride[1] + kx * self.dilation[1]).checked_sub(self.padding[1].0);
                                    let (Some(row), Some(col)) = (row, col) else { continue };
                                    if row >= height || col >= width {
                                        continue;
                                    }
                                    let plane = image * ins * self.groups + out / (outs / self.groups) * ins + channel;
                                    let from = (plane * height + row) * width + col;
                                    let by = ((out * ins + channel) * kh + ky) * kw + kx;
                                    y[at] += f64::from(x[from]) * f64::from(weight[by]);
                                    dx[from] += d * f64::from(weight[by]);
                                    dw[by] += d * f64::from(x[from]);
                                }
                            }
                        }
                    }
                }
            }
        }
        ([y, dx, dw, db], grad)
    }
}

fn worst(got: &[f32], expected: &[f64]) -> f64 {
    assert_eq!(got.len(), expected.len());
    let scale = expected.iter().fold(1e-9_f64, |most, value| most.max(value.abs()));
    got.iter()
        .zip(expected)
        .map(|(a, b)| (f64::from(*a) - b).abs())
        .fold(0.0, |a, b| if b > a || b.is_nan() { b } else { a })
        / scale
}

/// All four results within `2e-5` of the largest, and the same bits for 1, 2 and 7 threads.
fn check(case: &Case) -> Result<(), TestCaseError> {
    let Some(g) = case.geometry() else { return Ok(()) };
    let x = values(case.x.iter().product(), 1);
    let weight = values(case.weight.iter().product(), 2);
    let bias = values(case.weight[0], 3);
    let (expected, grad) = case.reference(&x, &weight, &bias, |len| values(len, 4));
    let operands = [&*x, &weight, &bias, &grad];
    // Slow without the instructions: one number of threads.
    let mut all = vec![
        ("one float", run(Arch::Scalar, &g, operands, &POOLS[1..2])),
        ("16 floats", run(Sixteen, &g, operands, &POOLS[1..2])),
    ];
    let results = |arch: Arch| run(arch, &g, operands, &*POOLS);
    #[cfg(target_arch = "x86_64")]
    {
        all.extend(pulp::x86::V3::try_new().map(|simd| ("AVX2", results(Arch::V3(simd)))));
        #[cfg(feature = "x86-v4")]
        all.extend(pulp::x86::V4::try_new().map(|simd| ("AVX-512", results(Arch::V4(simd)))));
    }
    for (instructions, results) in all {
        prop_assert!(
            results.iter().all(|other| *other == results[0]),
            "threads change the result: {instructions}, {case:?}"
        );
        for (name, (got, expected)) in
            ["output", "input", "weight", "bias"].iter().zip(results[0].iter().zip(&expected))
        {
            let error = worst(got, expected);
            prop_assert!(error < 2e-5, "{name} off by {error:e}: {instructions}, {case:?}");
        }
    }
    Ok(())
}

/// Output and gradients, in each of the pools.
fn run(
    arch: impl Instructions,
    g: &Geometry,
    [x, weight, bias, grad]: [&[f32]; 4],
    pools: &[ThreadPool],
) -> Vec<[Vec<f32>; 4]> {
    let run = |pool: &ThreadPool| {
        pool.install(|| {
            [
                forward(arch, g, x, weight, Some(bias)),
                backward_input(arch, g, weight, grad),
                backward_weight(arch, g, x, grad),
                backward_bias(arch, g, grad),
            ]
        })
    };
    pools.iter().map(run).collect()
}

fn any_case() -> impl Strategy<Value = Case> {
    let pair = |range: std::ops::RangeInclusive<usize>| [range.clone(), range];
    let zeros = || (0_usize..=4, 0_usize..=4);
    let groups = prop_oneof![3 => Just(1_usize), 1 => Just(2), 1 => Just(3), 1 => Just(8)];
    (
        groups,
        1_usize..=20,
        1_usize..=20,
        1_usize..=5,
        (1_usize..=20, 1_usize..=40),
        pair(1..=5),
        pair(1..=3),
        [zeros(), zeros()],
        pair(1..=3),
    )
        .prop_map(|(groups, ins, outs, batch, (height, width), kernel, stride, padding, dilation)| Case {
            x: [batch, ins * groups, height, width],
            weight: [outs * groups, ins, kernel[0], kernel[1]],
            stride,
            padding,
            dilation,
            groups,
        })
}

/// Short rows and many channels: gathered panels.
fn small_planes() -> impl Strategy<Value = Case> {
    (
        1_usize..=2,
        1_usize..=40,
        1_usize..=70,
        1_usize..=20,
        (1_usize..=9, 1_usize..=20),
        1_usize..=4,
        1_usize..=2,
        0_usize..=2,
        1_usize..=2,
    )
        .prop_map(|(groups, ins, outs, batch, (height, width), kernel, stride, padding, dilation)| Case {
            x: [batch, ins * groups, height, width],
            weight: [outs * groups, ins, kernel, kernel],
            stride: [stride; 2],
            padding: [(padding, padding); 2],
            dilation: [dilation; 2],
            groups,
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 700, ..ProptestConfig::default() })]

    #[test]
    fn any_geometry_agrees_with_loops(case in any_case()) {
        check(&case)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn small_planes_agree_with_loops(case in small_planes()) {
        check(&case)?;
    }
}

#[test]
fn large_shapes_agree_with_loops() {
    let square = |x, weight, stride: usize, padding: usize| Case {
        x,
        weight,
        stride: [stride; 2],
        padding: [(padding, padding); 2],
        dilation: [1, 1],
        groups: 1,
    };
    let cases = [
        square([2, 64, 40, 50], [16, 64, 3, 3], 1, 1),
        square([1, 96, 60, 70], [33, 96, 3, 3], 2, 1),
        square([33, 4, 8, 8], [5, 4, 3, 3], 1, 1),
        square([3, 70, 16, 17], [9, 70, 1, 1], 1, 0),
        square([2, 130, 7, 7], [40, 130, 3, 3], 1, 1),
        square([1, 3, 40, 200], [4, 3, 7, 7], 2, 3),
    ];
    for case in cases {
        check(&case).expect("within the tolerance");
    }
}
