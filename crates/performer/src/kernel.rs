use burn::tensor::{Tensor, activation};
use serde::{Deserialize, Serialize};

/// The feature map φ, of directions ωᵣ and scaled inputs x = q d^(-1/4) (Eqs. 5 to 8, Lemma 1).
///
/// The first three estimate exp(x·y), the kernel of softmax attention, without bias where the rows are normal
/// ([`RowScaling::Chi`](crate::RowScaling)).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kernel {
    /// exp(ω·x - |x|²/2), positive; exact at x = -y.
    #[default]
    Positive,
    /// exp(±ω·x - |x|²/2) / √2, positive, two features a direction; less variance than [`Positive`](Self::Positive) with as many directions.
    Hyperbolic,
    /// exp(|x|²/2) (sin ω·x, cos ω·x), two features a direction; exact at x = y. Sums may cross zero where scores are small.
    Trig,
    /// f(ω·x) + ε, which estimates a kernel of its own, not softmax.
    Generalized(FeatureFunction),
}

impl Kernel {
    /// Features of each direction.
    pub(crate) fn features_per_direction(self) -> usize {
        match self {
            Self::Positive | Self::Generalized(_) => 1,
            Self::Hyperbolic | Self::Trig => 2,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Positive => "positive",
            Self::Hyperbolic => "hyperbolic",
            Self::Trig => "trigonometric",
            Self::Generalized(_) => "generalized",
        }
    }
}

/// The function f of a generalized kernel; the names are those of the paper's sweep.
///
/// ReLU was best there. Of a function of your own see [`Favor::with_function`](crate::Favor::with_function).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FeatureFunction {
    /// max(u, 0)
    #[default]
    Relu,
    /// elu(u) + 1: of inputs that are not scaled, with [`Projection::None`](crate::Projection) and no ε, the Linear Transformer.
    EluPlusOne,
    /// 1 / (1 + exp(-u))
    Sigmoid,
    /// exp(u)
    Exp,
    /// |u|
    Abs,
    /// u Φ(u)
    Gelu,
    /// cos u
    Cos,
    /// tanh u
    Tanh,
    /// u
    Identity,
}

/// A function applied to every element of `[batch, heads, length, features]`.
pub type CustomFunction = fn(Tensor<4>) -> Tensor<4>;

/// f as it is applied.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Function {
    Named(FeatureFunction),
    Custom(CustomFunction),
}

impl Function {
    pub(crate) fn apply(self, u: Tensor<4>) -> Tensor<4> {
        match self {
            Self::Custom(function) => function(u),
            Self::Named(FeatureFunction::Relu) => activation::relu(u),
            Self::Named(FeatureFunction::EluPlusOne) => activation::relu(u.clone()) + u.clamp_max(0.0).exp(),
            Self::Named(FeatureFunction::Sigmoid) => activation::sigmoid(u),
            Self::Named(FeatureFunction::Exp) => u.exp(),
            Self::Named(FeatureFunction::Abs) => u.abs(),
            Self::Named(FeatureFunction::Gelu) => activation::gelu(u),
            Self::Named(FeatureFunction::Cos) => u.cos(),
            Self::Named(FeatureFunction::Tanh) => u.tanh(),
            Self::Named(FeatureFunction::Identity) => u,
        }
    }
}
