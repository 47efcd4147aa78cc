//! From numbers to places on an axis.

/// An axis: a range of numbers, linear or logarithmic, with its ticks.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Scale {
    lo: f64,
    hi: f64,
    log: bool,
    /// Where the ticks are, with their labels.
    pub(super) ticks: Vec<(f64, String)>,
}

impl Scale {
    /// A scale around `values` with room at both ends and ticks at round numbers. A logarithmic one shows positive
    /// numbers alone. None where there is no number to show.
    pub(super) fn around(values: impl IntoIterator<Item = f64>, log: bool) -> Option<Self> {
        let shown = values.into_iter().filter(|value| value.is_finite() && (!log || *value > 0.0));
        let (lo, hi) = shown.fold((f64::INFINITY, f64::NEG_INFINITY), |(lo, hi), value| (lo.min(value), hi.max(value)));
        if lo > hi {
            return None;
        }
        let (lo, hi) = if log { (lo.log10(), hi.log10()) } else { (lo, hi) };
        let room = if hi > lo { 0.06 * (hi - lo) } else { (0.05 * hi.abs()).max(0.05) };
        let (lo, hi) = (lo - room, hi + room);
        let ticks = if log { log_ticks(lo, hi) } else { linear_ticks(lo, hi) };
        Some(Self { lo, hi, log, ticks })
    }

    /// The same, with zero at an end where no number lies beyond it: what bars stand on.
    pub(super) fn from_zero(values: impl IntoIterator<Item = f64>, log: bool) -> Option<Self> {
        let values: Vec<f64> = values.into_iter().filter(|value| value.is_finite()).collect();
        if log || values.is_empty() {
            return Self::around(values, log);
        }
        let (below, above) = (values.iter().any(|value| *value < 0.0), values.iter().any(|value| *value > 0.0));
        let mut scale = Self::around(values.into_iter().chain([0.0]), false)?;
        match (below, above) {
            (false, true) => scale.lo = 0.0,
            (true, false) => scale.hi = 0.0,
            _ => {}
        }
        scale.ticks.retain(|(value, _)| (scale.lo..=scale.hi).contains(value));
        Some(scale)
    }

    /// A scale with these ticks alone and little room around them; logarithmic where it is asked for and all are positive.
    pub(super) fn of_ticks(ticks: Vec<(f64, String)>, log: bool) -> Self {
        let log = log && ticks.iter().all(|(value, _)| *value > 0.0);
        let places = ticks.iter().map(|(value, _)| if log { value.log10() } else { *value });
        let (lo, hi) =
            places.fold((f64::INFINITY, f64::NEG_INFINITY), |(lo, hi), place| (lo.min(place), hi.max(place)));
        let room = if hi > lo { 0.04 * (hi - lo) } else { 0.5 };
        Self { lo: lo - room, hi: hi + room, log, ticks }
    }

    /// A linear scale from `lo` to `hi` with ticks of one's own.
    pub(super) fn with_ticks(lo: f64, hi: f64, ticks: Vec<(f64, String)>) -> Self {
        Self { lo, hi, log: false, ticks }
    }

    /// The place of `value` as a part of the axis, in `[0, 1]`; what lies beyond an end is put there.
    pub(super) fn place(&self, value: f64) -> f64 {
        let value = if self.log { value.max(f64::MIN_POSITIVE).log10() } else { value };
        ((value - self.lo) / (self.hi - self.lo)).clamp(0.0, 1.0)
    }
}

/// About six round numbers.
fn linear_ticks(lo: f64, hi: f64) -> Vec<(f64, String)> {
    let raw = (hi - lo) / 6.0;
    let power = 10_f64.powf(raw.log10().floor());
    let step = match raw / power {
        factor if factor < 1.5 => power,
        factor if factor < 3.5 => 2.0 * power,
        factor if factor < 7.5 => 5.0 * power,
        _ => 10.0 * power,
    };
    let digits = (-step.log10().floor()).clamp(0.0, 12.0) as usize;
    let (first, last) = ((lo / step).ceil() as i64, (hi / step).floor() as i64);
    (first..=last).map(|k| (k as f64 * step, label(k as f64 * step, digits))).collect()
}

