//! Weights from files in PyTorch's layout.

use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::tensor::{Device, Distribution, Tensor};
use burn_store::{BurnToPyTorchAdapter, ModuleSnapshot, SafetensorsStore};
use rekindle_shared::model::{Classifier, try_init_seeded};
use rekindle_shared::networks::{
    MlpConfig, ResNet, ResNetConfig, Shortcut, SmallCnnConfig, WeightFile, WeightsError, WideResNetConfig,
    load_weights, save_weights,
};

fn device() -> Device {
    Device::flex()
}

fn resnet(seed: u64) -> ResNet {
    let config = ResNetConfig::new().with_depth(8).with_width(4).with_shortcut(Shortcut::Project);
    try_init_seeded(seed, &device(), |device| config.init(device)).unwrap()
}

fn images() -> Tensor<4> {
    Tensor::<4>::random([3, 3, 8, 8], Distribution::Default, &device())
}

fn assert_same<M: Classifier>(a: &M, b: &M, images: Tensor<4>) {
    a.forward(images.clone()).into_data().assert_eq(&b.forward(images).into_data(), true);
}

/// Writes PyTorch's layout under other names, as other implementations would.
fn write_renamed<M: Module>(module: &M, path: &Path, renames: &[(&str, &str)]) {
    let store = SafetensorsStore::from_file(path).with_to_adapter(BurnToPyTorchAdapter);
    let mut store = renames.iter().fold(store, |store, (from, to)| store.with_key_remapping(*from, *to));
    module.save_into(&mut store).unwrap();
}

fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    (folder, path)
}

#[test]
fn weights_and_statistics_come_back_from_a_file() {
    let (_folder, path) = folder();
    let device = Device::flex().autodiff();
    let trained = try_init_seeded(1, &device, |device| ResNetConfig::new().with_depth(8).with_width(4).init(device));
    let trained = trained.unwrap();
    trained.forward(Tensor::random([4, 3, 8, 8], Distribution::Normal(1.0, 2.0), &device));
    save_weights(&trained, &path).unwrap();

    let other = try_init_seeded(2, &device, |device| ResNetConfig::new().with_depth(8).with_width(4).init(device));
    let other = other.unwrap();
    let id = other.fc.weight.id;
    let loaded = load_weights(other.clone(), &path).unwrap();
    assert_eq!(loaded.fc.weight.id, id);
    assert!(loaded.fc.weight.is_require_grad());
    assert_same(&loaded.valid(), &trained.valid(), images());
    // What shares running statistics with the module that was given keeps them.
    assert_eq!(other.bn1.running_mean.value().abs().sum().into_scalar::<f32>(), 0.0);
}

#[test]
fn a_file_is_in_pytorchs_layout() {
    use burn_store::ModuleStore;
    let (_folder, path) = folder();
    let cnn = SmallCnnConfig::new().with_hidden(5).init(&device()).unwrap();
    save_weights(&cnn, &path).unwrap();
    let mut store = SafetensorsStore::from_file(&path);
    let tensors = store.get_all_tensors().unwrap();
    assert_eq!(tensors["fc2.weight"].shape.to_vec(), [10, 5], "linear weights are [out, in]");
    assert_eq!(tensors["blocks.0.conv.weight"].shape.to_vec(), [16, 1, 3, 3]);
    for name in ["weight", "bias", "running_mean", "running_var"] {
        assert!(tensors.contains_key(&format!("blocks.1.bn.{name}")), "{name}");
    }
}

#[test]
fn usual_names_of_other_implementations_are_known() {
    let (_folder, path) = folder();
    let saved = resnet(1);
    let cases: [&[(&str, &str)]; 4] = [
        &[("^", "module.")],
        &[(r"downsample\.conv\.", "downsample.0."), (r"downsample\.bn\.", "downsample.1.")],
        &[(r"downsample\.conv\.", "shortcut.0."), (r"downsample\.bn\.", "shortcut.1."), (r"^fc\.", "linear.")],
        &[("^", "_orig_mod.module.")],
    ];
    for renames in cases {
        let _ = std::fs::remove_file(&path);
        write_renamed(&saved, &path, renames);
        assert_same(&load_weights(resnet(2), &path).unwrap(), &saved, images());
    }

    let _ = std::fs::remove_file(&path);
    let config = WideResNetConfig::new().with_depth(10).with_widen_factor(2);
    let wide = config.init(&device()).unwrap();
    write_renamed(&wide, &path, &[(r"^(block\d)\.", "$1.layer."), (r"shortcut\.", "convShortcut.")]);
    assert_same(&load_weights(config.init(&device()).unwrap(), &path).unwrap(), &wide, images());
}

