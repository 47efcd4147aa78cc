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

fn window() -> impl Strategy<Value = Window> {
    let axis = || (1..24_usize, 1..7_usize, 1..6_usize, 0..4_usize);
    let any = (axis(), axis())
        .prop_filter_map("no window", |(h, w)| Window::new([h.0, w.0], [h.1, w.1], [h.2, w.2], [h.3, w.3]));
    let square = (1..40_usize, 1..40_usize, prop::sample::select(vec![(2, 2, 0), (3, 2, 1), (3, 1, 1), (2, 1, 0)]));
    let common = square.prop_filter_map("no window", |(h, w, (kernel, stride, padding))| {
        Window::new([h, w], [kernel; 2], [stride; 2], [padding; 2])
    });
    let whole =
        (1..12_usize, 1..12_usize).prop_filter_map("no window", |(h, w)| Window::new([h, w], [h, w], [1, 1], [0, 0]));
    let bands = (60..90_usize, 150..300_usize, 1..4_usize, 1..4_usize)
        .prop_filter_map("no window", |(h, w, k, s)| Window::new([h, w], [k, k], [s, s], [k / 2, k / 2]));
    prop_oneof![4 => any, 2 => common, 1 => whole, 1 => bands]
}

/// Few different values, so that there are ties; NaN and infinities among them where `special`.
fn values(len: usize, seed: u64, special: bool) -> Vec<f32> {
    let mut state = seed;
    (0..len)
        .map(|_| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            match state >> 58 {
                0 if special => f32::NAN,
                1 if special => f32::INFINITY,
                2..20 if special => f32::NEG_INFINITY,
                value => value as f32 / 8.0 - 4.0,
            }
        })
        .collect()
}

/// Calls `f` with plane, output index and the window's input indices, in row-major order.
fn each_window(window: &Window, planes: usize, mut f: impl FnMut(usize, Vec<usize>)) {
    let ([rows, columns], [height, width]) = (window.output(), window.input);
    for output in 0..planes * rows * columns {
        let (plane, row, column) = (output / (rows * columns), output / columns % rows, output % columns);
        let mut inputs = Vec::new();
        for place in 0..window.kernel[0] * window.kernel[1] {
            let y = (row * window.stride[0] + place / window.kernel[1]).wrapping_sub(window.padding[0]);
            let x = (column * window.stride[1] + place % window.kernel[1]).wrapping_sub(window.padding[1]);
            if y < height && x < width {
                inputs.push(plane * height * width + y * width + x);
            }
        }
        f(output, inputs);
    }
}

/// NaN is equal to NaN.
fn same(ours: &[f32], expected: &[f32]) -> bool {
    ours.len() == expected.len() && ours.iter().zip(expected).all(|(a, b)| a == b || (a.is_nan() && b.is_nan()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn max_is_the_first_largest_or_the_last_nan(
        window in window(), planes in 1..4_usize, seed in any::<u64>(), special in any::<bool>(),
    ) {
        let x = values(planes * window.input_len(), seed, special);
        let dy = values(planes * window.output_len(), !seed, special);
        let (mut y, mut dx) = (vec![0.0; dy.len()], vec![0.0; x.len()]);
        each_window(&window, planes, |output, inputs| {
            let mut largest = inputs[0];
            for i in inputs {
                if x[i] > x[largest] || x[i].is_nan() {
                    largest = i;
                }
            }
            y[output] = x[largest];
            dx[largest] += dy[output];
        });
        for arch in instruction_sets() {
            prop_assert!(same(&max_forward(arch, &window, &x), &y));
            prop_assert!(same(&max_backward(arch, &window, &x, &dy), &dx));
        }
    }

    #[test]
    fn avg_is_that_of_f64(
        window in window(), planes in 1..4_usize, seed in any::<u64>(), inside in any::<bool>(),
    ) {
        let divisor = if inside { Divisor::Inside } else { Divisor::Kernel };
        let x = values(planes * window.input_len(), seed, false);
        let dy = values(planes * window.output_len(), !seed, false);
        let (mut y, mut dx) = (vec![0.0; dy.len()], vec![0.0; x.len()]);
        each_window(&window, planes, |output, inputs| {
            let count = if inside { inputs.len() } else { window.kernel[0] * window.kernel[1] } as f64;
            for i in inputs {
                y[output] += x[i] as f64 / count;
                dx[i] += dy[output] as f64 / count;
            }
        });
        let close = |ours: &[f32], exact: &[f64]| ours.len() == exact.len()
            && ours.iter().zip(exact).all(|(ours, exact)| (*ours as f64 - exact).abs() <= 1e-5);
        for arch in instruction_sets() {
            prop_assert!(close(&avg_forward(arch, &window, divisor, &x), &y));
            prop_assert!(close(&avg_backward(arch, &window, divisor, &dy), &dx));
        }
    }
}

#[test]
fn threads_change_no_bit() {
    for (kernel, stride, padding) in [([2, 2], [2, 2], [0, 0]), ([3, 3], [2, 2], [1, 1]), ([16, 16], [1, 1], [0, 0])] {
        let window = Window::new([16, 16], kernel, stride, padding).unwrap();
        let planes = 1000;
        let (x, dy) = (values(planes * 256, 1, false), values(planes * window.output_len(), 2, false));
        let all = |threads: usize| {
            rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(|| {
                let arch = Arch::new();
                [
                    max_forward(arch, &window, &x),
                    max_backward(arch, &window, &x, &dy),
                    avg_forward(arch, &window, Divisor::Inside, &x),
                    avg_backward(arch, &window, Divisor::Inside, &dy),
                ]
            })
        };
        let one = all(1);
        assert!(one == all(2) && one == all(7));
    }
}
