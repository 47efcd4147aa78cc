//! The gradients of a loss without the protected directions.

use std::collections::{HashMap, HashSet};

use burn::module::{Module, ModuleVisitor, Param, ParamId};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;
use rekindle_shared::model::with_gradient_inputs;

use crate::GpmMemory;

impl GpmMemory {
    /// The gradients without the protected directions (Eqs. 6 and 7), and without those of frozen parameters.
    ///
    /// For optimizers of one's own. Only plain SGD keeps to the directions that are left: momentum does if its buffer
    /// begins empty with the task, adaptive step sizes and weight decay don't; see [`project_update`](Self::project_update).
    pub fn project_gradients<M: Module>(&self, model: &M, grads: GradientsParams) -> GradientsParams {
        self.project_others(&HashSet::new(), model, grads)
    }

    /// The loss `[1]` that `loss` computes from `model`, and its gradients, projected as by
    /// [`project_gradients`](Self::project_gradients) up to rounding and for the same optimizers, in less time for small
    /// batches.
    ///
    /// The gradient of a linear layer's weight is xᵀ ∂L/∂y. Where that is less work, its inputs x, `[rows, in]`, are
    /// projected in place of it, `[in, out]`, for layers that `loss` calls by [`Layer::run`](rekindle_shared::model::Layer::run).
    /// All other gradients are projected as they are. As for [`observe_task`](Self::observe_task), a layer that is called by
    /// `run` in one place must not be called by `forward` in another.
    ///
    /// ```
    /// use burn::optim::SgdConfig;
    /// use burn::{nn::LinearConfig, tensor::{Device, Tensor}};
    /// use rekindle_gpm::GpmConfig;
    /// use rekindle_shared::model::Layer;
    ///
    /// let device = Device::flex().autodiff();
    /// let layer = LinearConfig::new(2, 1).with_bias(false).init(&device);
    /// let mut memory = GpmConfig::new().init(&layer)?;
    /// let old = Tensor::<2>::from_floats([[1.0, 0.0]], &device);
    /// memory.observe_task(&layer, [old], |layer, x| layer.run(x))?;
    /// let new = Tensor::<2>::from_floats([[3.0, 4.0]], &device);
    /// let (_, grads) = memory.gradients(&layer, |layer| layer.run(new).sum());
    /// let gradient = grads.get::<2>(layer.weight.id).unwrap();
    /// gradient.into_data().assert_eq(&[[0.0_f32], [4.0]].into(), true);
    /// let layer = SgdConfig::new().init().step(0.01, layer, grads);
    /// # Ok::<(), rekindle_gpm::GpmError>(())
    /// ```
    pub fn gradients<M: Module>(&self, model: &M, loss: impl FnOnce(&M) -> Tensor<1>) -> (Tensor<1>, GradientsParams) {
        let linear = self.layers.iter().filter_map(|layer| {
            let outputs = layer.outputs.filter(|_| !layer.projector.is_trivial())?;
            Some((layer.weight, (layer.projector.clone(), outputs)))
        });
        let linear: HashMap<ParamId, _> = linear.collect();
        let (loss, done) = if linear.is_empty() {
            (loss(model), HashSet::new())
        } else {
            let inputs = move |weight, rows: Tensor<2>| {
                let (projector, outputs) = linear.get(&weight)?;
                projector.suits_inputs(rows.dims()[0], *outputs).then(|| projector.apply_to_inputs(rows))
            };
            with_gradient_inputs(inputs, || loss(model))
        };
        let grads = GradientsParams::from_grads(loss.backward(), model);
        (loss, self.project_others(&done, model, grads))
    }

    /// The gradients of all weights but `done` projected, and without those of frozen parameters.
    fn project_others<M: Module>(&self, done: &HashSet<ParamId>, model: &M, grads: GradientsParams) -> GradientsParams {
        struct Apply<'a> {
            memory: &'a GpmMemory,
            done: &'a HashSet<ParamId>,
            grads: GradientsParams,
        }
        impl ModuleVisitor for Apply<'_> {
            fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
                if !self.done.contains(&param.id)
                    && let Some(projector) = self.memory.projector(param.id)
                    && let Some(grad) = self.grads.remove::<D>(param.id)
                {
                    self.grads.register::<D>(param.id, projector.apply(grad));
                }
            }
        }
        let grads = self.without_frozen(model, grads);
        if !self.protects() {
            return grads;
        }
        let mut apply = Apply { memory: self, done, grads };
        model.visit(&mut apply);
        apply.grads
    }
}
