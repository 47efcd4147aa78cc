//! Unit vectors and their feature maps.

use burn::tensor::{Tensor, activation};
use rekindle_shared::attention::rows;

use crate::{Kernel, RfaError, RfaHeads, fast};

impl RfaHeads {
    /// φ(x) of raw queries or keys, which are divided by their lengths first where the configuration says so.
    ///
    /// # Shapes
    ///
    /// - `x`: `[batch, n_heads, length, d_head]`
    /// - output: `[batch, n_heads, length, features]`
    ///
    /// # Errors
    ///
    /// [`RfaError::Shape`] if the heads or their dimensions are others.
    pub fn features(&self, x: Tensor<4>) -> Result<Tensor<4>, RfaError> {
        self.check_heads("x", &x)?;
        let [batch, heads, length, _] = x.dims();
        let [rows] = rows([x]);
        Ok(self.phi(rows).reshape([batch, heads, length, self.n_features()]))
    }

    /// [`features`](Self::features) of rows, `[batch * n_heads, length, d_head]`.
    pub(crate) fn phi(&self, x: Tensor<3>) -> Tensor<3> {
        let config = self.config();
        let x = if config.normalize_qk { unit(x, config.norm_eps) } else { x };
        let share = (config.n_features as f64).sqrt().recip();
        let u = self.projected(x);
        match config.kernel {
            Kernel::Gaussian => fast::waves(u, share),
            Kernel::ArcCos => activation::relu(u).mul_scalar(share),
        }
    }

    /// w·x for every direction w = σ w̃ / τ of the row's head.
    fn projected(&self, x: Tensor<3>) -> Tensor<3> {
        let config = self.config();
        let ([rows, length, d], m) = (x.dims(), config.n_features);
        let (on_tape, dtype) = (x.is_autodiff(), x.dtype());
        let directions = self.directions_in_use(on_tape).cast(dtype).div_scalar(config.tau);
        let mut directions = directions.reshape([config.n_heads, m, d]);
        if let Some(sigma) = &self.sigma {
            let sigma = if on_tape { sigma.val() } else { sigma.val().inner() };
            directions = directions * sigma.cast(dtype).reshape([config.n_heads, 1, d]);
        }
        let directions = directions.transpose();
        if rows == config.n_heads {
            return x.matmul(directions);
        }
        let x = x.reshape([rows / config.n_heads, config.n_heads, length, d]);
        x.matmul(directions.unsqueeze::<4>()).reshape([rows, length, m])
    }
}

/// x / (|x| + ε), and 0 for a vector of zeros, whose gradient is that of x / ε.
fn unit(x: Tensor<3>, eps: f64) -> Tensor<3> {
    let square = (x.clone() * x.clone()).sum_dim(2);
    let zero = square.clone().inner().equal_elem(0.0);
    // The root has no derivative at 0.
    let length = square.mask_fill(zero.clone(), 1.0).sqrt().mask_fill(zero.clone(), 0.0).add_scalar(eps);
    x / if eps == 0.0 { length.mask_fill(zero, 1.0) } else { length }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    #[test]
    fn vectors_get_length_one_and_zeros_stay_with_finite_gradients() {
        let device = Device::flex().autodiff();
        let x = Tensor::<2>::from_floats([[3.0, 4.0], [0.0, 0.0], [-6e3, 8e3]], &device).require_grad();
        for (eps, expected) in [(0.0, [0.6, 0.8, 0.0, 0.0, -0.6, 0.8]), (5.0, [0.3, 0.4, 0.0, 0.0, -0.6, 0.8])] {
            let y = unit(x.clone().unsqueeze(), eps);
            let values: Vec<f32> = y.clone().into_data().iter().collect();
            assert!(values.iter().zip(expected).all(|(a, e)| (a - e).abs() < 1e-3), "{values:?}");
            let gradients: Vec<f32> = x.grad(&y.sum().backward()).unwrap().into_data().iter().collect();
            assert!(gradients.iter().all(|gradient| gradient.is_finite()), "{gradients:?}");
            if eps > 0.0 {
                assert_eq!(gradients[2..4], [0.2, 0.2]);
            }
        }
    }
}
