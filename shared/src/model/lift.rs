use burn::tensor::Tensor;

/// `value` through `f`, below autodiff, as a leaf with the autodiff context and the gradient requirement that `value` has.
///
/// For a [`ModuleMapper`](burn::module::ModuleMapper) that changes parameters without recording that it did.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use rekindle_shared::model::lifted;
///
/// let weight = Tensor::<1>::from_floats([1.0, 2.0], &Device::flex().autodiff()).require_grad();
/// let doubled = lifted(&weight, |inner| inner * 2.0);
/// assert!(doubled.is_require_grad());
/// doubled.into_data().assert_eq(&[2.0_f32, 4.0].into(), true);
/// ```
pub fn lifted<const D: usize>(value: &Tensor<D>, f: impl FnOnce(Tensor<D>) -> Tensor<D>) -> Tensor<D> {
    let moved = f(value.clone().inner());
    match value.gradient_checkpointing_strategy() {
        // `autodiff()` alone would give the default strategy, and tensors with different ones cannot meet.
        Some(strategy) => {
            moved.autodiff().with_gradient_checkpointing_strategy(strategy).set_require_grad(value.is_require_grad())
        }
        None => moved,
    }
}