#[test]
fn the_numbering_of_a_sequential_has_gaps() {
    let (_folder, path) = folder();
    let config = MlpConfig::new(vec![192, 6, 5, 4]);
    let mlp = config.init(&device()).unwrap();
    write_renamed(&mlp, &path, &[(r"^layers\.2", "layers.4"), (r"^layers\.1", "layers.2"), (r"^layers\.", "")]);
    assert_same(&load_weights(config.init(&device()).unwrap(), &path).unwrap(), &mlp, images());
}

#[test]
fn other_names_are_renamed_by_the_user() {
    let (_folder, path) = folder();
    let saved = resnet(1);
    write_renamed(&saved, &path, &[("^", "encoder.backbone.")]);
    let error = load_weights(resnet(2), &path).unwrap_err();
    assert!(matches!(error, WeightsError::Mismatch { .. }), "{error}");
    let loaded = WeightFile::new(&path).rename(r"^encoder\.backbone\.", "").load(resnet(2)).unwrap();
    assert_same(&loaded, &saved, images());
    let error = WeightFile::new(&path).rename("(", "").load(resnet(2)).unwrap_err();
    assert!(matches!(error, WeightsError::Pattern { .. }), "{error}");
}

#[test]
fn weights_of_another_network_are_refused_by_name() {
    let (_folder, path) = folder();
    save_weights(&resnet(1), &path).unwrap();
    let config = |width, depth| {
        let config = ResNetConfig::new().with_depth(depth).with_width(width).with_shortcut(Shortcut::Project);
        config.with_n_classes(3).init(&device()).unwrap()
    };
    let Err(WeightsError::Mismatch { missing, unexpected, shapes, .. }) = load_weights(config(4, 8), &path) else {
        panic!("a head for 10 classes was loaded into one for 3");
    };
    assert!(missing.is_empty() && unexpected.is_empty());
    assert_eq!(shapes.len(), 2);
    assert!(shapes.iter().any(|shape| shape.starts_with("fc.weight")), "{shapes:?}");

    let error = load_weights(config(4, 14), &path).unwrap_err();
    let WeightsError::Mismatch { missing, .. } = &error else { panic!("{error}") };
    assert!(missing.contains(&"layer1.1.bn1.running_mean".to_owned()), "{missing:?}");
    assert!(error.to_string().contains("more; unexpected none"), "{error}");

    let plain = ResNetConfig::new().with_depth(8).with_width(4).init(&device()).unwrap();
    let error = load_weights(plain, &path).unwrap_err();
    let WeightsError::Mismatch { unexpected, .. } = &error else { panic!("{error}") };
    assert!(unexpected.contains(&"layer2.0.downsample.conv.weight".to_owned()), "{unexpected:?}");
}

/// `data/cnn.pt`: a state dict of [`SmallCnnConfig`] with 4x4 images, 2 channels, 3 hidden units and 2 classes, whose
/// values count up.
#[test]
fn a_pytorch_state_dict_is_read() {
    let config = SmallCnnConfig::new().with_size([4, 4]).with_channels(vec![2]).with_hidden(3).with_n_classes(2);
    let cnn = load_weights(config.init(&device()).unwrap(), data("cnn.pt")).unwrap();
    let vector = |tensor: Tensor<1>| tensor.into_data().try_to_vec::<f32>().unwrap();
    let bn = cnn.blocks[0].bn.as_ref().unwrap();
    assert_eq!(vector(bn.gamma.val()), [1.0, 2.0]);
    assert_eq!(vector(bn.beta.val()), [0.0, 1.0]);
    assert_eq!(vector(bn.running_mean.value()), [3.0, 4.0]);
    assert_eq!(vector(bn.running_var.value()), [5.0, 6.0]);
    assert_eq!(vector(cnn.blocks[0].conv.weight.val().reshape([18])), (0..18).map(|i| i as f32).collect::<Vec<_>>());
    assert_eq!(vector(cnn.fc2.weight.val().reshape([6])), [0.0, 3.0, 1.0, 4.0, 2.0, 5.0], "transposed");
    assert_eq!(vector(cnn.fc2.bias.as_ref().unwrap().val()), [8.0, 9.0]);
}

