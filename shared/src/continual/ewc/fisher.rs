use std::collections::HashSet;
use std::ops::Range;

use burn::config::Config;
use burn::module::{Module, ModuleVisitor, Param, ParamId};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;

use crate::continual::ContinualError;
use crate::model::{deep_copy, flat, read, sum, total, with_source_statistics};

/// How the Fisher information is estimated.
#[derive(Config, Debug, PartialEq)]
pub struct FisherConfig {
    /// Samples of the task that was just learned.
    pub n_samples: usize,
    /// Samples in a gradient. With 1 the estimate is exact for these samples. A larger batch is quicker by about that factor; it
    /// counts b² times the squared gradient of the mean over its b samples, which has the right expectation where the mean
    /// gradient is 0, as at a minimum, and is too large elsewhere.
    #[config(default = 1)]
    pub batch_size: usize,
}

/// The diagonal of the Fisher information of a task: F_j = 1/N · Σ_n (∂ log p(y_n | x_n; θ) / ∂θ_j)².
///
/// Parameters without a gradient, such as frozen ones, running statistics and the heads of other tasks, are not in it.
#[derive(Debug, Clone)]
pub struct Fisher {
    /// Flat, below autodiff, in the order of the module's fields.
    pub(super) parts: Vec<(ParamId, Tensor<1>)>,
}

impl FisherConfig {
    /// The estimate at the weights of `model`, from the loss on samples of the task.
    ///
    /// `loss` is called with ranges that make up `0..n_samples`, each of `batch_size` samples but the last, and gives the
    /// mean of -log p(y | x) over them: cross-entropy. Which samples these numbers stand for is its business, and so are
    /// their labels. Labels of the data give the *empirical* Fisher information, which most implementations of EWC use;
    /// labels drawn from the model's own prediction give an unbiased estimate of the Fisher information itself (van de Ven, 2025,
    /// "On the Computation of the Fisher Information in Continual Learning", compares them).
    ///
    /// The model that `loss` gets is a copy in evaluation mode with gradients: dropout is off, batch norm uses its running
    /// statistics, since a batch of one sample has none, and the original's stay as they are.
    ///
    /// The device is read once, at the end.
    ///
    /// # Shapes
    ///
    /// - `loss` returns `[1]`
    ///
    /// # Errors
    ///
    /// [`ContinualError::Config`] if `n_samples` or `batch_size` is 0, [`ContinualError::NoGradients`] if no parameter has a
    /// gradient, [`ContinualError::NonFinite`] if one is not finite.
    pub fn estimate<M: Module>(
        &self,
        model: &M,
        mut loss: impl FnMut(&M, Range<usize>) -> Tensor<1>,
    ) -> Result<Fisher, ContinualError> {
        for (name, value) in [("n_samples", self.n_samples), ("batch_size", self.batch_size)] {
            if value == 0 {
                return Err(ContinualError::Config { name, rule: "at least 1", value: 0.0 });
            }
        }
        // `valid()` would give evaluation mode without gradients.
        let model = with_source_statistics(deep_copy(model));
        let mut squares = Squares::default();
        for start in (0..self.n_samples).step_by(self.batch_size) {
            let samples = start..(start + self.batch_size).min(self.n_samples);
            let weight = samples.len() as f64 * samples.len() as f64 / self.n_samples as f64;
            let loss = loss(&model, samples);
            if !loss.is_tracked() {
                return Err(ContinualError::NoGradients);
            }
            squares.add(&model, &GradientsParams::from_grads(loss.backward(), &model), weight);
        }
        if squares.parts.is_empty() {
            return Err(ContinualError::NoGradients);
        }
        let sums = squares.parts.iter().map(|(_, part)| sum(part.clone())).collect();
        match read(vec![total(sums)])[0].is_finite() {
            true => Ok(Fisher { parts: squares.parts }),
            false => Err(ContinualError::NonFinite("the Fisher information")),
        }
    }
}

impl Fisher {
    /// Without these parameters: they will not be held.
    ///
    /// [`select`](crate::model::select) lists the identifiers that a path or a kind decides.
    #[must_use]
    pub fn without(mut self, ids: &[ParamId]) -> Self {
        self.parts.retain(|(id, _)| !ids.contains(id));
        self
    }

