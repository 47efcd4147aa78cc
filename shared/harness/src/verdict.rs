//! What the records say about a claim: computed, never written by hand.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::stats::{self, MAX_SEEDS, MIN_SEEDS, RESAMPLES, Summary};
use crate::{Better, Claim, ClaimKind, Interval, Metric, Runs, Source, Tier};

/// What became of a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Verdict {
    /// At a comparable tier the interval lies where the claim says.
    #[serde(rename = "reproduced")]
    Reproduced,
    /// The interval lies where the claim says, at a tier (or against a recalled number) that cannot carry more.
    #[serde(rename = "direction only")]
    DirectionOnly,
    /// Fewer than [`MIN_SEEDS`] seeds, or the interval leaves it open.
    #[serde(rename = "inconclusive")]
    Inconclusive,
    /// The interval excludes what the claim says.
    #[serde(rename = "not reproduced")]
    NotReproduced,
    /// Not run at a tier that can say anything.
    #[serde(rename = "not comparable")]
    NotComparable,
}

impl Verdict {
    /// Every verdict, from the best to the emptiest.
    pub const ALL: [Self; 5] =
        [Self::Reproduced, Self::DirectionOnly, Self::Inconclusive, Self::NotReproduced, Self::NotComparable];

    /// Its words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Reproduced => "reproduced",
            Self::DirectionOnly => "direction only",
            Self::Inconclusive => "inconclusive",
            Self::NotReproduced => "not reproduced",
            Self::NotComparable => "not comparable",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What is compared with the claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Quantity {
    /// Method minus baseline of every common seed, turned so that positive is the paper's direction.
    Difference,
    /// The metric itself.
    Level,
    /// Method divided by baseline of every common seed.
    Ratio,
}

/// A claim judged on the records of one tier and backend.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Judgment {
    /// The tier of the records.
    pub tier: Tier,
    /// Their backend.
    pub backend: String,
    /// Whether the claim says that this tier compares with the paper.
    pub comparable: bool,
    /// The verdict.
    pub verdict: Verdict,
    /// What `estimate` is about.
    pub quantity: Quantity,
    /// The quantity over seeds in the unit of the records; none without a usable number.
    pub estimate: Option<Summary>,
    /// The 95 % percentile bootstrap interval of the same mean.
    pub bootstrap: Option<Interval>,
    /// The quantity seed by seed.
    pub per_seed: BTreeMap<u64, f64>,
    /// How many seeds in all would settle an inconclusive claim, were mean and deviation to stay; none where it is
    /// settled or hopeless.
    pub seeds_to_settle: Option<usize>,
    /// What a reader should know: numbers left out, divergence, older sources.
    pub notes: Vec<String>,
}

/// Judges `claim`, which is about `metric`, on the records of one tier and backend.
///
/// | verdict | when |
/// | --- | --- |
/// | reproduced | at a comparable tier only; direction: lo > 0; value: the interval lies within value ± tolerance; threshold: it lies on the right side |
/// | direction only | the same at another tier (never for a value), or where the paper's number is recalled |
/// | inconclusive | fewer than 3 seeds (without an interval of their own), or the interval leaves it open |
/// | not reproduced | direction: hi < 0, at a comparable tier also below the smallest relevant difference; value: the interval lies outside; threshold: on the wrong side |
/// | not comparable | a value at a tier that is not comparable; no record of the method or its baseline in the setting |
///
/// `[lo, hi]` is the 95 % t interval over seeds. The level of a single record that states an interval itself, since its data are
/// fixed and nothing else is drawn, is judged by that. Diverged runs count as [`Runs::scores`] says.
pub fn judge(claim: &Claim, metric: &Metric, runs: &Runs) -> Judgment {
    let comparable = claim.comparable.contains(&runs.tier);
    let (quantity, better) = match &claim.kind {
        ClaimKind::Direction { better, .. } => (Quantity::Difference, Some(*better)),
        ClaimKind::Value { .. } => (Quantity::Level, metric.better),
        ClaimKind::Threshold { baseline: None, better, .. } => (Quantity::Level, Some(*better)),
        ClaimKind::Threshold { baseline: Some(_), better, .. } => (Quantity::Ratio, Some(*better)),
    };
    let mut judgment = Judgment {
        tier: runs.tier,
        backend: runs.backend.clone(),
        comparable,
        verdict: Verdict::NotComparable,
        quantity,
        estimate: None,
        bootstrap: None,
        per_seed: BTreeMap::new(),
        seeds_to_settle: None,
        notes: Vec::new(),
    };
    let Some(Numbers { by_seed, own, notes }) = numbers(claim, metric, better, runs) else {
        let names = [Some(claim.method.as_str()), claim.baseline()];
        let absent = names.into_iter().flatten().filter(|method| recorded(claim, method, runs).is_none());
        judgment.notes.extend(absent.map(|method| format!("no record of `{method}` in `{}`", claim.setting)));
        return judgment;
    };
    let values: Vec<f64> = by_seed.values().copied().collect();
    judgment.estimate = Summary::of(&values).map(|summary| Summary { interval: summary.interval.or(own), ..summary });
    judgment.bootstrap = stats::bootstrap_interval(&values, RESAMPLES, 0);
    judgment.per_seed = by_seed;
    judgment.notes = notes;
    judgment.verdict = match judgment.estimate {
        _ if matches!(claim.kind, ClaimKind::Value { .. }) && !comparable => Verdict::NotComparable,
        Some(estimate) => decide(&claim.kind, &estimate, comparable),
        None => Verdict::Inconclusive,
    };
    if judgment.verdict == Verdict::Reproduced && claim.source == Source::Recalled {
        judgment.verdict = Verdict::DirectionOnly;
        judgment.notes.push("the paper's number is recalled, so no more can be said".into());
    }
    if judgment.verdict == Verdict::Inconclusive {
        if values.len() < MIN_SEEDS && own.is_none() {
            judgment.notes.insert(0, format!("fewer than {MIN_SEEDS} seeds"));
        }
        judgment.seeds_to_settle = judgment.estimate.and_then(|estimate| {
            stats::seeds_to_settle(undecided(&claim.kind, estimate.mean, comparable), estimate.sd?, MAX_SEEDS)
        });
    }
    judgment
}

