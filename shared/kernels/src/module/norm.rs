use crate::flex::{Primitive, instructions, primitive, takes, with_values};
use crate::layers::ForwardFast;
use crate::norm::{self, Channels, Grid};
use burn::backend::autodiff::{
    NodeId,
    checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
    grads::Gradients,
    ops::{Backward, Ops, OpsKind},
};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, AutodiffBackend, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::module::RunningState;
use burn::nn::BatchNorm;
use burn::tensor::Tensor;
use burn::tensor::module::{self, BatchNormTrainOutput};
use pulp::Arch;

/// [`burn::tensor::module::batch_norm`], faster for f32 on flex.
///
/// `input` is `[batch, channels, ...]`; `gamma`, `beta`, `mean` and `variance` are `[channels]`. The result is Burn's up
/// to rounding. Statistics that are part of an autodiff graph leave the work to Burn.
pub fn batch_norm<const D: usize>(
    input: Tensor<D>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    mean: Tensor<1>,
    variance: Tensor<1>,
    epsilon: f64,
) -> Tensor<D> {
    let fast =
        takes_channels(&input, [&gamma, &beta, &mean, &variance]) && !mean.is_tracked() && !variance.is_tracked();
    if !fast {
        return module::batch_norm(input, gamma, beta, mean, variance, epsilon);
    }
    Tensor::from_dispatch(<Dispatch as NormOps>::batch_norm_fast(
        input.into_dispatch(),
        gamma.into_dispatch(),
        beta.into_dispatch(),
        mean.into_dispatch(),
        variance.into_dispatch(),
        epsilon,
    ))
}

/// [`burn::tensor::module::batch_norm_train`], faster for f32 on flex.
///
/// `input` is `[batch, channels, ...]`; `gamma` and `beta` are `[channels]`. Output, mean and biased variance are Burn's
/// up to rounding; the sums are taken in f64.
pub fn batch_norm_train<const D: usize>(
    input: Tensor<D>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    epsilon: f64,
) -> BatchNormTrainOutput<D> {
    // Burn reads a single column as fast.
    let column = D == 2 && input.dims()[1] == 1;
    if column || !takes_channels(&input, [&gamma, &beta]) {
        return module::batch_norm_train(input, gamma, beta, epsilon);
    }
    let (output, mean, variance) = <Dispatch as NormOps>::batch_norm_train_fast(
        input.into_dispatch(),
        gamma.into_dispatch(),
        beta.into_dispatch(),
        epsilon,
    );
    BatchNormTrainOutput {
        output: Tensor::from_dispatch(output),
        mean: Tensor::from_dispatch(mean),
        variance: Tensor::from_dispatch(variance),
    }
}

fn takes_channels<const D: usize, const N: usize>(input: &Tensor<D>, by_channel: [&Tensor<1>; N]) -> bool {
    D >= 2 && takes(input) && by_channel.into_iter().all(|tensor| takes(tensor) && tensor.dims()[0] == input.dims()[1])
}

impl<const D: usize> ForwardFast<D> for BatchNorm {
    fn forward_fast(&self, input: Tensor<D>) -> Tensor<D> {
        if D < 2 || input.dims()[1] != self.gamma.dims()[0] {
            return self.forward(input);
        }
        let device = input.device();
        let (gamma, beta) = (self.gamma.val(), self.beta.val());
        if !(device.is_autodiff() && self.training.is_enabled()) {
            let mean = self.running_mean.value().to_device(&device);
            let variance = self.running_var.value().to_device(&device);
            return batch_norm(input, gamma, beta, mean, variance, self.epsilon);
        }
        let batch = batch_norm_train(input, gamma, beta, self.epsilon);
        let updated = |running: &RunningState<Tensor<1>>, batch: Tensor<1>| {
            let running = running.value_sync().to_device(&device);
            running.mul_scalar(1.0 - self.momentum).add(batch.detach().mul_scalar(self.momentum)).detach()
        };
        self.running_mean.update(updated(&self.running_mean, batch.mean));
        self.running_var.update(updated(&self.running_var, batch.variance));
        batch.output
    }
}

#[backend_extension(Flex, Autodiff)]
pub(crate) trait NormOps: Backend {
    /// Output, mean and biased variance.
    fn batch_norm_train_fast(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);

    /// Not differentiated with respect to `mean` and `variance`.
    fn batch_norm_fast(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        variance: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self>;
}

impl NormOps for Flex {
    fn batch_norm_train_fast(
        x: Primitive,
        gamma: Primitive,
        beta: Primitive,
        epsilon: f64,
    ) -> (Primitive, Primitive, Primitive) {
        let shape = x.shape();
        let grid = Grid::new(&shape);
        let normalized = with_values(&x, |x| {
            with_values(&gamma, |gamma| {
                with_values(&beta, |beta| norm::forward_train(arch(), &grid, x, gamma, beta, epsilon))
            })
        });
        let by_channel = |values| primitive(values, [grid.channels]);
        (primitive(normalized.output, shape), by_channel(normalized.mean), by_channel(normalized.variance))
    }

