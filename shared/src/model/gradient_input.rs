use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use burn::module::ParamId;
use burn::nn::Linear;
use burn::tensor::Tensor;
use burn::tensor::module::linear;

use super::fast::is_tracked;

type Inputs = Rc<dyn Fn(ParamId, Tensor<2>) -> Option<Tensor<2>>>;

/// What stands in for the inputs of linear layers, and for each weight that was called whether all of its calls had one.
struct Scope {
    inputs: Inputs,
    called: HashMap<ParamId, bool>,
}

thread_local! {
    static SCOPE: RefCell<Option<Scope>> = const { RefCell::new(None) };
}

/// Runs `f` with the gradients of linear layers' weights taken with other inputs than the layers get.
///
/// The gradient of a weight is xᵀ ∂L/∂y. Each [`Linear`] that is called through [`Layer::run`](super::Layer::run) on this
/// thread asks `inputs` by the identifier of its weight and its input x, `[rows, in]` below autodiff; with an answer x′,
/// `[rows, in]`, the gradient of the weight is x′ᵀ ∂L/∂y. Outputs and all other gradients are as without. A projection of
/// inputs costs a small batch a fraction of the same projection of the gradient.
///
/// Beside the result of `f` it returns the weights whose calls, in this scope, all had an answer. Layers called by
/// `forward` ask nothing; neither do weights that take no gradient, or that are put together from factors (LoRA). Scopes nest,
/// the inner one counts.
///
/// ```
/// use burn::{nn::LinearConfig, tensor::{Device, Tensor}};
/// use rekindle_shared::model::{Layer, with_gradient_inputs};
///
/// let device = Device::flex().autodiff();
/// let layer = LinearConfig::new(2, 1).init(&device);
/// let input = Tensor::<2>::from_floats([[3.0, 4.0]], &device);
/// let (output, changed) = with_gradient_inputs(|_, rows| Some(rows * 2.0), || layer.run(input));
/// let gradient = layer.weight.grad(&output.backward()).unwrap();
/// gradient.into_data().assert_eq(&[[6.0_f32], [8.0]].into(), true);
/// assert!(changed.contains(&layer.weight.id));
/// ```
pub fn with_gradient_inputs<R>(
    inputs: impl Fn(ParamId, Tensor<2>) -> Option<Tensor<2>> + 'static,
    f: impl FnOnce() -> R,
) -> (R, HashSet<ParamId>) {
    /// Puts the outer scope back, also when `f` panics.
    struct Outer(Option<Scope>);
    impl Drop for Outer {
        fn drop(&mut self) {
            SCOPE.set(self.0.take());
        }
    }
    let scope = Scope { inputs: Rc::new(inputs), called: HashMap::new() };
    let outer = Outer(SCOPE.with(|current| current.borrow_mut().replace(scope)));
    let result = f();
    let called = SCOPE.with(|scope| scope.borrow_mut().take()).map(|scope| scope.called).unwrap_or_default();
    drop(outer);
    (result, called.into_iter().filter_map(|(weight, all)| all.then_some(weight)).collect())
}

/// The output of `layer` in a scope that has another input for its gradient; none elsewhere.
pub(super) fn scoped<const D: usize>(layer: &Linear, input: &Tensor<D>) -> Option<Tensor<D>> {
    let inputs = SCOPE.with(|scope| scope.borrow().as_ref().map(|scope| Rc::clone(&scope.inputs)))?;
    let id = layer.weight.id;
    let weight = layer.weight.val();
    let answer = (is_tracked(&weight) && weight.is_require_grad())
        .then(|| inputs(id, input.clone().inner().reshape([-1, weight.dims()[0] as i64])))
        .flatten();
    SCOPE.with(|scope| {
        if let Some(scope) = scope.borrow_mut().as_mut() {
            *scope.called.entry(id).or_insert(true) &= answer.is_some();
        }
    });
    let rows = answer?.autodiff();
    let rows = match weight.gradient_checkpointing_strategy() {
        Some(strategy) => rows.with_gradient_checkpointing_strategy(strategy),
        None => rows,
    };
    let output = linear(input.clone(), weight.clone().detach(), layer.bias.as_ref().map(|bias| bias.val()));
    // Zero, but for its gradient.
    let other = rows.matmul(weight);
    let other = other.clone() - other.detach();
    let shape = output.shape();
    Some(output + other.reshape(shape))
}

