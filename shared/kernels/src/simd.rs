use pulp::{Arch, Simd, WithSimd};

/// Runs `f` compiled for the instructions of `arch`; `f` and all that it calls must be `#[inline(always)]`.
///
/// [`Arch::dispatch`] with a closure alone doesn't: a closure that could run twice is called by a shim that isn't inlined.
#[inline(always)]
pub(crate) fn vectorize<R>(arch: Arch, f: impl FnMut() -> R) -> R {
    struct Operation<F>(F);

    impl<R, F: FnMut() -> R> WithSimd for Operation<F> {
        type Output = R;

        #[inline(always)]
        fn with_simd<S: Simd>(mut self, _: S) -> R {
            (self.0)()
        }
    }

    arch.dispatch(Operation(f))
}
