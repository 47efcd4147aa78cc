use burn::tensor::{Bool, DType, Device, Int, Tensor, Tolerance};
use rekindle_performer::{FavorConfig, FeatureFunction, Kernel, Projection};

use crate::reference::{self, KERNELS, assert_close, double, favor, random};

const LENGTHS: [usize; 7] = [1, 2, 7, 8, 9, 64, 1000];

#[test]
fn any_chunk_size_gives_the_attention_of_all_pairs() {
    let device = Device::flex();
    for kernel in KERNELS {
        for length in LENGTHS {
            let inputs = [4, 4, 3].map(|width| random([1, 1, length, width], 0.8, &device));
            let expected = reference::attend(&favor(kernel, 4, true, 64, &device), &inputs, &[]);
            for chunk in [1, 3, 8, 64, 2000] {
                let [query, key, value] = inputs.clone();
                let actual = favor(kernel, 4, true, chunk, &device).attend(query, key, value, None).unwrap();
                // Trigonometric denominators may be small.
                let tolerance = if kernel == Kernel::Trig { 1e-3 } else { 1e-5 };
                assert_close(&actual, &expected, tolerance, &format!("{kernel:?}, length {length}, chunk {chunk}"));
            }
        }
    }
}

#[test]
fn gradients_are_those_of_all_pairs() {
    let device = Device::flex().autodiff();
    for kernel in KERNELS {
        for length in LENGTHS {
            for causal in [true, false] {
                let inputs = double([4, 4, 3].map(|width| random([2, 2, length, width], 0.5, &device)));
                let sines = |x: Tensor<4>| {
                    let n = x.dims().iter().product::<usize>() as i64;
                    let weights = Tensor::<1, Int>::arange(0..n, &device).float().cast(DType::F64).sin();
                    (x.clone() * weights.reshape(x.dims())).sum()
                };
                let gradients = |output: Tensor<4>| {
                    let grads = sines(output).backward();
                    inputs.each_ref().map(|x| x.grad(&grads).unwrap())
                };
                let one = favor(kernel, 4, causal, 64, &device);
                let expected = gradients(reference::with_gradients(&one, inputs.clone()));
                for chunk in [1, 8, 64] {
                    let [query, key, value] = inputs.clone();
                    let output = favor(kernel, 4, causal, chunk, &device).attend(query, key, value, None).unwrap();
                    for (i, (actual, expected)) in gradients(output).iter().zip(&expected).enumerate() {
                        let what = format!("{kernel:?}, length {length}, chunk {chunk}, causal {causal}, input {i}");
                        let expected: Vec<f64> = expected.to_data().iter::<f64>().collect();
                        // Burn keeps the scalars of its backward passes in f32.
                        assert_close(actual, &expected, 1e-6, &what);
                    }
                }
            }
        }
    }
}

#[test]
fn bidirectional_and_cross_attention_are_those_of_all_pairs() {
    let device = Device::flex();
    for kernel in KERNELS {
        let inputs = [([1, 1, 5, 4], 0.8), ([1, 1, 9, 4], 0.8), ([1, 1, 9, 7], 1.0)]
            .map(|(shape, deviation)| random(shape, deviation, &device));
        let favor = favor(kernel, 4, false, 64, &device);
        let expected = reference::attend(&favor, &inputs, &[]);
        let [query, key, value] = inputs;
        let actual = favor.attend(query, key, value, None).unwrap();
        assert_eq!(actual.dims(), [1, 1, 5, 7]);
        let tolerance = if kernel == Kernel::Trig { 1e-3 } else { 1e-5 };
        assert_close(&actual, &expected, tolerance, &format!("{kernel:?}"));
    }
}

