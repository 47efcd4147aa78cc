use burn::config::Config;
use burn::module::Module;
use burn::nn::{Initializer, Linear};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};

use super::blocks::{he, linear};
use super::error::{NetworkError, positive};
use crate::model::{Classifier, Layer, initialized};

/// Configuration of an [`Mlp`].
#[derive(Config, Debug)]
pub struct MlpConfig {
    /// Widths from the input to the logits, as in `[784, 256, 256, 10]`.
    pub widths: Vec<usize>,
    /// Whether layers have biases. They start at 0.
    #[config(default = true)]
    pub bias: bool,
    /// How weights start; He's normal with variance 2 / fan_in if none is given.
    pub initializer: Option<Initializer>,
}

/// A fully connected network with ReLU between its layers.
#[derive(Module, Debug)]
pub struct Mlp {
    /// From the input to the logits.
    pub layers: Vec<Linear>,
}

impl MlpConfig {
    /// Builds the network and draws its weights.
    ///
    /// # Errors
    ///
    /// [`NetworkError`] for fewer than two widths or a width of 0.
    pub fn init(&self, device: &Device) -> Result<Mlp, NetworkError> {
        if self.widths.len() < 2 {
            return Err(NetworkError::TooFewWidths(self.widths.len()));
        }
        self.widths.iter().try_for_each(|width| positive("every width of an MLP", *width))?;
        let initializer = self.initializer.clone().unwrap_or_else(|| he(false));
        let widths = self.widths.windows(2);
        let layers = widths.map(|pair| linear([pair[0], pair[1]], self.bias, &initializer, device)).collect();
        Ok(initialized(Mlp { layers }))
    }
}

impl Mlp {
    /// Logits.
    ///
    /// # Shapes
    ///
    /// - `input`: `[batch, ..]`, flattened to `[batch, widths[0]]`
    /// - output: `[batch, n_classes]`
    pub fn forward<const D: usize>(&self, input: Tensor<D>) -> Tensor<2> {
        let features = self.features(input);
        self.layers[self.layers.len() - 1].run(features)
    }

    /// Activations of the last hidden layer; the flattened input if there is none.
    ///
    /// # Shapes
    ///
    /// - `input`: `[batch, ..]`
    /// - output: `[batch, features]`
    pub fn features<const D: usize>(&self, input: Tensor<D>) -> Tensor<2> {
        let batch = input.dims()[0];
        let hidden = &self.layers[..self.layers.len() - 1];
        hidden.iter().fold(input.reshape([batch as i32, -1]), |x, layer| relu(layer.run(x)))
    }

    /// Width of the output.
    pub fn n_classes(&self) -> usize {
        self.layers[self.layers.len() - 1].weight.dims()[1]
    }
}

impl Classifier for Mlp {
    fn features(&self, images: Tensor<4>) -> Tensor<2> {
        self.features(images)
    }

    fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        self.forward(images)
    }

    fn n_classes(&self) -> usize {
        self.n_classes()
    }
}
