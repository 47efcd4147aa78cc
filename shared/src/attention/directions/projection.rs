use burn::module::{Module, Param, ParamId};
use burn::tensor::{DType, Device, Int, Tensor};

use super::origin::Origin;
use super::{Projection, RowScaling};

/// Directions with where they come from: seed, step of the last draw, projection and scaling of rows, all in the record.
///
/// Nothing of it is trained: attention reads the directions without gradient. [`redraw`](super::redraw) draws new ones.
///
/// ```
/// use burn::tensor::Device;
/// use rekindle_shared::attention::directions::{Projection, RandomProjection, RowScaling, redraw};
///
/// let projection = RandomProjection::new([16, 8], Projection::Orthogonal, RowScaling::Chi, 1, &Device::flex());
/// let before = projection.directions();
/// let projection = redraw(projection, 1000);
/// assert!(!before.equal(projection.directions()).all().into_scalar::<bool>());
/// assert_eq!(projection.last_redraw(), 1000);
/// ```
#[derive(Module, Debug)]
pub struct RandomProjection {
    /// Before the weights, so that a mapping sees it first.
    origin: Param<Tensor<1, Int>>,
    /// `[m, d]`
    weight: Param<Tensor<2>>,
    /// `[m, d]`, those of a pool that evaluation uses; behind the weights, which a mapping changes.
    fixed: Option<Param<Tensor<2>>>,
}

/// Matrices that the heads of a layer pick theirs from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pool {
    /// Matrices, at least one a head.
    pub size: u64,
    /// Heads, each with a matrix of its own; at least 1.
    pub n_heads: usize,
    /// Steps between picks of [`resample`](super::resample); 0 for none.
    pub interval: u64,
}

impl RandomProjection {
    /// `[m, d]` directions.
    pub fn new(shape: [usize; 2], projection: Projection, row_scaling: RowScaling, seed: u64, device: &Device) -> Self {
        let origin = Origin { seed, step: 0, projection, row_scaling, pool: None };
        Self::of(origin, origin.draw(shape, device, DType::F32), None, device)
    }

    /// `[m, d]` directions for each head, out of a pool that the seed decides; the heads never share a matrix.
    ///
    /// [`directions`](Self::directions) are those picked for the step of the last redraw, [`fixed`](Self::fixed) the first ones of the pool.
    pub fn with_pool(
        [m, d]: [usize; 2],
        pool: Pool,
        projection: Projection,
        row_scaling: RowScaling,
        seed: u64,
        device: &Device,
    ) -> Self {
        let pool = Pool { n_heads: pool.n_heads.max(1), ..pool };
        let origin = Origin { seed, step: 0, projection, row_scaling, pool: Some(pool) };
        let shape = [pool.n_heads * m, d];
        let weight = origin.draw(shape, device, DType::F32);
        Self::of(origin, weight, Some(origin.fixed(shape, device, DType::F32)), device)
    }

    fn of(origin: Origin, weight: Tensor<2>, fixed: Option<Tensor<2>>, device: &Device) -> Self {
        let untrained = |x: Tensor<2>| Param::initialized(ParamId::new(), x).set_require_grad(false);
        Self {
            origin: Param::initialized(ParamId::new(), origin.to_tensor(device)),
            weight: untrained(weight),
            fixed: fixed.map(untrained),
        }
    }

    /// The directions, without gradient.
    ///
    /// # Shapes
    ///
    /// - output: `[m, d]`, with a pool `[n_heads * m, d]`
    pub fn directions(&self) -> Tensor<2> {
        self.weight.val().inner()
    }

    /// The first directions of the pool, which a redraw leaves as they are, without gradient; without a pool the directions.
    ///
    /// # Shapes
    ///
    /// - output: `[n_heads * m, d]`
    pub fn fixed(&self) -> Tensor<2> {
        self.fixed.as_ref().unwrap_or(&self.weight).val().inner()
    }

    /// The seed of the directions, which is part of the record. Read back from the device; 0 if the record held something else.
    pub fn seed(&self) -> u64 {
        self.origin().map_or(0, |origin| origin.seed)
    }

    /// The step of the last redraw; 0 before the first. Read back from the device.
    pub fn last_redraw(&self) -> u64 {
        self.origin().map_or(0, |origin| origin.step)
    }

    fn origin(&self) -> Option<Origin> {
        Origin::from_tensor(&self.origin.val())
    }
}