/// A key that is masked is as one that is not there, in the denominator, too; also where it comes first, and where all are.
#[test]
fn masked_keys_are_removed() {
    let device = Device::flex();
    for kernel in [KERNELS[0], KERNELS[1], KERNELS[3]] {
        for causal in [true, false] {
            for deviation in [0.8, 12.0] {
                let inputs = [4, 4, 3].map(|width| random([1, 1, 70, width], deviation, &device));
                for (name, masked) in [
                    ("first", (0..70).map(|i| i < 20).collect::<Vec<_>>()),
                    ("some", (0..70).map(|i| i % 3 == 1).collect()),
                    ("last", (0..70).map(|i| i > 40).collect()),
                    ("all", vec![true; 70]),
                ] {
                    let favor = favor(kernel, 4, causal, 8, &device);
                    let expected = reference::attend(&favor, &inputs, &masked);
                    let mask = Tensor::<1, Bool>::from_data(&masked[..], &device).unsqueeze::<2>();
                    let [query, key, value] = inputs.clone();
                    let actual = favor.attend(query, key, value, Some(mask)).unwrap();
                    let tolerance = if deviation > 1.0 { 2e-3 } else { 1e-5 };
                    assert_close(&actual, &expected, tolerance, &format!("{kernel:?}, causal {causal}, {name}"));
                }
            }
        }
    }
}

/// ε is added to features that are not masked alone: constant values and removed keys show it.
#[test]
fn the_default_eps_keeps_masked_keys_out_and_moves_little() {
    let device = Device::flex();
    let inputs = [4, 4, 3].map(|width| random([1, 1, 20, width], 0.8, &device));
    let masked: Vec<bool> = (0..20).map(|i| i % 4 == 0).collect();
    let exact = favor(Kernel::Positive, 4, false, 8, &device);
    let config = exact.config().clone().with_eps(1e-6);
    let mask = Tensor::<1, Bool>::from_data(&masked[..], &device).unsqueeze::<2>();
    let [query, key, value] = inputs.clone();
    let actual = config.init(&device).unwrap().attend(query, key, value, Some(mask)).unwrap();
    assert_close(&actual, &reference::attend(&exact, &inputs, &masked), 1e-4, "eps");
}

#[test]
fn rows_of_the_matrix_sum_to_one_and_constant_values_stay() {
    let device = Device::flex();
    for kernel in [KERNELS[0], KERNELS[1], KERNELS[3]] {
        for (causal, deviation) in [(true, 1.0), (false, 1.0), (true, 5.0), (false, 5.0)] {
            let favor = favor(kernel, 4, causal, 8, &device);
            let [query, key] = [0; 2].map(|_| random([2, 3, 21, 4], deviation, &device));
            let matrix = favor.attention_matrix(query.clone(), key.clone(), None).unwrap();
            assert_eq!(matrix.dims(), [2, 3, 21, 21]);
            matrix.clone().sum_dim(3).to_data().assert_approx_eq::<f32>(
                &Tensor::<4>::ones([2, 3, 21, 1], &device).to_data(),
                Tolerance::absolute(1e-5),
            );
            if causal {
                assert_eq!(matrix.triu(1).abs().max().into_scalar::<f32>(), 0.0);
            }
            let value = Tensor::full([2, 3, 21, 5], -2.5, &device);
            let output = favor.attend(query, key, value.clone(), None).unwrap();
            output.to_data().assert_approx_eq::<f32>(&value.to_data(), Tolerance::absolute(1e-5));
        }
    }
}

#[test]
fn a_joint_permutation_of_keys_and_values_changes_nothing() {
    let device = Device::flex();
    let order = Tensor::<1, Int>::from_data([4, 0, 3, 1, 2], &device);
    for kernel in KERNELS {
        let favor = favor(kernel, 4, false, 8, &device);
        let [query, key, value] = [0; 3].map(|_| random([1, 2, 5, 4], 0.7, &device));
        let permuted = |x: &Tensor<4>| x.clone().select(2, order.clone());
        let a = favor.attend(query.clone(), permuted(&key), permuted(&value), None).unwrap();
        let b = favor.attend(query, key, value, None).unwrap();
        a.to_data().assert_approx_eq::<f32>(&b.to_data(), Tolerance::relative(1e-3));
    }
}

/// |x|² = 200 of the scaled inputs, and norms of a thousand: finite, not uniform, and right.
#[test]
fn extreme_inputs_are_finite_and_not_uniform() {
    let device = Device::flex();
    for kernel in [Kernel::Positive, Kernel::Hyperbolic] {
        for causal in [true, false] {
            for norm in [20.0, 1e3] {
                let favor = favor(kernel, 4, causal, 8, &device);
                let inputs = [0; 3].map(|_| {
                    let x = random([1, 1, 40, 4], 1.0, &device);
                    let length = (x.clone() * x.clone()).sum_dim(3).sqrt();
                    x / length * norm
                });
                let [query, key, value] = inputs.clone();
                let matrix = favor.attention_matrix(query.clone(), key.clone(), None).unwrap();
                let last = matrix.narrow(2, 39, 1);
                assert!(last.max().into_scalar::<f32>() > 0.2, "{kernel:?} {causal} {norm}: uniform");
                let output = favor.attend(query, key, value, None).unwrap();
                // Exponents of 1e5 have two digits behind the point in f32.
                let tolerance = if norm > 100.0 { 0.1 } else { 1e-3 };
                assert_close(&output, &reference::attend(&favor, &inputs, &[]), tolerance, &format!("{kernel:?}"));
            }
        }
    }
}

