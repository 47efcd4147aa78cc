//! Means, intervals and paired differences over seeds.

use std::collections::BTreeMap;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;
use statrs::distribution::{ContinuousCDF, StudentsT};

use crate::Interval;

/// The fewest seeds that a verdict other than `inconclusive` rests on.
pub const MIN_SEEDS: usize = 3;

/// How many resamples [`bootstrap_interval`] is given where the report calls it.
pub(crate) const RESAMPLES: usize = 10_000;

/// The most seeds that are proposed to settle a claim; what needs more is called hopeless.
pub const MAX_SEEDS: usize = 1000;

/// Numbers over seeds in short.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Summary {
    /// How many numbers there are, at least one.
    pub n: usize,
    /// Their mean.
    pub mean: f64,
    /// Their sample standard deviation (with n - 1); none for a single number.
    pub sd: Option<f64>,
    /// The 95 % t interval of the mean. For a single number the one that its record states, if it does.
    pub interval: Option<Interval>,
}

impl Summary {
    /// The summary of `values`; none where there are none or one is not finite.
    pub fn of(values: &[f64]) -> Option<Self> {
        let mean = mean(values)?;
        Some(Self { n: values.len(), mean, sd: sample_sd(values), interval: t_interval(values) })
    }

    /// The same numbers multiplied by a positive `scale`.
    #[must_use]
    pub fn scaled(self, scale: f64) -> Self {
        Self {
            n: self.n,
            mean: self.mean * scale,
            sd: self.sd.map(|sd| sd * scale),
            interval: self.interval.map(|Interval { lo, hi }| Interval { lo: lo * scale, hi: hi * scale }),
        }
    }
}

/// The mean; none where there is no number or one is not finite.
pub fn mean(values: &[f64]) -> Option<f64> {
    let first = *values.first()?;
    // Around the first number, so that equal numbers have exactly that mean and no deviation.
    let mean = first + values.iter().map(|value| value - first).sum::<f64>() / values.len() as f64;
    mean.is_finite().then_some(mean)
}

/// The sample standard deviation (divided by n - 1); none for fewer than two numbers or where one is not finite.
pub fn sample_sd(values: &[f64]) -> Option<f64> {
    let mean = mean(values)?;
    if values.len() < 2 {
        return None;
    }
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    Some((squares / (values.len() - 1) as f64).sqrt())
}

/// The 95 % interval of the mean by Student's t; none for fewer than two numbers or where one is not finite.
pub fn t_interval(values: &[f64]) -> Option<Interval> {
    let (mean, sd) = (mean(values)?, sample_sd(values)?);
    let half = half_width(sd, values.len());
    Some(Interval { lo: mean - half, hi: mean + half })
}

/// The quantile of Student's t that a two-sided 95 % interval of `n` numbers reaches to; `n` is at least 2.
fn t_quantile(n: usize) -> f64 {
    StudentsT::new(0.0, 1.0, (n - 1) as f64).map_or(f64::NAN, |t| t.inverse_cdf(0.975))
}

/// Half the width of the 95 % interval of the mean of `n` numbers with that sample standard deviation.
fn half_width(sd: f64, n: usize) -> f64 {
    if sd == 0.0 { 0.0 } else { t_quantile(n) * sd / (n as f64).sqrt() }
}

/// `method - baseline` of every seed that both have, in the order of the seeds.
pub fn paired_differences(method: &BTreeMap<u64, f64>, baseline: &BTreeMap<u64, f64>) -> Vec<(u64, f64)> {
    paired(method, baseline, |method, baseline| method - baseline)
}

/// `combine(method, baseline)` of every seed that both have, in the order of the seeds.
pub(crate) fn paired(
    method: &BTreeMap<u64, f64>,
    baseline: &BTreeMap<u64, f64>,
    combine: impl Fn(f64, f64) -> f64,
) -> Vec<(u64, f64)> {
    method.iter().filter_map(|(&seed, &value)| Some((seed, combine(value, *baseline.get(&seed)?)))).collect()
}

