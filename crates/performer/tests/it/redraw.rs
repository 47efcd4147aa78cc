use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::{AdamWConfig, GradientsParams};
use burn::tensor::{Device, Int, Tensor};
use rekindle_performer::{
    AttentionInput, Favor, FavorConfig, PerformerAttention, PerformerAttentionConfig, redraw, redraw_every,
};
use rekindle_shared::model::deep_copy;

fn favor(seed: u64, device: &Device) -> Favor {
    FavorConfig::new(4).with_n_features(8).with_seed(seed).init(device).unwrap()
}

fn directions(favor: &Favor) -> Vec<f32> {
    favor.directions().into_data().iter().collect()
}

#[derive(Module, Debug)]
struct Layers {
    layers: Vec<PerformerAttention>,
    /// Integers and floats that are no projection's.
    counter: Param<Tensor<1, Int>>,
}

fn layers(device: &Device) -> Layers {
    let of = |seed| PerformerAttentionConfig::new(8, 2).with_n_features(6).with_seed(seed).init(device).unwrap();
    Layers {
        layers: vec![of(1), of(2)],
        counter: Param::initialized(burn::module::ParamId::new(), Tensor::from_data([3], device)),
    }
}

#[test]
fn seed_and_step_alone_decide_the_directions() {
    let device = Device::flex();
    let (a, b) = (favor(u64::MAX - 3, &device), favor(u64::MAX - 3, &device));
    assert_eq!(directions(&a), directions(&b));
    assert_eq!((a.seed(), a.last_redraw()), (u64::MAX - 3, 0));
    let far = 1_u64 << 50;
    let straight = redraw(a.clone(), far);
    let detour = redraw(redraw(b, 17), far);
    assert_eq!(directions(&straight), directions(&detour));
    assert_eq!(straight.last_redraw(), far);
    assert_ne!(directions(&straight), directions(&a));
    assert_eq!(directions(&redraw(straight, 0)), directions(&a));
    assert_ne!(directions(&favor(1, &device)), directions(&favor(2, &device)));
}

#[test]
fn clones_are_independent() {
    let device = Device::flex().autodiff();
    let original = favor(1, &device);
    let before = directions(&original);
    let copies = [redraw(original.clone(), 5), redraw(deep_copy(&original), 5)];
    assert_eq!(directions(&original), before);
    assert!(copies.iter().all(|copy| directions(copy) != before));
}

#[test]
fn a_walk_redraws_every_layer_and_touches_nothing_else() {
    let device = Device::flex();
    let model = layers(&device);
    let weights = |model: &Layers| -> Vec<f32> { model.layers[1].query.weight.to_data().iter().collect() };
    let redrawn = redraw(model.clone(), 9);
    for (layer, before) in redrawn.layers.iter().zip(&model.layers) {
        assert_eq!(layer.favor.last_redraw(), 9);
        assert_ne!(directions(&layer.favor), directions(&before.favor));
        assert_eq!(directions(&layer.favor), directions(&before.favor.clone().redraw(9)));
    }
    assert_eq!(weights(&redrawn), weights(&model));
    assert_eq!(redrawn.counter.val().into_scalar::<i32>(), 3);

    let due = |interval, step| redraw_every(model.clone(), interval, step).layers[0].favor.last_redraw();
    assert_eq!([due(10, 0), due(10, 9), due(10, 10), due(10, 11), due(0, 10)], [0, 0, 10, 0, 0]);
}

#[test]
fn the_record_holds_directions_seed_and_step() {
    let device = Device::flex();
    let saved = redraw(layers(&device), 1000);
    let loaded = layers(&device).load_record(saved.clone().into_record());
    for (a, b) in saved.layers.iter().zip(&loaded.layers) {
        assert_eq!(directions(&a.favor), directions(&b.favor));
        assert_eq!((a.favor.seed(), a.favor.last_redraw()), (b.favor.seed(), b.favor.last_redraw()));
    }
    // Into a model of another seed: what was saved counts, from then on.
    let other = favor(77, &device).load_record(favor(1, &device).into_record());
    assert_eq!(other.seed(), 1);
    assert_eq!(directions(&redraw(other, 3)), directions(&redraw(favor(1, &device), 3)));
}

#[test]
fn directions_are_not_trained() {
    struct Trained(usize);
    impl ModuleVisitor for Trained {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.0 += usize::from(param.is_require_grad());
        }
    }
    let device = Device::flex().autodiff();
    for thaw in [false, true] {
        let mut model = PerformerAttentionConfig::new(8, 2).with_n_features(6).init(&device).unwrap();
        let mut trained = Trained(0);
        model.visit(&mut trained);
        assert_eq!(trained.0, 8, "four layers with biases");
        if thaw {
            model = redraw(model, 4).set_require_grad(true);
        }
        let before = directions(&model.favor);
        let mut optimizer = AdamWConfig::new().with_weight_decay(0.1).init();
        for _ in 0..3 {
            let x = Tensor::<3>::ones([1, 5, 8], &device);
            let loss = model.forward(AttentionInput::self_attn(x)).unwrap().sum();
            let grads = GradientsParams::from_grads(loss.backward(), &model);
            model = optimizer.step(0.1, model, grads);
        }
        assert_eq!(directions(&model.favor), before);
    }
}
