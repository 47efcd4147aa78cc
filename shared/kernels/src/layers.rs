use burn::tensor::Tensor;

/// The fast forward pass of Burn's own layers: `self.conv.forward_fast(x)` in place of `self.conv.forward(x)`.
///
/// The result is that of `forward` up to rounding. Where the kernels don't apply (another backend, another type than
/// f32, a processor without the instructions) it is `forward`.
pub trait ForwardFast<const D: usize> {
    /// The layer's output for an input of rank `D`, with the shapes of the layer's `forward`.
    fn forward_fast(&self, input: Tensor<D>) -> Tensor<D>;
}