    fn batch_norm_fast(
        x: Primitive,
        gamma: Primitive,
        beta: Primitive,
        mean: Primitive,
        variance: Primitive,
        epsilon: f64,
    ) -> Primitive {
        let shape = x.shape();
        let y = with_channels(&gamma, &mean, &variance, epsilon, |channels| {
            with_values(&x, |x| with_values(&beta, |beta| norm::forward(arch(), &Grid::new(&shape), x, beta, channels)))
        });
        primitive(y, shape)
    }
}

impl<C: CheckpointStrategy> NormOps for Autodiff<Flex, C> {
    fn batch_norm_train_fast(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let nodes = [x.node(), gamma.node(), beta.node()];
        match BatchNormTrain.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let (x_id, gamma_id) = (prep.checkpoint(&x), prep.checkpoint(&gamma));
                let (x, gamma, beta) = (x.into_primitive(), gamma.into_primitive(), beta.into_primitive());
                let (output, mean, variance) = Flex::batch_norm_train_fast(x, gamma, beta, epsilon);
                let state = State { x: x_id, gamma: gamma_id, mean, variance, epsilon };
                let (mean, variance) = (Self::from_inner(state.mean.clone()), Self::from_inner(state.variance.clone()));
                (prep.finish(state, output), mean, variance)
            }
            OpsKind::UnTracked(prep) => {
                let (x, gamma, beta) = (x.into_primitive(), gamma.into_primitive(), beta.into_primitive());
                let (output, mean, variance) = Flex::batch_norm_train_fast(x, gamma, beta, epsilon);
                (prep.finish(output), Self::from_inner(mean), Self::from_inner(variance))
            }
        }
    }

    fn batch_norm_fast(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        variance: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        let (mean, variance) = (mean.into_primitive(), variance.into_primitive());
        let nodes = [x.node(), gamma.node(), beta.node()];
        match BatchNormInference.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let (x_id, gamma_id) = (prep.checkpoint(&x), prep.checkpoint(&gamma));
                let (x, gamma, beta) = (x.into_primitive(), gamma.into_primitive(), beta.into_primitive());
                let output = Flex::batch_norm_fast(x, gamma, beta, mean.clone(), variance.clone(), epsilon);
                prep.finish(State { x: x_id, gamma: gamma_id, mean, variance, epsilon }, output)
            }
            OpsKind::UnTracked(prep) => {
                let (x, gamma, beta) = (x.into_primitive(), gamma.into_primitive(), beta.into_primitive());
                prep.finish(Flex::batch_norm_fast(x, gamma, beta, mean, variance, epsilon))
            }
        }
    }
}

#[derive(Clone, Debug)]
struct State {
    x: NodeId,
    gamma: NodeId,
    mean: Primitive,
    variance: Primitive,
    epsilon: f64,
}

#[derive(Debug)]
struct BatchNormTrain;

impl Backward<Flex, 3> for BatchNormTrain {
    type State = State;

    fn backward(self, ops: Ops<State, 3>, grads: &mut Gradients, checkpointer: &mut Checkpointer) {
        let gradient = grads.consume::<Flex>(&ops.node);
        let State { x, gamma, mean, variance, epsilon } = ops.state;
        let x = checkpointer.retrieve_node_output::<Primitive>(x);
        let gamma = checkpointer.retrieve_node_output::<Primitive>(gamma);
        let wants_x = ops.parents[0].is_some();
        let shape = x.shape();
        let grid = Grid::new(&shape);
        let gradients = with_channels(&gamma, &mean, &variance, epsilon, |channels| {
            with_values(&x, |x| {
                with_values(&gradient, |gradient| norm::backward_train(arch(), &grid, x, gradient, channels, wants_x))
            })
        });
        let by_channel = |values| Some(primitive(values, [grid.channels]));
        let x = gradients.x.map(|values| primitive(values, shape));
        let gradients = [x, by_channel(gradients.gamma), by_channel(gradients.beta)];
        for (parent, gradient) in ops.parents.into_iter().zip(gradients) {
            if let (Some(parent), Some(gradient)) = (parent, gradient) {
                grads.register::<Flex>(parent.id, gradient);
            }
        }
    }
}

#[derive(Debug)]
struct BatchNormInference;

impl Backward<Flex, 3> for BatchNormInference {
    type State = State;

    fn backward(self, ops: Ops<State, 3>, grads: &mut Gradients, checkpointer: &mut Checkpointer) {
        let gradient = grads.consume::<Flex>(&ops.node);
        let State { x, gamma, mean, variance, epsilon } = ops.state;
        let x = checkpointer.retrieve_node_output::<Primitive>(x);
        let gamma = checkpointer.retrieve_node_output::<Primitive>(gamma);
        let shape = x.shape();
        let grid = Grid::new(&shape);
        let [of_x, of_gamma, of_beta] = ops.parents;
        with_channels(&gamma, &mean, &variance, epsilon, |channels| {
            with_values(&gradient, |gradient| {
                if of_gamma.is_some() || of_beta.is_some() {
                    let (gamma, beta) =
                        with_values(&x, |x| norm::backward_affine(arch(), &grid, x, gradient, channels));
                    for (parent, values) in [(of_gamma, gamma), (of_beta, beta)] {
                        if let Some(parent) = parent {
                            grads.register::<Flex>(parent.id, primitive(values, [grid.channels]));
                        }
                    }
                }
                if let Some(parent) = of_x {
                    let x = norm::backward_x(arch(), &grid, gradient, channels);
                    grads.register::<Flex>(parent.id, primitive(x, shape));
                }
            });
        });
    }
}

fn with_channels<R>(
    gamma: &Primitive,
    mean: &Primitive,
    variance: &Primitive,
    epsilon: f64,
    f: impl FnOnce(Channels<'_>) -> R,
) -> R {
    with_values(gamma, |gamma| {
        with_values(mean, |mean| with_values(variance, |variance| f(Channels { gamma, mean, variance, epsilon })))
    })
}

/// Asked for after [`takes`] alone.
fn arch() -> Arch {
    instructions().unwrap_or(Arch::Scalar)
}
