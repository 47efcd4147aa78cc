use std::cell::Cell;
use std::sync::{Mutex, MutexGuard, PoisonError};

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Bool, Device, Int, Tensor};

/// Runs `f` with the device's generator seeded, while no other call of this function runs in the process.
///
/// Burn has one generator for the whole process, and its state can't be read: this changes the stream that later draws
/// of any thread see. Threads that draw without this function interleave with it.
///
/// A call within `f` on the same thread is allowed, and seeds anew.
pub fn seeded<R>(seed: u64, device: &Device, f: impl FnOnce() -> R) -> R {
    let _turn = Turn::take();
    device.seed(seed);
    f()
}

/// Initializes a module such that the seed decides its weights.
///
/// Burn's layers draw their parameters at first use, so that the same seed gives other weights after another order of
/// use. Here every parameter is drawn before the call returns. It is [`seeded`], with what that says about the stream.
///
/// ```
/// use burn::{nn::LinearConfig, tensor::Device};
/// use rekindle_shared::model::init_seeded;
///
/// let [a, b] = [7, 7].map(|seed| init_seeded(seed, &Device::flex(), |device| LinearConfig::new(2, 2).init(device)));
/// a.weight.to_data().assert_eq(&b.weight.to_data(), true);
/// ```
pub fn init_seeded<M: Module>(seed: u64, device: &Device, init: impl FnOnce(&Device) -> M) -> M {
    seeded(seed, device, || initialized(init(device)))
}

/// [`init_seeded`] for an `init` that can refuse its configuration.
///
/// # Errors
///
/// Those of `init`.
pub fn try_init_seeded<M: Module, E>(
    seed: u64,
    device: &Device,
    init: impl FnOnce(&Device) -> Result<M, E>,
) -> Result<M, E> {
    seeded(seed, device, || init(device).map(initialized))
}

/// The same module with every parameter drawn that Burn would draw at first use, in the order of the fields.
pub fn initialized<M: Module>(module: M) -> M {
    struct Touch;
    impl ModuleVisitor for Touch {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let _ = param.base();
        }
        fn visit_int<const D: usize>(&mut self, param: &Param<Tensor<D, Int>>) {
            let _ = param.base();
        }
        fn visit_bool<const D: usize>(&mut self, param: &Param<Tensor<D, Bool>>) {
            let _ = param.base();
        }
    }
    module.visit(&mut Touch);
    module
}

static GENERATOR: Mutex<()> = Mutex::new(());

thread_local! {
    static HOLDS_TURN: Cell<bool> = const { Cell::new(false) };
}

/// The right to use the process's generator; a thread that has it gets it again at once.
struct Turn {
    guard: Option<MutexGuard<'static, ()>>,
}

impl Turn {
    fn take() -> Self {
        let guard = match HOLDS_TURN.replace(true) {
            true => None,
            // A panic while the generator was held leaves nothing half done: the next holder seeds it.
            false => Some(GENERATOR.lock().unwrap_or_else(PoisonError::into_inner)),
        };
        Self { guard }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if self.guard.is_some() {
            HOLDS_TURN.set(false);
        }
    }
}
