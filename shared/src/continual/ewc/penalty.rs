use std::collections::HashSet;

use burn::config::Config;
use burn::module::{Module, ModuleVisitor, Param, ParamId};
use burn::optim::GradientsParams;
use burn::tensor::{FloatDType, Tensor};

use super::Fisher;
use crate::continual::ContinualError;
use crate::continual::values::{beside, for_each_value};
use crate::model::{flat, read, sum, total};

/// Hyper-parameters of [`Ewc`].
#[derive(Config, Debug, PartialEq)]
pub struct EwcConfig {
    /// The weight λ of the penalty.
    pub lambda: f64,
    /// The decay γ of online EWC, in `[0, 1]`; none for a penalty for each task.
    pub decay: Option<f64>,
}

/// Elastic weight consolidation (Kirkpatrick et al., 2017): a penalty on the change of parameters that earlier tasks need.
///
/// After tasks 1 to t, with Fisher information F_k and weights θ_k at the end of task k, the penalty is
///
/// - with a term for each task (their Eq. 3, summed over tasks): λ/2 · Σ_k Σ_j F_kj (θ_j - θ_kj)²;
/// - online, with decay γ (Schwarz et al., 2018): λ/2 · Σ_j F*_j (θ_j - θ_tj)², where F* = γ F* + F_t after each task. Their
///   penalty has γ F* there, a constant factor that λ takes up.
///
/// Both take the memory of two numbers a parameter, whatever the number of tasks: Σ_k F_k (θ - θ_k)² is
/// (Σ_k F_k) (θ - c)² plus a constant, with c the mean of the θ_k weighted by the F_k, and it is kept as such.
///
/// F is a mean over samples. The Bayesian argument for EWC weighs tasks by their number of samples: λ takes that up too.
#[derive(Debug, Clone)]
pub struct Ewc {
    pub(super) config: EwcConfig,
    pub(super) n_tasks: usize,
    pub(super) anchors: Vec<Anchor>,
    /// What the penalty of the tasks is at the centers, without λ/2.
    pub(super) constant: f64,
}

/// What holds one parameter, flat and below autodiff: F (θ - c)².
#[derive(Debug, Clone)]
pub(super) struct Anchor {
    pub(super) id: ParamId,
    pub(super) fisher: Tensor<1>,
    pub(super) center: Tensor<1>,
}

impl EwcConfig {
    /// EWC before the first task.
    ///
    /// # Errors
    ///
    /// [`ContinualError::Config`] if `lambda` is negative or not finite, or `decay` is not in `[0, 1]`.
    pub fn init(&self) -> Result<Ewc, ContinualError> {
        if !(self.lambda >= 0.0 && self.lambda.is_finite()) {
            return Err(ContinualError::Config { name: "lambda", rule: "finite and at least 0", value: self.lambda });
        }
        if let Some(value) = self.decay.filter(|decay| !(0.0..=1.0).contains(decay)) {
            return Err(ContinualError::Config { name: "decay", rule: "from 0 to 1", value });
        }
        Ok(Ewc { config: self.clone(), n_tasks: 0, anchors: Vec::new(), constant: 0.0 })
    }
}

impl Ewc {
    /// Adds the task that `model` has just learned.
    ///
    /// The device is read once.
    ///
    /// # Errors
    ///
    /// [`ContinualError::Unmatched`] if `fisher`, or what was added before, is of another model,
    /// [`ContinualError::NonFinite`] if a weight is not finite. Nothing is added then.
    pub fn add<M: Module>(&mut self, model: &M, fisher: Fisher) -> Result<(), ContinualError> {
        let held = self.anchors.iter().map(|anchor| anchor.id);
        let ids: HashSet<_> = held.chain(fisher.parts.iter().map(|(id, _)| *id)).collect();
        let mut values = Vec::new();
        for_each_value(model, &ids, |id, value| values.push((id, value.inner())));
        let fits = |(id, value): &&(ParamId, Tensor<1>)| {
            self.anchor(*id).is_none_or(|anchor| anchor.center.dims() == value.dims())
                && fisher.get(*id).is_none_or(|part| part.dims() == value.dims())
        };
        let missing = ids.len() - values.iter().filter(fits).count();
        if missing > 0 {
            return Err(ContinualError::Unmatched { missing, protected: ids.len() });
        }
        if values.is_empty() {
            self.n_tasks += 1;
            return Ok(());
        }
        let (mut anchors, mut constants) = (Vec::new(), Vec::new());
        let mut finite = Vec::new();
        for (id, value) in values {
            finite.push(sum(value.clone()));
            let (anchor, constant) = self.moved(id, value, fisher.get(id).cloned());
            anchors.push(anchor);
            constants.extend(constant);
        }
        let mut numbers = vec![total(finite)];
        if !constants.is_empty() {
            numbers.push(total(constants));
        }
        let numbers = read(numbers);
        if numbers.iter().any(|number| !number.is_finite()) {
            return Err(ContinualError::NonFinite("a weight of the model"));
        }
        self.constant += numbers.get(1).copied().unwrap_or(0.0);
        self.anchors = anchors;
        self.n_tasks += 1;
        Ok(())
    }

