//! Sines and cosines together, as random Fourier features have them.
//!
//! f32 tensors of the flex backend run in one vectorized pass forward and one backward; all others, and empty ones, run
//! Burn's own operations. The bits depend neither on the number of threads nor on the processor's vectors.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind, unary};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::{Shape, Tensor};

use crate::elementwise::waves;
use crate::flex::{self, Primitive, primitive, with_values};

/// `scale · (sin x, cos x)`: the sines and behind them the cosines, along the last dimension, which becomes twice as long.
///
/// Within 1.5 ulp before the scale; beyond |x| = 65,536 in double precision, at the speed of that.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use rekindle_kernels::waves::sin_cos;
///
/// let y = sin_cos(Tensor::<2>::zeros([3, 4], &Device::flex()), 0.5);
/// assert_eq!(y.dims(), [3, 8]);
/// assert_eq!(y.sum().into_scalar::<f32>(), 6.0);
/// ```
pub fn sin_cos<const D: usize>(tensor: Tensor<D>, scale: f64) -> Tensor<D> {
    if !flex::takes(&tensor) {
        return Tensor::cat(vec![tensor.clone().sin(), tensor.cos()], D - 1).mul_scalar(scale);
    }
    Tensor::from_dispatch(Dispatch::sin_cos(tensor.into_dispatch(), scale as f32))
}

/// The kernels as an operation of the backends.
#[backend_extension(Flex, Autodiff)]
pub(crate) trait WavesBackend: Backend {
    fn sin_cos(x: FloatTensor<Self>, scale: f32) -> FloatTensor<Self>;
}

impl WavesBackend for Flex {
    fn sin_cos(x: Primitive, scale: f32) -> Primitive {
        forward(&x, scale)
    }
}

impl<C: CheckpointStrategy> WavesBackend for Autodiff<Flex, C> {
    fn sin_cos(x: FloatTensor<Self>, scale: f32) -> FloatTensor<Self> {
        // The gradient is made of the output, which is kept anyway.
        match FromOutput.prepare::<C>([x.node()]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let y = forward(&x.into_primitive(), scale);
                prep.finish(y.clone(), y)
            }
            OpsKind::UnTracked(prep) => prep.finish(forward(&x.into_primitive(), scale)),
        }
    }
}

#[derive(Debug)]
struct FromOutput;

impl Backward<Flex, 1> for FromOutput {
    type State = Primitive;

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let y = ops.state;
        unary::<Flex, _>(ops.parents, ops.node, grads, |dy| backward(&y, &dy));
    }
}

fn forward(x: &Primitive, scale: f32) -> Primitive {
    let (arch, shape) = (flex::instructions().unwrap_or_default(), x.shape());
    let row = shape[shape.rank() - 1];
    primitive(with_values(x, |x| waves::forward(arch, row, scale, x)), with_last(shape, 2 * row))
}

fn backward(y: &Primitive, dy: &Primitive) -> Primitive {
    let (arch, shape) = (flex::instructions().unwrap_or_default(), y.shape());
    let row = shape[shape.rank() - 1] / 2;
    let dx = with_values(y, |y| with_values(dy, |dy| waves::backward(arch, row, y, dy)));
    primitive(dx, with_last(shape, row))
}

fn with_last(mut shape: Shape, size: usize) -> Shape {
    let last = shape.rank() - 1;
    shape[last] = size;
    shape
}
