/// A block of samples or coefficients, rows first.
pub(super) type Block = [[i32; 8]; 8];

/// The accurate integer transform of JPEG codecs (Loeffler, Ligtenberg and Moschytz, 1989) written as products with the
/// matrices that its butterflies amount to, in steps of 2⁻¹³. They are √2 · cos(πk/16), but off by a step here and there,
/// as the butterflies' rounded constants add up: with them, every bit is that of libjpeg's default transform.
const ODD: [[i32; 4]; 4] =
    [[11363, 9633, 6437, 2260], [9633, -2259, -11362, -6436], [6437, -11362, 2261, 9633], [2260, -6436, 9633, -11363]];
const EVEN: [[i32; 2]; 2] = [[10703, 4433], [4433, -10704]];
const BITS: u32 = 13;

/// Between the passes two more bits are kept.
const BETWEEN: u32 = BITS - 2;

/// Coefficients of a block of samples around 0, times 8.
pub(super) fn forward(samples: &Block) -> Block {
    analyze(&transposed(&analyze(&transposed(samples), BETWEEN)), BITS + 2)
}

/// Samples around 0 from coefficients.
pub(super) fn inverse(coefficients: &Block) -> Block {
    transposed(&synthesize(&transposed(&synthesize(coefficients, BETWEEN)), BITS + 2 + 3))
}

/// Transforms each column; results are rounded off by `shift` bits.
fn analyze(block: &Block, shift: u32) -> Block {
    let mut out = [[0; 8]; 8];
    for i in 0..8 {
        let sum: [i32; 4] = std::array::from_fn(|k| block[k][i] + block[7 - k][i]);
        let difference: [i32; 4] = std::array::from_fn(|k| block[k][i] - block[7 - k][i]);
        let (outer, inner) = ((sum[0] + sum[3], sum[0] - sum[3]), (sum[1] + sum[2], sum[1] - sum[2]));
        out[0][i] = descale((outer.0 + inner.0) << BITS, shift);
        out[4][i] = descale((outer.0 - inner.0) << BITS, shift);
        for (k, row) in EVEN.iter().enumerate() {
            out[4 * k + 2][i] = descale(row[0] * outer.1 + row[1] * inner.1, shift);
        }
        for (k, row) in ODD.iter().enumerate() {
            out[2 * k + 1][i] = descale((0..4).map(|j| row[j] * difference[j]).sum(), shift);
        }
    }
    out
}

/// The transpose of [`analyze`].
fn synthesize(block: &Block, shift: u32) -> Block {
    let mut out = [[0; 8]; 8];
    for i in 0..8 {
        let (plus, minus) = ((block[0][i] + block[4][i]) << BITS, (block[0][i] - block[4][i]) << BITS);
        let even = |k: usize| EVEN[k][0] * block[2][i] + EVEN[k][1] * block[6][i];
        let sum = [plus + even(0), minus + even(1), minus - even(1), plus - even(0)];
        for k in 0..4 {
            let odd: i32 = (0..4).map(|j| ODD[k][j] * block[2 * j + 1][i]).sum();
            out[k][i] = descale(sum[k] + odd, shift);
            out[7 - k][i] = descale(sum[k] - odd, shift);
        }
    }
    out
}

fn descale(value: i32, shift: u32) -> i32 {
    (value + (1 << (shift - 1))) >> shift
}

fn transposed(block: &Block) -> Block {
    std::array::from_fn(|y| std::array::from_fn(|x| block[x][y]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(seed: i32) -> Block {
        std::array::from_fn(|y| {
            std::array::from_fn(|x| (seed * 37 + y as i32 * 59 + x as i32 * x as i32 * 23) % 256 - 128)
        })
    }

    /// The definition of the discrete cosine transform, times 8.
    fn exact(samples: &Block, v: usize, u: usize) -> f64 {
        let scale = |k| if k == 0 { 0.5_f64.sqrt() } else { 1.0 };
        let wave = |i: usize, k: usize| ((2 * i + 1) as f64 * k as f64 * std::f64::consts::PI / 16.0).cos();
        let terms = (0..64).map(|i| f64::from(samples[i / 8][i % 8]) * wave(i / 8, v) * wave(i % 8, u));
        2.0 * scale(u) * scale(v) * terms.sum::<f64>()
    }

    #[test]
    fn coefficients_are_those_of_the_definition() {
        for seed in 0..20 {
            let samples = block(seed);
            let coefficients = forward(&samples);
            for i in 0..64 {
                let (found, expected) = (f64::from(coefficients[i / 8][i % 8]), exact(&samples, i / 8, i % 8));
                assert!((found - expected).abs() < 2.0, "{found} for {expected}");
            }
        }
    }

    #[test]
    fn samples_come_back() {
        for seed in 0..20 {
            let samples = block(seed);
            let back = inverse(&forward(&samples).map(|row| row.map(|value| (f64::from(value) / 8.0).round() as i32)));
            for i in 0..64 {
                let error = back[i / 8][i % 8] - samples[i / 8][i % 8];
                assert!(error.abs() <= 1, "{error}");
            }
        }
    }
}
