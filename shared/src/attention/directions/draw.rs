//! Random directions on the host, in double precision.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

use super::{Projection, RowScaling};

/// `m` directions of `d` dimensions, row after row; a function of the seed and the number of the draw alone.
pub(super) fn draw(
    [m, d]: [usize; 2],
    projection: Projection,
    row_scaling: RowScaling,
    seed: u64,
    number: u64,
) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(number);
    if projection == Projection::None {
        return (0..m * d).map(|i| f32::from(u8::from(i / d == i % d))).collect();
    }
    // Hadamard matrices come in powers of two; the rows are scaled there, and cut to d.
    let size = if projection == Projection::Hadamard { d.next_power_of_two() } else { d };
    let mut rows = Vec::with_capacity(m * d);
    while rows.len() < m * d {
        let mut block = match projection {
            Projection::Iid => normal(size * size, &mut rng),
            Projection::Orthogonal => haar(size, &mut rng),
            Projection::Hadamard => hadamard(size, &mut rng),
            Projection::Givens | Projection::None => givens(size, &mut rng),
        };
        for row in block.chunks_mut(size) {
            let length = match row_scaling {
                RowScaling::Chi => norm(&normal(size, &mut rng)),
                RowScaling::SqrtDim => (size as f64).sqrt(),
            };
            let scale = length / norm(row);
            rows.extend(row[..d].iter().map(|value| (value * scale) as f32));
        }
    }
    rows.truncate(m * d);
    rows
}

fn normal(n: usize, rng: &mut ChaCha8Rng) -> Vec<f64> {
    (0..n).map(|_| rng.sample(StandardNormal)).collect()
}

fn norm(row: &[f64]) -> f64 {
    row.iter().map(|value| value * value).sum::<f64>().sqrt()
}

/// A uniformly distributed orthogonal matrix: normal rows made orthonormal one after the other, which is the QR
/// decomposition with a positive diagonal. Twice, so that rounding leaves nothing of earlier rows.
fn haar(d: usize, rng: &mut ChaCha8Rng) -> Vec<f64> {
    let mut rows = normal(d * d, rng);
    for i in 0..d {
        let (done, rest) = rows.split_at_mut(i * d);
        let row = &mut rest[..d];
        for _ in 0..2 {
            for other in done.chunks(d) {
                let dot: f64 = row.iter().zip(other).map(|(a, b)| a * b).sum();
                row.iter_mut().zip(other).for_each(|(a, b)| *a -= dot * b);
            }
        }
        let length = norm(row);
        row.iter_mut().for_each(|value| *value /= length);
    }
    rows
}

/// H D₁ H D₂ H D₃ with H the orthonormal Hadamard matrix and D random signs.
fn hadamard(d: usize, rng: &mut ChaCha8Rng) -> Vec<f64> {
    let mut rows = vec![0.0; d * d];
    rows.iter_mut().step_by(d + 1).for_each(|value| *value = 1.0);
    for _ in 0..3 {
        let signs: Vec<f64> = (0..d).map(|_| if rng.random() { 1.0 } else { -1.0 }).collect();
        for row in rows.chunks_mut(d) {
            walsh_hadamard(row);
            row.iter_mut().zip(&signs).for_each(|(value, sign)| *value *= sign);
        }
    }
    rows
}

/// The orthonormal Walsh-Hadamard transform in place, of a power of two of values.
fn walsh_hadamard(values: &mut [f64]) {
    let n = values.len();
    let mut half = 1;
    while half < n {
        for pair in values.chunks_mut(2 * half) {
            let (left, right) = pair.split_at_mut(half);
            for (a, b) in left.iter_mut().zip(right) {
                (*a, *b) = (*a + *b, *a - *b);
            }
        }
        half *= 2;
    }
    let scale = (n as f64).sqrt().recip();
    values.iter_mut().for_each(|value| *value *= scale);
}

