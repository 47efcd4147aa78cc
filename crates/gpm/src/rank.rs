use crate::RankRule;

/// Directions with less than this share of the energy ‖R‖² are rounding: s ≤ 1e-5 ‖R‖.
const NEGLIGIBLE: f64 = 1e-10;
/// So that a threshold of 1 asks for all that is not rounding, and no more.
const SLACK: f64 = 1e-9;

/// How many of the new directions are kept: the smallest k ≥ 0 with covered + Σ_{i ≤ k} energies\[i\] ≥ ε · total (Eqs. 5 and 9).
///
/// `energies` are squared singular values in descending order, `covered` is what the memory held before.
pub(crate) fn rank(energies: &[f64], covered: f64, total: f64, threshold: f64, rule: RankRule, first: bool) -> usize {
    let goal = threshold.min(1.0) * total * (1.0 - SLACK);
    let mut held = covered;
    let mut k = 0;
    while held < goal && k < energies.len() && energies[k] > NEGLIGIBLE * total {
        held += energies[k];
        k += 1;
    }
    match rule {
        RankRule::AuthorsCode if first => k.saturating_sub(1),
        _ => k,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(energies: &[f64], threshold: f64, rule: RankRule) -> usize {
        rank(energies, 0.0, energies.iter().sum(), threshold, rule, true)
    }

    #[test]
    fn the_fewest_directions_that_reach_the_threshold_are_kept() {
        // R = diag(3, 1).
        assert_eq!(first(&[9.0, 1.0], 0.85, RankRule::Paper), 1);
        assert_eq!(first(&[9.0, 1.0], 0.95, RankRule::Paper), 2);
        assert_eq!(first(&[9.0, 1.0], 1.0, RankRule::Paper), 2);
    }

    #[test]
    fn the_authors_code_keeps_one_fewer_after_the_first_task() {
        assert_eq!(first(&[9.0, 1.0], 0.85, RankRule::AuthorsCode), 0);
        assert_eq!(first(&[9.0, 1.0], 0.95, RankRule::AuthorsCode), 1);
        assert_eq!(rank(&[1.0], 9.0, 10.0, 0.95, RankRule::AuthorsCode, false), 1);
    }

    #[test]
    fn what_the_memory_holds_counts() {
        // M = e1, R = [[3, 0], [0, 1]].
        assert_eq!(rank(&[1.0], 9.0, 10.0, 0.9, RankRule::Paper, false), 0);
        assert_eq!(rank(&[1.0], 9.0, 10.0, 0.95, RankRule::Paper, false), 1);
    }

    #[test]
    fn rounding_and_silence_add_nothing() {
        assert_eq!(first(&[1.0, 1e-11, 0.0], 1.0, RankRule::Paper), 1);
        assert_eq!(first(&[0.0, 0.0], 1.0, RankRule::Paper), 0);
        assert_eq!(first(&[], 0.5, RankRule::Paper), 0);
    }

    #[test]
    fn a_threshold_raised_above_one_counts_as_one() {
        assert_eq!(first(&[9.0, 1.0], 1.7, RankRule::Paper), 2);
    }
}
