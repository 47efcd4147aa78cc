use proptest::prelude::*;

use super::*;
use crate::Record;
use crate::testing::{metric, record};

fn claim(kind: ClaimKind) -> Claim {
    Claim {
        id: "c".into(),
        statement: "s".into(),
        place: "Table 4".into(),
        experiment: "e".into(),
        setting: "40 %".into(),
        metric: "accuracy".into(),
        method: "sam".into(),
        kind,
        paper: None,
        source: Source::Read,
        comparable: vec![Tier::Paper],
    }
}

fn direction(better: Better, smallest: Option<f64>) -> Claim {
    claim(ClaimKind::Direction { baseline: "sgd".into(), better, smallest })
}

fn value(value: f64, tolerance: f64) -> Claim {
    claim(ClaimKind::Value { value, tolerance })
}

fn threshold(baseline: Option<&str>, better: Better, bound: f64) -> Claim {
    claim(ClaimKind::Threshold { baseline: baseline.map(Into::into), better, bound })
}

fn records(method: &str, values: &[f64]) -> Vec<Record> {
    values.iter().zip(1..).map(|(&value, seed)| record("40 %", method, seed, value)).collect()
}

fn both(sam: &[f64], sgd: &[f64]) -> Vec<Record> {
    [records("sam", sam), records("sgd", sgd)].concat()
}

fn at(tier: Tier, claim: &Claim, records: Vec<Record>) -> Judgment {
    judge(claim, &metric(), &Runs::new(tier, "flex", records, None))
}

const HIGH: [f64; 4] = [0.90, 0.91, 0.92, 0.91];
const LOW: [f64; 4] = [0.80, 0.82, 0.81, 0.80];

#[test]
fn a_difference_above_zero_is_reproduced_where_comparable_and_a_direction_elsewhere() {
    let claim = direction(Better::Higher, None);
    let judged = at(Tier::Paper, &claim, both(&HIGH, &LOW));
    assert_eq!((judged.verdict, judged.quantity, judged.comparable), (Verdict::Reproduced, Quantity::Difference, true));
    let estimate = judged.estimate.unwrap();
    assert!((estimate.mean - 0.1025).abs() < 1e-12 && estimate.n == 4);
    assert!(judged.bootstrap.unwrap().lo > 0.08 && judged.seeds_to_settle.is_none() && judged.notes.is_empty());
    assert_eq!(at(Tier::Smoke, &claim, both(&HIGH, &LOW)).verdict, Verdict::DirectionOnly);
    assert_eq!(at(Tier::Smoke, &claim, both(&LOW, &HIGH)).verdict, Verdict::NotReproduced);
    assert_eq!(at(Tier::Paper, &claim, both(&LOW, &HIGH)).verdict, Verdict::NotReproduced);
}

#[test]
fn lower_is_better_turns_the_difference() {
    let judged = at(Tier::Paper, &direction(Better::Lower, None), both(&LOW, &HIGH));
    assert_eq!(judged.verdict, Verdict::Reproduced);
    assert!(judged.estimate.unwrap().mean > 0.0);
}

#[test]
fn an_open_interval_is_inconclusive_and_says_how_many_seeds_settle_it() {
    let claim = direction(Better::Higher, None);
    let judged = at(Tier::Paper, &claim, both(&[0.9, 0.7, 0.85], &[0.8, 0.8, 0.8]));
    assert_eq!(judged.verdict, Verdict::Inconclusive);
    // scipy: mean 1/60, sd 0.10408, first n with t * sd / sqrt(n) < mean.
    assert_eq!(judged.seeds_to_settle, Some(153));
    let judged = at(Tier::Paper, &claim, both(&[0.9, 0.7, 0.8], &[0.8, 0.8, 0.8]));
    assert_eq!((judged.verdict, judged.seeds_to_settle), (Verdict::Inconclusive, None), "the mean is zero: hopeless");
}

#[test]
fn two_seeds_are_never_enough() {
    let claim = direction(Better::Higher, None);
    let judged = at(Tier::Paper, &claim, both(&[0.9, 0.901], &[0.8, 0.8]));
    assert_eq!((judged.verdict, judged.seeds_to_settle), (Verdict::Inconclusive, Some(3)));
    assert!(judged.estimate.unwrap().interval.unwrap().lo > 0.0);
    assert_eq!(judged.notes, ["fewer than 3 seeds"]);
    let judged = at(Tier::Paper, &claim, both(&[0.9], &[0.8]));
    assert_eq!((judged.verdict, judged.seeds_to_settle), (Verdict::Inconclusive, None));
}