    /// The penalty at the weights of `model`, `[1]`, with gradients: add it to the loss. 0 before the first task.
    ///
    /// # Errors
    ///
    /// [`ContinualError::Unmatched`] if a parameter that was added is not in `model`, [`ContinualError::NoGradients`] if
    /// the model has no float parameter at all.
    pub fn penalty<M: Module>(&self, model: &M) -> Result<Tensor<1>, ContinualError> {
        if self.anchors.is_empty() {
            return zero(model).ok_or(ContinualError::NoGradients);
        }
        let ids = self.anchors.iter().map(|anchor| anchor.id).collect();
        let mut terms = Vec::new();
        for_each_value(model, &ids, |id, value| {
            if let Some(anchor) = self.anchor(id).filter(|anchor| anchor.center.dims() == value.dims()) {
                let fisher = beside(&anchor.fisher, &value);
                let moved = value.clone() - beside(&anchor.center, &value);
                terms.push(sum(moved.clone() * moved * fisher));
            }
        });
        self.all_matched(terms.len())?;
        Ok((total(terms) + self.constant).mul_scalar(self.config.lambda / 2.0))
    }

    /// `grads` with the gradient of the penalty, λ F (θ - c), added: the same as by [`penalty`](Self::penalty), without
    /// its part in the backward pass, which counts where batches are small.
    ///
    /// A frozen parameter gets none.
    ///
    /// # Errors
    ///
    /// [`ContinualError::Unmatched`] if a parameter that was added is not in `model`.
    pub fn add_gradients<M: Module>(
        &self,
        model: &M,
        mut grads: GradientsParams,
    ) -> Result<GradientsParams, ContinualError> {
        struct Add<'a> {
            ewc: &'a Ewc,
            grads: &'a mut GradientsParams,
            seen: HashSet<ParamId>,
        }
        impl ModuleVisitor for Add<'_> {
            fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
                let Some(anchor) = self.ewc.anchor(param.id) else { return };
                let value = flat(param.val().inner());
                if anchor.center.dims() != value.dims() || !self.seen.insert(param.id) || !param.is_require_grad() {
                    return;
                }
                let moved = value.clone() - beside(&anchor.center, &value);
                let pull = (moved * beside(&anchor.fisher, &value)).mul_scalar(self.ewc.config.lambda);
                let pull = pull.cast(FloatDType::from(param.dtype())).reshape(param.lazy_shape());
                let grad = self.grads.remove::<D>(param.id);
                self.grads.register::<D>(param.id, grad.map_or(pull.clone(), |grad| grad + pull));
            }
        }
        let ids = self.anchors.iter().map(|anchor| anchor.id).collect();
        let mut matched = 0;
        for_each_value(model, &ids, |id, value| {
            matched += usize::from(self.anchor(id).is_some_and(|anchor| anchor.center.dims() == value.dims()));
        });
        self.all_matched(matched)?;
        model.visit(&mut Add { ewc: self, grads: &mut grads, seen: HashSet::new() });
        Ok(grads)
    }

    /// Tasks added so far.
    pub fn n_tasks(&self) -> usize {
        self.n_tasks
    }

    /// What is kept, in bytes: two numbers for each protected parameter.
    pub fn bytes(&self) -> usize {
        let bytes = |values: &Tensor<1>| values.shape().num_elements() * values.dtype().size();
        self.anchors.iter().map(|anchor| bytes(&anchor.fisher) + bytes(&anchor.center)).sum()
    }

    fn anchor(&self, id: ParamId) -> Option<&Anchor> {
        self.anchors.iter().find(|anchor| anchor.id == id)
    }

    fn all_matched(&self, matched: usize) -> Result<(), ContinualError> {
        match self.anchors.len() {
            protected if matched < protected => {
                Err(ContinualError::Unmatched { missing: protected - matched, protected })
            }
            _ => Ok(()),
        }
    }

    /// What holds a parameter with this value once its Fisher information is added, and what that adds to the constant.
    fn moved(&self, id: ParamId, value: Tensor<1>, fisher: Option<Tensor<1>>) -> (Anchor, Option<Tensor<1>>) {
        let new = fisher.map(|fisher| beside(&fisher, &value));
        let Some(old) = self.anchor(id) else {
            let fisher = new.unwrap_or_else(|| value.zeros_like());
            return (Anchor { id, fisher, center: value }, None);
        };
        let (old_fisher, old_center) = (beside(&old.fisher, &value), beside(&old.center, &value));
        if let Some(decay) = self.config.decay {
            let kept = old_fisher.mul_scalar(decay);
            let fisher = match new {
                Some(new) => kept + new,
                None => kept,
            };
            return (Anchor { id, fisher, center: value }, None);
        }
        let Some(new) = new else { return (old.clone(), None) };
        let fisher = old_fisher.clone() + new.clone();
        // Where both are 0 the share is 0, not 0/0.
        let share = new / fisher.clone().clamp_min(f32::MIN_POSITIVE);
        let apart = value - old_center.clone();
        let constant = sum(old_fisher * share.clone() * apart.clone() * apart.clone());
        (Anchor { id, fisher, center: old_center + share * apart }, Some(constant))
    }
}

