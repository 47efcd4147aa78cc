use serde::{Deserialize, Serialize};

use crate::SamError;

/// How the radius ρ changes over the steps: a factor on every configured radius.
///
/// The paper keeps ρ constant. Steps are counted in calls of `step`, perturbed, plain and skipped ones alike.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum RhoSchedule {
    /// Factor 1 throughout.
    #[default]
    Constant,
    /// From `from` at step 0 to `to` at step `steps` on a straight line, then `to`.
    Linear {
        /// Factor at step 0.
        from: f64,
        /// Factor from step `steps` on.
        to: f64,
        /// Steps until `to` is reached.
        steps: u64,
    },
    /// The same along half a period of a cosine: flat at both ends.
    Cosine {
        /// Factor at step 0.
        from: f64,
        /// Factor from step `steps` on.
        to: f64,
        /// Steps until `to` is reached.
        steps: u64,
    },
}

impl RhoSchedule {
    /// The factor on ρ at `step`, counted from 0.
    pub fn factor(&self, step: u64) -> f64 {
        let along = |steps: u64| (step as f64 / steps as f64).min(1.0);
        match *self {
            Self::Constant => 1.0,
            Self::Linear { to, steps, .. } | Self::Cosine { to, steps, .. } if step >= steps => to,
            Self::Linear { from, to, steps } => from + (to - from) * along(steps),
            Self::Cosine { from, to, steps } => {
                to + (from - to) * 0.5 * (1.0 + (std::f64::consts::PI * along(steps)).cos())
            }
        }
    }

    pub(crate) fn validate(&self) -> Result<(), SamError> {
        match *self {
            Self::Constant => Ok(()),
            Self::Linear { from, to, steps } | Self::Cosine { from, to, steps } => {
                if let Some(factor) = [from, to].into_iter().find(|factor| !(factor.is_finite() && *factor >= 0.0)) {
                    return Err(SamError::InvalidScheduleFactor(factor));
                }
                if steps == 0 { Err(SamError::EmptySchedule) } else { Ok(()) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linear_and_cosine_start_meet_and_end_where_they_should() {
        let linear = RhoSchedule::Linear { from: 0.0, to: 2.0, steps: 4 };
        assert_eq!([0, 1, 2, 4, 9].map(|step| linear.factor(step)), [0.0, 0.5, 1.0, 2.0, 2.0]);
        let cosine = RhoSchedule::Cosine { from: 1.0, to: 0.0, steps: 4 };
        let expected = [1.0, 0.853_553_390_593_273_8, 0.5, 0.0, 0.0];
        for (step, expected) in [0, 1, 2, 4, 9].into_iter().zip(expected) {
            assert!((cosine.factor(step) - expected).abs() < 1e-12, "step {step}");
        }
        assert_eq!(RhoSchedule::Constant.factor(1_000), 1.0);
    }

    #[test]
    fn a_schedule_over_no_step_or_with_a_bad_factor_is_refused() {
        let over = |from, to, steps| RhoSchedule::Cosine { from, to, steps }.validate().err();
        assert_eq!(over(1.0, 0.0, 0), Some(SamError::EmptySchedule));
        assert_eq!(over(-1.0, 0.0, 3), Some(SamError::InvalidScheduleFactor(-1.0)));
        assert!(matches!(over(1.0, f64::NAN, 3), Some(SamError::InvalidScheduleFactor(_))));
        assert_eq!(over(1.0, 0.0, 3), None);
    }
}
