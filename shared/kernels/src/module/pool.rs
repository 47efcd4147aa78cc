use super::padding;
use crate::flex::{Primitive, instructions, primitive, takes, with_values};
use crate::layers::ForwardFast;
use crate::pool::{self, Divisor, Window};
use burn::backend::autodiff::{
    NodeId,
    checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
    grads::Gradients,
    ops::{Backward, Ops, OpsKind},
};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::nn::pool::{AdaptiveAvgPool2d, AvgPool2d, MaxPool2d};
use burn::tensor::ops::{AvgPoolOptions, MaxPoolOptions};
use burn::tensor::{Tensor, module};
use pulp::Arch;

/// [`burn::tensor::module::max_pool2d`], faster for f32 on flex.
///
/// `x` is `[batch, channels, height, width]`. Values and gradients are Burn's: of equal values in a window the first has
/// the gradient, of NaNs the last. Dilation, ceil mode and padding that isn't symmetric leave the work to Burn.
pub fn max_pool2d(x: Tensor<4>, options: MaxPoolOptions<2>) -> Tensor<4> {
    let plain = options.dilation == [1, 1] && !options.ceil_mode;
    match window(&x, options.kernel_size, options.stride, options.padding).filter(|_| plain) {
        Some(window) => Tensor::from_dispatch(<Dispatch as PoolOps>::max_pool2d_fast(x.into_dispatch(), window)),
        None => module::max_pool2d(x, options),
    }
}

/// [`burn::tensor::module::avg_pool2d`], faster for f32 on flex.
///
/// `x` is `[batch, channels, height, width]`. The result is Burn's up to rounding. Ceil mode and padding that isn't
/// symmetric leave the work to Burn.
pub fn avg_pool2d(x: Tensor<4>, options: AvgPoolOptions<2>) -> Tensor<4> {
    match window(&x, options.kernel_size, options.stride, options.padding).filter(|_| !options.ceil_mode) {
        Some(window) => {
            let divisor = if options.count_include_pad { Divisor::Kernel } else { Divisor::Inside };
            Tensor::from_dispatch(<Dispatch as PoolOps>::avg_pool2d_fast(x.into_dispatch(), window, divisor))
        }
        None => module::avg_pool2d(x, options),
    }
}

/// The window, where the kernels take it and are faster.
fn window(x: &Tensor<4>, kernel: [usize; 2], stride: [usize; 2], padding: [(usize, usize); 2]) -> Option<Window> {
    let [_, _, height, width] = x.dims();
    let symmetric = padding.iter().all(|(begin, end)| begin == end);
    let window = Window::new([height, width], kernel, stride, padding.map(|(begin, _)| begin));
    window.filter(|window| symmetric && window.is_fast() && takes(x))
}

impl ForwardFast<4> for MaxPool2d {
    fn forward_fast(&self, input: Tensor<4>) -> Tensor<4> {
        let options = MaxPoolOptions::new(self.kernel_size)
            .with_stride(self.stride)
            .with_padding_pairs(padding::pairs_2d(&self.padding, size(&input), self.kernel_size, self.stride))
            .with_dilation(self.dilation)
            .with_ceil_mode(self.ceil_mode);
        max_pool2d(input, options)
    }
}

impl ForwardFast<4> for AvgPool2d {
    fn forward_fast(&self, input: Tensor<4>) -> Tensor<4> {
        let options = AvgPoolOptions::new(self.kernel_size)
            .with_stride(self.stride)
            .with_padding_pairs(padding::pairs_2d(&self.padding, size(&input), self.kernel_size, self.stride))
            .with_count_include_pad(self.count_include_pad)
            .with_ceil_mode(self.ceil_mode);
        avg_pool2d(input, options)
    }
}

