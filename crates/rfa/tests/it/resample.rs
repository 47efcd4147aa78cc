use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::{AdamWConfig, GradientsParams};
use burn::tensor::{Device, Tensor};
use rekindle_rfa::{CausalInput, RfaCausal, RfaConfig, RfaHeads, redraw, redraw_every, resample};
use rekindle_shared::model::deep_copy;

use crate::reference::{host, random};

fn config(seed: u64) -> RfaConfig {
    RfaConfig::new(8, 2).with_n_features(6).with_seed(seed).with_resample_every(10).with_dropout(0.0)
}

fn directions(heads: &RfaHeads) -> Vec<f64> {
    host(&heads.directions())
}

#[derive(Module, Debug)]
struct Layers {
    layers: Vec<RfaCausal>,
}

fn layers(device: &Device) -> Layers {
    Layers { layers: [1, 2].map(|seed| config(seed).init_causal(device).unwrap()).into() }
}

#[test]
fn training_uses_the_matrices_of_the_step_and_evaluation_fixed_ones() {
    let device = Device::flex().autodiff();
    let heads = config(3).init_causal(&device).unwrap().heads.redraw(17);
    assert_ne!(directions(&heads), host(&heads.fixed_directions()));
    let inputs = [0; 3].map(|_| random([1, 2, 12, 4], 1.0, &device));
    let attend = |heads: &RfaHeads, inputs: [Tensor<4>; 3]| {
        let [query, key, value] = inputs;
        host(&heads.causal(CausalInput::new(query, key, value), None).unwrap().0)
    };
    let plain = || inputs.clone().map(Tensor::inner);
    let training = attend(&heads, inputs.clone());
    let evaluation = attend(&heads.valid(), plain());
    assert_ne!(training, evaluation);
    // Another step trains with others and is evaluated with the same.
    let later = heads.clone().redraw(18);
    assert_ne!(attend(&later, inputs.clone()), training);
    assert_eq!(attend(&later.valid(), plain()), evaluation);
    // A frozen part of a model that is trained takes no part in it.
    let frozen = attend(&heads.clone().freeze(), inputs.clone());
    assert!(frozen.iter().zip(&evaluation).all(|(a, b)| (a - b).abs() < 1e-6));
    assert_eq!(directions(&later.valid().train()), directions(&later));
}

#[test]
fn a_walk_resamples_every_layer_by_its_seed_and_interval() {
    let device = Device::flex();
    let model = layers(&device);
    let sampled = resample(model.clone(), 57);
    for (layer, before) in sampled.layers.iter().zip(&model.layers) {
        assert_eq!(layer.heads.last_redraw(), 50);
        assert_ne!(directions(&layer.heads), directions(&before.heads));
        assert_eq!(directions(&layer.heads), directions(&before.heads.clone().redraw(50)));
        assert_eq!(host(&layer.layers.query.weight.val()), host(&before.layers.query.weight.val()));
    }
    assert_ne!(directions(&sampled.layers[0].heads), directions(&sampled.layers[1].heads));
    assert_eq!(
        directions(&resample(sampled, 58).layers[0].heads),
        directions(&redraw(model.clone(), 50).layers[0].heads)
    );
    assert_eq!(redraw_every(model.clone(), 4, 8).layers[0].heads.last_redraw(), 8);
    assert_eq!(redraw_every(model, 4, 9).layers[0].heads.last_redraw(), 0);
}

#[test]
fn clones_are_independent() {
    let device = Device::flex().autodiff();
    let original = layers(&device);
    let before = directions(&original.layers[0].heads);
    let copies = [redraw(original.clone(), 5), redraw(deep_copy(&original), 5)];
    assert_eq!(directions(&original.layers[0].heads), before);
    assert!(copies.iter().all(|copy| directions(&copy.layers[0].heads) != before));
}

#[test]
fn the_record_holds_what_training_and_evaluation_need() {
    let device = Device::flex();
    let saved = redraw(layers(&device), 1000);
    let loaded = layers(&device).load_record(saved.clone().into_record());
    for (a, b) in saved.layers.iter().zip(&loaded.layers) {
        assert_eq!(directions(&a.heads), directions(&b.heads));
        assert_eq!((a.heads.seed(), a.heads.last_redraw()), (b.heads.seed(), b.heads.last_redraw()));
    }
    // Into a model of another seed: what was saved counts, from then on.
    let one = |seed| config(seed).init_causal(&device).unwrap();
    let other = one(77).load_record(one(1).into_record());
    assert_eq!(other.heads.seed(), 1);
    let x = random([1, 5, 8], 1.0, &device);
    let of = |model: &RfaCausal| host(&model.forward(x.clone(), None).unwrap().0);
    let saved = one(1);
    let loaded = one(77).load_record(saved.clone().into_record());
    assert_eq!(of(&loaded), of(&saved));
    assert_eq!(directions(&resample(loaded, 30).heads), directions(&resample(saved, 30).heads));
}

#[test]
fn directions_are_not_trained_and_sigma_is() {
    struct Trained(usize);
    impl ModuleVisitor for Trained {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.0 += usize::from(param.is_require_grad());
        }
    }
    let device = Device::flex().autodiff();
    for thaw in [false, true] {
        let mut model = config(1).with_gate(true).init_causal(&device).unwrap();
        let mut trained = Trained(0);
        model.visit(&mut trained);
        assert_eq!(trained.0, 8 + 2 + 1, "four layers with biases, the gate, σ");
        if thaw {
            model = redraw(model, 4).set_require_grad(true);
        }
        let before = (directions(&model.heads), host(&model.heads.fixed_directions()));
        let sigma = |model: &RfaCausal| host(&model.heads.sigma.as_ref().unwrap().val());
        let start = sigma(&model);
        let mut optimizer = AdamWConfig::new().with_weight_decay(0.1).init();
        for _ in 0..3 {
            let x = random([1, 5, 8], 1.0, &device);
            let (output, _) = model.forward(x, None).unwrap();
            let grads = GradientsParams::from_grads(output.powi_scalar(2).sum().backward(), &model);
            model = optimizer.step(0.1, model, grads);
        }
        assert_eq!((directions(&model.heads), host(&model.heads.fixed_directions())), before);
        assert_ne!(sigma(&model), start);
    }
}

#[test]
fn matrices_that_are_never_picked_anew_are_those_of_training_in_evaluation_too() {
    let device = Device::flex().autodiff();
    for (every, same) in [(0, true), (1, false)] {
        let attention = config(3).with_resample_every(every).init_causal(&device).unwrap();
        let attention = resample(attention, 7);
        let query = Tensor::<4>::ones([1, 2, 1, 4], &device);
        let [trained, evaluated] = [
            attention.heads.features(query.clone()).unwrap().inner(),
            attention.valid().heads.features(query.inner()).unwrap(),
        ];
        assert_eq!(trained.equal(evaluated).all().into_scalar::<bool>(), same, "{every}");
    }
}