/// Powers of ten and, where there are few, their doubles and fives. The range is given in logarithms.
fn log_ticks(lo: f64, hi: f64) -> Vec<(f64, String)> {
    let powers = (lo.floor() as i32)..=(hi.ceil() as i32);
    let factors: &[f64] = if hi - lo < 3.0 { &[1.0, 2.0, 5.0] } else { &[1.0] };
    let step = ((hi - lo) / 6.0).ceil().max(1.0) as i32;
    let ticks = powers.filter(|power| power % step == 0).flat_map(|power| {
        factors.iter().map(move |factor| {
            let value = factor * 10_f64.powi(power);
            let text = if (-3..5).contains(&power) {
                label(value, (-power).max(0) as usize)
            } else {
                format!("{factor}e{power}").replace('-', "−")
            };
            (value, text)
        })
    });
    ticks.filter(|(value, _)| (lo..=hi).contains(&value.log10())).collect()
}

fn label(value: f64, digits: usize) -> String {
    crate::table::number(value, digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(values: &[f64], log: bool) -> Vec<String> {
        Scale::around(values.iter().copied(), log).unwrap().ticks.into_iter().map(|(_, label)| label).collect()
    }

    #[test]
    fn ticks_are_round_numbers_within_the_range() {
        assert_eq!(labels(&[0.0, 1.0], false), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(labels(&[71.0, 84.0], false), ["72", "74", "76", "78", "80", "82", "84"]);
        assert_eq!(labels(&[-3.0, 7.0], false), ["−2", "0", "2", "4", "6"]);
        assert_eq!(labels(&[0.5, 30.0], true), ["0.5", "1", "2", "5", "10", "20"]);
        assert_eq!(labels(&[1e-9, 1e3], true), ["1e−9", "1e−6", "0.001", "1", "1000"]);
    }

    #[test]
    fn one_number_has_room_around_it_and_none_has_no_scale() {
        assert!((Scale::around([5.0, 5.0], false).unwrap().place(5.0) - 0.5).abs() < 1e-9);
        assert!((Scale::around([0.0], false).unwrap().place(0.0) - 0.5).abs() < 1e-9);
        assert_eq!(Scale::around([f64::NAN], false), None);
        assert_eq!(Scale::around([-1.0, 0.0], true), None);
    }

    #[test]
    fn bars_stand_on_zero() {
        let ends = |values: &[f64]| {
            let scale = Scale::from_zero(values.iter().copied(), false).unwrap();
            (scale.place(0.0), scale.ticks.first().unwrap().1.clone())
        };
        assert_eq!(ends(&[20.0, 71.0]), (0.0, "0".into()));
        assert_eq!(ends(&[-20.0, -71.0]).0, 1.0);
        let (place, _) = ends(&[-1.0, 1.0]);
        assert!((place - 0.5).abs() < 1e-9);
        assert_eq!(Scale::from_zero([2.0, 30.0], true), Scale::around([2.0, 30.0], true));
        assert_eq!(Scale::from_zero([f64::NAN], false), None);
    }

    #[test]
    fn ticks_of_ones_own_crowd_less_on_a_logarithmic_scale() {
        let scale = |values: &[f64], log| {
            let scale = Scale::of_ticks(values.iter().map(|&value| (value, String::new())).collect(), log);
            values.iter().map(|&value| (scale.place(value) * 100.0).round()).collect::<Vec<_>>()
        };
        assert_eq!(scale(&[1.0, 10.0, 100.0], true), [4.0, 50.0, 96.0]);
        assert_eq!(scale(&[1.0, 10.0, 100.0], false), [4.0, 12.0, 96.0]);
        assert_eq!(scale(&[0.0, 10.0], true), [4.0, 96.0], "zero has no place on a logarithmic one");
        assert_eq!(scale(&[3.0], true), [50.0]);
    }

    proptest::proptest! {
        #[test]
        fn shown_numbers_lie_on_the_axis(values in proptest::collection::vec(-1e6_f64..1e6, 1..20), log: bool) {
            if let Some(scale) = Scale::around(values.iter().copied(), log) {
                for value in values.into_iter().filter(|value| !log || *value > 0.0) {
                    proptest::prop_assert!((0.0..=1.0).contains(&scale.place(value)));
                }
                proptest::prop_assert!(scale.ticks.len() <= 20);
                for (value, _) in &scale.ticks {
                    proptest::prop_assert!((-1e-9..=1.0 + 1e-9).contains(&scale.place(*value)));
                }
            }
        }
    }
}
