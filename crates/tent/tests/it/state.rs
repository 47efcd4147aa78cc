//! Saving and resuming.

use burn::module::Module;
use burn::tensor::Device;
use rekindle_shared::state::StateFileError;
use rekindle_tent::{Tent, TentError};

use crate::common::{ConvNet, Net, adam, bare, images, step, tent, values};

/// The source model as a user gets it back: from its record.
fn reloaded(net: &Net) -> Net {
    Net::new(&Device::flex()).try_load_record(net.clone().into_record()).unwrap()
}

#[test]
fn a_resumed_adaptation_goes_on_to_the_bit() {
    let source = Net::new(&Device::flex());
    let start = || bare().init(&reloaded(&source), adam()).unwrap();
    let mut whole = start();
    for seed in 0..3 {
        step(&mut whole, seed, 20);
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tent.state");
    whole.save(&path).unwrap();
    let mut resumed = start().load(&path).unwrap();
    assert_eq!(resumed.totals(), whole.totals());
    for seed in 3..6 {
        assert_eq!(step(&mut resumed, seed, 20), step(&mut whole, seed, 20));
    }
    // The source to return to is that of the model, not of the state.
    resumed.reset();
    assert_eq!(step(&mut resumed, 0, 20), step(&mut start(), 0, 20));
}

#[test]
fn what_is_no_state_is_refused() {
    let device = Device::flex();
    let mut saved = tent(&bare(), &device);
    step(&mut saved, 1, 20);
    let bytes = saved.to_bytes().unwrap();
    let refused = |tent: Tent<Net>, bytes: &[u8]| match tent.from_bytes(bytes) {
        Err(TentError::InvalidState(reason)) => reason,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(tent(&bare(), &device), b"something"), "it begins with other bytes");
    for cut in [8, 20, 120, 160, bytes.len() / 2, bytes.len() - 1] {
        refused(tent(&bare(), &device), &bytes[..cut]);
    }
    let mut other = bare().init(&ConvNet::new(&device), adam()).unwrap();
    values(other.adapt(images(1, 8, &device), |net, x| net.forward(x)).unwrap().logits);
    assert!(refused(tent(&bare(), &device), &other.to_bytes().unwrap()).contains("tensors of norm layers"));
    let missing = tent(&bare(), &device).load("/no/such/file").unwrap_err();
    assert!(matches!(&missing, TentError::File(StateFileError { action: "read", .. })), "{missing}");
}
