use burn::module::Module;
use burn::tensor::Tensor;

/// A network from images to class logits, for code that serves several architectures.
pub trait Classifier: Module {
    /// The penultimate layer's output, which the last linear layer classifies.
    ///
    /// # Shapes
    ///
    /// - `images`: `[batch, channels, height, width]`
    /// - output: `[batch, features]`
    fn features(&self, images: Tensor<4>) -> Tensor<2>;

    /// Class logits.
    ///
    /// # Shapes
    ///
    /// - `images`: `[batch, channels, height, width]`
    /// - output: `[batch, n_classes]`
    fn forward(&self, images: Tensor<4>) -> Tensor<2>;

    /// Number of classes.
    fn n_classes(&self) -> usize;
}
