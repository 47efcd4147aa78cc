//! A run that is saved and resumed goes on as if it had not stopped.

use burn::module::Module;
use burn::optim::{AdamConfig, ModuleOptimizer};
use burn::store::ModuleRecord;
use rekindle_sam::{Direction, RhoSchedule, Sam, SamConfig, SamError};
use rekindle_shared::state::StateFileError;

use crate::common::*;

fn train(sam: &mut Sam, mut net: Net, seeds: std::ops::Range<u64>) -> Net {
    for seed in seeds {
        let batch = Batch::new(seed, 12, &device());
        net = sam.step(0.05, net, |net| batch.loss(net)).unwrap().0;
    }
    net
}

fn resumes(config: SamConfig, optimizer: fn() -> ModuleOptimizer) {
    let device = device();
    let mut unbroken = config.init(optimizer()).unwrap();
    let expected = train(&mut unbroken, Net::new(0.3, &device), 0..7);

    let mut sam = config.init(optimizer()).unwrap();
    let net = train(&mut sam, Net::new(0.3, &device), 0..3);
    let saved = (sam.to_bytes().unwrap(), net.into_record().into_bytes().unwrap());
    let mut sam = config.init(optimizer()).unwrap().from_bytes(&saved.0).unwrap();
    assert_eq!(sam.ascent().step(), 3);
    let net = Net::new(0.3, &device).load_record(ModuleRecord::from_bytes(saved.1).unwrap());
    assert_eq!(bits(&train(&mut sam, net, 3..7)), bits(&expected));
}

#[test]
fn training_resumes_to_the_bit() {
    let _guard = generator();
    let schedule = RhoSchedule::Cosine { from: 1.0, to: 0.1, steps: 6 };
    let config = SamConfig::new().with_rho(0.3).with_schedule(schedule).with_every(2).with_same_masks(Some(3));
    resumes(config.clone(), || sgd(0.9));
    resumes(config.clone(), || AdamConfig::new().init());
    resumes(config.with_direction(Direction::Random { seed: 8 }), || sgd(0.9));
}

#[test]
fn a_radius_set_by_hand_and_the_step_are_part_of_the_state() {
    let mut sam = SamConfig::new().init(sgd(0.9)).unwrap();
    sam.ascent_mut().set_rho(0.7).unwrap();
    sam.ascent_mut().set_step(41);
    let folder = std::env::temp_dir().join(format!("rekindle-sam-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("sam.state");
    sam.save(&path).unwrap();
    let loaded = SamConfig::new().init(sgd(0.9)).unwrap().load(&path).unwrap();
    assert_eq!((loaded.ascent().step(), loaded.ascent().rho()), (41, 0.7));
    std::fs::remove_dir_all(&folder).unwrap();
    let error = SamConfig::new().init(sgd(0.9)).unwrap().load(&path).err().unwrap();
    assert!(
        matches!(&error, SamError::File(StateFileError { action: "read", .. }))
            && error.to_string().contains("sam.state"),
        "{error}"
    );
    assert!(matches!(sam.save(&path).err(), Some(SamError::File(StateFileError { action: "write", .. }))));
}

#[test]
fn bytes_that_are_no_state_are_refused() {
    let mut sam = SamConfig::new().init(sgd(0.9)).unwrap();
    train(&mut sam, Net::new(0.0, &device()), 0..1);
    let bytes = sam.to_bytes().unwrap();
    let refused = |bytes: &[u8]| {
        let fresh = SamConfig::new().init(sgd(0.9)).unwrap();
        matches!(fresh.from_bytes(bytes).err(), Some(SamError::InvalidState(_)))
    };
    for length in [0, 7, 24, 25, 40, bytes.len() / 2, bytes.len() - 1] {
        assert!(refused(&bytes[..length]), "{length} of {} bytes", bytes.len());
    }
    let mut other = bytes.clone();
    other[0] ^= 1;
    assert!(refused(&other));
    let mut other = bytes.clone();
    other[16] = 7;
    assert!(refused(&other));
    assert!(!refused(&bytes));
}
