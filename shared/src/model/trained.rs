use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::Tensor;

/// Numbers that are trained: those of all float parameters that get gradients where the model is trained.
///
/// ```
/// use burn::{nn::LinearConfig, tensor::Device};
/// use rekindle_shared::model::n_trained;
///
/// let linear = LinearConfig::new(3, 2).init(&Device::flex());
/// assert_eq!(n_trained(&linear), 3 * 2 + 2);
/// assert_eq!(n_trained(&burn::module::Module::no_grad(linear)), 0);
/// ```
pub fn n_trained<M: Module>(model: &M) -> usize {
    // On a device without autodiff a parameter does not tell whether it would be trained.
    let model = model.valid().train();
    let mut count = Count(0);
    model.visit(&mut count);
    count.0
}

struct Count(usize);

impl ModuleVisitor for Count {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.0 += usize::from(param.is_require_grad()) * param.val().shape().num_elements();
    }
}