/// d ⌈ln d⌉ rotations of two different coordinates, by angles all around the circle.
fn givens(d: usize, rng: &mut ChaCha8Rng) -> Vec<f64> {
    let mut rows = vec![0.0; d * d];
    // In one dimension there is nothing to rotate: a random sign.
    rows.iter_mut().step_by(d + 1).for_each(|value| *value = if d > 1 || rng.random() { 1.0 } else { -1.0 });
    let n_rotations = d * (d as f64).ln().ceil() as usize;
    for _ in 0..n_rotations {
        let i = rng.random_range(0..d);
        // Another one, each as likely.
        let j = (i + rng.random_range(1..d)) % d;
        let (sin, cos) = (std::f64::consts::TAU * rng.random::<f64>()).sin_cos();
        for column in 0..d {
            let (a, b) = (rows[i * d + column], rows[j * d + column]);
            (rows[i * d + column], rows[j * d + column]) = (cos * a - sin * b, sin * a + cos * b);
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Projection; 3] = [Projection::Orthogonal, Projection::Hadamard, Projection::Givens];

    fn dot(rows: &[f32], d: usize, i: usize, j: usize) -> f64 {
        (0..d).map(|c| f64::from(rows[i * d + c]) * f64::from(rows[j * d + c])).sum()
    }

    #[test]
    fn rows_of_a_block_are_orthogonal_and_those_of_sqrt_dim_have_its_length() {
        let d = 16;
        for projection in ALL {
            let rows = draw([2 * d, d], projection, RowScaling::SqrtDim, 3, 0);
            for block in [0, d] {
                for i in 0..d {
                    for j in 0..d {
                        let expected = if i == j { d as f64 } else { 0.0 };
                        let actual = dot(&rows, d, block + i, block + j);
                        assert!((actual - expected).abs() < 1e-4, "{projection:?} {i} {j}: {actual}");
                    }
                }
            }
            assert_ne!(rows[..d * d], rows[d * d..], "{projection:?} repeats its block");
        }
    }

    /// Mean d and variance 2 d of chi-square.
    #[test]
    fn squared_lengths_of_chi_rows_follow_chi_square() {
        let (m, d) = (4000, 8);
        for projection in [Projection::Iid, ALL[0], ALL[1], ALL[2]] {
            let rows = draw([m, d], projection, RowScaling::Chi, 5, 0);
            let squares: Vec<f64> = (0..m).map(|i| dot(&rows, d, i, i)).collect();
            let mean = squares.iter().sum::<f64>() / m as f64;
            let variance = squares.iter().map(|s| (s - mean).powi(2)).sum::<f64>() / m as f64;
            assert!((mean - 8.0).abs() < 0.3, "{projection:?}: mean {mean}");
            assert!((variance - 16.0).abs() < 2.5, "{projection:?}: variance {variance}");
        }
    }

    /// Of a uniformly distributed orthogonal matrix the first entry has mean 0 and the trace variance 1; without the
    /// correction of signs the diagonal of R, and with it the trace, would be biased.
    #[test]
    fn orthogonal_blocks_are_uniformly_distributed() {
        let (d, n) = (4, 4000);
        let (mut mean, mut trace_mean, mut trace_square) = (0.0, 0.0, 0.0);
        for number in 0..n {
            let rows = draw([d, d], Projection::Orthogonal, RowScaling::SqrtDim, 1, number);
            let trace: f64 = (0..d).map(|i| f64::from(rows[i * d + i]) / 2.0).sum();
            mean += f64::from(rows[0]) / 2.0 / n as f64;
            trace_mean += trace / n as f64;
            trace_square += trace * trace / n as f64;
        }
        // Three to four standard errors: 0.5 / √n, 1 / √n, √2 / √n.
        assert!(mean.abs() < 0.03 && trace_mean.abs() < 0.06, "{mean} {trace_mean}");
        assert!((trace_square - 1.0).abs() < 0.09, "{trace_square}");
    }

    #[test]
    fn a_draw_depends_on_its_seed_and_number_alone() {
        let of = |seed, number| draw([6, 4], Projection::Orthogonal, RowScaling::Chi, seed, number);
        assert_eq!(of(1, 2), of(1, 2));
        assert!(of(1, 2) != of(1, 3) && of(1, 2) != of(2, 2));
    }

    #[test]
    fn every_shape_can_be_drawn() {
        for projection in [Projection::Iid, ALL[0], ALL[1], ALL[2]] {
            for [m, d] in [[1, 1], [5, 1], [3, 2], [7, 3], [2, 5], [33, 12]] {
                let rows = draw([m, d], projection, RowScaling::Chi, 0, 0);
                assert!(rows.len() == m * d && rows.iter().all(|value| value.is_finite()), "{projection:?} {m} {d}");
            }
        }
    }
}
