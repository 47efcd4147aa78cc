use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::ops::ModuleOps;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::nn::conv::{Conv1d, Conv2d};
use burn::tensor::Tensor;
use burn::tensor::ops::ConvOptions;

use super::padding;
use crate::ForwardFast;
use crate::conv::{Geometry, backward_bias, backward_input, backward_weight, forward};
use crate::flex::{Primitive, instructions, primitive, takes, with_values};

/// [`burn::tensor::module::conv2d`], faster on f32 tensors of the flex backend; everything else is passed on to it.
///
/// # Shapes
///
/// - `x`: `[batch, channels in, height, width]`
/// - `weight`: `[channels out, channels in / groups, kernel height, kernel width]`
/// - `bias`: `[channels out]`
/// - output: `[batch, channels out, height out, width out]`
///
/// # Panics
///
/// As Burn's function, if the shapes don't fit together.
pub fn conv2d(
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
    options: impl Into<ConvOptions<2>>,
) -> Tensor<4> {
    let options = options.into();
    let fits = takes(&x)
        && takes(&weight)
        && bias.as_ref().is_none_or(|bias| takes(bias) && bias.dims()[0] == weight.dims()[0])
        && Geometry::new(x.dims(), weight.dims(), &options).is_some();
    if !fits {
        return burn::tensor::module::conv2d(x, weight, bias, options);
    }
    let (x, weight) = (x.into_dispatch(), weight.into_dispatch());
    Tensor::from_dispatch(match bias {
        Some(bias) => Dispatch::conv2d_fast_biased(x, weight, bias.into_dispatch(), options),
        None => Dispatch::conv2d_fast(x, weight, options),
    })
}

/// [`burn::tensor::module::conv1d`], faster on f32 tensors of the flex backend; everything else is passed on to it.
///
/// # Shapes
///
/// - `x`: `[batch, channels in, length]`
/// - `weight`: `[channels out, channels in / groups, kernel]`
/// - `bias`: `[channels out]`
/// - output: `[batch, channels out, length out]`
///
/// # Panics
///
/// As Burn's function, if the shapes don't fit together.
pub fn conv1d(
    x: Tensor<3>,
    weight: Tensor<3>,
    bias: Option<Tensor<1>>,
    options: impl Into<ConvOptions<1>>,
) -> Tensor<3> {
    let options = options.into();
    if !(takes(&x) && takes(&weight)) {
        return burn::tensor::module::conv1d(x, weight, bias, options);
    }
    let flat = ConvOptions::new_with_padding(
        [1, options.stride[0]],
        [(0, 0), options.padding[0]],
        [1, options.dilation[0]],
        options.groups,
    );
    let ([batch, channels, length], [outs, ins, kernel]) = (x.dims(), weight.dims());
    if Geometry::new([batch, channels, 1, length], [outs, ins, 1, kernel], &flat).is_none() {
        return burn::tensor::module::conv1d(x, weight, bias, options);
    }
    conv2d(x.unsqueeze_dim(2), weight.unsqueeze_dim(2), bias, flat).squeeze_dim(2)
}

#[backend_extension(Flex, Autodiff)]
trait FastConvolution: Backend {
    fn conv2d_fast(x: FloatTensor<Self>, weight: FloatTensor<Self>, options: ConvOptions<2>) -> FloatTensor<Self>;
    fn conv2d_fast_biased(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        options: ConvOptions<2>,
    ) -> FloatTensor<Self>;
}

impl FastConvolution for Flex {
    fn conv2d_fast(x: Primitive, weight: Primitive, options: ConvOptions<2>) -> Primitive {
        convolve(x, weight, None, options)
    }

    fn conv2d_fast_biased(x: Primitive, weight: Primitive, bias: Primitive, options: ConvOptions<2>) -> Primitive {
        convolve(x, weight, Some(bias), options)
    }
}

impl<C: CheckpointStrategy> FastConvolution for Autodiff<Flex, C> {
    fn conv2d_fast(x: FloatTensor<Self>, weight: FloatTensor<Self>, options: ConvOptions<2>) -> FloatTensor<Self> {
        match ConvolutionBackward.prepare::<C>([x.node(), weight.node()]).compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let state = (prep.checkpoint(&x), prep.checkpoint(&weight), options.clone());
                prep.finish(state, convolve(x.into_primitive(), weight.into_primitive(), None, options))
            }
            OpsKind::UnTracked(prep) => {
                prep.finish(convolve(x.into_primitive(), weight.into_primitive(), None, options))
            }
        }
    }

    fn conv2d_fast_biased(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        options: ConvOptions<2>,
    ) -> FloatTensor<Self> {
        match ConvolutionBackward.prepare::<C>([x.node(), weight.node(), bias.node()]).compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let state = (prep.checkpoint(&x), prep.checkpoint(&weight), options.clone());
                let bias = Some(bias.into_primitive());
                prep.finish(state, convolve(x.into_primitive(), weight.into_primitive(), bias, options))
            }
            OpsKind::UnTracked(prep) => {
                let bias = Some(bias.into_primitive());
                prep.finish(convolve(x.into_primitive(), weight.into_primitive(), bias, options))
            }
        }
    }
}

/// Gradients of input, weight and, with three parents, bias.
#[derive(Debug)]
struct ConvolutionBackward;

