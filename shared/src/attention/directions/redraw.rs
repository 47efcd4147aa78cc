use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Int, Tensor};

use super::origin::Origin;

/// Draws new directions for every [`RandomProjection`](super::RandomProjection) in `model`, which becomes a function of its
/// seeds and `step`.
///
/// `step` is the number of the training step. What was drawn last is part of the record, so that a model that was loaded
/// attends as the one that was saved.
pub fn redraw<M: Module>(model: M, step: u64) -> M {
    model.map(&mut Redraw::new(When::At(step)))
}

/// [`redraw`] at every step that `interval` divides, except step 0; the same model otherwise, and with an interval of 0.
pub fn redraw_every<M: Module>(model: M, interval: u64, step: u64) -> M {
    if step > 0 && interval > 0 && step.is_multiple_of(interval) { redraw(model, step) } else { model }
}

/// [`redraw`] by the interval of each pool in `model`, to the last step up to `step` that it divides.
///
/// What is drawn for that step already stays, and so do directions without a pool, and those of an interval of 0. The model
/// is the same whatever calls went before.
pub fn resample<M: Module>(model: M, step: u64) -> M {
    model.map(&mut Redraw::new(When::Due(step)))
}

#[derive(Debug, Clone, Copy)]
enum When {
    At(u64),
    Due(u64),
}

struct Redraw {
    when: When,
    /// Whether what was entered is a field of a projection, outermost first.
    inside: Vec<bool>,
    origin: Option<Origin>,
}

impl Redraw {
    fn new(when: When) -> Self {
        Self { when, inside: Vec::new(), origin: None }
    }

    fn is_inside(&self) -> bool {
        self.inside.last().is_some_and(|inside| *inside)
    }

    /// None if everything stays.
    fn next(&self, origin: Origin) -> Option<Origin> {
        match self.when {
            When::At(step) => Some(Origin { step, ..origin }),
            When::Due(step) => {
                let interval = origin.pool.map_or(0, |pool| pool.interval);
                let step = step - step.checked_rem(interval)?;
                (step != origin.step).then_some(Origin { step, ..origin })
            }
        }
    }
}

impl ModuleMapper for Redraw {
    fn enter_module(&mut self, _name: &str, container_type: &str) {
        self.inside.push(container_type == "Struct:RandomProjection");
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.inside.pop();
    }

    fn map_int<const D: usize>(&mut self, param: Param<Tensor<D, Int>>) -> Param<Tensor<D, Int>> {
        if !self.is_inside() {
            return param;
        }
        self.origin = Origin::from_tensor(&param.val()).and_then(|origin| self.next(origin));
        let Some(origin) = self.origin else { return param };
        param.map(|value| origin.to_tensor(&value.device()).reshape(value.shape()))
    }

    /// The first one after the integers alone: what a pool holds fixed comes behind it.
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(origin) = self.origin.take().filter(|_| self.is_inside()) else { return param };
        param.map(|value| {
            let shape: Vec<usize> = value.dims().to_vec();
            let drawn = origin.draw([shape[0], shape[1]], &value.device(), value.dtype());
            drawn.reshape(value.shape()).set_require_grad(value.is_require_grad())
        })
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::super::{Pool, Projection, RandomProjection, RowScaling};
    use super::*;

    const M: usize = 6;
    const D: usize = 4;

    fn pooled(pool: Pool, seed: u64) -> RandomProjection {
        RandomProjection::with_pool([M, D], pool, Projection::Orthogonal, RowScaling::Chi, seed, &Device::flex())
    }

    fn matrices(x: Tensor<2>) -> Vec<Vec<f32>> {
        x.into_data().iter::<f32>().collect::<Vec<_>>().chunks(M * D).map(<[f32]>::to_vec).collect()
    }

    #[test]
    fn heads_pick_different_matrices_of_the_pool() {
        let of = |n_heads| pooled(Pool { size: 5, n_heads, interval: 1 }, 3);
        let pool = matrices(of(5).fixed());
        let mut seen = [false; 5];
        for step in 0..40 {
            let picked: Vec<usize> = matrices(redraw(of(3), step).directions())
                .iter()
                .map(|matrix| pool.iter().position(|other| other == matrix).expect("of the pool"))
                .collect();
            assert!(picked[0] != picked[1] && picked[1] != picked[2] && picked[0] != picked[2], "{picked:?}");
            picked.iter().for_each(|&i| seen[i] = true);
        }
        assert_eq!(seen, [true; 5]);
        assert_eq!(matrices(redraw(of(3), 17).fixed())[..], pool[..3]);
    }

    #[test]
    fn resampling_is_a_function_of_seed_and_step() {
        let of = |interval| pooled(Pool { size: 100, n_heads: 2, interval }, 8);
        let straight = resample(of(10), 57);
        let detour = resample(resample(resample(of(10), 3), 91), 50);
        assert_eq!((straight.last_redraw(), detour.last_redraw()), (50, 50));
        assert_eq!(matrices(straight.directions()), matrices(detour.directions()));
        assert_ne!(matrices(straight.directions()), matrices(of(10).directions()));
        assert_eq!(matrices(resample(straight, 9).directions()), matrices(of(10).directions()));
        assert_eq!(resample(of(0), 57).last_redraw(), 0);
        let plain = RandomProjection::new([M, D], Projection::Iid, RowScaling::Chi, 1, &Device::flex());
        assert_eq!(resample(plain, 57).last_redraw(), 0);
    }

    #[test]
    fn a_record_holds_the_pool() {
        let saved = redraw(pooled(Pool { size: 100, n_heads: 2, interval: 7 }, u64::MAX), 1 << 40);
        let loaded = pooled(Pool { size: 9, n_heads: 2, interval: 0 }, 5).load_record(saved.clone().into_record());
        assert_eq!(loaded.seed(), u64::MAX);
        for (a, b) in [(saved.directions(), loaded.directions()), (saved.fixed(), loaded.fixed())] {
            assert_eq!(matrices(a), matrices(b));
        }
        assert_eq!(matrices(resample(saved, 70).directions()), matrices(resample(loaded, 70).directions()));
    }
}
