//! How a device multiplies, told by products whose exact values are known.
//!
//! A device may round inputs to TF32, bf16 or f16 for its tensor cores, flush small numbers to zero, and add with or
//! without rounding. Which of these it does depends on the kernel, and that on the shape: all products of a search have
//! one shape, and the probe has it too.

use super::arithmetic::{Arithmetic, ROUNDED, SMALLEST, TRUNCATED};
use crate::IdError;

/// Bits of an `f32` after the first.
const BITS: i32 = 23;
/// Exponent of the smallest normal `f32`.
const RANGE: i32 = 126;

/// A row and a column, zero but for some places or all of them equal there, and their exact product.
#[derive(Debug, Clone)]
struct Case {
    /// Place, number in the row, number in the column.
    entries: Vec<(usize, f32, f32)>,
    /// Both numbers everywhere else.
    rest: (f32, f32),
    product: f32,
}

impl Case {
    fn at(place: usize, a: f32, b: f32) -> Self {
        Self { entries: vec![(place, a, b)], rest: (0.0, 0.0), product: a * b }
    }

    fn fill(&self, a: &mut [f32], b: &mut [f32]) {
        a.fill(self.rest.0);
        b.fill(self.rest.1);
        for &(place, left, right) in &self.entries {
            (a[place], b[place]) = (left, right);
        }
    }
}

/// Computes the products of cases.
type Measure<'a> = &'a dyn Fn(&[Case]) -> Result<Vec<f32>, IdError>;

/// Finds out how `multiply` computes `[rows, dim]` times `[columns, dim]` transposed.
///
/// # Errors
///
/// [`IdError::Products`] if sums are not those of `f32`; what `multiply` returns.
pub(super) fn probe(
    [rows, columns]: [usize; 2],
    dim: usize,
    multiply: impl Fn(Vec<f32>, Vec<f32>) -> Result<Vec<f32>, IdError>,
) -> Result<Arithmetic, IdError> {
    let measure = |cases: &[Case]| -> Result<Vec<f32>, IdError> {
        let mut found = Vec::with_capacity(cases.len());
        for cases in cases.chunks(rows.min(columns)) {
            let (mut a, mut b) = (vec![0.0; rows * dim], vec![0.0; columns * dim]);
            for (case, (a, b)) in cases.iter().zip(a.chunks_mut(dim).zip(b.chunks_mut(dim))) {
                case.fill(a, b);
            }
            let products = multiply(a, b)?;
            found.extend((0..cases.len()).map(|i| products[i * columns + i]));
        }
        Ok(found)
    };
    // Kernels are chosen by trying them, and the first product may be that of one that is not chosen.
    measure(&[Case::at(0, 1.0, 1.0)])?;

    let mut places = vec![0, dim / 2, dim - 1];
    places.dedup();
    let bits = exact_bits(&places, &measure)?;
    let floor = floor(bits, &measure)?;
    let input = if bits < BITS { power(-bits) } else { split_inputs(&measure)? };
    let unit = sums(dim, &places, input, &measure)?;
    Ok(Arithmetic { input, floor, unit })
}

/// Bits after the first that inputs keep on either side.
fn exact_bits(places: &[usize], measure: Measure<'_>) -> Result<i32, IdError> {
    let lengths = (1..=BITS).flat_map(|bits| places.iter().map(move |&place| (bits, place)));
    let sides = lengths.flat_map(|(bits, place)| {
        let value = one_plus(bits);
        [(bits, Case::at(place, value, 1.0)), (bits, Case::at(place, 1.0, value))]
    });
    let (bits, cases): (Vec<i32>, Vec<Case>) = sides.unzip();
    let found = measure(&cases)?;
    let wrong = cases.iter().zip(&found).position(|(case, found)| case.product != *found);
    match wrong.map(|at| (bits[at] - 1, &cases[at], found[at])) {
        None => Ok(BITS),
        // Fewer than those of bf16, or not a product at all.
        Some((bits, case, found)) if bits < 7 => Err(refused("as the product of one number by 1", case, found)),
        Some((bits, ..)) => Ok(bits),
    }
}

/// Inputs that are split into several shorter ones are exact, and their products may lack the last parts.
fn split_inputs(measure: Measure<'_>) -> Result<f64, IdError> {
    let cases: Vec<Case> = (1..BITS).map(|bits| Case::at(0, one_plus(bits), one_plus(BITS - bits))).collect();
    let error = |(case, found): (&Case, &f32)| f64::from((case.product - found).abs());
    let exact = |case: &Case| {
        let (_, a, b) = case.entries[0];
        f64::from(a) * f64::from(b) == f64::from(case.product)
    };
    let found = measure(&cases)?;
    let worst = cases.iter().zip(&found).filter(|(case, _)| exact(case)).map(error).fold(0.0, f64::max);
    Ok(4.0 * worst)
}

/// The size below which inputs keep fewer than `bits`.
fn floor(bits: i32, measure: Measure<'_>) -> Result<f64, IdError> {
    let cases: Vec<Case> = (1..=RANGE)
        .flat_map(|exponent| {
            let value = power(-exponent) as f32 * one_plus(bits);
            [Case::at(0, value, 1.0), Case::at(0, 1.0, value)]
        })
        .collect();
    let found = measure(&cases)?;
    let right = cases.iter().zip(&found).take_while(|(case, found)| case.product == **found).count() / 2;
    let range = right as i32;
    let half = power(-range / 2) as f32;
    let small = Case::at(0, half, half);
    let found = measure(std::slice::from_ref(&small))?[0];
    if small.product != found {
        return Err(refused("as a product of small numbers", &small, found));
    }
    Ok(power(-range).max(SMALLEST))
}

