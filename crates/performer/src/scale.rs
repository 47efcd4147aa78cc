//! Which scales keep the causal sums within f32, and where they have to change.
//!
//! A score is Σᵣ exp(bₜᵣ + aᵢᵣ). Any scale Mᵣ of a feature cancels in exp(aᵢᵣ - Mᵣ) exp(bₜᵣ + Mᵣ). For the tokens of a
//! segment M is the largest exponent of the keys up to its end, rounded up, so that no key's feature exceeds 1; that key may come later than a query.
//! A query t has a feature r of share 1/r or more, and a key with exp(aᵢᵣ - Mᵣ) ≥ exp(-spread), spread being how far M rises in the
//! segment after its first key. With a spread of 60 nats no denominator comes near the smallest f32, and what underflows, 87 nats
//! below, is less than 1e-11 of it. A segment with a larger spread is halved, down to a token, whose spread is 0. Scales are whole
//! numbers, so that adding and subtracting them rounds little, and outputs hardly depend on which of them was taken.

use std::ops::Range;

use burn::tensor::Tensor;
use rekindle_shared::attention::read_back;

use crate::PerformerError;
use crate::features::{Keys, part};

/// Nats that the scales may rise within a segment.
const SPREAD: f64 = 60.0;
/// The scale where nothing was seen. Finite, so that differences are.
pub(crate) const UNSEEN: f32 = -1e30;
/// The exponent of a masked key: below every scale, so that its features are 0 whatever the scale.
pub(crate) const MASKED: f32 = -1e32;

/// Tokens that share their scales.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) tokens: Range<usize>,
    /// `[rows, 1, r]` or `[rows, 1, 1]`, without gradient.
    pub(crate) scale: Tensor<3>,
}

/// Segments for keys that come after those of scale `before`, one if they do not spread too far; `sums` are read back with the
/// spread and have to be finite.
pub(crate) fn segments(
    keys: &Keys,
    masked: bool,
    before: &Tensor<3>,
    sums: Vec<(&'static str, Tensor<1>)>,
) -> Result<Vec<Segment>, PerformerError> {
    let log = keys.log.clone().inner();
    let n_tokens = log.dims()[1];
    let (whole, spread) = scan(&log, masked, 0..n_tokens, before.clone());
    if n_tokens == 1 && sums.is_empty() {
        return Ok(vec![whole]);
    }
    let (names, sums): (Vec<_>, Vec<_>) = sums.into_iter().unzip();
    let numbers = read_back(std::iter::once(spread).chain(sums).collect());
    PerformerError::unless_finite(&names, &numbers[1..])?;
    let mut done = Vec::new();
    halve(&log, masked, whole, numbers[0], before.clone(), &mut done)?;
    Ok(done)
}

/// The segment, in pieces if its scales rise too far.
fn halve(
    log: &Tensor<3>,
    masked: bool,
    segment: Segment,
    spread: f64,
    before: Tensor<3>,
    done: &mut Vec<Segment>,
) -> Result<(), PerformerError> {
    if spread.is_nan() {
        return Err(PerformerError::NonFinite("the exponents of keys"));
    }
    let Range { start, end } = segment.tokens;
    if spread <= SPREAD || end - start == 1 {
        done.push(segment);
        return Ok(());
    }
    let middle = start + (end - start).div_ceil(2);
    let (first, first_spread) = scan(log, masked, start..middle, before.clone());
    let (second, second_spread) = scan(log, masked, middle..end, first.scale.clone());
    let spreads = read_back(vec![first_spread, second_spread]);
    let between = first.scale.clone();
    halve(log, masked, first, spreads[0], before, done)?;
    halve(log, masked, second, spreads[1], between, done)
}

/// These tokens as a segment with the scale at its end, and its spread, `[1]`.
fn scan(log: &Tensor<3>, masked: bool, tokens: Range<usize>, before: Tensor<3>) -> (Segment, Tensor<1>) {
    let piece = part(log, &tokens);
    let scale = largest(piece.clone()).ceil().max_pair(before.clone());
    // The first key, or where it may be masked, the smallest exponent of those that are not.
    let first = match masked {
        false => piece.narrow(1, 0, 1),
        true => piece.clone().mask_fill(piece.lower_elem(UNSEEN), -MASKED).min_dim(1),
    };
    let spread = (scale.clone() - before.max_pair(first)).max();
    (Segment { tokens, scale }, spread)
}

/// The largest of each column, `[rows, 1, width]`. Halves are compared with each other first, at the speed of the CPU's vectors.
fn largest(mut x: Tensor<3>) -> Tensor<3> {
    const FEW: usize = 128;
    while x.dims()[1] > FEW {
        let n = x.dims()[1];
        // An odd one in the middle is in both.
        x = x.clone().narrow(1, 0, n.div_ceil(2)).max_pair(x.narrow(1, n / 2, n.div_ceil(2)));
    }
    x.max_dim(1)
}
