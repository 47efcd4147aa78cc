use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::evd::{ComputeEigenvectors, self_adjoint_evd, self_adjoint_evd_scratch};
use faer::{Mat, MatRef, Par};

use crate::IdError;
use crate::error::setting;

/// How many of the eigenvalues λ₁ ≥ λ₂ ≥ … of a covariance matrix count as dimensions.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum SpectrumRule {
    /// Those above a share of the largest (Fukunaga and Olsen 1971; usually 0.05).
    FukunagaOlsen {
        /// The share, in (0, 1).
        alpha: f64,
    },
    /// As many as hold a share of the variance.
    Variance {
        /// The share, in (0, 1].
        share: f64,
    },
    /// (Σλ)² / Σλ², which need not be an integer.
    ParticipationRatio,
    /// Those above the mean.
    Kaiser,
    /// Those before the largest ratio λ_i / λ_{i+1}.
    MaxGap,
    /// The leading ones whose share is above that of the pieces of a randomly broken stick.
    BrokenStick,
}

impl SpectrumRule {
    pub(crate) fn check(&self) -> Result<(), IdError> {
        match *self {
            Self::FukunagaOlsen { alpha } => setting("alpha", "between 0 and 1", alpha, alpha > 0.0 && alpha < 1.0),
            Self::Variance { share } => setting("share", "above 0 and at most 1", share, share > 0.0 && share <= 1.0),
            _ => Ok(()),
        }
    }

    /// The dimension that this rule reads from eigenvalues in descending order, none of them negative.
    #[must_use]
    pub fn dimension(&self, eigenvalues: &[f64]) -> f64 {
        let total: f64 = eigenvalues.iter().sum();
        let above = |limit: f64| eigenvalues.iter().filter(|value| **value > limit).count();
        let count = match *self {
            _ if total <= 0.0 => 0,
            Self::FukunagaOlsen { alpha } => above(alpha * eigenvalues[0]),
            Self::Variance { share } => {
                let held = eigenvalues.iter().scan(0.0, |held, value| {
                    *held += value;
                    Some(*held)
                });
                // A sum over all can round to less than the total.
                held.take(eigenvalues.len() - 1).filter(|held| *held < share * total).count() + 1
            }
            Self::ParticipationRatio => {
                // Shares of the largest: the square of an eigenvalue can leave the range of f64.
                let shares = eigenvalues.iter().map(|value| value / eigenvalues[0]);
                let (sum, squares) =
                    shares.fold((0.0, 0.0), |(sum, squares), share| (sum + share, squares + share * share));
                return sum * sum / squares;
            }
            Self::Kaiser => above(total / eigenvalues.len() as f64),
            Self::MaxGap => {
                let gap = |pair: &[f64]| if pair[0] > 0.0 { pair[0] / pair[1] } else { 0.0 };
                let gaps = eigenvalues.windows(2).map(gap).enumerate();
                gaps.fold((0, 0.0), |best, (i, gap)| if gap > best.1 { (i, gap) } else { best }).0 + 1
            }
            Self::BrokenStick => {
                let n = eigenvalues.len();
                let piece = |i: usize| (i..n).map(|j| 1.0 / (j + 1) as f64).sum::<f64>() / n as f64;
                (0..n).position(|i| piece(i) >= eigenvalues[i] / total).unwrap_or(n)
            }
        };
        count as f64
    }
}

/// The eigenvalues of a symmetric `[n, n]` matrix, largest first, rounding errors below 0 taken for 0.
pub(crate) fn eigenvalues(matrix: &[f64], n: usize) -> Result<Vec<f64>, IdError> {
    let matrix = MatRef::from_row_major_slice(matrix, n, n);
    let mut values = Mat::<f64>::zeros(n, 1);
    // One thread: the result must not depend on their number.
    let par = Par::Seq;
    let scratch = self_adjoint_evd_scratch::<f64>(n, ComputeEigenvectors::No, par, Default::default());
    let mut memory = MemBuffer::new(scratch);
    let diagonal = values.col_mut(0).as_diagonal_mut();
    self_adjoint_evd(matrix, diagonal, None, par, MemStack::new(&mut memory), Default::default())
        .map_err(|_| IdError::Eigenvalues)?;
    let mut values: Vec<f64> = values.col(0).iter().map(|value| value.max(0.0)).collect();
    values.sort_unstable_by(|a, b| b.total_cmp(a));
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_read_a_spectrum_as_worked_by_hand() {
        let spectrum = [4.0, 3.0, 2.0, 0.5, 0.5];
        let of = |rule: SpectrumRule| rule.dimension(&spectrum);
        assert_eq!(of(SpectrumRule::FukunagaOlsen { alpha: 0.2 }), 3.0);
        assert_eq!(of(SpectrumRule::Variance { share: 0.9 }), 3.0);
        assert_eq!(of(SpectrumRule::Variance { share: 0.91 }), 4.0);
        assert_eq!(of(SpectrumRule::Variance { share: 1.0 }), 5.0);
        assert_eq!(of(SpectrumRule::ParticipationRatio), 100.0 / 29.5);
        assert_eq!(of(SpectrumRule::Kaiser), 2.0);
        assert_eq!(of(SpectrumRule::MaxGap), 3.0);
        // Pieces: .457, .257, .157, .09, .04; the first, .4, is below its piece.
        assert_eq!(of(SpectrumRule::BrokenStick), 0.0);
        assert_eq!(SpectrumRule::BrokenStick.dimension(&[6.0, 3.0, 0.5, 0.3, 0.2]), 2.0);
        assert_eq!(SpectrumRule::MaxGap.dimension(&[2.0, 1.0, 0.0, 0.0]), 2.0);
        assert_eq!(SpectrumRule::Variance { share: 0.5 }.dimension(&[0.0, 0.0]), 0.0);
    }

    #[test]
    fn eigenvalues_come_largest_first() {
        let values = eigenvalues(&[2.0, 1.0, 0.0, 1.0, 2.0, 0.0, 0.0, 0.0, 7.0], 3).unwrap();
        assert!(values.iter().zip([7.0, 3.0, 1.0]).all(|(a, b)| (a - b).abs() < 1e-12), "{values:?}");
    }
}
