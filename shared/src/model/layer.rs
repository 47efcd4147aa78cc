use burn::module::ParamId;
use burn::nn::conv::{Conv1d, Conv2d};
use burn::nn::pool::MaxPool2d;
use burn::nn::{BatchNorm, Linear, PaddingConfig1d, PaddingConfig2d};
use burn::tensor::Tensor;

use super::fast::ForwardFast;
use super::gradient_input;
use super::norm::scoped;
use super::observe::{Observation, report};

/// How a network calls its layers: `x = self.conv1.run(x)` in place of `self.conv1.forward(x)`.
///
/// The result is that of `forward`. What the one word buys: inside [`observe`](super::observe) the layer reports its
/// input, which is how a technique sees the inputs of any network written this way, and with the feature `kernels` a
/// convolution, batch norm or max pooling on the CPU runs with the faster kernels of `rekindle-kernels`, whose results
/// equal Burn's up to rounding. Inside [`normalize_with`](super::normalize_with) a batch norm takes the statistics given there, and inside
/// [`with_gradient_inputs`](super::with_gradient_inputs) a linear layer the input of its weight's gradient. Outside of all the cost is a look at a thread-local or two.
///
/// `D` is the rank of the input, which the layers here keep.
///
/// ```
/// use burn::{nn::LinearConfig, tensor::{Device, Tensor}};
/// use rekindle_shared::model::{Layer, observe};
///
/// let device = Device::flex();
/// let layer = LinearConfig::new(3, 2).init(&device);
/// let (output, seen) = observe(|| layer.run(Tensor::<2>::ones([5, 3], &device)));
/// assert_eq!(output.dims(), [5, 2]);
/// assert_eq!(seen[0].weight, layer.weight.id);
/// ```
pub trait Layer<const D: usize> {
    /// The layer's output, as `forward` gives it (up to rounding with the feature `kernels`).
    ///
    /// # Shapes
    ///
    /// - [`Linear`]: `[.., in]` to `[.., out]`
    /// - [`Conv1d`]: `[batch, channels, length]`; [`Conv2d`], [`MaxPool2d`]: `[batch, channels, height, width]`
    /// - [`BatchNorm`]: `[batch, channels, ..]`
    fn run(&self, input: Tensor<D>) -> Tensor<D>;
}

/// The input that a layer got, with the geometry by which its weight is slid over it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum LayerInput {
    /// Of a [`Linear`] layer: `[rows, in]`, all leading dimensions folded into rows.
    Linear(Tensor<2>),
    /// Of a [`Conv1d`]: `[batch, channels, length]`.
    Conv1d(Tensor<3>, Geometry<1>),
    /// Of a [`Conv2d`]: `[batch, channels, height, width]`.
    Conv2d(Tensor<4>, Geometry<2>),
}

/// Geometry of a convolution over `N` spatial dimensions, for one input size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Geometry<const N: usize> {
    /// Kernel size, in elements.
    pub kernel: [usize; N],
    /// Step between two positions of the kernel.
    pub stride: [usize; N],
    /// Zeros put before and after each dimension; `Same` padding is resolved.
    pub padding: [(usize, usize); N],
    /// Distance between two elements under the kernel.
    pub dilation: [usize; N],
    /// Groups into which input and output channels are divided.
    pub groups: usize,
}

impl<const D: usize> Layer<D> for Linear {
    fn run(&self, input: Tensor<D>) -> Tensor<D> {
        report(|| {
            let width = input.dims()[D - 1];
            let rows = input.clone().inner().reshape([-1, width as i32]);
            observed(self.weight.id, &input, LayerInput::Linear(rows))
        });
        gradient_input::scoped(self, &input).unwrap_or_else(|| self.forward(input))
    }
}

impl Layer<3> for Conv1d {
    fn run(&self, input: Tensor<3>) -> Tensor<3> {
        report(|| {
            let (kernel, stride) = (self.kernel_size, self.stride);
            let padding = match self.padding {
                PaddingConfig1d::Valid => (0, 0),
                PaddingConfig1d::Same => same(input.dims()[2], kernel, stride),
                PaddingConfig1d::Explicit(left, right) => (left, right),
            };
            let geometry = Geometry {
                kernel: [kernel],
                stride: [stride],
                padding: [padding],
                dilation: [self.dilation],
                groups: self.groups,
            };
            observed(self.weight.id, &input, LayerInput::Conv1d(input.clone().inner(), geometry))
        });
        self.forward_fast(input)
    }
}

impl Layer<4> for Conv2d {
    fn run(&self, input: Tensor<4>) -> Tensor<4> {
        report(|| {
            let ([_, _, height, width], [kh, kw], [sh, sw]) = (input.dims(), self.kernel_size, self.stride);
            let padding = match self.padding {
                PaddingConfig2d::Valid => [(0, 0), (0, 0)],
                PaddingConfig2d::Same => [same(height, kh, sh), same(width, kw, sw)],
                PaddingConfig2d::Explicit(top, left, bottom, right) => [(top, bottom), (left, right)],
            };
            let geometry = Geometry {
                kernel: self.kernel_size,
                stride: self.stride,
                padding,
                dilation: self.dilation,
                groups: self.groups,
            };
            observed(self.weight.id, &input, LayerInput::Conv2d(input.clone().inner(), geometry))
        });
        self.forward_fast(input)
    }
}

impl<const D: usize> Layer<D> for BatchNorm {
    fn run(&self, input: Tensor<D>) -> Tensor<D> {
        scoped(self, &input).unwrap_or_else(|| self.forward_fast(input))
    }
}

impl Layer<4> for MaxPool2d {
    fn run(&self, input: Tensor<4>) -> Tensor<4> {
        self.forward_fast(input)
    }
}

fn observed<const D: usize>(weight: ParamId, got: &Tensor<D>, input: LayerInput) -> Observation {
    Observation { weight, shape: got.dims().to_vec(), input }
}

/// Burn's rule for `Same` padding, which it keeps to itself: an odd zero goes to the end.
fn same(size: usize, kernel: usize, stride: usize) -> (usize, usize) {
    let total = match size.div_ceil(stride) {
        0 => 0,
        positions => ((positions - 1) * stride + kernel).saturating_sub(size),
    };
    (total / 2, total - total / 2)
}
