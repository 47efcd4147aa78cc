//! A module for the tests.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};

/// Parameters of two ranks.
#[derive(Module, Debug)]
pub(super) struct Two {
    pub(super) matrix: Param<Tensor<2>>,
    pub(super) vector: Param<Tensor<1>>,
}

pub(super) fn two(matrix: [f32; 2], vector: f32, device: &Device) -> Two {
    Two {
        matrix: Param::from_tensor(Tensor::from_floats([matrix], device)),
        vector: Param::from_tensor(Tensor::from_floats([vector], device)),
    }
}
