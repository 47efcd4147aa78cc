//! Noise and seeds of the method's own, drawn on the host so that they repeat and disturb no device's generator.

use std::collections::HashSet;

use burn::module::{Module, ModuleVisitor, Param, ParamId};
use burn::optim::GradientsParams;
use burn::tensor::{FloatDType, Tensor, TensorData};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rand_distr::{Distribution, StandardNormal};

/// A seed for a step and a group, different for each of the three numbers (the finalizer of SplitMix64).
pub(crate) fn seed_of(seed: u64, step: u64, group: u64) -> u64 {
    [seed, step, group].into_iter().fold(0, |state: u64, value| {
        let mut z = (state ^ value).wrapping_add(0x9E37_79B9_7F4A_7C15);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    })
}

/// Standard normal noise for every parameter of `model` that requires gradients, in the order of its fields.
pub(crate) fn gaussian<M: Module>(model: &M, seed: u64) -> GradientsParams {
    struct Draw {
        rng: ChaCha8Rng,
        seen: HashSet<ParamId>,
        noise: GradientsParams,
    }
    impl ModuleVisitor for Draw {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if !param.is_require_grad() || !self.seen.insert(param.id) {
                return;
            }
            let value = param.val();
            let shape = value.shape();
            let normals: Vec<f32> = StandardNormal.sample_iter(&mut self.rng).take(shape.num_elements()).collect();
            let data = TensorData::new(normals, shape);
            let noise = Tensor::<D>::from_data(data, &value.device().inner());
            self.noise.register::<D>(param.id, noise.cast(FloatDType::from(value.dtype())));
        }
    }
    let mut draw = Draw { rng: ChaCha8Rng::seed_from_u64(seed), seen: HashSet::new(), noise: GradientsParams::new() };
    model.visit(&mut draw);
    draw.noise
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_differ_by_seed_step_and_group() {
        let mut seeds = HashSet::new();
        for seed in 0..8 {
            for step in 0..8 {
                for group in 0..8 {
                    assert!(seeds.insert(seed_of(seed, step, group)), "{seed} {step} {group}");
                }
            }
        }
    }
}