/// `data/sequential.pth`: a checkpoint with an epoch and the state dict of a wrapped `Sequential(Linear, ReLU, Linear)`.
#[test]
fn a_pytorch_checkpoint_with_more_than_weights_is_read() {
    let mlp = || MlpConfig::new(vec![3, 2, 2]).init(&device()).unwrap();
    let file = WeightFile::new(data("sequential.pth"));
    for file in [file.clone().top_level_key("state_dict"), file.clone()] {
        let mlp = file.load(mlp()).unwrap();
        let logits = mlp.forward(Tensor::<2>::from_floats([[1.0, 1.0, 1.0], [0.0, 0.0, 2.0]], &device()));
        // Hidden: (6.5, max(-1, 0)) and (6.5, 1).
        assert_eq!(logits.into_data().try_to_vec::<f32>().unwrap(), [13.0, -3.0, 13.0, 1.0]);
    }
    let error = file.top_level_key("weights").load(mlp()).unwrap_err();
    assert!(matches!(error, WeightsError::Read { .. }), "{error}");
}

/// Every cut, and every byte changed: an error or other values, never a panic.
#[test]
fn damaged_files_are_errors() {
    let (folder, safetensors) = folder();
    let config = SmallCnnConfig::new().with_size([4, 4]).with_channels(vec![2]).with_hidden(3).with_n_classes(2);
    let cnn = config.init(&device()).unwrap();
    save_weights(&cnn, &safetensors).unwrap();
    for (bytes, name) in [
        (std::fs::read(safetensors).unwrap(), "damaged.safetensors"),
        (std::fs::read(data("cnn.pt")).unwrap(), "damaged.pt"),
    ] {
        let path = folder.path().join(name);
        for at in (0..bytes.len()).step_by(7) {
            std::fs::write(&path, &bytes[..at]).unwrap();
            let error = load_weights(cnn.clone(), &path).err();
            assert!(error.is_some(), "{name} cut to {at} bytes was loaded");
            let mut changed = bytes.clone();
            changed[at] ^= 0xff;
            std::fs::write(&path, changed).unwrap();
            let _ = load_weights(cnn.clone(), &path);
        }
    }
}

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

#[test]
fn files_that_are_none_are_errors() {
    let (folder, path) = folder();
    let load = |path: &Path| load_weights(resnet(2), path).unwrap_err();
    assert!(matches!(load(&path), WeightsError::Read { .. }), "missing");
    assert!(matches!(load(&folder.path().join("missing.pth")), WeightsError::Read { .. }), "missing");
    assert!(matches!(load(&folder.path().join("weights.onnx")), WeightsError::UnknownFormat { .. }));
    assert!(matches!(load(folder.path()), WeightsError::UnknownFormat { .. }));

    save_weights(&resnet(1), &path).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    for length in [0, 4, 8, 100, bytes.len() / 2, bytes.len() - 1] {
        std::fs::write(&path, &bytes[..length]).unwrap();
        assert!(matches!(load(&path), WeightsError::Read { .. }), "cut to {length} bytes");
    }
    for name in ["garbage.pt", "garbage.safetensors"] {
        let path = folder.path().join(name);
        std::fs::write(&path, [0x5a; 300]).unwrap();
        assert!(matches!(load(&path), WeightsError::Read { .. }), "{name}");
    }
    let unwritable = folder.path().join("no").join("folder.safetensors");
    assert!(matches!(save_weights(&resnet(1), unwritable), Err(WeightsError::Write { .. })));
}