impl<const N: usize> Backward<Flex, N> for ConvolutionBackward {
    type State = (NodeId, NodeId, ConvOptions<2>);

    fn backward(self, ops: Ops<Self::State, N>, grads: &mut Gradients, checkpointer: &mut Checkpointer) {
        let grad = grads.consume::<Flex>(&ops.node);
        let (x, weight, options) = ops.state;
        // Both are retrieved whatever is wanted: a retrieval uses up what was kept for it.
        let x = checkpointer.retrieve_node_output::<Primitive>(x);
        let weight = checkpointer.retrieve_node_output::<Primitive>(weight);
        for (i, parent) in ops.parents.into_iter().enumerate() {
            let Some(parent) = parent else { continue };
            let gradient = match i {
                0 => input_gradient(&x, &weight, &grad, &options),
                1 => weight_gradient(&x, &weight, &grad, &options),
                _ => bias_gradient(&x, &weight, &grad, &options),
            };
            grads.register::<Flex>(parent.id, gradient);
        }
    }
}

fn geometry(x: &Primitive, weight: &Primitive, options: &ConvOptions<2>) -> Geometry {
    Geometry::new(x.shape().dims(), weight.shape().dims(), options)
        .expect("checked before the operation was dispatched")
}

fn convolve(x: Primitive, weight: Primitive, bias: Option<Primitive>, options: ConvOptions<2>) -> Primitive {
    let (Some(arch), true) = (instructions(), with_values(&weight, all_finite)) else {
        return Flex::conv2d(x, weight, bias, options);
    };
    let g = geometry(&x, &weight, &options);
    let [batch, channels] = [x.shape()[0], weight.shape()[0]];
    let [height, width] = output_size(&x, &weight, &options);
    let values = with_values(&x, |x| {
        with_values(&weight, |weight| match &bias {
            Some(bias) => with_values(bias, |bias| forward(arch, &g, x, weight, Some(bias))),
            None => forward(arch, &g, x, weight, None),
        })
    });
    primitive(values, [batch, channels, height, width])
}

fn input_gradient(x: &Primitive, weight: &Primitive, grad: &Primitive, options: &ConvOptions<2>) -> Primitive {
    let (Some(arch), true) = (instructions(), with_values(weight, all_finite)) else {
        return Flex::conv2d_x_backward(x.clone(), weight.clone(), grad.clone(), options.clone());
    };
    let g = geometry(x, weight, options);
    let values = with_values(weight, |weight| with_values(grad, |grad| backward_input(arch, &g, weight, grad)));
    primitive(values, x.shape())
}

fn weight_gradient(x: &Primitive, weight: &Primitive, grad: &Primitive, options: &ConvOptions<2>) -> Primitive {
    let Some(arch) = instructions() else {
        return Flex::conv2d_weight_backward(x.clone(), weight.clone(), grad.clone(), options.clone());
    };
    let g = geometry(x, weight, options);
    let values = with_values(x, |x| with_values(grad, |grad| backward_weight(arch, &g, x, grad)));
    primitive(values, weight.shape())
}

fn bias_gradient(x: &Primitive, weight: &Primitive, grad: &Primitive, options: &ConvOptions<2>) -> Primitive {
    let arch = instructions().unwrap_or_default();
    let g = geometry(x, weight, options);
    let values = with_values(grad, |grad| backward_bias(arch, &g, grad));
    primitive(values, [weight.shape()[0]])
}

fn output_size(x: &Primitive, weight: &Primitive, options: &ConvOptions<2>) -> [usize; 2] {
    let (x, weight) = (x.shape(), weight.shape());
    [0, 1].map(|axis| {
        let (begin, end) = options.padding[axis];
        let reach = options.dilation[axis] * (weight[2 + axis] - 1) + 1;
        (x[2 + axis] + begin + end - reach) / options.stride[axis] + 1
    })
}

/// With a weight that isn't finite, even the zeros of the padding leave their mark, which only Burn's own operation
/// leaves in the right places.
fn all_finite(values: &[f32]) -> bool {
    const EXPONENT: u32 = 0x7f80_0000;
    values
        .chunks(4096)
        .all(|values| values.iter().fold(true, |finite, value| finite & (value.to_bits() & EXPONENT != EXPONENT)))
}

impl ForwardFast<4> for Conv2d {
    fn forward_fast(&self, input: Tensor<4>) -> Tensor<4> {
        let [_, _, height, width] = input.dims();
        let padding = padding::pairs_2d(&self.padding, [height, width], self.kernel_size, self.stride);
        let options = ConvOptions::new_with_padding(self.stride, padding, self.dilation, self.groups);
        conv2d(input, self.weight.val(), self.bias.as_ref().map(|bias| bias.val()), options)
    }
}

impl ForwardFast<3> for Conv1d {
    fn forward_fast(&self, input: Tensor<3>) -> Tensor<3> {
        let padding = padding::pair_1d(&self.padding, input.dims()[2], self.kernel_size, self.stride);
        let options = ConvOptions::new_with_padding([self.stride], [padding], [self.dilation], self.groups);
        conv1d(input, self.weight.val(), self.bias.as_ref().map(|bias| bias.val()), options)
    }
}
