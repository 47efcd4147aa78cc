//! How strongly directions are protected: Scaled Gradient Projection (Saha & Roy, AAAI 2023), of which GPM is the limit.

/// λᵢ = (α + 1) σᵢ / (α σᵢ + max σ) for each direction by its singular value σᵢ, in [0, 1].
///
/// α → ∞ gives 1 for every σ > 0.
pub(crate) fn importance(singular_values: &[f64], alpha: f64) -> Vec<f64> {
    let largest = singular_values.iter().copied().fold(0.0, f64::max);
    let of = |sigma: &f64| if largest > 0.0 { (alpha + 1.0) * sigma / (alpha * sigma + largest) } else { 0.0 };
    singular_values.iter().map(of).collect()
}

/// The importance of a direction that an earlier task held: what both ask for, up to 1.
pub(crate) fn combined(earlier: f32, now: f64) -> f32 {
    (f64::from(earlier) + now).min(1.0) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn importance_falls_from_one_with_the_singular_value() {
        // α = 1: 2σ / (σ + 4).
        assert_eq!(importance(&[4.0, 2.0, 0.0], 1.0), [1.0, 2.0 / 3.0, 0.0]);
        assert_eq!(importance(&[4.0, 2.0], 0.0), [1.0, 0.5]);
        assert!(importance(&[4.0, 1e-3], 1e12).iter().all(|lambda| (lambda - 1.0).abs() < 1e-8));
        assert_eq!(importance(&[0.0], 1.0), [0.0]);
    }

    #[test]
    fn importance_adds_up_to_one() {
        assert_eq!(combined(0.5, 0.25), 0.75);
        assert_eq!(combined(0.5, 0.75), 1.0);
    }
}
