//! Prefix sums in chunks against the matrix of all pairs and the scan over tokens, values and gradients.

use burn::tensor::{Bool, DType, Device, Distribution, Int, Tensor};
use rekindle_shared::attention::{PrefixSums, PrefixSumsError, pass_through, step};

const ROWS: usize = 2;
const FEATURES: usize = 5;
const WIDTH: usize = 3;
const LENGTHS: [usize; 7] = [1, 2, 7, 8, 9, 64, 1000];

struct Input {
    queries: Tensor<3>,
    keys: Tensor<3>,
    values: Tensor<3>,
    log_decay: Option<Tensor<2>>,
    state: Option<Tensor<3>>,
}

type Output = (Tensor<3>, Tensor<3>);

impl Input {
    fn new(length: usize, decays: bool, has_state: bool, device: &Device) -> Self {
        let random = |shape: [usize; 3]| -> Tensor<3> {
            let drawn = Tensor::<3>::random(shape, Distribution::Default, (device, DType::F64));
            drawn.require_grad()
        };
        let decay = || {
            let drawn = Tensor::<2>::random([ROWS, length], Distribution::Default, (device, DType::F64));
            drawn.mul_scalar(-0.3).detach().require_grad()
        };
        Self {
            queries: random([ROWS, length, FEATURES]),
            keys: random([ROWS, length, FEATURES]),
            values: random([ROWS, length, WIDTH]),
            log_decay: decays.then(decay),
            state: has_state.then(|| random([ROWS, FEATURES, WIDTH])),
        }
    }

    fn chunked(&self, chunk: usize) -> Output {
        let sums = PrefixSums::new(chunk).unwrap();
        let (queries, keys, values) = (self.queries.clone(), self.keys.clone(), self.values.clone());
        sums.forward(queries, keys, values, self.log_decay.clone(), self.state.clone()).unwrap()
    }

    /// By the matrix of all pairs.
    fn quadratic(&self) -> Output {
        let [rows, length, _] = self.keys.dims();
        let device = self.keys.device();
        let decay = self.log_decay.clone().unwrap_or_else(|| Tensor::zeros([rows, length], (&device, DType::F64)));
        let up_to = decay.cumsum(1).unsqueeze_dim::<3>(2);
        let later: Tensor<3, Bool> = Tensor::<2, Bool>::tril_mask([length, length], 0, &device).unsqueeze();
        let weights = (up_to.clone() - up_to.clone().transpose()).mask_fill(later, -1e4).exp();
        let scores = self.queries.clone().matmul(self.keys.clone().transpose()) * weights;
        let mut sums = scores.matmul(self.values.clone());
        let total = up_to.clone().narrow(1, length - 1, 1);
        let keys = self.keys.clone() * (total.clone() - up_to.clone()).exp();
        let mut last = keys.transpose().matmul(self.values.clone());
        if let Some(state) = &self.state {
            sums = sums + (self.queries.clone() * up_to.exp()).matmul(state.clone());
            last = last + state.clone() * total.exp();
        }
        (sums, last)
    }

    /// Token by token.
    fn scan(&self) -> Output {
        let [rows, length, _] = self.keys.dims();
        let zeros = || Tensor::zeros([rows, FEATURES, WIDTH], (&self.keys.device(), DType::F64));
        let mut state = self.state.clone().unwrap_or_else(zeros);
        let token = |x: &Tensor<3>, t: usize| x.clone().narrow(1, t, 1).squeeze_dim::<2>(1);
        let mut sums = Vec::new();
        for t in 0..length {
            let decay = self.log_decay.as_ref().map(|d| d.clone().narrow(1, t, 1).squeeze_dim(1));
            let (query, key, value) = (token(&self.queries, t), token(&self.keys, t), token(&self.values, t));
            let (sum, next) = step(query, key, value, decay, state);
            state = next;
            sums.push(sum.unsqueeze_dim::<3>(1));
        }
        (Tensor::cat(sums, 1), state)
    }

