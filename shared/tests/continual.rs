//! What holds for every accuracy matrix, replay buffer, A-GEM step and EWC penalty.

use std::collections::HashMap;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::loss::CrossEntropyLossConfig;
use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig};
use burn::optim::GradientsParams;
use burn::tensor::activation::tanh;
use burn::tensor::{Device, Int, Tensor};
use proptest::prelude::*;
use rekindle_shared::continual::{
    AccuracyMatrix, Capacity, Ewc, EwcConfig, FisherConfig, ReplayBuffer, Retention, agem,
};
use rekindle_shared::data::{ImageShape, LabeledImages, Stream, Streams};
use rekindle_shared::model::{init_seeded, parameters, select};

/// Parameters of every rank from 1 to 4, running statistics, and a layer without a bias.
#[derive(Module, Debug)]
struct Net {
    conv: Conv2d,
    norm: BatchNorm,
    hidden: Linear,
    head: Linear,
}

impl Net {
    fn init(device: &Device) -> Self {
        Self {
            conv: Conv2dConfig::new([1, 2], [2, 2]).init(device),
            norm: BatchNormConfig::new(2).init(device),
            hidden: LinearConfig::new(8, 4).with_bias(false).init(device),
            head: LinearConfig::new(4, 3).init(device),
        }
    }

    fn loss(&self, seed: u64) -> Tensor<1> {
        let device = self.head.weight.device();
        let pixels: Vec<_> = (0..6 * 9).map(|i| ((i as u64 * 37 + seed * 11) % 101) as f32 / 50.0 - 1.0).collect();
        let images = Tensor::<1>::from_floats(pixels.as_slice(), &device).reshape([6, 1, 3, 3]);
        let labels: Vec<_> = (0..6).map(|i| ((i + seed) % 3) as i64).collect();
        let maps = tanh(self.norm.forward(self.conv.forward(images)));
        let logits = self.head.forward(tanh(self.hidden.forward(maps.reshape([6, 8]))));
        let labels = Tensor::<1, Int>::from_ints(labels.as_slice(), &device);
        CrossEntropyLossConfig::new().init(&device).forward(logits, labels)
    }

    fn grads(&self, loss: Tensor<1>) -> GradientsParams {
        GradientsParams::from_grads(loss.backward(), self)
    }
}

/// Gradients by parameter; those of parameters without one are left out.
fn values(model: &Net, grads: &GradientsParams) -> HashMap<ParamId, Vec<f64>> {
    struct Values<'a>(&'a GradientsParams, HashMap<ParamId, Vec<f64>>);
    impl ModuleVisitor for Values<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if let Some(grad) = self.0.get::<D>(param.id) {
                self.1.insert(param.id, grad.into_data().iter::<f64>().collect());
            }
        }
    }
    let mut values = Values(grads, HashMap::new());
    model.visit(&mut values);
    values.1
}

fn dot(a: &HashMap<ParamId, Vec<f64>>, b: &HashMap<ParamId, Vec<f64>>) -> f64 {
    let mut terms = Vec::new();
    for (id, values) in a {
        terms.extend(values.iter().zip(&b[id]).map(|(a, b)| a * b));
    }
    terms.iter().sum()
}

/// The model with `by` added to one element of one parameter, or `by` times noise to all.
fn nudged(model: &Net, place: Option<(ParamId, usize)>, by: f64) -> Net {
    struct Nudge(Option<(ParamId, usize)>, f64, u64);
    impl ModuleMapper for Nudge {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            // Running statistics, which a clone shares, stay as they are.
            if !param.is_require_grad() || self.0.is_some_and(|(id, _)| id != param.id) {
                return param;
            }
            self.2 += 1;
            let (place, by, offset) = (self.0, self.1, self.2);
            param.map(|value| {
                let (n, shape) = (value.shape().num_elements(), value.shape());
                let noise = |i: u64| ((i * 7919 + offset * 104_729) % 1000) as f64 / 500.0 - 1.0;
                let step = |i: usize| place.map_or_else(|| noise(i as u64), |(_, at)| f64::from(u8::from(i == at)));
                let steps: Vec<_> = (0..n).map(|i| (by * step(i)) as f32).collect();
                let steps = Tensor::<1>::from_floats(steps.as_slice(), &value.device()).reshape(shape);
                (value + steps).detach().require_grad()
            })
        }
    }
    model.clone().map(&mut Nudge(place, by, 0))
}

