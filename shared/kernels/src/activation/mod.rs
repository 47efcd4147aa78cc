//! Activations with the signatures of `burn::tensor::activation`.
//!
//! f32 tensors of the flex backend run in one vectorized pass forward and one backward; all others, and empty ones, run
//! Burn's own operation. The bits depend neither on the number of threads nor on the processor's vectors.
//!
//! Errors below are in units of the last place (ulp) of the exact result, the largest of a sweep over all magnitudes of
//! x. Infinities and NaNs in x or in the output's gradient reach what they reach in Burn's operation, but where the two
//! round a saturated value to its limit in different places.

use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::retro_forward::RetroForward;
use burn::backend::autodiff::checkpoint::state::BackwardStates;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind, unary};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::nn::activation::{Gelu, SiLU, Sigmoid, Tanh};
use burn::tensor::{AsIndex, Shape, Tensor, activation as burns};

use crate::elementwise::{self, Activation};
use crate::flex::{self, Primitive, primitive, with_values};
use crate::layers::ForwardFast;

/// `Tensor::exp`: `e^x`, elementwise, within 1 ulp, with gradual underflow.
pub fn exp<const D: usize>(tensor: Tensor<D>) -> Tensor<D> {
    activate(tensor, Activation::Exp, Tensor::exp)
}

/// `burn::tensor::activation::gelu`: `x Φ(x)`, elementwise, within 8 ulp.
///
/// Negative x keep their digits, where Burn's `1 + erf` cancels: its result is 0 from -5.55 on down.
pub fn gelu<const D: usize>(tensor: Tensor<D>) -> Tensor<D> {
    activate(tensor, Activation::Gelu, burns::gelu)
}

/// `burn::tensor::activation::gelu_approximate`: `x (1 + tanh(√(2/π) (x + 0.044715 x³))) / 2`, elementwise.
///
/// Within 20 ulp for |x| < 3 and within 260 where the result nears 0 at x = -10; Burn's `1 + tanh` cancels for negative x,
/// and is 0 from -5.16 on down.
pub fn gelu_approximate<const D: usize>(tensor: Tensor<D>) -> Tensor<D> {
    activate(tensor, Activation::GeluApproximate, burns::gelu_approximate)
}

/// `burn::tensor::activation::log_softmax`: `x - ln Σ e^x` over `dim`; fast where that is the last dimension.
///
/// # Panics
///
/// If `dim` is outside `[-D, D)`.
pub fn log_softmax<const D: usize>(tensor: Tensor<D>, dim: impl AsIndex) -> Tensor<D> {
    if !is_last(dim, D) {
        return burns::log_softmax(tensor, dim);
    }
    activate(tensor, Activation::LogSoftmax, |tensor| burns::log_softmax(tensor, dim))
}

/// `burn::tensor::activation::sigmoid`: `1 / (1 + e^-x)`, elementwise, within 2.2 ulp.
pub fn sigmoid<const D: usize>(tensor: Tensor<D>) -> Tensor<D> {
    activate(tensor, Activation::Sigmoid, burns::sigmoid)
}

/// `burn::tensor::activation::silu`: `x / (1 + e^-x)`, elementwise, within 3 ulp where `σ(x)` is no denormal (x > -87).
pub fn silu<const D: usize>(tensor: Tensor<D>) -> Tensor<D> {
    activate(tensor, Activation::Silu, burns::silu)
}

/// `burn::tensor::activation::softmax`: `e^x / Σ e^x` over `dim`; fast where that is the last dimension.
///
/// # Panics
///
/// If `dim` is outside `[-D, D)`.
pub fn softmax<const D: usize>(tensor: Tensor<D>, dim: impl AsIndex) -> Tensor<D> {
    if !is_last(dim, D) {
        return burns::softmax(tensor, dim);
    }
    activate(tensor, Activation::Softmax, |tensor| burns::softmax(tensor, dim))
}

/// `burn::tensor::activation::tanh`, elementwise, within 2.5 ulp, also near zero.
pub fn tanh<const D: usize>(tensor: Tensor<D>) -> Tensor<D> {
    activate(tensor, Activation::Tanh, burns::tanh)
}

impl<const D: usize> ForwardFast<D> for Gelu {
    fn forward_fast(&self, input: Tensor<D>) -> Tensor<D> {
        if self.approximate { gelu_approximate(input) } else { gelu(input) }
    }
}

impl<const D: usize> ForwardFast<D> for Sigmoid {
    fn forward_fast(&self, input: Tensor<D>) -> Tensor<D> {
        sigmoid(input)
    }
}

impl<const D: usize> ForwardFast<D> for SiLU {
    fn forward_fast(&self, input: Tensor<D>) -> Tensor<D> {
        silu(input)
    }
}

impl<const D: usize> ForwardFast<D> for Tanh {
    fn forward_fast(&self, input: Tensor<D>) -> Tensor<D> {
        tanh(input)
    }
}

