//! What holds for every input.

#[path = "it/common.rs"]
mod common;

use burn::module::{Module, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor, TensorData};
use proptest::prelude::*;
use rekindle_sam::{Adaptive, Norm, Perturbation, SamConfig};

use common::{Net, device, gradient_of, vector};

/// A vector of parameters in pieces.
#[derive(Module, Debug)]
struct Pieces {
    weight: Vec<Param<Tensor<1>>>,
}

impl Pieces {
    fn new(values: &[f32], cuts: &[usize], device: &Device) -> Self {
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % values.len()).collect();
        cuts.extend([0, values.len()]);
        cuts.sort_unstable();
        cuts.dedup();
        let piece = |range: &[usize]| {
            let values = values[range[0]..range[1]].to_vec();
            let n = values.len();
            Param::from_data(TensorData::new(values, [n]), device)
        };
        Self { weight: cuts.windows(2).map(piece).collect() }
    }

    /// Gradients given as one flat vector.
    fn gradients(&self, flat: &[f32]) -> GradientsParams {
        let mut grads = GradientsParams::new();
        let mut start = 0;
        for param in &self.weight {
            let n = param.shape().num_elements();
            let values = TensorData::new(flat[start..start + n].to_vec(), [n]);
            grads.register::<1>(param.id, Tensor::from_data(values, &param.device().inner()));
            start += n;
        }
        grads
    }

    fn epsilon(&self, config: &SamConfig, flat: &[f32]) -> Vec<f64> {
        let ascent = config.ascent().unwrap();
        let epsilon = ascent.perturbation(self, &self.gradients(flat)).unwrap().epsilon(self);
        let part = |param: &Param<Tensor<1>>| vector(epsilon.get::<1>(param.id).unwrap());
        self.weight.iter().flat_map(part).map(f64::from).collect()
    }
}

fn length(vector: impl IntoIterator<Item = f64>) -> f64 {
    vector.into_iter().map(|x| x * x).sum::<f64>().sqrt()
}

fn gradient() -> impl Strategy<Value = Vec<f32>> {
    prop::collection::vec(-1e3_f32..1e3, 1..32).prop_filter("not near 0", |g| g.iter().any(|g| g.abs() > 1e-3))
}