fn learned(decay: Option<f64>) -> (Net, Ewc) {
    let model = init_seeded(1, &Device::flex().autodiff(), Net::init);
    let mut ewc = EwcConfig::new(3.0).with_decay(decay).init().unwrap();
    for task in 0..3 {
        let model = nudged(&model, None, 0.3 * task as f64);
        let fisher =
            FisherConfig::new(4).estimate(&model, |model, samples| model.loss(10 * task + samples.start as u64));
        ewc.add(&model, fisher.unwrap()).unwrap();
    }
    (model, ewc)
}

#[test]
fn the_gradient_of_the_penalty_is_its_difference_quotient() {
    for decay in [None, Some(0.7)] {
        let (model, ewc) = learned(decay);
        let model = nudged(&model, None, 1.0);
        let penalty = |model: &Net| ewc.penalty(model).unwrap().into_scalar::<f64>();
        let grads = values(&model, &model.grads(ewc.penalty(&model).unwrap()));
        assert_eq!(grads.len(), 7, "every parameter, no running statistics");
        let largest = grads.values().flatten().fold(0.0_f64, |largest, grad| largest.max(grad.abs()));
        let h = 0.05;
        for (&id, grads) in &grads {
            for (i, grad) in grads.iter().enumerate() {
                // The penalty is quadratic: central differences are exact but for rounding.
                let [above, below] = [h, -h].map(|h| penalty(&nudged(&model, Some((id, i)), h)));
                let quotient = (above - below) / (2.0 * h);
                assert!((quotient - grad).abs() < 2e-3 * largest, "{quotient} is not {grad}");
            }
        }
        let added = values(&model, &ewc.add_gradients(&model, GradientsParams::new()).unwrap());
        for (id, grads) in &grads {
            grads.iter().zip(&added[id]).for_each(|(a, b)| assert!((a - b).abs() <= 1e-6 * largest, "{a} is not {b}"));
        }
    }
}

/// Adding the penalty to the loss, or its gradient to the loss's, is the same.
#[test]
fn added_gradients_are_those_of_the_sum() {
    let (model, ewc) = learned(None);
    let model = nudged(&model, None, 0.5);
    let sum = values(&model, &model.grads(model.loss(5) + ewc.penalty(&model).unwrap()));
    let added = values(&model, &ewc.add_gradients(&model, model.grads(model.loss(5))).unwrap());
    assert_eq!(sum.len(), added.len());
    for (id, sum) in &sum {
        sum.iter().zip(&added[id]).for_each(|(a, b)| assert!((a - b).abs() < 1e-5, "{a} is not {b}"));
    }
}

#[test]
fn excluded_parameters_are_not_held() {
    let model = init_seeded(1, &Device::flex().autodiff(), Net::init);
    let fisher = FisherConfig::new(4).estimate(&model, |model, samples| model.loss(samples.start as u64)).unwrap();
    let head = select(&model, |parameter| parameter.path.starts_with("head"));
    let mut ewc = EwcConfig::new(1.0).init().unwrap();
    ewc.add(&model, fisher.without(&head)).unwrap();
    let moved = head.iter().fold(model.clone(), |model, &id| nudged(&model, Some((id, 0)), 1.0));
    assert_eq!(ewc.penalty(&moved).unwrap().into_scalar::<f64>(), 0.0);
    let held = parameters(&model).into_iter().filter(|parameter| !parameter.path.starts_with("head"));
    let held = held.filter(|parameter| !parameter.path.contains("running"));
    assert_eq!(ewc.bytes(), 8 * held.map(|parameter| parameter.n_elements()).sum::<usize>());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// g̃ · g_ref ≥ 0, and g̃ = g where it already was.
    #[test]
    fn a_step_of_agem_does_not_raise_the_loss_on_the_memory(seed in 0_u64..1000, other in 0_u64..1000, negated: bool) {
        let model = init_seeded(seed, &Device::flex().autodiff(), Net::init);
        let loss = if negated { model.loss(other).neg() } else { model.loss(other) };
        let reference = model.grads(loss);
        let (g, g_ref) = (values(&model, &model.grads(model.loss(seed))), values(&model, &reference));
        let step = agem(&model, model.grads(model.loss(seed)), &reference).unwrap();
        let projected = values(&model, &step.grads);
        let scale = (dot(&g, &g) * dot(&g_ref, &g_ref)).sqrt();
        prop_assert!((step.dot - dot(&g, &g_ref)).abs() <= 1e-5 * scale);
        prop_assert!(dot(&projected, &g_ref) >= -1e-5 * scale);
        if step.projected() {
            prop_assert!(dot(&projected, &g_ref).abs() <= 1e-5 * scale, "orthogonal");
            prop_assert!(dot(&projected, &projected) <= dot(&g, &g) * (1.0 + 1e-5), "not longer");
        } else {
            prop_assert_eq!(projected, g);
        }
    }
}