#[test]
fn a_single_run_on_fixed_data_is_judged_by_the_interval_it_states() {
    let stated = |lo, hi| {
        let mut record = record("40 %", "sam", 1, 0.91);
        record.results.intervals.insert("accuracy".into(), Interval { lo, hi });
        record
    };
    let judged = |claim: &Claim, record: Record| at(Tier::Paper, claim, vec![record]);
    let narrow = judged(&value(0.92, 0.02), stated(0.905, 0.915));
    assert_eq!((narrow.verdict, narrow.notes.len()), (Verdict::Reproduced, 0));
    assert_eq!(narrow.estimate.unwrap().interval, Some(Interval { lo: 0.905, hi: 0.915 }));
    assert_eq!(judged(&value(0.95, 0.02), stated(0.905, 0.915)).verdict, Verdict::NotReproduced);
    let wide = judged(&value(0.92, 0.02), stated(0.89, 0.93));
    assert_eq!((wide.verdict, wide.seeds_to_settle, wide.notes.len()), (Verdict::Inconclusive, None, 0));
    assert_eq!(judged(&threshold(None, Better::Higher, 0.9), stated(0.905, 0.915)).verdict, Verdict::Reproduced);
    // With seeds beside it, or a baseline, it says nothing.
    let pair = vec![stated(0.905, 0.915), record("40 %", "sam", 2, 0.91)];
    assert_eq!(at(Tier::Paper, &value(0.92, 0.02), pair).verdict, Verdict::Inconclusive);
    let against = vec![stated(0.905, 0.915), record("40 %", "sgd", 1, 0.5)];
    let judged = at(Tier::Paper, &threshold(Some("sgd"), Better::Higher, 1.0), against);
    assert_eq!((judged.verdict, judged.estimate.unwrap().interval), (Verdict::Inconclusive, None));
}

#[test]
fn equal_seeds_have_an_interval_of_one_point() {
    let claim = direction(Better::Higher, None);
    assert_eq!(at(Tier::Paper, &claim, both(&[0.75; 3], &[0.5; 3])).verdict, Verdict::Reproduced);
    assert_eq!(at(Tier::Paper, &claim, both(&[0.5; 3], &[0.75; 3])).verdict, Verdict::NotReproduced);
    assert_eq!(at(Tier::Paper, &claim, both(&[0.5; 3], &[0.5; 3])).verdict, Verdict::Inconclusive);
}

#[test]
fn a_difference_too_small_to_matter_is_not_reproduced_where_comparable() {
    let claim = direction(Better::Higher, Some(0.05));
    let (sam, sgd) = ([0.51, 0.52, 0.51, 0.52], [0.5; 4]);
    assert_eq!(at(Tier::Paper, &claim, both(&sam, &sgd)).verdict, Verdict::NotReproduced);
    assert_eq!(at(Tier::Smoke, &claim, both(&sam, &sgd)).verdict, Verdict::DirectionOnly);
    assert_eq!(at(Tier::Paper, &claim, both(&HIGH, &LOW)).verdict, Verdict::Reproduced);
}

#[test]
fn recalled_numbers_never_reproduce() {
    for mut claim in [direction(Better::Higher, None), value(0.91, 0.1), threshold(None, Better::Higher, 0.5)] {
        assert_eq!(at(Tier::Paper, &claim, both(&HIGH, &LOW)).verdict, Verdict::Reproduced);
        claim.source = Source::Secondary;
        assert_eq!(at(Tier::Paper, &claim, both(&HIGH, &LOW)).verdict, Verdict::Reproduced);
        claim.source = Source::Recalled;
        let judged = at(Tier::Paper, &claim, both(&HIGH, &LOW));
        assert_eq!(judged.verdict, Verdict::DirectionOnly);
        assert!(judged.notes[0].contains("recalled"));
    }
}