/// The unit roundoff of sums, all of which fit into the bits of an `f32`.
fn sums(dim: usize, places: &[usize], input: f64, measure: Measure<'_>) -> Result<f64, IdError> {
    if dim == 1 {
        return Ok(ROUNDED);
    }
    // 1 and many times 2⁻²³: exact in any order, rounded or truncated.
    let last = power(-BITS);
    let many = |&place: &usize| Case {
        entries: vec![(place, 1.0, 1.0)],
        rest: (power(-12) as f32, power(-11) as f32),
        product: (1.0 + (dim - 1) as f64 * last) as f32,
    };
    let cases: Vec<Case> = places.iter().map(many).collect();
    for (case, found) in cases.iter().zip(measure(&cases)?) {
        if case.product != found {
            return Err(refused("as a sum of 1 and small numbers", case, found));
        }
    }
    // 1 and 3/4 of the last bit: a truncated sum is 1.
    let pairs = places.iter().flat_map(|&place| [(place, (place + 1) % dim), (place, (place + dim / 2) % dim)]);
    let cases: Vec<Case> = pairs
        .filter(|(one, other)| one != other)
        .map(|(one, other)| Case {
            entries: vec![(one, 1.0, 1.0), (other, 1.5 * power(-12) as f32, power(-12) as f32)],
            rest: (0.0, 0.0),
            product: (1.0 + last) as f32,
        })
        .collect();
    let found = measure(&cases)?;
    if let Some((case, found)) =
        cases.iter().zip(&found).find(|(case, found)| **found != 1.0 && **found != case.product)
    {
        return Err(refused("as a sum of 1 and one small number", case, *found));
    }
    // Units that round their inputs add several products at once, aligned to the largest.
    let to_nearest = input == 0.0 && cases.iter().zip(&found).all(|(case, found)| case.product == *found);
    Ok(if to_nearest { ROUNDED } else { TRUNCATED })
}

fn refused(at: &'static str, case: &Case, found: f32) -> IdError {
    IdError::Products { at, expected: f64::from(case.product), found: f64::from(found) }
}

fn power(exponent: i32) -> f64 {
    f64::from(exponent).exp2()
}

/// 1 + 2^-bits.
fn one_plus(bits: i32) -> f32 {
    (1.0 + power(-bits)) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Products with inputs changed by `input` and sums by `add`, in order.
    fn products(
        shape: [usize; 2],
        dim: usize,
        input: impl Fn(f32) -> f32,
        add: impl Fn(f32, f64) -> f32,
    ) -> Result<Arithmetic, IdError> {
        probe(shape, dim, |a, b| {
            let dot = |a: &[f32], b: &[f32]| {
                let products = a.iter().zip(b).map(|(a, b)| f64::from(input(*a)) * f64::from(input(*b)));
                products.fold(0.0, &add)
            };
            Ok(a.chunks(dim).flat_map(|a| b.chunks(dim).map(move |b| (a, b))).map(|(a, b)| dot(a, b)).collect())
        })
    }

    fn nearest(sum: f32, product: f64) -> f32 {
        (f64::from(sum) + product) as f32
    }

    fn truncated(sum: f32, product: f64) -> f32 {
        let exact = f64::from(sum) + product;
        let rounded = exact as f32;
        if f64::from(rounded) > exact { f32::from_bits(rounded.to_bits() - 1) } else { rounded }
    }

    /// To nearest with `bits` after the first.
    fn shortened(bits: u32) -> impl Fn(f32) -> f32 {
        move |x| {
            let half = 1_u32 << (22 - bits);
            f32::from_bits((x.to_bits() + half) & !(2 * half - 1))
        }
    }

    #[test]
    fn plain_products_are_seen_to_be_those_of_f32() {
        let plain = Arithmetic { input: 0.0, floor: SMALLEST, unit: ROUNDED };
        for (shape, dim) in [([1, 1], 5), ([7, 3], 2), ([64, 64], 1), ([40, 300], 33)] {
            assert_eq!(products(shape, dim, |x| x, nearest), Ok(plain), "{shape:?} {dim}");
        }
    }

    #[test]
    fn shortened_inputs_are_seen() {
        for (bits, input) in [(10, 1.0 / 1024.0), (7, 1.0 / 128.0)] {
            let found = products([16, 16], 9, shortened(bits), nearest).unwrap();
            assert_eq!(found, Arithmetic { input, floor: SMALLEST, unit: TRUNCATED });
        }
        // f16 has numbers of 10 bits down to 2⁻¹⁴.
        let half = |x: f32| burn::tensor::f16::from_f32(x).to_f32();
        let found = products([16, 16], 9, half, nearest).unwrap();
        assert_eq!(found, Arithmetic { input: 1.0 / 1024.0, floor: 1.0 / 16384.0, unit: TRUNCATED });
    }

    #[test]
    fn truncated_sums_are_seen() {
        assert_eq!(products([16, 16], 9, |x| x, truncated).unwrap().unit, TRUNCATED);
    }

    #[test]
    fn sums_of_half_precision_are_refused() {
        for bits in [10, 7] {
            let coarse = |sum: f32, product: f64| shortened(bits)(nearest(sum, product));
            let error = products([16, 16], 9, |x| x, coarse).unwrap_err();
            assert!(matches!(error, IdError::Products { .. }), "{error}");
        }
        let nothing = products([16, 16], 9, |_| f32::NAN, nearest).unwrap_err();
        assert!(nothing.to_string().contains("search on the CPU"), "{nothing}");
    }
}
