//! Feature maps, with their exponents kept apart.

use std::ops::Range;

use burn::tensor::Tensor;
use rekindle_shared::attention::rows;

use crate::kernel::Function;
use crate::{Favor, Kernel, fast};

/// Features of keys as exp(log) · factor.
#[derive(Debug, Clone)]
pub(crate) struct Keys {
    /// `[rows, length, r]`, or `[rows, length, 1]` where there is a factor.
    pub(crate) log: Tensor<3>,
    /// `[rows, length, r]`
    pub(crate) factor: Option<Tensor<3>>,
}

/// Features of queries, up to a factor of each query, which attention divides out again.
#[derive(Debug, Clone)]
pub(crate) enum Queries {
    /// exp of these, `[rows, length, r]`.
    Log(Tensor<3>),
    /// These, `[rows, length, r]`.
    Plain(Tensor<3>),
}

impl Queries {
    /// With the scales of the keys' features taken into them, which are `[rows, 1, r]`.
    pub(crate) fn scaled(self, scale: Tensor<3>) -> Tensor<3> {
        match self {
            // A common factor of the scales cancels, too; without it the sum keeps the digits of what counts.
            Self::Log(log) => fast::exp_by_row(log + (scale.clone() - scale.max_dim(2))),
            Self::Plain(features) => features,
        }
    }

    pub(crate) fn part(&self, tokens: &Range<usize>) -> Self {
        match self {
            Self::Log(log) => Self::Log(part(log, tokens)),
            Self::Plain(features) => Self::Plain(part(features, tokens)),
        }
    }
}

/// Some of the tokens of `[rows, length, width]`; all of them as they are, for which autodiff records nothing.
pub(crate) fn part(x: &Tensor<3>, tokens: &Range<usize>) -> Tensor<3> {
    if tokens.len() == x.dims()[1] { x.clone() } else { x.clone().narrow(1, tokens.start, tokens.len()) }
}

impl Favor {
    /// φ(x) as the equations have it, with h(x) and 1/√m, of raw queries or keys.
    ///
    /// φ(q)·φ(k) is the estimate of the kernel: exp(q·k/√d) for all but a generalized one. Attention itself keeps exponents
    /// apart; here they overflow for |x|² of some hundred.
    ///
    /// # Shapes
    ///
    /// - `x`: `[batch, heads, length, d_head]`
    /// - output: `[batch, heads, length, n_features]`
    ///
    /// # Errors
    ///
    /// [`PerformerError::Shape`](crate::PerformerError::Shape) if the last dimension is not `d_head`.
    pub fn features(&self, x: Tensor<4>) -> Result<Tensor<4>, crate::PerformerError> {
        self.check_width("x", &x)?;
        let [batch, heads, length, _] = x.dims();
        let [rows] = rows([x]);
        let keys = self.keys(rows);
        let m = self.directions().dims()[0] as f64;
        let share = match self.config().kernel {
            Kernel::Hyperbolic => (2.0 * m).sqrt(),
            Kernel::Positive | Kernel::Trig | Kernel::Generalized(_) => m.sqrt(),
        };
        let features = match keys.factor {
            Some(factor) => keys.log.exp() * factor,
            None => keys.log.exp(),
        };
        Ok(features.div_scalar(share).reshape([batch as i32, heads as i32, length as i32, -1]))
    }

    pub(crate) fn keys(&self, x: Tensor<3>) -> Keys {
        let u = self.projected(x.clone());
        let kernel = self.config().kernel;
        match kernel {
            Kernel::Positive => Keys { log: u - self.half_square(x), factor: None },
            Kernel::Hyperbolic => Keys { log: both_signs(u) - self.half_square(x), factor: None },
            Kernel::Trig => Keys { log: self.half_square(x), factor: Some(waves(u)) },
            Kernel::Generalized(_) => {
                let [rows, length, _] = u.dims();
                let log = Tensor::zeros([rows, length, 1], (&u.device(), u.dtype()));
                Keys { log, factor: Some(self.generalized(u)) }
            }
        }
    }

    /// |x|²/2 of a query is left out: it is a factor of all its features.
    pub(crate) fn queries(&self, x: Tensor<3>) -> Queries {
        let u = self.projected(x);
        match self.config().kernel {
            Kernel::Positive => Queries::Log(u),
            Kernel::Hyperbolic => Queries::Log(both_signs(u)),
            Kernel::Trig => Queries::Plain(waves(u)),
            Kernel::Generalized(_) => Queries::Plain(self.generalized(u)),
        }
    }

    /// ω·x for every direction, the scale of x taken into ω.
    fn projected(&self, x: Tensor<3>) -> Tensor<3> {
        let [rows, length, width] = x.dims();
        let directions = self.directions().mul_scalar(self.scale()).cast(x.dtype()).transpose();
        let m = directions.dims()[1];
        x.reshape([rows * length, width]).matmul(directions).reshape([rows, length, m])
    }

    /// |x|²/2 of the scaled x: `[rows, length, 1]`.
    fn half_square(&self, x: Tensor<3>) -> Tensor<3> {
        (x.clone() * x).sum_dim(2).mul_scalar(self.scale().powi(2) / 2.0)
    }

    /// d^(-1/4), or 1.
    fn scale(&self) -> f64 {
        if self.config().normalize_inputs { (self.config().d_head as f64).powf(-0.25) } else { 1.0 }
    }

    fn generalized(&self, u: Tensor<3>) -> Tensor<3> {
        let function = self.function().unwrap_or(Function::Named(crate::FeatureFunction::Relu));
        function.apply(u.unsqueeze_dim(0)).squeeze_dim::<3>(0).add_scalar(self.config().kernel_eps)
    }
}

fn both_signs(u: Tensor<3>) -> Tensor<3> {
    Tensor::cat(vec![u.clone(), u.neg()], 2)
}

fn waves(u: Tensor<3>) -> Tensor<3> {
    Tensor::cat(vec![u.clone().sin(), u.cos()], 2)
}