fn recorded<'a>(claim: &Claim, method: &str, runs: &'a Runs) -> Option<&'a crate::Entry> {
    runs.entry(&claim.experiment, &claim.setting, method).filter(|entry| !entry.records.is_empty())
}

/// The claim's quantity.
struct Numbers {
    by_seed: BTreeMap<u64, f64>,
    /// The interval that the only record states; none for a quantity of two records.
    own: Option<Interval>,
    /// What it rests on.
    notes: Vec<String>,
}

/// The claim's quantity by seed; none where the method or its baseline was not run.
fn numbers(claim: &Claim, metric: &Metric, better: Option<Better>, runs: &Runs) -> Option<Numbers> {
    let mut notes = Vec::new();
    let mut scores = |method: &str| {
        let scores = runs.scores(recorded(claim, method, runs)?, metric, better);
        if scores.unusable > 0 {
            notes.push(format!("{} of `{method}` without a finite number", count(scores.unusable, "record")));
        }
        if scores.silent > 0 {
            let how = if metric.measured { "measure it alone" } else { "state the metric" };
            notes.push(format!("{} of `{method}` did not {how}", count(scores.silent, "record")));
        }
        if scores.diverged > 0 {
            notes.push(format!("{} of `{method}` diverged (worst score)", count(scores.diverged, "run")));
        }
        if scores.stale > 0 {
            notes.push(format!("{} of `{method}` of an older source", count(scores.stale, "record")));
        }
        Some(scores)
    };
    let method = scores(&claim.method)?;
    let Some(baseline) = claim.baseline() else {
        return Some(Numbers { by_seed: method.by_seed, own: method.own, notes });
    };
    let (method, baseline) = (method.by_seed, scores(baseline)?.by_seed);
    let pairs = match &claim.kind {
        ClaimKind::Direction { better: Better::Higher, .. } => stats::paired_differences(&method, &baseline),
        ClaimKind::Direction { .. } => stats::paired_differences(&baseline, &method),
        _ => stats::paired(&method, &baseline, |method, baseline| method / baseline),
    };
    let lonely = method.len() + baseline.len() - 2 * pairs.len();
    if lonely > 0 {
        notes.push(format!("{} without a partner of the same seed", count(lonely, "number")));
    }
    let all = pairs.len();
    let finite: BTreeMap<u64, f64> = pairs.into_iter().filter(|(_, value)| value.is_finite()).collect();
    if finite.len() < all {
        notes.push(format!("{} with a baseline of zero", count(all - finite.len(), "ratio")));
    }
    Some(Numbers { by_seed: finite, own: None, notes })
}

fn count(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

/// A difference must exceed this to matter; the claim's own bound counts at comparable tiers alone.
fn least(smallest: Option<f64>, comparable: bool) -> f64 {
    smallest.filter(|_| comparable).unwrap_or(0.0).max(0.0)
}

fn decide(kind: &ClaimKind, estimate: &Summary, comparable: bool) -> Verdict {
    // A single number has an interval only if its record states one.
    let counts = estimate.n == 1 || estimate.n >= MIN_SEEDS;
    let Some(Interval { lo, hi }) = estimate.interval.filter(|_| counts) else {
        return Verdict::Inconclusive;
    };
    let (holds, fails) = match *kind {
        ClaimKind::Direction { smallest, .. } => (lo > 0.0, hi < least(smallest, comparable)),
        ClaimKind::Value { value, tolerance } => {
            (lo >= value - tolerance && hi <= value + tolerance, hi < value - tolerance || lo > value + tolerance)
        }
        ClaimKind::Threshold { better: Better::Higher, bound, .. } => (lo >= bound, hi < bound),
        ClaimKind::Threshold { better: Better::Lower, bound, .. } => (hi <= bound, lo > bound),
    };
    match (holds, fails, comparable) {
        (_, true, _) => Verdict::NotReproduced,
        (true, _, true) => Verdict::Reproduced,
        (true, _, false) => Verdict::DirectionOnly,
        _ => Verdict::Inconclusive,
    }
}

/// How narrow half the interval must get, around the same mean, for a verdict.
fn undecided(kind: &ClaimKind, mean: f64, comparable: bool) -> f64 {
    match *kind {
        ClaimKind::Direction { smallest, .. } => mean.max(least(smallest, comparable) - mean),
        ClaimKind::Value { value, tolerance } => (tolerance - (mean - value).abs()).abs(),
        ClaimKind::Threshold { bound, .. } => (mean - bound).abs(),
    }
}

#[cfg(test)]
mod tests;