/// 0 on the device and in the autodiff context of the model's first float parameter.
fn zero<M: Module>(model: &M) -> Option<Tensor<1>> {
    struct First(Option<Tensor<1>>);
    impl ModuleVisitor for First {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if self.0.is_none() {
                let value = flat(param.val());
                self.0 = Some(beside(&Tensor::zeros([1], &value.device().inner()), &value));
            }
        }
    }
    let mut first = First(None);
    model.visit(&mut first);
    first.0
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::continual::testing::{Two, two};

    /// The same parameters with other values.
    fn at(model: &Two, matrix: [f32; 2], vector: f32) -> Two {
        let device = model.vector.device();
        let to = two(matrix, vector, &device);
        Two {
            matrix: Param::initialized(model.matrix.id, to.matrix.val()),
            vector: Param::initialized(model.vector.id, to.vector.val()),
        }
    }

    fn fisher(model: &Two, matrix: [f32; 2], vector: Option<f32>) -> Fisher {
        let device = Device::flex();
        let mut parts = vec![(model.matrix.id, Tensor::from_floats(matrix, &device))];
        parts.extend(vector.map(|vector| (model.vector.id, Tensor::from_floats([vector], &device))));
        Fisher { parts }
    }

    fn penalty(ewc: &Ewc, model: &Two) -> f64 {
        ewc.penalty(model).unwrap().into_scalar::<f64>()
    }

    #[test]
    fn one_task_by_hand() {
        for device in [Device::flex().autodiff(), Device::flex().autodiff().gradient_checkpointing()] {
            let model = two([1.0, 2.0], 3.0, &device);
            let mut ewc = EwcConfig::new(10.0).init().unwrap();
            // The zero of the start can be added to a loss on the model's device.
            let loss = model.vector.val().sum() + ewc.penalty(&model).unwrap();
            assert_eq!(GradientsParams::from_grads(loss.backward(), &model).len(), 1);
            assert_eq!(penalty(&ewc, &model), 0.0);
            ewc.add(&model, fisher(&model, [1.0, 0.5], Some(2.0))).unwrap();
            assert_eq!(penalty(&ewc, &model), 0.0);
            // 10/2 · (1 · 1² + 0.5 · 2² + 2 · 1²) = 25, with the gradient 10 · (1 · 1, 0.5 · -2, 2 · -1).
            let moved = at(&model, [2.0, 0.0], 2.0);
            assert_eq!(penalty(&ewc, &moved), 25.0);
            assert_eq!(penalty(&ewc, &moved.valid()), 25.0, "without gradients too");
            let grads = GradientsParams::from_grads(ewc.penalty(&moved).unwrap().backward(), &moved);
            let added = ewc.add_gradients(&moved, GradientsParams::new()).unwrap();
            for grads in [grads, added] {
                let matrix = grads.get::<2>(moved.matrix.id).unwrap().into_data().try_to_vec::<f32>().unwrap();
                assert_eq!(matrix, [10.0, -10.0]);
                assert_eq!(grads.get::<1>(moved.vector.id).unwrap().into_scalar::<f32>(), -20.0);
            }
            assert_eq!((ewc.bytes(), ewc.n_tasks()), (24, 1));
        }
    }

    #[test]
    fn tasks_are_summed_up_in_the_memory_of_one() {
        let model = two([1.0, 2.0], 3.0, &Device::flex().autodiff());
        let tasks = [
            ([1.0, 2.0], 3.0, [1.0, 0.0], Some(2.0)),
            ([3.0, -1.0], 4.0, [0.5, 0.0], None),
            ([0.0, 5.0], -2.0, [4.0, 2.0], Some(1.0)),
        ];
        let mut ewc = EwcConfig::new(2.0).init().unwrap();
        for (matrix, vector, fisher_of_matrix, fisher_of_vector) in tasks {
            let learned = at(&model, matrix, vector);
            ewc.add(&learned, fisher(&model, fisher_of_matrix, fisher_of_vector)).unwrap();
        }
        for (x, y, z) in [(1.0, 2.0, 3.0), (-1.0, 0.5, 10.0), (0.0, 0.0, 0.0)] {
            let terms = tasks.iter().map(|(matrix, vector, fisher, of_vector)| {
                let square = |a: f32, b: f32| f64::from((a - b) * (a - b));
                f64::from(fisher[0]) * square(x, matrix[0])
                    + f64::from(fisher[1]) * square(y, matrix[1])
                    + f64::from(of_vector.unwrap_or(0.0)) * square(z, *vector)
            });
            let expected: f64 = terms.sum();
            let found = penalty(&ewc, &at(&model, [x, y], z));
            assert!((found - expected).abs() < 1e-5 * expected, "{found} is not {expected}");
        }
        assert_eq!((ewc.bytes(), ewc.n_tasks()), (24, 3));
    }

    #[test]
    fn online_ewc_decays_and_is_centered_at_the_last_task() {
        let model = two([1.0, 2.0], 3.0, &Device::flex().autodiff());
        let mut ewc = EwcConfig::new(2.0).with_decay(Some(0.5)).init().unwrap();
        ewc.add(&model, fisher(&model, [1.0, 2.0], Some(8.0))).unwrap();
        let learned = at(&model, [2.0, 2.0], 5.0);
        ewc.add(&learned, fisher(&model, [1.0, 0.0], None)).unwrap();
        assert_eq!(penalty(&ewc, &learned), 0.0);
        // F* = (1.5, 1, 4) around (2, 2, 5).
        assert_eq!(penalty(&ewc, &at(&model, [4.0, 1.0], 6.0)), 1.5 * 4.0 + 1.0 + 4.0);
    }

    #[test]
    fn a_tied_weight_is_held_once() {
        let model = two([1.0, 2.0], 3.0, &Device::flex().autodiff());
        let tied = |model: &Two| [model.clone(), model.clone()];
        let mut ewc = EwcConfig::new(2.0).init().unwrap();
        ewc.add(&tied(&model), fisher(&model, [1.0, 1.0], Some(1.0))).unwrap();
        let moved = tied(&at(&model, [3.0, 2.0], 3.0));
        assert_eq!(ewc.penalty(&moved).unwrap().into_scalar::<f64>(), 4.0);
        let grads = ewc.add_gradients(&moved, GradientsParams::new()).unwrap();
        let matrix = grads.get::<2>(model.matrix.id).unwrap().into_data().try_to_vec::<f32>().unwrap();
        assert_eq!((matrix, ewc.bytes()), (vec![4.0, 0.0], 24));
    }

    #[test]
    fn what_does_not_fit_is_refused_and_nothing_is_added() {
        let device = Device::flex().autodiff();
        for (lambda, decay) in [(-1.0, None), (f64::NAN, None), (1.0, Some(1.5)), (1.0, Some(f64::NAN))] {
            let config = EwcConfig::new(lambda).with_decay(decay);
            assert!(matches!(config.init(), Err(ContinualError::Config { .. })));
        }
        let (model, other) = (two([1.0, 2.0], 3.0, &device), two([1.0, 2.0], 3.0, &device));
        let mut ewc = EwcConfig::new(1.0).init().unwrap();
        let unmatched = ContinualError::Unmatched { missing: 2, protected: 2 };
        assert_eq!(ewc.add(&model, fisher(&other, [1.0, 1.0], Some(1.0))), Err(unmatched.clone()));
        let nan = at(&model, [f32::NAN, 1.0], 1.0);
        let error = ewc.add(&nan, fisher(&model, [1.0, 1.0], Some(1.0)));
        assert_eq!(error, Err(ContinualError::NonFinite("a weight of the model")));
        assert_eq!((ewc.n_tasks(), ewc.bytes()), (0, 0));
        ewc.add(&model, fisher(&model, [1.0, 1.0], Some(1.0))).unwrap();
        assert_eq!(ewc.penalty(&other).err(), Some(unmatched.clone()));
        assert_eq!(ewc.add_gradients(&other, GradientsParams::new()).err(), Some(unmatched));
    }
}