    /// That of a parameter, `[n_elements]`; none if it has none.
    pub fn get(&self, id: ParamId) -> Option<&Tensor<1>> {
        self.parts.iter().find_map(|(part, values)| (*part == id).then_some(values))
    }
}

/// Sums of squared gradients.
#[derive(Default)]
struct Squares {
    parts: Vec<(ParamId, Tensor<1>)>,
}

impl Squares {
    fn add<M: Module>(&mut self, model: &M, grads: &GradientsParams, weight: f64) {
        struct Add<'a> {
            parts: &'a mut Vec<(ParamId, Tensor<1>)>,
            grads: &'a GradientsParams,
            weight: f64,
            seen: HashSet<ParamId>,
        }
        impl ModuleVisitor for Add<'_> {
            fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
                let Some(grad) = self.grads.get::<D>(param.id).filter(|_| self.seen.insert(param.id)) else { return };
                let grad = flat(grad.inner());
                let square = (grad.clone() * grad).mul_scalar(self.weight);
                match self.parts.iter_mut().find(|(id, _)| *id == param.id) {
                    Some((_, part)) => *part = part.clone() + square,
                    None => self.parts.push((param.id, square)),
                }
            }
        }
        model.visit(&mut Add { parts: &mut self.parts, grads, weight, seen: HashSet::new() });
    }
}

#[cfg(test)]
mod tests {
    use burn::module::Module;
    use burn::nn::loss::CrossEntropyLossConfig;
    use burn::nn::{BatchNorm, BatchNormConfig, Dropout, DropoutConfig, Linear, LinearConfig};
    use burn::tensor::{Device, Int};

    use super::*;
    use crate::model::{init_seeded, select};

    const X: [[f32; 3]; 4] = [[1.0, -2.0, 0.5], [0.0, 1.0, 2.0], [-1.5, 0.5, 1.0], [2.0, 2.0, -1.0]];
    const Y: [i64; 4] = [0, 1, 1, 0];

    fn device() -> Device {
        Device::flex().autodiff()
    }

    fn linear() -> Linear {
        init_seeded(3, &device(), |device| LinearConfig::new(3, 2).init(device))
    }

    fn cross_entropy(logits: Tensor<2>, samples: Range<usize>) -> Tensor<1> {
        let device = logits.device();
        let labels = Tensor::<1, Int>::from_ints(&Y[samples], &device);
        CrossEntropyLossConfig::new().init(&device).forward(logits, labels)
    }

    fn inputs(samples: Range<usize>, device: &Device) -> Tensor<2> {
        Tensor::<1>::from_floats(X[samples].concat().as_slice(), device).reshape([-1, 3])
    }

    fn loss(model: &Linear, samples: Range<usize>) -> Tensor<1> {
        cross_entropy(model.forward(inputs(samples.clone(), &device())), samples)
    }

    fn values(fisher: &Fisher, id: ParamId) -> Vec<f64> {
        fisher.get(id).unwrap().clone().into_data().iter::<f64>().collect()
    }

    /// For softmax over W x + b the gradient of -log p(y | x) is x_i (p_j - \[j = y\]) in W and p_j - \[j = y\] in b.
    #[test]
    fn a_linear_softmax_model_has_the_closed_form() {
        let model = linear();
        let logits: Vec<_> = model.forward(inputs(0..4, &device())).into_data().iter::<f64>().collect();
        let (mut weight, mut bias) = (vec![0.0; 6], vec![0.0; 2]);
        for n in 0..4 {
            let normalizer: f64 = logits[2 * n..][..2].iter().map(|logit| logit.exp()).sum();
            for j in 0..2 {
                let error = logits[2 * n + j].exp() / normalizer - f64::from(u8::from(Y[n] == j as i64));
                bias[j] += error * error / 4.0;
                (0..3).for_each(|i| weight[2 * i + j] += (f64::from(X[n][i]) * error).powi(2) / 4.0);
            }
        }
        let fisher = FisherConfig::new(4).estimate(&model, loss).unwrap();
        let found = [values(&fisher, model.weight.id), values(&fisher, model.bias.as_ref().unwrap().id)].concat();
        for (found, expected) in found.iter().zip([weight, bias].concat()) {
            assert!((found - expected).abs() <= 1e-6 * (1.0 + expected), "{found} is not {expected}");
        }
    }

