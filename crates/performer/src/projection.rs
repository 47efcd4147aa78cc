use burn::module::{Module, ModuleMapper, Param, ParamId};
use burn::tensor::{DType, Device, Int, Tensor, TensorData};

use crate::{Projection, RowScaling, directions};

/// Directions with where they come from: seed, step of the last draw, projection and scaling of rows, all in the record.
///
/// Nothing of it is trained: attention reads the directions without gradient.
#[derive(Module, Debug)]
pub struct RandomProjection {
    /// Before the weights, so that a mapping sees it first.
    origin: Param<Tensor<1, Int>>,
    /// `[m, d]`
    weight: Param<Tensor<2>>,
}

/// What decides the directions, besides their shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) seed: u64,
    pub(crate) step: u64,
    projection: Projection,
    row_scaling: RowScaling,
}

const PROJECTIONS: [Projection; 5] =
    [Projection::Iid, Projection::Orthogonal, Projection::Hadamard, Projection::Givens, Projection::None];
const SCALINGS: [RowScaling; 2] = [RowScaling::Chi, RowScaling::SqrtDim];

impl Origin {
    /// Four numbers of 16 bits for each of seed and step, since integers of some backends have 32; then two indices.
    fn to_tensor(self, device: &Device) -> Tensor<1, Int> {
        let parts = |number: u64| (0..4).map(move |i| (number >> (16 * i)) as i32 & 0xffff);
        let index = [
            PROJECTIONS.iter().position(|p| *p == self.projection),
            SCALINGS.iter().position(|s| *s == self.row_scaling),
        ];
        let indices = index.map(|index| index.unwrap_or_default() as i32);
        let numbers: Vec<i32> = parts(self.seed).chain(parts(self.step)).chain(indices).collect();
        Tensor::from_data(TensorData::from(&numbers[..]), device)
    }

    /// None if the tensor is not an origin.
    fn from_tensor<const D: usize>(tensor: &Tensor<D, Int>) -> Option<Self> {
        let numbers: Vec<u64> = tensor.to_data().iter::<i64>().map(|number| number as u64).collect();
        let joined = |parts: &[u64]| parts.iter().rev().fold(0, |number, part| number << 16 | (part & 0xffff));
        let &[.., projection, row_scaling] = &numbers[..] else { return None };
        Some(Self {
            seed: joined(numbers.get(..4)?),
            step: joined(numbers.get(4..8)?),
            projection: *PROJECTIONS.get(usize::try_from(projection).ok()?)?,
            row_scaling: *SCALINGS.get(usize::try_from(row_scaling).ok()?)?,
        })
    }

    fn draw(self, [m, d]: [usize; 2], device: &Device, dtype: DType) -> Tensor<2> {
        let rows = directions::draw([m, d], self.projection, self.row_scaling, self.seed, self.step);
        Tensor::from_data(TensorData::new(rows, [m, d]), (device, dtype))
    }
}

impl RandomProjection {
    pub(crate) fn new(
        shape: [usize; 2],
        projection: Projection,
        row_scaling: RowScaling,
        seed: u64,
        device: &Device,
    ) -> Self {
        let origin = Origin { seed, step: 0, projection, row_scaling };
        let weight = origin.draw(shape, device, DType::F32);
        Self {
            origin: Param::initialized(ParamId::new(), origin.to_tensor(device)),
            weight: Param::initialized(ParamId::new(), weight).set_require_grad(false),
        }
    }

    /// The directions, without gradient.
    ///
    /// # Shapes
    ///
    /// - output: `[m, d]`
    pub(crate) fn directions(&self) -> Tensor<2> {
        self.weight.val().inner()
    }

    pub(crate) fn origin(&self) -> Option<Origin> {
        Origin::from_tensor(&self.origin.val())
    }
}

/// Draws new directions for every [`Favor`](crate::Favor) in `model`, which becomes a function of its seeds and `step`.
///
/// The paper redraws while training, every 1,000 steps or so; `step` is the number of the training step. What was drawn
/// last is part of the record, so that a model that was loaded attends as the one that was saved.
///
/// ```
/// use burn::tensor::Device;
/// use rekindle_performer::{FavorConfig, redraw};
///
/// let model = FavorConfig::new(8).with_n_features(16).with_seed(1).init(&Device::flex())?;
/// let before = model.directions();
/// let model = redraw(model, 1000);
/// assert!(!before.equal(model.directions()).all().into_scalar::<bool>());
/// assert_eq!(model.last_redraw(), 1000);
/// # Ok::<(), rekindle_performer::PerformerError>(())
/// ```
pub fn redraw<M: Module>(model: M, step: u64) -> M {
    model.map(&mut Redraw { step, inside: Vec::new(), origin: None })
}

/// [`redraw`] at every step that `interval` divides, except step 0; the same model otherwise, and with an interval of 0.
pub fn redraw_every<M: Module>(model: M, interval: u64, step: u64) -> M {
    if step > 0 && interval > 0 && step.is_multiple_of(interval) { redraw(model, step) } else { model }
}

struct Redraw {
    step: u64,
    /// Whether what was entered is a field of a projection, outermost first.
    inside: Vec<bool>,
    origin: Option<Origin>,
}

impl Redraw {
    fn is_inside(&self) -> bool {
        self.inside.last().is_some_and(|inside| *inside)
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
        self.origin = Origin::from_tensor(&param.val()).map(|origin| Origin { step: self.step, ..origin });
        let Some(origin) = self.origin else { return param };
        param.map(|value| origin.to_tensor(&value.device()).reshape(value.shape()))
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(origin) = self.origin.take().filter(|_| self.is_inside()) else { return param };
        param.map(|value| {
            let shape: Vec<usize> = value.dims().to_vec();
            let drawn = origin.draw([shape[0], shape[1]], &value.device(), value.dtype());
            drawn.reshape(value.shape()).set_require_grad(value.is_require_grad())
        })
    }
}
