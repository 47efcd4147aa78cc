//! The networks of the papers' experiments, and their weights from files.
//!
//! | network | paper's name | parameters at 10 classes |
//! | --- | --- | --- |
//! | [`Mlp`] | fully connected with ReLU | by its widths |
//! | [`SmallCnn`] | two convolutions, for experiments on a CPU | 105,914 at its defaults with 1x28x28 images |
//! | [`ResNet`] | ResNet-20, -32, ... for CIFAR (He et al. 2016, §4.2) | 269,722 and 464,154 |
//! | [`WideResNet`] | WRN-28-10 (Zagoruyko and Komodakis 2016) | 36,479,194 |
//! | [`Decoder`] | decoder-only transformer with attention of any kind | by its widths |
//! | [`SequenceClassifier`] | transformer that tells the class of a sequence | by its widths |
//! | [`EncoderDecoder`] | encoder-decoder transformer with attention of any kind, decoded by [`greedy`] or [`beam_search`] | by its widths |
//!
//! All call their layers through [`Layer::run`](crate::model::Layer::run), and draw every parameter in `init`, from the
//! device's generator: [`init_seeded`](crate::model::init_seeded) makes the weights a function of a seed.
//!
//! Weights start as He et al. 2015 have it for ReLU: normal with mean 0 and variance 2 / fan, where fan is the number
//! of inputs of a linear layer and of outputs of a convolution (kernel elements times output channels). Biases start
//! at 0, except in the last linear layer of the convolutional networks, which starts as PyTorch's do: weights and
//! biases uniform in ±1/√in. Linear layers of the transformers start as Xavier's uniform ones.
//!
//! ```
//! use burn::tensor::{Device, Tensor};
//! use rekindle_shared::{model::try_init_seeded, networks::ResNetConfig};
//!
//! let device = Device::flex();
//! let resnet = try_init_seeded(1, &device, |device| ResNetConfig::new().with_depth(8).init(device))?;
//! assert_eq!(resnet.forward(Tensor::zeros([2, 3, 32, 32], &device)).dims(), [2, 10]);
//! # Ok::<(), rekindle_shared::networks::NetworkError>(())
//! ```

mod blocks;
mod error;
mod mlp;
mod resnet;
mod small_cnn;
mod transformer;
mod weights;
mod wide_resnet;

pub use error::NetworkError;
pub use mlp::{Mlp, MlpConfig};
pub use resnet::{BasicBlock, Projection, ResNet, ResNetConfig, Shortcut};
pub use small_cnn::{ConvBlock, SmallCnn, SmallCnnConfig};
pub use transformer::{
    AttentionBlock, CrossAttention, CrossBlock, Decoder, DecoderConfig, DecoderError, DecoderState, DecodingConfig,
    EncoderDecoder, EncoderDecoderConfig, EncoderDecoderError, EncoderDecoderState, FeedForward, Hypothesis, KeyValues,
    Positions, SelfAttention, SequenceClassifier, SequenceClassifierConfig, SoftmaxAttention, SoftmaxAttentionConfig,
    SoftmaxCrossAttention, SoftmaxCrossAttentionConfig, SourceKeyValues, StreamingAttention, beam_search, greedy,
};
pub use weights::{WeightFile, WeightsError, load_weights, save_weights};
pub use wide_resnet::{WideBlock, WideResNet, WideResNetConfig};