proptest! {
    /// The best accuracy is at least the one right after learning, and ACC is the learning accuracy and what was lost of it.
    #[test]
    fn measures_of_one_matrix_agree(rows in prop::collection::vec(prop::collection::vec(0.0_f64..=1.0, 6), 2..=6)) {
        let n = rows.len();
        let mut matrix = AccuracyMatrix::new(n).unwrap();
        rows.iter().enumerate().for_each(|(trained, row)| matrix.set_row(trained, &row[..n]).unwrap());
        let (acc, bwt) = (matrix.average_accuracy().unwrap(), matrix.backward_transfer().unwrap());
        prop_assert!(matrix.forgetting().unwrap() >= -bwt - 1e-12);
        let share = (n - 1) as f64 / n as f64;
        prop_assert!((acc - (matrix.learning_accuracy().unwrap() + share * bwt)).abs() < 1e-12);
        prop_assert!((-1.0..=1.0).contains(&bwt) && (0.0..=1.0).contains(&acc));
        let text = serde_json::to_string(&matrix).unwrap();
        prop_assert_eq!(serde_json::from_str::<AccuracyMatrix>(&text).unwrap(), matrix);
    }

    #[test]
    fn a_buffer_keeps_to_its_bytes_and_balances_what_it_holds(
        bytes in 10_usize..400, retention in 0..3, tasks in prop::collection::vec(30_usize..60, 1..5), seed in any::<u64>(),
    ) {
        let retention = [Retention::Reservoir, Retention::TaskBalanced, Retention::ClassBalanced][retention as usize];
        let shape = ImageShape { channels: 1, height: 2, width: 3 };
        let mut buffer = ReplayBuffer::new(shape, Capacity::Bytes(bytes), retention).unwrap();
        let rng = &mut Streams::new(seed).stream(Stream::Method);
        let mut offered = 0;
        for (task, &n) in tasks.iter().enumerate() {
            // The pixels name the task and the label.
            let labels: Vec<_> = (0..n).map(|i| i % 3).collect();
            let pixels = labels.iter().flat_map(|&label| [task as u8, label as u8, 0, 0, 0, 0]).collect();
            let images = LabeledImages::new("x", shape, pixels, labels, 3).unwrap();
            buffer.offer(&images, 0..n, task, rng).unwrap();
            offered += n;
            prop_assert_eq!(buffer.len(), offered.min(bytes / 10));
            prop_assert!(buffer.bytes() <= bytes);
        }
        let all = buffer.all().unwrap();
        for (place, &task) in all.tasks.iter().enumerate() {
            let image = all.images.image(place);
            prop_assert_eq!((usize::from(image[0]), usize::from(image[1])), (task, all.images.labels()[place]));
        }
        let mut groups = HashMap::<_, usize>::new();
        for (place, &task) in all.tasks.iter().enumerate() {
            let label = if retention == Retention::ClassBalanced { all.images.labels()[place] } else { 0 };
            *groups.entry((task, label)).or_default() += 1;
        }
        let n_groups = if retention == Retention::ClassBalanced { 3 * tasks.len() } else { tasks.len() };
        let share = buffer.capacity() / n_groups;
        // Every task offers 30 samples at least, 10 of each class: balance is asked for where a share is no more.
        let each = if retention == Retention::ClassBalanced { 10 } else { 30 };
        if retention != Retention::Reservoir && share >= 1 && share < each {
            prop_assert_eq!(groups.len(), n_groups);
            prop_assert!(groups.values().all(|&n| n == share || n == share + 1), "{groups:?}");
        }
    }
}