#[cfg(test)]
mod tests {
    use burn::module::Module;
    use burn::nn::LinearConfig;
    use burn::tensor::{Device, Distribution, Tolerance};

    use super::*;
    use crate::model::Layer;

    fn devices() -> [Device; 2] {
        let device = Device::flex();
        [device.clone().autodiff(), device.autodiff().gradient_checkpointing()]
    }

    #[test]
    fn outputs_and_other_gradients_are_as_without() {
        for device in devices() {
            let layers = [LinearConfig::new(3, 4).init(&device), LinearConfig::new(4, 2).init(&device)];
            let x = Tensor::<3>::random([2, 5, 3], Distribution::Default, &device).require_grad();
            let forward = || layers[1].run(layers[0].run(x.clone())).powi_scalar(2).mean();
            let plain = forward();
            let first = layers[0].weight.id;
            let inputs = move |id, rows: Tensor<2>| (id == first).then(|| rows * 0.5);
            let (other, changed) = with_gradient_inputs(inputs, forward);
            other.clone().into_data().assert_eq(&plain.clone().into_data(), true);
            assert_eq!(changed, HashSet::from([first]));
            let (plain, other) = (plain.backward(), other.backward());
            let close = |a: Tensor<2>, b: Tensor<2>| {
                a.into_data().assert_approx_eq::<f32>(&b.into_data(), Tolerance::absolute(1e-6));
            };
            let weight = |at: usize, grads| layers[at].weight.grad(grads).unwrap();
            close(weight(0, &other), weight(0, &plain) * 0.5);
            close(weight(1, &other), weight(1, &plain));
            let bias = |grads| layers[0].bias.as_ref().unwrap().grad(grads).unwrap().unsqueeze();
            close(bias(&other), bias(&plain));
            let input = |grads| x.grad(grads).unwrap().reshape([10, 3]);
            close(input(&other), input(&plain));
        }
    }

    #[test]
    fn a_weight_of_which_one_call_has_no_answer_is_not_among_the_changed() {
        let device = Device::flex().autodiff();
        let layer = LinearConfig::new(2, 2).init(&device);
        let first = |rows: &Tensor<2>| rows.dims()[0] == 1;
        let inputs = move |_, rows: Tensor<2>| first(&rows).then_some(rows);
        let x = |n| Tensor::<2>::ones([n, 2], &device);
        let (_, changed) = with_gradient_inputs(inputs, || (layer.run(x(1)), layer.run(x(2))));
        assert!(changed.is_empty());
    }

    #[test]
    fn weights_without_a_gradient_ask_nothing() {
        let device = Device::flex().autodiff();
        let frozen = LinearConfig::new(2, 2).init(&device).no_grad();
        let (output, changed) =
            with_gradient_inputs(|_, rows| Some(rows), || frozen.run(Tensor::<2>::ones([1, 2], &device)));
        assert!(changed.is_empty() && output.dims() == [1, 2]);
        let plain = LinearConfig::new(2, 2).init(&Device::flex());
        let input = Tensor::<2>::ones([1, 2], &Device::flex());
        let (_, changed) = with_gradient_inputs(|_, rows| Some(rows), || plain.run(input));
        assert!(changed.is_empty());
    }

    #[test]
    fn a_panic_leaves_no_scope_behind() {
        let device = Device::flex().autodiff();
        let layer = LinearConfig::new(1, 1).with_bias(false).init(&device);
        let run = std::panic::AssertUnwindSafe(|| {
            with_gradient_inputs(|_, rows| Some(rows * 0.0), || panic!("in a forward pass"))
        });
        assert!(std::panic::catch_unwind(run).is_err());
        let output = layer.run(Tensor::<2>::ones([1, 1], &device));
        assert_eq!(layer.weight.grad(&output.backward()).unwrap().into_scalar::<f32>(), 1.0);
    }
}
