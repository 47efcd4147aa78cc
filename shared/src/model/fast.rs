//! The kernel that a layer runs with: `rekindle-kernels`' where the feature `kernels` is on, Burn's own elsewhere.

#[cfg(feature = "kernels")]
pub(super) use rekindle_kernels::{
    ForwardFast,
    module::{batch_norm, batch_norm_train},
};

#[cfg(not(feature = "kernels"))]
pub(super) use {
    burn::tensor::module::{batch_norm, batch_norm_train},
    stock::ForwardFast,
};

#[cfg(not(feature = "kernels"))]
mod stock {
    use burn::nn::BatchNorm;
    use burn::nn::conv::{Conv1d, Conv2d};
    use burn::nn::pool::MaxPool2d;
    use burn::tensor::Tensor;

    pub(crate) trait ForwardFast<const D: usize> {
        fn forward_fast(&self, input: Tensor<D>) -> Tensor<D>;
    }

    impl ForwardFast<3> for Conv1d {
        fn forward_fast(&self, input: Tensor<3>) -> Tensor<3> {
            self.forward(input)
        }
    }

    impl ForwardFast<4> for Conv2d {
        fn forward_fast(&self, input: Tensor<4>) -> Tensor<4> {
            self.forward(input)
        }
    }

    impl ForwardFast<4> for MaxPool2d {
        fn forward_fast(&self, input: Tensor<4>) -> Tensor<4> {
            self.forward(input)
        }
    }

    impl<const D: usize> ForwardFast<D> for BatchNorm {
        fn forward_fast(&self, input: Tensor<D>) -> Tensor<D> {
            self.forward(input)
        }
    }
}

/// Whether `tensor` may be part of an autodiff graph: exact with the kernels, which bring autodiff along.
pub(super) fn is_tracked<const D: usize>(tensor: &burn::tensor::Tensor<D>) -> bool {
    #[cfg(feature = "kernels")]
    return tensor.is_tracked();
    #[cfg(not(feature = "kernels"))]
    tensor.is_autodiff()
}