/// Fast where the output is one pixel, the mean of each channel.
impl ForwardFast<4> for AdaptiveAvgPool2d {
    fn forward_fast(&self, input: Tensor<4>) -> Tensor<4> {
        let [_, _, height, width] = input.dims();
        if self.output_size == [1, 1] && height * width > 0 {
            avg_pool2d(input, AvgPoolOptions::new([height, width]))
        } else {
            self.forward(input)
        }
    }
}

/// Height and width.
fn size(input: &Tensor<4>) -> [usize; 2] {
    let [_, _, height, width] = input.dims();
    [height, width]
}

#[backend_extension(Flex, Autodiff)]
pub(crate) trait PoolOps: Backend {
    fn max_pool2d_fast(x: FloatTensor<Self>, window: Window) -> FloatTensor<Self>;

    fn avg_pool2d_fast(x: FloatTensor<Self>, window: Window, divisor: Divisor) -> FloatTensor<Self>;
}

impl PoolOps for Flex {
    fn max_pool2d_fast(x: Primitive, window: Window) -> Primitive {
        let shape = output_shape(&x, &window);
        primitive(with_values(&x, |x| pool::max_forward(arch(), &window, x)), shape)
    }

    fn avg_pool2d_fast(x: Primitive, window: Window, divisor: Divisor) -> Primitive {
        let shape = output_shape(&x, &window);
        primitive(with_values(&x, |x| pool::avg_forward(arch(), &window, divisor, x)), shape)
    }
}

impl<C: CheckpointStrategy> PoolOps for Autodiff<Flex, C> {
    fn max_pool2d_fast(x: FloatTensor<Self>, window: Window) -> FloatTensor<Self> {
        match MaxPool.prepare::<C>([x.node()]).compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let state = (prep.checkpoint(&x), window);
                prep.finish(state, Flex::max_pool2d_fast(x.into_primitive(), window))
            }
            OpsKind::UnTracked(prep) => prep.finish(Flex::max_pool2d_fast(x.into_primitive(), window)),
        }
    }

    fn avg_pool2d_fast(x: FloatTensor<Self>, window: Window, divisor: Divisor) -> FloatTensor<Self> {
        match AvgPool.prepare::<C>([x.node()]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                prep.finish((window, divisor), Flex::avg_pool2d_fast(x.into_primitive(), window, divisor))
            }
            OpsKind::UnTracked(prep) => prep.finish(Flex::avg_pool2d_fast(x.into_primitive(), window, divisor)),
        }
    }
}

/// Where the largest values are is found again from the input: cheaper than to keep.
#[derive(Debug)]
struct MaxPool;

impl Backward<Flex, 1> for MaxPool {
    type State = (NodeId, Window);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, checkpointer: &mut Checkpointer) {
        let gradient = grads.consume::<Flex>(&ops.node);
        let (x, window) = ops.state;
        let x = checkpointer.retrieve_node_output::<Primitive>(x);
        if let [Some(parent)] = ops.parents {
            let values = with_values(&x, |x| {
                with_values(&gradient, |gradient| pool::max_backward(arch(), &window, x, gradient))
            });
            grads.register::<Flex>(parent.id, primitive(values, x.shape()));
        }
    }
}

#[derive(Debug)]
struct AvgPool;

impl Backward<Flex, 1> for AvgPool {
    type State = (Window, Divisor);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = grads.consume::<Flex>(&ops.node);
        let (window, divisor) = ops.state;
        if let [Some(parent)] = ops.parents {
            let values = with_values(&gradient, |gradient| pool::avg_backward(arch(), &window, divisor, gradient));
            let [batch, channels, _, _] = gradient.shape().dims();
            let [height, width] = window.input;
            grads.register::<Flex>(parent.id, primitive(values, [batch, channels, height, width]));
        }
    }
}

fn output_shape(x: &Primitive, window: &Window) -> [usize; 4] {
    let [batch, channels, _, _] = x.shape().dims();
    let [height, width] = window.output();
    [batch, channels, height, width]
}

/// Asked for after [`takes`] alone.
fn arch() -> Arch {
    instructions().unwrap_or(Arch::Scalar)
}
