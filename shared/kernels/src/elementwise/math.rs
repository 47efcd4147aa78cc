//! Functions of one f32 without branches, so that a loop over them becomes vector instructions.
//!
//! Every function is made of operations that IEEE 754 rounds in one way (`mul_add` among them): the same input has the
//! same result on every instruction set.

use std::f32::consts::LOG2_E;

/// 1.5 · 2²³: a small number added to it is rounded to an integer, which the low bits then hold.
const ROUNDER: f32 = 12_582_912.0;
/// ln 2 in two parts; the high one has so few bits that its product with an exponent is exact.
const LN_2: (f32, f32) = (355.0 / 512.0, -2.121_944_4e-4);
/// 1 / √(2π)
const INV_SQRT_TAU: f32 = 0.398_942_3;

/// `e^x` within 1 ulp; infinity above 88.72, gradual underflow below -87.33, 0 below -103.97.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    exp_negative(at_most(x, 89.0))
}

/// [`exp`] for x ≤ 89.
#[inline(always)]
pub(crate) fn exp_negative(x: f32) -> f32 {
    exp_within(at_least(x, -104.0), 0.0)
}

/// `e^(x + low)` for x in `[-170, 89]`, with a `low` that is at most an ulp of x.
#[inline(always)]
fn exp_within(x: f32, low: f32) -> f32 {
    let (n, r) = reduced(x);
    let first = n >> 1;
    let second = n.wrapping_sub(first);
    // The power of two is applied in halves: it may itself be too small or too large for an f32.
    (1.0 + exp_m1_near_zero(r + low)) * power_of_two(first) * power_of_two(second)
}

/// `e^x - 1` for x in `[0, 40]`, within 2 ulp.
#[inline(always)]
fn exp_m1_positive(x: f32) -> f32 {
    let (n, r) = reduced(x);
    let scale = power_of_two(n);
    exp_m1_near_zero(r).mul_add(scale, scale - 1.0)
}

/// n and r with x = n ln 2 + r, |r| ≤ ln 2 / 2.
#[inline(always)]
fn reduced(x: f32) -> (i32, f32) {
    let rounded = x.mul_add(LOG2_E, ROUNDER);
    let n = rounded - ROUNDER;
    let r = n.mul_add(-LN_2.0, x);
    ((rounded.to_bits().wrapping_sub(ROUNDER.to_bits())).cast_signed(), n.mul_add(-LN_2.1, r))
}

/// `e^r - 1` for |r| ≤ ln 2 / 2: the minimax polynomial, 3e-9 off `e^r`.
#[inline(always)]
fn exp_m1_near_zero(r: f32) -> f32 {
    let p = polynomial(r, [0.001_381_460_2, 0.008_368_717, 0.041_668_39, 0.166_665_2, 0.499_999_93]);
    (r * r).mul_add(p, r)
}

/// `2^n` for n in `[-126, 127]`.
#[inline(always)]
fn power_of_two(n: i32) -> f32 {
    f32::from_bits((n.wrapping_add(127) << 23).cast_unsigned())
}

/// `1 / (1 + e^-x)` within 2.2 ulp.
#[inline(always)]
pub(crate) fn sigmoid(x: f32) -> f32 {
    let e = exp_negative(-x.abs());
    let numerator = if x >= 0.0 { 1.0 } else { e };
    numerator / (1.0 + e)
}

/// `tanh x` within 2.5 ulp, also near zero.
#[inline(always)]
pub(crate) fn tanh(x: f32) -> f32 {
    // Above 9.02 the result is 1 in f32.
    let e = exp_m1_positive(2.0 * at_most(x.abs(), 10.0));
    (e / (e + 2.0)).copysign(x)
}

/// Φ(x), the standard normal distribution, within 7 ulp also in the left tail, and its density φ(x).
#[inline(always)]
pub(crate) fn normal(x: f32) -> (f32, f32) {
    // Above 14.5 the density is 0 in f32.
    let a = at_most(x.abs(), 18.0);
    let square = a * a;
    let rounding = a.mul_add(a, -square);
    let bell = exp_within(-0.5 * square, -0.5 * rounding);
    // Φ(-a) e^(a²/2) on 0 ≤ a ≤ 14.6 as the minimax quotient, 6e-9 off. No sum cancels: all coefficients are positive.
    let numerator = polynomial(a, [0.004_123_762, 0.040_683_402, 0.183_383_92, 0.438_495_67, 0.5]);
    let denominator = polynomial(a, [0.010_336_62, 0.101_984_544, 0.469_863_4, 1.203_121, 1.674_876_3, 1.0]);
    let tail = bell * (numerator / denominator);
    (if x > 0.0 { 1.0 - tail } else { tail }, INV_SQRT_TAU * bell)
}

/// π/2 in three parts, each the nearest f32 to what is left.
const HALF_PI: (f32, f32, f32) = (std::f32::consts::FRAC_PI_2, -4.371_139e-8, -1.715_124_5e-15);

/// The largest |x| that [`sin_cos`] is for: beyond, the three parts of π/2 leave too little of x.
pub(crate) const SIN_COS_LIMIT: f32 = 65_536.0;

/// `sin x` and `cos x` within 1.5 ulp for |x| up to [`SIN_COS_LIMIT`].
#[inline(always)]
pub(crate) fn sin_cos(x: f32) -> (f32, f32) {
    let rounded = x.mul_add(std::f32::consts::FRAC_2_PI, ROUNDER);
    let n = rounded - ROUNDER;
    // Exact: a multiple of the last bit of both, below 1.
    let r = n.mul_add(-HALF_PI.0, x);
    let r = n.mul_add(-HALF_PI.2, n.mul_add(-HALF_PI.1, r));
    let square = r * r;
    // The minimax polynomials on |r| ≤ π/4, 4e-9 and 1e-10 off.
    let sine = (square * r).mul_add(polynomial(square, [-1.951_730_7e-4, 0.008_332_178, -0.166_666_55]), r);
    let p = polynomial(square, [2.443_846_1e-5, -0.001_388_736_8, 0.041_666_646, -0.5]);
    let cosine = p.mul_add(square, 1.0);
    // By quarter turns the two change places and signs.
    let quarter = rounded.to_bits().wrapping_sub(ROUNDER.to_bits());
    let (sin, cos) = if quarter & 1 == 0 { (sine, cosine) } else { (cosine, sine) };
    (signed(sin, quarter), signed(cos, quarter.wrapping_add(1)))
}

/// The value, or its negative if the second bit of `turn` is set.
#[inline(always)]
fn signed(value: f32, turn: u32) -> f32 {
    f32::from_bits(value.to_bits() ^ ((turn & 2) << 30))
}

/// Horner's rule; the first coefficient is that of the highest power.
#[inline(always)]
fn polynomial<const N: usize>(x: f32, coefficients: [f32; N]) -> f32 {
    let mut sum = 0.0;
    let mut i = 0;
    // Neither iterator nor closure: code that isn't inlined here would miss the instructions of the loop around it.
    while i < N {
        sum = if i == 0 { coefficients[0] } else { x.mul_add(sum, coefficients[i]) };
        i += 1;
    }
    sum
}

/// `min(x, limit)`, or NaN where x is (`f32::min` would drop it).
#[inline(always)]
fn at_most(x: f32, limit: f32) -> f32 {
    if limit < x { limit } else { x }
}

/// `max(x, limit)`, or NaN where x is.
#[inline(always)]
fn at_least(x: f32, limit: f32) -> f32 {
    if limit > x { limit } else { x }
}