    /// Gradients of a sum of the outputs with weights that differ between elements.
    fn gradients(&self, (sums, last): Output) -> Vec<Tensor<3>> {
        let weighted = |x: Tensor<3>| {
            let n = x.dims().iter().product::<usize>();
            let weights = Tensor::<1, Int>::arange(0..n as i64, &x.device()).float().cast(DType::F64).sin();
            (x.clone() * weights.reshape(x.dims())).sum()
        };
        let grads = (weighted(sums) + weighted(last)).backward();
        let mut all: Vec<Tensor<3>> = [&self.queries, &self.keys, &self.values].map(|x| x.grad(&grads).unwrap()).into();
        all.extend(self.log_decay.iter().map(|d| d.grad(&grads).unwrap().unsqueeze_dim(2)));
        all.extend(self.state.iter().map(|s| s.grad(&grads).unwrap()));
        all
    }
}

#[track_caller]
fn assert_close(a: Tensor<3>, b: Tensor<3>, what: &str) {
    let difference = (a - b.clone()).abs().max().into_scalar::<f64>();
    let size = b.abs().max().into_scalar::<f64>();
    assert!(difference <= 1e-10 * size.max(1.0), "{what}: differ by {difference}, largest {size}");
}

#[test]
fn chunks_of_any_size_give_the_sums_and_gradients_of_all_pairs() {
    let device = Device::flex().autodiff();
    for length in LENGTHS {
        for (decays, has_state) in [(false, false), (false, true), (true, false), (true, true)] {
            let input = Input::new(length, decays, has_state, &device);
            let expected = input.quadratic();
            let expected_gradients = input.gradients(expected.clone());
            for chunk in [1, 2, 7, 64, 4096] {
                let what = format!("length {length}, chunk {chunk}, decay {decays}, state {has_state}");
                let actual = input.chunked(chunk);
                assert_close(actual.0.clone(), expected.0.clone(), &what);
                assert_close(actual.1.clone(), expected.1.clone(), &what);
                for (actual, expected) in input.gradients(actual).into_iter().zip(&expected_gradients) {
                    assert_close(actual, expected.clone(), &what);
                }
            }
        }
    }
}

#[test]
fn the_scan_over_tokens_gives_the_same() {
    let device = Device::flex().autodiff();
    for length in [1, 2, 9, 64] {
        for decays in [false, true] {
            let input = Input::new(length, decays, true, &device);
            let (scan, chunked) = (input.scan(), input.chunked(8));
            assert_close(scan.0.clone(), chunked.0.clone(), "sums");
            assert_close(scan.1.clone(), chunked.1.clone(), "state");
            for (a, b) in input.gradients(scan).into_iter().zip(input.gradients(chunked)) {
                assert_close(a, b, "gradients");
            }
        }
    }
}

#[test]
fn pieces_that_hand_on_the_state_give_the_same() {
    let device = Device::flex();
    let input = Input {
        queries: Tensor::random([ROWS, 100, FEATURES], Distribution::Default, (&device, DType::F64)),
        keys: Tensor::random([ROWS, 100, FEATURES], Distribution::Default, (&device, DType::F64)),
        values: Tensor::random([ROWS, 100, WIDTH], Distribution::Default, (&device, DType::F64)),
        log_decay: Some(Tensor::full([ROWS, 100], -0.1, (&device, DType::F64))),
        state: None,
    };
    let whole = input.chunked(16);
    let (mut state, mut sums) = (None, Vec::new());
    for (start, length) in [(0, 33), (33, 1), (34, 66)] {
        let piece = Input {
            queries: input.queries.clone().narrow(1, start, length),
            keys: input.keys.clone().narrow(1, start, length),
            values: input.values.clone().narrow(1, start, length),
            log_decay: input.log_decay.clone().map(|d| d.narrow(1, start, length)),
            state,
        };
        let (sum, last) = piece.chunked(16);
        sums.push(sum);
        state = Some(last);
    }
    assert_close(Tensor::cat(sums, 1), whole.0, "sums");
    assert_close(state.unwrap(), whole.1, "state");
}