#[test]
fn a_value_is_judged_where_comparable_and_nowhere_else() {
    let sam = || records("sam", &HIGH);
    assert_eq!(at(Tier::Paper, &value(0.91, 0.02), sam()).verdict, Verdict::Reproduced);
    assert_eq!(at(Tier::Paper, &value(0.95, 0.02), sam()).verdict, Verdict::NotReproduced);
    assert_eq!(at(Tier::Paper, &value(0.85, 0.02), sam()).verdict, Verdict::NotReproduced);
    let open = at(Tier::Paper, &value(0.92, 0.015), sam());
    assert_eq!(open.verdict, Verdict::Inconclusive);
    assert!(open.seeds_to_settle.unwrap() > 4);
    let judged = at(Tier::Small, &value(0.91, 0.02), sam());
    assert_eq!((judged.verdict, judged.estimate.unwrap().n), (Verdict::NotComparable, 4));
}

#[test]
fn a_threshold_is_a_side_of_its_bound() {
    let sam = || records("sam", &HIGH);
    assert_eq!(at(Tier::Paper, &threshold(None, Better::Higher, 0.85), sam()).verdict, Verdict::Reproduced);
    assert_eq!(at(Tier::Smoke, &threshold(None, Better::Higher, 0.85), sam()).verdict, Verdict::DirectionOnly);
    assert_eq!(at(Tier::Paper, &threshold(None, Better::Higher, 0.95), sam()).verdict, Verdict::NotReproduced);
    assert_eq!(at(Tier::Paper, &threshold(None, Better::Higher, 0.91), sam()).verdict, Verdict::Inconclusive);
    assert_eq!(at(Tier::Paper, &threshold(None, Better::Lower, 0.95), sam()).verdict, Verdict::Reproduced);
    assert_eq!(at(Tier::Paper, &threshold(None, Better::Lower, 0.85), sam()).verdict, Verdict::NotReproduced);
    // At least and at most include the bound.
    for better in [Better::Higher, Better::Lower] {
        let equal = records("sam", &[0.5; 3]);
        assert_eq!(at(Tier::Paper, &threshold(None, better, 0.5), equal).verdict, Verdict::Reproduced);
    }
}

#[test]
fn a_threshold_with_a_baseline_is_a_ratio_of_common_seeds() {
    let claim = threshold(Some("sgd"), Better::Lower, 0.6);
    // The ratio is one half in every seed, though the levels differ by a factor of four.
    let judged = at(Tier::Paper, &claim, both(&[1.0, 2.0, 4.0], &[2.0, 4.0, 8.0]));
    assert_eq!((judged.verdict, judged.quantity), (Verdict::Reproduced, Quantity::Ratio));
    assert_eq!(judged.estimate.unwrap().interval, Some(Interval { lo: 0.5, hi: 0.5 }));
    let judged = at(Tier::Paper, &claim, both(&[1.0, 2.0, 4.0], &[2.0, 4.0, 0.0]));
    assert_eq!(judged.verdict, Verdict::Inconclusive);
    assert_eq!(judged.notes, ["fewer than 3 seeds", "1 ratio with a baseline of zero"]);
}

#[test]
fn what_was_not_run_is_not_comparable() {
    let claim = direction(Better::Higher, None);
    let judged = at(Tier::Paper, &claim, records("sam", &HIGH));
    assert_eq!((judged.verdict, judged.estimate), (Verdict::NotComparable, None));
    assert_eq!(judged.notes, ["no record of `sgd` in `40 %`"]);
    assert_eq!(at(Tier::Paper, &claim, vec![]).notes.len(), 2);
}

#[test]
fn seeds_that_are_not_common_leave_it_open() {
    let mut records = both(&HIGH, &LOW);
    for record in records.iter_mut().filter(|record| record.identity.cell.method == "sgd") {
        record.identity.cell.seed += 3;
    }
    let judged = at(Tier::Paper, &direction(Better::Higher, None), records.clone());
    assert_eq!(judged.verdict, Verdict::Inconclusive);
    assert_eq!(judged.per_seed.keys().collect::<Vec<_>>(), [&4]);
    assert_eq!(judged.notes, ["fewer than 3 seeds", "6 numbers without a partner of the same seed"]);
    records.retain(|record| record.identity.cell.seed != 4);
    let judged = at(Tier::Paper, &direction(Better::Higher, None), records);
    assert_eq!((judged.verdict, judged.estimate), (Verdict::Inconclusive, None));
}

#[test]
fn numbers_that_are_none_are_left_out_and_named() {
    let judged = at(Tier::Paper, &direction(Better::Higher, None), both(&[0.9, f64::NAN, 0.91, 0.9], &LOW));
    assert_eq!((judged.verdict, judged.estimate.unwrap().n), (Verdict::Reproduced, 3));
    assert_eq!(judged.notes[0], "1 record of `sam` without a finite number");
}