/// Whether `dim` is the last of `rank` dimensions; one that doesn't exist is left to Burn's own panic.
fn is_last(dim: impl AsIndex, rank: usize) -> bool {
    dim.try_dim_index(rank).is_ok_and(|dim| dim + 1 == rank)
}

fn activate<const D: usize>(
    tensor: Tensor<D>,
    activation: Activation,
    otherwise: impl FnOnce(Tensor<D>) -> Tensor<D>,
) -> Tensor<D> {
    if !flex::takes(&tensor) {
        return otherwise(tensor);
    }
    Tensor::from_dispatch(Dispatch::activate(tensor.into_dispatch(), activation))
}

/// The kernels as an operation of the backends.
#[backend_extension(Flex, Autodiff)]
pub(crate) trait ActivationBackend: Backend {
    fn activate(x: FloatTensor<Self>, activation: Activation) -> FloatTensor<Self>;
}

impl ActivationBackend for Flex {
    fn activate(x: Primitive, activation: Activation) -> Primitive {
        forward(x, activation)
    }
}

impl<C: CheckpointStrategy> ActivationBackend for Autodiff<Flex, C> {
    fn activate(x: FloatTensor<Self>, activation: Activation) -> FloatTensor<Self> {
        if activation.derives_from_output() {
            // The output is kept, so there is nothing to gain from computing it again: compute bound.
            match FromOutput.prepare::<C>([x.node()]).compute_bound().stateful() {
                OpsKind::Tracked(prep) => {
                    let y = forward(x.into_primitive(), activation);
                    prep.finish((y.clone(), activation), y)
                }
                OpsKind::UnTracked(prep) => prep.finish(forward(x.into_primitive(), activation)),
            }
        } else {
            let again = Recompute { input: x.id(), activation };
            match FromInput.prepare::<C>([x.node()]).memory_bound().retro_forward(again).parents([&x]).stateful() {
                OpsKind::Tracked(mut prep) => {
                    let state = (prep.checkpoint(&x), activation);
                    prep.finish(state, forward(x.into_primitive(), activation))
                }
                OpsKind::UnTracked(prep) => prep.finish(forward(x.into_primitive(), activation)),
            }
        }
    }
}

#[derive(Debug)]
struct FromInput;

impl Backward<Flex, 1> for FromInput {
    type State = (NodeId, Activation);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, checkpointer: &mut Checkpointer) {
        let (input, activation) = ops.state;
        let x = checkpointer.retrieve_node_output::<Primitive>(input);
        unary::<Flex, _>(ops.parents, ops.node, grads, |dy| backward(x, dy, activation));
    }
}

#[derive(Debug)]
struct FromOutput;

impl Backward<Flex, 1> for FromOutput {
    type State = (Primitive, Activation);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let (y, activation) = ops.state;
        unary::<Flex, _>(ops.parents, ops.node, grads, |dy| backward(y, dy, activation));
    }
}

/// The forward pass for gradient checkpointing.
#[derive(Debug)]
struct Recompute {
    input: NodeId,
    activation: Activation,
}

impl RetroForward for Recompute {
    fn forward(&self, states: &mut BackwardStates, out_node: NodeId) {
        let x = states.get_state::<Primitive>(&self.input);
        states.save(out_node, forward(x, self.activation));
    }
}

fn forward(x: Primitive, activation: Activation) -> Primitive {
    let arch = flex::instructions().unwrap_or_default();
    let shape = x.shape();
    let mut x = contiguous(x);
    if let Some(values) = owned_values(&mut x) {
        elementwise::forward_in_place(arch, activation, row(&shape), values);
        return x;
    }
    primitive(with_values(&x, |x| elementwise::forward(arch, activation, row(&shape), x)), shape)
}

fn backward(saved: Primitive, dy: Primitive, activation: Activation) -> Primitive {
    let arch = flex::instructions().unwrap_or_default();
    let shape = dy.shape();
    let row = row(&shape);
    let mut dy = contiguous(dy);
    with_values(&saved, |saved| {
        if let Some(gradients) = owned_values(&mut dy) {
            elementwise::backward_in_place(arch, activation, row, saved, gradients);
            return dy;
        }
        primitive(with_values(&dy, |dy| elementwise::backward(arch, activation, row, saved, dy)), shape)
    })
}

/// The size of the last dimension.
fn row(shape: &Shape) -> usize {
    shape[shape.rank() - 1]
}

/// The tensor in row-major order. It takes `tensor`, so that what isn't shared stays so.
fn contiguous(tensor: Primitive) -> Primitive {
    tensor.to_contiguous()
}

/// The values of a contiguous tensor, if it alone holds them.
fn owned_values(tensor: &mut Primitive) -> Option<&mut [f32]> {
    let len = tensor.shape().num_elements();
    tensor.try_storage_mut::<f32>().filter(|values| values.len() == len)
}