    #[test]
    fn a_batch_counts_the_square_of_its_summed_gradient() {
        let model = linear();
        let bias = model.bias.as_ref().unwrap().id;
        let of = |n, batch_size| {
            let config = FisherConfig::new(n).with_batch_size(batch_size);
            values(&config.estimate(&model, loss).unwrap(), bias)
        };
        let gradient = |samples: Range<usize>| {
            let grads = GradientsParams::from_grads(loss(&model, samples).backward(), &model);
            grads.get::<1>(bias).unwrap().into_data().iter::<f64>().collect::<Vec<_>>()
        };
        // A batch of three, and one of the sample that is left.
        let (three, one) = (gradient(0..3), gradient(3..4));
        for j in 0..2 {
            let expected = ((3.0 * three[j]).powi(2) + one[j].powi(2)) / 4.0;
            assert!((of(4, 3)[j] - expected).abs() < 1e-6);
        }
        assert_eq!(of(1, 1), of(1, 8), "a batch of one sample");
    }

    #[derive(Module, Debug)]
    struct Net {
        norm: BatchNorm,
        dropout: Dropout,
        head: Linear,
        other_head: Linear,
    }

    impl Net {
        fn init(device: &Device) -> Self {
            Self {
                norm: BatchNormConfig::new(3).init(device),
                dropout: DropoutConfig::new(0.5).init(),
                head: LinearConfig::new(3, 2).init(device),
                other_head: LinearConfig::new(3, 2).init(device),
            }
        }

        fn loss(&self, samples: Range<usize>) -> Tensor<1> {
            let inputs = inputs(samples.clone(), &self.head.weight.device());
            cross_entropy(self.head.forward(self.dropout.forward(self.norm.forward(inputs))), samples)
        }
    }

    #[test]
    fn the_estimate_is_made_in_evaluation_mode_and_leaves_the_model() {
        for device in [device(), device().gradient_checkpointing()] {
            let net = init_seeded(1, &device, Net::init);
            let estimate = |net: &Net| FisherConfig::new(4).estimate(net, Net::loss).unwrap();
            let (first, second) = (estimate(&net), estimate(&net));
            assert_eq!(values(&first, net.head.weight.id), values(&second, net.head.weight.id), "no dropout");
            let mean = net.norm.running_mean.value_sync().into_data();
            assert_eq!(mean.iter::<f32>().collect::<Vec<_>>(), [0.0; 3]);
            assert!(net.dropout.training.is_enabled() && net.norm.training.is_enabled());

            let parts = |fisher: &Fisher| fisher.parts.iter().map(|(id, _)| *id).collect::<Vec<_>>();
            let used = select(&net, |parameter| !parameter.path.starts_with("other_head"));
            assert_eq!(parts(&first), used, "no running statistics, no head of another task");
            let norm = select(&net, |parameter| parameter.path.starts_with("norm"));
            assert_eq!(parts(&first.without(&norm)).len(), 2);
            let mut frozen = net.clone();
            frozen.norm.gamma = frozen.norm.gamma.no_grad();
            assert_eq!(parts(&estimate(&frozen)).len(), used.len() - 1);
        }
    }

    #[test]
    fn what_gives_no_estimate_is_refused() {
        let model = linear();
        let refused = |config: FisherConfig| config.estimate(&model, loss).unwrap_err().to_string();
        assert_eq!(refused(FisherConfig::new(0)), "n_samples has to be at least 1, got 0");
        assert_eq!(refused(FisherConfig::new(1).with_batch_size(0)), "batch_size has to be at least 1, got 0");
        let estimate = |model: &Linear, scale: f64| {
            FisherConfig::new(2).estimate(model, |model, samples| loss(model, samples).mul_scalar(scale)).err()
        };
        assert_eq!(estimate(&model, f64::NAN), Some(ContinualError::NonFinite("the Fisher information")));
        assert_eq!(estimate(&model.clone().no_grad(), 1.0), Some(ContinualError::NoGradients));
        let plain = FisherConfig::new(1)
            .estimate(&model.valid(), |model, _| model.forward(Tensor::<2>::ones([1, 3], &Device::flex())).sum());
        assert_eq!(plain.err(), Some(ContinualError::NoGradients));
    }
}