/// A gate of one half, keys all equal: by hand 8, (0.25·8 + 0.5·4) / 0.75, (0.125·8 + 0.25·4 + 0.5·2) / 0.875.
#[test]
fn a_gated_mean_is_the_one_worked_by_hand() {
    let device = Device::flex();
    let values = Tensor::<3>::from_data([[[8.0, 1.0], [4.0, 1.0], [2.0, 1.0]]], &device);
    let (queries, keys) = (Tensor::ones([1, 3, 1], &device), Tensor::full([1, 3, 1], 0.5, &device));
    let decay = Tensor::full([1, 3], 0.5_f64.ln(), &device);
    for chunk in [1, 2, 3] {
        let sums = PrefixSums::new(chunk).unwrap();
        let (out, _) = sums.forward(queries.clone(), keys.clone(), values.clone(), Some(decay.clone()), None).unwrap();
        let means = out.clone().narrow(2, 0, 1) / out.narrow(2, 1, 1);
        means.to_data().assert_approx_eq::<f32>(
            &[[[8.0_f32], [5.333_333_5], [3.428_571_5]]].into(),
            burn::tensor::Tolerance::absolute(1e-5),
        );
    }
}

#[test]
fn the_state_passes_padded_tokens_as_it_is() {
    let device = Device::flex();
    let random = |width| Tensor::<3>::random([1, 6, width], Distribution::Default, &device);
    let (queries, keys, values) = (random(FEATURES), random(FEATURES), random(WIDTH));
    let decay = Tensor::<2>::full([1, 6], -0.7, &device);
    let padded = Tensor::<2, Bool>::from_data([[true, false, false, true, true, false]], &device);
    let sums = PrefixSums::new(4).unwrap();
    let (kept_keys, kept_decay) = pass_through(keys.clone(), decay.clone(), padded);
    let (_, with) = sums.forward(queries.clone(), kept_keys, values.clone(), Some(kept_decay), None).unwrap();

    let real = Tensor::<1, Int>::from_data([1, 2, 5], &device);
    let pick = |x: Tensor<3>| x.select(1, real.clone());
    let (_, without) =
        sums.forward(pick(queries), pick(keys), pick(values), Some(decay.narrow(1, 0, 3)), None).unwrap();
    without.to_data().assert_approx_eq::<f32>(&with.to_data(), burn::tensor::Tolerance::absolute(1e-5));
}

#[test]
fn strong_decay_forgets_without_overflow() {
    let device = Device::flex();
    let ones = |width| Tensor::<3>::ones([1, 40, width], &device);
    let decay = Tensor::<2>::full([1, 40], -1e3, &device);
    let (out, state) = PrefixSums::new(8).unwrap().forward(ones(1), ones(1), ones(1), Some(decay), None).unwrap();
    out.to_data().assert_eq(&ones(1).to_data(), true);
    assert_eq!(state.into_scalar::<f32>(), 1.0);
}

#[test]
fn what_does_not_fit_is_refused_by_name() {
    let device = Device::flex();
    assert_eq!(PrefixSums::new(0), Err(PrefixSumsError::EmptyChunk));
    let ones = |length, width| Tensor::<3>::ones([1, length, width], &device);
    let sums = PrefixSums::new(4).unwrap();
    let error = sums.forward(ones(3, 2), ones(3, 4), ones(3, 1), None, None).unwrap_err();
    assert_eq!(error.to_string(), "queries must be [1, 3, 4] to fit the keys, got [1, 3, 2]");
    let error = sums.forward(ones(3, 4), ones(3, 4), ones(2, 1), None, None).unwrap_err();
    assert!(matches!(error, PrefixSumsError::Shape { tensor: "values", .. }), "{error}");
    let error = sums.forward(ones(3, 4), ones(3, 4), ones(3, 1), None, Some(ones(4, 2))).unwrap_err();
    assert!(matches!(error, PrefixSumsError::Shape { tensor: "state", .. }), "{error}");
    let (out, state) = sums.forward(ones(0, 4), ones(0, 4), ones(0, 1), None, Some(ones(4, 1))).unwrap();
    assert_eq!((out.dims(), state.dims()), ([1, 0, 1], [1, 4, 1]));
}