/// Weights and a gradient of the same length.
fn point() -> impl Strategy<Value = (Vec<f32>, Vec<f32>)> {
    gradient().prop_flat_map(|g| (prop::collection::vec(-3.0_f32..3.0, g.len()), Just(g)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// ‖ε̂(w)‖₂ = ρ whatever the gradient's scale (Eq. 2).
    #[test]
    fn perturbation_has_length_rho(grad in gradient(), rho in 1e-3_f64..1.0, scale in 1e-4_f32..1e4) {
        let grad: Vec<f32> = grad.iter().map(|g| g * scale).collect();
        let pieces = Pieces::new(&vec![0.0; grad.len()], &[], &device());
        let moved = Perturbation::new(rho, &pieces, &pieces.gradients(&grad)).unwrap().apply(pieces.clone());
        let length = length(vector(moved.weight[0].val()).into_iter().map(f64::from));
        prop_assert!((length / rho - 1.0).abs() <= 1e-5, "{length} is not {rho}");
    }

    /// The perturbation depends on the gradient's direction only, and not on how tensors hold it.
    #[test]
    fn perturbation_ignores_scale_and_split(
        (weights, grad) in point(),
        cuts in prop::collection::vec(0_usize..32, 0..4),
        adaptive in prop::option::of(prop_oneof![Just(Adaptive::Everything), Just(Adaptive::default())]),
        factor in 0.01_f32..100.0,
    ) {
        let config = SamConfig::new().with_rho(0.3).with_adaptive(adaptive);
        let whole = Pieces::new(&weights, &[], &device()).epsilon(&config, &grad);
        let scaled: Vec<f32> = grad.iter().map(|g| g * factor).collect();
        let split = Pieces::new(&weights, &cuts, &device()).epsilon(&config, &scaled);
        for (a, b) in whole.iter().zip(&split) {
            prop_assert!((a - b).abs() <= 1e-5, "{whole:?} {split:?}");
        }
    }

    /// ‖T⁻¹ ε̂‖₂ = ρ with the offset in T (ASAM), and ε̂ · g = ρ ‖T g‖₂.
    #[test]
    fn adaptive_perturbation_has_length_rho_in_its_own_units((weights, grad) in point(), eta in 1e-3_f64..0.5) {
        let config = SamConfig::new().with_rho(0.5).with_adaptive(Some(Adaptive::Weights { eta }));
        let pieces = Pieces::new(&weights, &[], &device());
        let epsilon = pieces.epsilon(&config, &grad);
        let t: Vec<f64> = weights.iter().map(|w| f64::from(w.abs()) + eta).collect();
        let unit = length(epsilon.iter().zip(&t).map(|(e, t)| e / t));
        prop_assert!((unit / 0.5 - 1.0).abs() <= 1e-4, "{unit}");
        let rise: f64 = epsilon.iter().zip(&grad).map(|(e, g)| e * f64::from(*g)).sum();
        let norm = length(grad.iter().zip(&t).map(|(g, t)| f64::from(*g) * t));
        prop_assert!((rise / (0.5 * norm) - 1.0).abs() <= 1e-4, "{rise} {norm}");
    }

    /// |ε̂ᵢ| = ρ where gᵢ ≠ 0, else 0 (p = ∞).
    #[test]
    fn cube_perturbation_is_a_corner(grad in prop::collection::vec(prop_oneof![Just(0.0_f32), -5.0_f32..5.0], 1..32)) {
        let config = SamConfig::new().with_rho(0.25).with_norm(Norm::LInf);
        let epsilon = Pieces::new(&vec![0.0; grad.len()], &[], &device()).epsilon(&config, &grad);
        for (e, g) in epsilon.iter().zip(&grad) {
            prop_assert_eq!(*e, if *g == 0.0 { 0.0 } else { 0.25 * f64::from(g.signum()) });
        }
    }

    /// g_SAM = g + ρ H g / ‖g‖ on a quadratic, and a convex loss never falls in the perturbation's direction.
    #[test]
    fn quadratic_gradients_are_exact(
        (weights, h) in prop::collection::vec((-2.0_f32..2.0, 0.1_f32..5.0), 1..8).prop_map(|v| v.into_iter().unzip::<_, _, Vec<_>, Vec<_>>()),
        rho in 0.0_f64..2.0,
    ) {
        let g: Vec<f64> = weights.iter().zip(&h).map(|(w, h)| f64::from(*w) * f64::from(*h)).collect();
        let norm = length(g.iter().copied());
        prop_assume!(norm > 1e-3);
        let pieces = Pieces::new(&weights, &[], &device());
        let curvature = TensorData::new(h.clone(), [h.len()]);
        let loss = |pieces: &Pieces| {
            let x = pieces.weight[0].val();
            let h = Tensor::<1>::from_data(curvature.clone(), &x.device());
            (x.powi_scalar(2) * h).sum() * 0.5
        };
        let step = SamConfig::new().with_rho(rho).ascent().unwrap().gradients(&pieces, loss).unwrap();
        let found = vector(step.grads.get::<1>(pieces.weight[0].id).unwrap());
        for ((found, g), h) in found.iter().zip(&g).zip(&h) {
            let expected = g + rho * f64::from(*h) * g / norm;
            prop_assert!((f64::from(*found) - expected).abs() <= 1e-4, "{found} {expected}");
        }
        if let Some(sharpness) = step.report.sharpness() {
            prop_assert!(sharpness >= -1e-5, "{sharpness}");
        }
    }

    /// Whatever the group size, groups of a loss linear in the weights add up to the batch's gradient.
    #[test]
    fn groups_add_up_to_the_batch(slopes in prop::collection::vec(-2.0_f32..2.0, 1..20), m in 1_usize..24) {
        let pieces = Pieces::new(&[1.0], &[], &device());
        let ascent = SamConfig::new().with_micro_batch(Some(m)).ascent().unwrap();
        let loss = |pieces: &Pieces, range: std::ops::Range<usize>| {
            let mean = slopes[range.clone()].iter().sum::<f32>() / range.len() as f32;
            pieces.weight[0].val().mul_scalar(mean)
        };
        let grads = ascent.gradients_by_range(&pieces, slopes.len(), loss).unwrap().grads;
        let found = vector(grads.get::<1>(pieces.weight[0].id).unwrap())[0];
        let expected = slopes.iter().sum::<f32>() / slopes.len() as f32;
        prop_assert!((found - expected).abs() <= 1e-5, "{found} {expected}");
    }

    /// A perturbation moves a network by ρ as a whole and leaves its running statistics to the bit.
    #[test]
    fn networks_move_by_rho(seed in 0_u64..1000, rho in 1e-2_f64..1.0) {
        let device = device();
        let net = Net::new(0.0, &device);
        let batch = common::Batch::new(seed, 9, &device);
        let grads = gradient_of(&rekindle_shared::model::deep_copy(&net), |net| batch.loss(net));
        let moved = Perturbation::new(rho, &net, &grads).unwrap().apply(net.clone());
        let (before, after) = (common::bits(&net), common::bits(&moved));
        prop_assert_eq!(&before[4..6], &after[4..6]);
        let value = |bits: &u32| f64::from(f32::from_bits(*bits));
        let moved = length(after.iter().flatten().zip(before.iter().flatten()).map(|(a, b)| value(a) - value(b)));
        prop_assert!((moved / rho - 1.0).abs() <= 1e-3, "{moved} {rho}");
    }
}
