//! Weights and draws that a seed decides. Every draw here is made under the process's guard.

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Device, Distribution, Tensor};
use rekindle_shared::model::{init_seeded, seeded, try_init_seeded};
use rekindle_shared::networks::{ResNet, ResNetConfig};

fn values<M: Module>(module: &M) -> Vec<Vec<f32>> {
    struct Values(Vec<Vec<f32>>);
    impl ModuleVisitor for Values {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            assert!(param.is_initialized());
            self.0.push(param.val().into_data().try_to_vec().unwrap());
        }
    }
    let mut values = Values(Vec::new());
    module.visit(&mut values);
    values.0
}

#[test]
fn the_seed_decides_the_weights_whatever_is_used_first() {
    let device = Device::flex();
    let resnet = |seed| -> ResNet {
        try_init_seeded(seed, &device, |device| ResNetConfig::new().with_depth(8).with_width(4).init(device)).unwrap()
    };
    let (a, b) = (resnet(5), resnet(5));
    // Stock layers are lazy: the first use of the last one must not change what the seed gives.
    let lazy = |device: &Device| {
        [burn::nn::LinearConfig::new(3, 3).init(device), burn::nn::LinearConfig::new(3, 3).init(device)]
    };
    let [first, second] = [(); 2].map(|()| init_seeded(9, &device, lazy));
    let _ = first[1].weight.val();
    assert_eq!(values(&first), values(&second));
    assert_eq!(values(&a), values(&b));
    assert_ne!(values(&a), values(&resnet(6)));
    // On an autodiff device the seed gives the same.
    let autodiff = device.clone().autodiff();
    let c = try_init_seeded(5, &autodiff, |device| ResNetConfig::new().with_depth(8).with_width(4).init(device));
    assert_eq!(values(&a), values(&c.unwrap()));
}

#[test]
fn threads_take_turns_at_the_generator() {
    let device = Device::flex();
    let draw = |seed| {
        seeded(seed, &device, || {
            let draws: Vec<f32> = (0..50)
                .map(|_| Tensor::<1>::random([1], Distribution::Default, &device).into_scalar::<f32>())
                .collect();
            draws
        })
    };
    let expected = [draw(1), draw(2)];
    let found = std::thread::scope(|scope| {
        let threads = [1, 2].map(|seed| scope.spawn(move || draw(seed)));
        threads.map(|thread| thread.join().unwrap())
    });
    assert_eq!(found, expected);
    // A call within a call seeds anew and does not wait for itself.
    assert_eq!(seeded(3, &device, || draw(1)), expected[0]);
}