/// The 95 % percentile bootstrap interval of the mean, the same for the same `seed`.
///
/// Quantiles are interpolated linearly between the sorted means of `resamples` resamples. None for fewer than two
/// numbers, where one is not finite, or without resamples.
pub fn bootstrap_interval(values: &[f64], resamples: usize, seed: u64) -> Option<Interval> {
    mean(values).filter(|_| values.len() >= 2 && resamples > 0)?;
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut sample = vec![0.0; values.len()];
    let mut means = Vec::with_capacity(resamples);
    for _ in 0..resamples {
        sample.fill_with(|| values[rng.random_range(0..values.len())]);
        means.push(mean(&sample)?);
    }
    means.sort_by(f64::total_cmp);
    Some(Interval { lo: quantile(&means, 0.025), hi: quantile(&means, 0.975) })
}

/// The quantile `q` of sorted numbers, interpolated linearly.
fn quantile(sorted: &[f64], q: f64) -> f64 {
    let position = q * (sorted.len() - 1) as f64;
    let (below, above) = (sorted[position.floor() as usize], sorted[position.ceil() as usize]);
    below + (above - below) * position.fract()
}

/// The smallest number of seeds (at least [`MIN_SEEDS`], at most `cap`) at which the half width of the t interval would
/// fall below `distance`, were mean and `sd` to stay as they are.
///
/// `distance` is how far the present mean lies from what the interval must exclude. None where it is not positive, where
/// `sd` is not a number, or where `cap` seeds are too few: hopeless.
pub fn seeds_to_settle(distance: f64, sd: f64, cap: usize) -> Option<usize> {
    if distance > 0.0 && sd >= 0.0 { (MIN_SEEDS..=cap).find(|&n| half_width(sd, n) < distance) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn close(a: f64, b: f64, tolerance: f64) {
        assert!((a - b).abs() <= tolerance, "{a} is not {b} within {tolerance}");
    }

    /// Oracle: `scipy.stats.t.ppf(0.975, n - 1)`.
    #[test]
    fn t_quantiles_are_those_of_the_tables() {
        for (n, t) in [
            (2, 12.706_204_736_174_694),
            (3, 4.302_652_729_749_462),
            (5, 2.776_445_105_197_793_4),
            (10, 2.262_157_162_798_205),
            (20, 2.093_024_054_408_308_7),
            (100, 1.984_216_951_586_417_4),
        ] {
            close(t_quantile(n), t, 1e-9);
        }
    }

    /// Oracle: numpy's `std(ddof=1)` and scipy's `t.interval(0.95, 4, mean, sem)`.
    #[test]
    fn five_accuracies_have_the_interval_that_scipy_gives() {
        let summary = Summary::of(&[93.1, 92.4, 93.9, 93.0, 92.8]).unwrap();
        close(summary.mean, 93.04, 1e-12);
        close(summary.sd.unwrap(), 0.550_454_357_780_916_1, 1e-12);
        let Interval { lo, hi } = summary.interval.unwrap();
        close(lo, 92.356_520_641_289_05, 1e-9);
        close(hi, 93.723_479_358_710_93, 1e-9);
    }

    #[test]
    fn one_number_has_a_mean_and_no_interval_and_none_has_nothing() {
        assert_eq!(Summary::of(&[2.0]), Some(Summary { n: 1, mean: 2.0, sd: None, interval: None }));
        assert_eq!(Summary::of(&[]), None);
        assert_eq!(Summary::of(&[1.0, f64::NAN]), None);
        assert_eq!(Summary::of(&[1.0, f64::INFINITY]), None);
    }

    #[test]
    fn equal_numbers_deviate_by_nothing() {
        let summary = Summary::of(&[0.1; 7]).unwrap();
        assert_eq!((summary.sd, summary.interval), (Some(0.0), Some(Interval { lo: 0.1, hi: 0.1 })));
    }

    #[test]
    fn only_common_seeds_are_paired() {
        let method = BTreeMap::from([(1, 3.0), (2, 5.0), (4, 1.0)]);
        let baseline = BTreeMap::from([(2, 4.5), (3, 9.0), (4, 2.0)]);
        assert_eq!(paired_differences(&method, &baseline), [(2, 0.5), (4, -1.0)]);
    }

    /// Oracle: scipy's `bootstrap(..., method="percentile", n_resamples=200_000)`: [1.625, 5.625].
    #[test]
    fn the_bootstrap_agrees_with_scipy_and_with_itself() {
        let values = [3.0, -1.0, 4.0, 1.0, 5.0, 9.0, 2.0, 6.0];
        let Interval { lo, hi } = bootstrap_interval(&values, 50_000, 7).unwrap();
        close(lo, 1.625, 0.13);
        close(hi, 5.625, 0.13);
        assert_eq!(bootstrap_interval(&values, 500, 7), bootstrap_interval(&values, 500, 7));
        assert_ne!(bootstrap_interval(&values, 500, 7), bootstrap_interval(&values, 500, 8));
        assert_eq!(bootstrap_interval(&[1.0], 500, 7), None);
        assert_eq!(bootstrap_interval(&values, 0, 7), None);
    }

    /// Oracle: the same search with scipy's quantiles.
    #[test]
    fn seeds_to_settle_are_those_that_scipy_finds() {
        assert_eq!(seeds_to_settle(0.5, 1.0, MAX_SEEDS), Some(18));
        assert_eq!(seeds_to_settle(0.1, 1.0, MAX_SEEDS), Some(387));
        assert_eq!(seeds_to_settle(1.0, 1.0, MAX_SEEDS), Some(7));
        assert_eq!(seeds_to_settle(2.0, 1.0, MAX_SEEDS), Some(4));
        assert_eq!(seeds_to_settle(0.06, 1.0, MAX_SEEDS), None);
        assert_eq!(seeds_to_settle(0.0, 0.0, MAX_SEEDS), None);
        assert_eq!(seeds_to_settle(f64::NAN, 1.0, MAX_SEEDS), None);
        assert_eq!(seeds_to_settle(1.0, f64::NAN, MAX_SEEDS), None);
        assert_eq!(seeds_to_settle(1e-9, 0.0, MAX_SEEDS), Some(MIN_SEEDS));
    }

    fn numbers() -> impl Strategy<Value = Vec<f64>> {
        prop::collection::vec(-1e3_f64..1e3, 2..40)
    }

    proptest! {
        #[test]
        fn the_interval_holds_the_mean_and_moves_with_the_numbers(values in numbers(), shift in -1e3_f64..1e3) {
            let summary = Summary::of(&values).unwrap();
            let Interval { lo, hi } = summary.interval.unwrap();
            prop_assert!(lo <= summary.mean && summary.mean <= hi);
            let moved: Vec<f64> = values.iter().map(|value| value + shift).collect();
            let moved = Summary::of(&moved).unwrap();
            prop_assert!((moved.mean - summary.mean - shift).abs() < 1e-9);
            prop_assert!((moved.interval.unwrap().lo - lo - shift).abs() < 1e-6);
        }

        #[test]
        fn scaling_the_summary_is_scaling_the_numbers(values in numbers(), scale in 0.01_f64..100.0) {
            let scaled: Vec<f64> = values.iter().map(|value| value * scale).collect();
            let (a, b) = (Summary::of(&values).unwrap().scaled(scale), Summary::of(&scaled).unwrap());
            prop_assert!((a.mean - b.mean).abs() < 1e-6 && (a.sd.unwrap() - b.sd.unwrap()).abs() < 1e-6);
        }

        #[test]
        fn the_bootstrap_stays_between_the_extremes(values in numbers(), seed: u64) {
            let Interval { lo, hi } = bootstrap_interval(&values, 200, seed).unwrap();
            let least = values.iter().copied().fold(f64::INFINITY, f64::min);
            let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            prop_assert!(least - 1e-9 <= lo && lo <= hi && hi <= most + 1e-9);
        }

        #[test]
        fn so_many_seeds_settle_it_and_one_fewer_does_not(distance in 0.2_f64..3.0, sd in 0.1_f64..3.0) {
            if let Some(n) = seeds_to_settle(distance, sd, MAX_SEEDS) {
                prop_assert!(half_width(sd, n) < distance);
                prop_assert!(n == MIN_SEEDS || half_width(sd, n - 1) >= distance);
            }
        }

        #[test]
        fn a_pair_exchanged_changes_its_sign(
            a in prop::collection::btree_map(0_u64..20, -1e3_f64..1e3, 0..15),
            b in prop::collection::btree_map(0_u64..20, -1e3_f64..1e3, 0..15),
        ) {
            let there = paired_differences(&a, &b);
            let back: Vec<_> = paired_differences(&b, &a).into_iter().map(|(seed, value)| (seed, -value)).collect();
            prop_assert_eq!(there, back);
        }
    }
}
