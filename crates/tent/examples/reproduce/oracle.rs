//! The ceiling: Tent's parameters and steps, with the labels of the stream in place of the entropy.

use burn::module::ParamGroup;
use burn::nn::loss::{CrossEntropyLoss, CrossEntropyLossConfig};
use burn::optim::{AdamConfig, GradientsParams, ModuleOptimizer};
use burn::tensor::{Device, Int, Tensor};
use rekindle_shared::model::{Classifier, deep_copy, norm_layers, with_batch_statistics};

pub(crate) struct Oracle<M> {
    model: M,
    adam: ModuleOptimizer,
    learning_rate: f64,
    loss: CrossEntropyLoss,
    device: Device,
}

impl<M: Classifier> Oracle<M> {
    pub(crate) fn new(source: &M, learning_rate: f64, device: &Device) -> Self {
        let affine = norm_layers(source).iter().flat_map(|layer| layer.affine().collect::<Vec<_>>()).collect();
        let model = with_batch_statistics(deep_copy(source)).no_grad();
        Self {
            model: model.set_require_grad_group(ParamGroup::from_ids(affine), true),
            adam: AdamConfig::new().init(),
            learning_rate,
            loss: CrossEntropyLossConfig::new().init(device),
            device: device.clone(),
        }
    }

    /// Logits before the update that follows.
    pub(crate) fn step(&mut self, images: Tensor<4>, labels: Tensor<1, Int>) -> Tensor<2> {
        let logits = self.model.forward(images.autodiff());
        let loss = self.loss.forward(logits.clone(), labels.to_device(&self.device).autodiff());
        let grads = GradientsParams::from_grads(loss.backward(), &self.model);
        self.model = self.adam.step(self.learning_rate, self.model.clone(), grads);
        logits.inner()
    }
}