#[test]
fn half_precision_accumulates_in_single() {
    let device = Device::flex();
    for dtype in [DType::F16, DType::BF16] {
        for causal in [true, false] {
            let favor = favor(Kernel::Positive, 4, causal, 64, &device);
            // 5,000 equal keys: a sum of ones in f16 stops at 2,048, in bf16 at 256.
            let inputs = [1.0, 0.0, 0.0].map(|deviation| random([1, 1, 5000, 4], deviation, &device).cast(dtype));
            let [query, key, _] = inputs;
            let ramp = Tensor::<1, Int>::arange(0..5000, &device).float().div_scalar(5000.0);
            let value = ramp.reshape([1, 1, 5000, 1]).cast(dtype);
            let output = favor.attend(query, key, value, None).unwrap();
            assert_eq!(output.dtype(), dtype);
            let last = output.narrow(2, 4999, 1).into_scalar::<f32>();
            assert!((last - 0.5).abs() < 0.01, "{dtype:?} {causal}: {last}");
        }
    }
}

/// Without a projection and of inputs as they are, elu + 1 is the Linear Transformer: by hand for two coordinates.
#[test]
fn a_generalized_kernel_without_projection_is_of_the_coordinates() {
    let device = Device::flex();
    let favor = FavorConfig::new(2)
        .with_n_features(2)
        .with_kernel(Kernel::Generalized(FeatureFunction::EluPlusOne))
        .with_projection(Projection::None)
        .with_normalize_inputs(false)
        .with_kernel_eps(0.0)
        .init(&device)
        .unwrap();
    let of = |values: [f32; 4]| Tensor::<1>::from_floats(values, &device).reshape([1, 1, 2, 2]);
    let output = favor.attend(of([0.0; 4]), of([1.0, 0.0, -1.0, -2.0]), of([1.0, 5.0, 0.0, 6.0]), None).unwrap();
    // Queries have features (1, 1), keys (2, 1) and (e⁻¹, e⁻²).
    let second = (-1.0_f64).exp() + (-2.0_f64).exp();
    let expected = [3.0 / (3.0 + second), (15.0 + 6.0 * second) / (3.0 + second)].repeat(2);
    assert_close(&output, &expected, 1e-6, "elu + 1");
}

#[test]
fn a_function_of_ones_own_makes_a_generalized_kernel() {
    let device = Device::flex();
    let generalized = favor(Kernel::Generalized(FeatureFunction::Relu), 4, true, 8, &device);
    let own = favor(Kernel::Positive, 4, true, 8, &device).with_function(|u| u.clamp_min(0.0));
    let [query, key, value] = [0; 3].map(|_| random([1, 2, 12, 4], 1.0, &device));
    let a = generalized.attend(query.clone(), key.clone(), value.clone(), None).unwrap();
    own.attend(query, key, value, None).unwrap().to_data().assert_eq(&a.to_data(), true);
}

#[test]
fn changed_denominators_are_counted() {
    let device = Device::flex();
    let inputs = |deviation| [0; 3].map(|_| random([1, 1, 64, 4], deviation, &device));
    let count = |kernel, deviation, stabilizer| {
        let config = favor(kernel, 4, true, 8, &device).config().clone().with_stabilizer(stabilizer);
        let [query, key, value] = inputs(deviation);
        let (output, n) = config.init(&device).unwrap().attend_counted(query, key, value, None).unwrap();
        assert!(output.abs().max().into_scalar::<f32>().is_finite());
        n
    };
    assert_eq!(count(Kernel::Trig, 0.3, 1e-6), 0);
    assert!(count(Kernel::Trig, 4.0, 0.5) > 0);
    assert_eq!(count(Kernel::Positive, 4.0, 0.5), 0);
}
