//! A memory survives the process.

use burn::tensor::Tensor;
use rekindle_gpm::{GpmConfig, GpmError, GpmMemory};

use super::models::{Mlp, device, random};

fn filled(model: &Mlp) -> GpmMemory {
    let mut memory = GpmConfig::new().init(model).unwrap();
    for _ in 0..2 {
        memory.observe_task(model, [random([3, 8], &device())], Mlp::forward).unwrap();
    }
    memory
}

#[test]
fn a_memory_comes_back_from_a_file_for_a_model_built_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gpm.state");
    let memory = filled(&Mlp::new([8, 5, 2], false, &device()));
    memory.save(&path).unwrap();
    let model = Mlp::new([8, 5, 2], false, &device());
    let loaded = GpmConfig::new().init(&model).unwrap().load(&path).unwrap();
    assert_eq!((loaded.to_bytes(), loaded.n_tasks()), (memory.to_bytes(), 2));
    let [a, b] = [&memory, &loaded].map(|memory| memory.basis("first").unwrap().remove(0));
    let difference: Tensor<2> = a - b;
    assert_eq!(difference.abs().max().into_scalar::<f32>(), 0.0);
}

#[test]
fn other_bytes_are_refused_with_the_reason() {
    let memory = filled(&Mlp::new([8, 5, 2], false, &device()));
    let bytes = memory.to_bytes();
    let load = |sizes, bytes: &[u8]| {
        let memory = GpmConfig::new().init(&Mlp::new(sizes, false, &device())).unwrap();
        memory.from_bytes(bytes).err()
    };
    assert_eq!(load([8, 5, 2], &bytes), None);
    let refused = |error: Option<GpmError>, reason: &str| match error {
        Some(GpmError::InvalidState(message)) => assert!(message.contains(reason), "{message}"),
        other => panic!("{other:?}"),
    };
    refused(load([7, 5, 2], &bytes), "it has layer first with 8 inputs where the model has first with 7 inputs");
    refused(load([8, 5, 2], b"something else"), "it begins with other bytes");
    for length in 8..bytes.len() {
        assert!(load([8, 5, 2], &bytes[..length]).is_some(), "{length} of {} bytes", bytes.len());
    }
    refused(load([8, 5, 2], &[&bytes[..], &[0]].concat()), "longer");
    let mut poisoned = bytes.clone();
    let last = poisoned.len() - 4;
    poisoned[last..].copy_from_slice(&f32::NAN.to_le_bytes());
    refused(load([8, 5, 2], &poisoned), "directions in");
}