#[test]
fn records_that_do_not_state_the_metric_are_named() {
    let mut records = both(&HIGH, &LOW);
    records[0].results.metrics.clear();
    let judged = at(Tier::Paper, &direction(Better::Higher, None), records);
    assert_eq!(judged.estimate.unwrap().n, 3);
    assert_eq!(judged.notes[0], "1 record of `sam` did not state the metric");
}

#[test]
fn a_diverged_baseline_that_may_counts_against_itself() {
    let mut records = both(&HIGH, &LOW);
    for record in records.iter_mut().filter(|r| r.identity.cell.method == "sgd" && r.identity.cell.seed == 2) {
        record.results.diverged = true;
        record.results.metrics.clear();
        record.identity.cell.may_diverge = true;
    }
    let judged = at(Tier::Paper, &direction(Better::Higher, None), records);
    assert!((judged.per_seed[&2] - 0.11).abs() < 1e-12, "0.91 against the worst, 0.80");
    assert_eq!(judged.notes, ["1 run of `sgd` diverged (worst score)"]);
}

#[test]
fn measured_claims_read_measurements_of_exclusive_cells() {
    let measured = Metric { measured: true, name: "step_seconds".into(), ..metric() };
    let mut records = both(&HIGH, &LOW);
    for record in &mut records {
        let seconds = if record.identity.cell.method == "sam" { 2.0 } else { 1.0 };
        record.measurements.insert("step_seconds".into(), seconds);
    }
    let claim = threshold(Some("sgd"), Better::Lower, 2.1);
    let shared = judge(&claim, &measured, &Runs::new(Tier::Paper, "flex", records.clone(), None));
    assert_eq!((shared.verdict, shared.estimate), (Verdict::Inconclusive, None));
    assert!(shared.notes[1].contains("did not measure it alone"), "{:?}", shared.notes);
    records.iter_mut().for_each(|record| record.identity.cell.exclusive = true);
    let alone = judge(&claim, &measured, &Runs::new(Tier::Paper, "flex", records, None));
    assert_eq!(alone.verdict, Verdict::Reproduced);
}

#[test]
fn older_sources_are_counted_and_named() {
    let mut records = both(&HIGH, &LOW);
    records[0].identity.source = "old".into();
    records[1].run.finished = 5;
    let judged = at(Tier::Paper, &direction(Better::Higher, None), records);
    assert_eq!(
        (judged.verdict, judged.notes),
        (Verdict::Reproduced, vec!["1 record of `sam` of an older source".into()])
    );
}

proptest! {
    /// Exchanging method and baseline, or the direction, turns success into failure and leaves the rest open.
    #[test]
    fn the_opposite_claim_has_the_opposite_verdict(
        pairs in prop::collection::vec((0.0_f64..1.0, 0.0_f64..1.0), 1..12),
    ) {
        let (sam, sgd): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
        let up = at(Tier::Paper, &direction(Better::Higher, None), both(&sam, &sgd));
        let down = at(Tier::Paper, &direction(Better::Lower, None), both(&sam, &sgd));
        let opposite = match up.verdict {
            Verdict::Reproduced => Verdict::NotReproduced,
            Verdict::NotReproduced => Verdict::Reproduced,
            open => open,
        };
        prop_assert_eq!(down.verdict, opposite);
        prop_assert_eq!(down.seeds_to_settle, up.seeds_to_settle);
    }

    /// Only a comparable tier and a number that was read carry `reproduced`.
    #[test]
    fn nothing_else_reproduces(
        values in prop::collection::vec(-1.0_f64..1.0, 1..8),
        bound in -1.0_f64..1.0,
        kind in 0..3,
        recalled: bool,
        tier in prop::sample::select(Tier::ALL.to_vec()),
    ) {
        let mut claim = match kind {
            0 => direction(Better::Higher, Some(bound)),
            1 => value(bound, 0.5),
            _ => threshold(None, Better::Lower, bound),
        };
        claim.source = if recalled { Source::Recalled } else { Source::Read };
        let judged = at(tier, &claim, both(&values, &vec![0.0; values.len()]));
        if judged.verdict == Verdict::Reproduced {
            prop_assert!(tier == Tier::Paper && !recalled && values.len() >= 3);
        }
        if kind == 1 && tier != Tier::Paper {
            prop_assert_eq!(judged.verdict, Verdict::NotComparable);
        }
    }
}
