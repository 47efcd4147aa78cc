use serde::{Deserialize, Serialize};

use crate::Tier;

/// A paper as its crate's `paper.toml` describes it: what can be listed, tabulated and judged without building anything.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Paper {
    /// The name of the crate's folder: what the command line takes.
    pub name: String,
    /// The paper's title.
    pub title: String,
    /// Its authors.
    pub authors: String,
    /// Where it was published, with the year.
    pub venue: String,
    /// Its address.
    pub url: String,
    /// What the crate offers, in a line.
    pub summary: String,
    /// The experiments that the crate reruns.
    #[serde(rename = "experiment", default)]
    pub experiments: Vec<Experiment>,
    /// What the paper claims and the verdicts are about.
    #[serde(rename = "claim", default)]
    pub claims: Vec<Claim>,
}

/// One experiment: a table, its plots and what they need.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Experiment {
    /// The name that cells and claims use.
    pub name: String,
    /// The heading in the report.
    pub title: String,
    /// What is trained on what, and what was cut from the paper's protocol; a paragraph under the heading.
    #[serde(default)]
    pub description: String,
    /// The tiers that run it.
    pub tiers: Vec<Tier>,
    /// Names of the data sets that it reads (`datasets.toml`).
    #[serde(default)]
    pub data: Vec<String>,
    /// The figures that its tables show, in order.
    #[serde(rename = "metric", default)]
    pub metrics: Vec<Metric>,
    /// Its plots, in order.
    #[serde(rename = "plot", default)]
    pub plots: Vec<Plot>,
}

/// A figure of an experiment's table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metric {
    /// The name in the records (`metrics`, or with `measured` in `measurements`).
    pub name: String,
    /// The heading.
    pub title: String,
    /// The unit shown behind the numbers (`%`, `ms`).
    #[serde(default)]
    pub unit: String,
    /// What a record's number is multiplied by before it is shown (100 for accuracies in `[0, 1]` shown in percent).
    #[serde(default = "one")]
    pub scale: f64,
    /// Digits behind the point.
    #[serde(default = "two")]
    pub digits: usize,
    /// Which way is better; none for a figure that only informs.
    #[serde(default)]
    pub better: Option<Better>,
    /// The number is a measurement, judged on exclusive cells only.
    #[serde(default)]
    pub measured: bool,
}

fn one() -> f64 {
    1.0
}

fn two() -> usize {
    2
}

/// Which way a figure is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Better {
    /// Accuracy and the like.
    Higher,
    /// Error, curvature, time.
    Lower,
}

/// A plot of an experiment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plot {
    /// How the numbers are drawn.
    pub kind: PlotKind,
    /// The metric; for [`PlotKind::Curves`] the curve, for [`PlotKind::Picture`] the picture, and for a family of metrics
    /// ([`PlotKind::Bars`], [`PlotKind::Scatter`]) or curves ([`PlotKind::Matrix`]) what their names begin with (`error_`). A metric need not be listed in
    /// the tables.
    pub metric: String,
    /// What the names of a family's metrics end with, in order (`fog` for `error_fog`); shown with spaces for `_`.
    #[serde(default)]
    pub of: Vec<String>,
    /// The family on the horizontal axis of [`PlotKind::Scatter`] (`entropy_`).
    #[serde(default)]
    pub against: Option<String>,
    /// The heading.
    pub title: String,
    /// The label of the horizontal axis.
    #[serde(default)]
    pub x: String,
    /// The label of the vertical axis.
    #[serde(default)]
    pub y: String,
    /// A logarithmic vertical axis.
    #[serde(default)]
    pub log: bool,
    /// A logarithmic horizontal axis, where it has numbers ([`PlotKind::Settings`], [`PlotKind::Scatter`]).
    #[serde(default)]
    pub x_log: bool,
    /// What a record's number is multiplied by before it is drawn.
    #[serde(default = "one")]
    pub scale: f64,
    /// The same for the horizontal axis of [`PlotKind::Scatter`].
    #[serde(default = "one")]
    pub x_scale: f64,
    /// Only these settings; all where empty.
    #[serde(default)]
    pub settings: Vec<String>,
    /// Only these methods; all where empty.
    #[serde(default)]
    pub methods: Vec<String>,
}

/// How a plot draws its numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PlotKind {
    /// The metric against the setting, a line with a 95 % band a method.
    Settings,
    /// The metric of each method, a point a seed and the mean with its 95 % interval.
    Methods,
    /// A curve over time: thin lines a seed, a thick one for their mean.
    Curves,
    /// A family of metrics in one setting: a group of bars a metric, a bar a method, with its 95 % interval.
    Bars,
    /// One family of metrics against another in one setting: a point for each method and item of the families.
    Scatter,
    /// A family of curves in one setting: for each method a table of shades, a row a curve.
    Matrix,
    /// The picture of each setting and method that handed one back, that of the first seed.
    Picture,
}

/// Something that the paper claims, and how it is judged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Claim {
    /// A short name, unique in the paper.
    pub id: String,
    /// The claim in one sentence.
    pub statement: String,
    /// Its place in the paper (`Table 4`).
    pub place: String,
    /// The experiment that tests it.
    pub experiment: String,
    /// The setting (column) that tests it.
    pub setting: String,
    /// The metric, by its name in the records.
    pub metric: String,
    /// The method (row) that the claim is about.
    pub method: String,
    /// What is compared with what.
    #[serde(flatten)]
    pub kind: ClaimKind,
    /// The paper's numbers, as text with their spread (`93.4 against 68.8 %`), where it prints some.
    #[serde(default)]
    pub paper: Option<String>,
    /// How those numbers were had.
    pub source: Source,
    /// The tiers at which our numbers can be compared with the paper's.
    pub comparable: Vec<Tier>,
}

/// The three kinds of claims.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum ClaimKind {
    /// The method is better than the baseline; judged on differences over common seeds.
    Direction {
        /// The method that it is compared with.
        baseline: String,
        /// Which way is better.
        better: Better,
        /// The smallest difference that matters, in the metric's unit: an interval below it is `not reproduced`.
        #[serde(default)]
        smallest: Option<f64>,
    },
    /// The metric equals the paper's value.
    Value {
        /// The paper's value, in the unit of the records.
        value: f64,
        /// How far our interval may reach from it.
        tolerance: f64,
    },
    /// The metric, or its ratio to the baseline's over common seeds, lies on one side of a bound.
    Threshold {
        /// Where given, the quantity is the ratio method / baseline.
        #[serde(default)]
        baseline: Option<String>,
        /// `higher`: at least the bound; `lower`: at most.
        better: Better,
        /// The bound.
        bound: f64,
    },
}

/// How the paper's numbers were had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// Read in the paper.
    Read,
    /// Read in another source that cites it.
    Secondary,
    /// From memory: never yields `reproduced`.
    Recalled,
}

impl Paper {
    /// Reads a `paper.toml` and checks that its claims point to experiments it has.
    ///
    /// # Errors
    ///
    /// Says what is wrong, with line and column where it is the syntax.
    pub fn parse(text: &str) -> Result<Self, String> {
        let paper: Self = toml::from_str(text).map_err(|error| error.to_string())?;
        for experiment in &paper.experiments {
            experiment.plots.iter().try_for_each(|plot| plot.check(&experiment.name))?;
        }
        for claim in &paper.claims {
            let Some(experiment) = paper.experiment(&claim.experiment) else {
                return Err(format!("claim `{}` names the unknown experiment `{}`", claim.id, claim.experiment));
            };
            if !experiment.metrics.iter().any(|metric| metric.name == claim.metric) {
                return Err(format!(
                    "claim `{}` names the metric `{}`, which experiment `{}` does not list",
                    claim.id, claim.metric, claim.experiment
                ));
            }
            if paper.claims.iter().filter(|other| other.id == claim.id).count() > 1 {
                return Err(format!("two claims have the id `{}`", claim.id));
            }
        }
        Ok(paper)
    }

    /// The experiment of that name.
    pub fn experiment(&self, name: &str) -> Option<&Experiment> {
        self.experiments.iter().find(|experiment| experiment.name == name)
    }

    /// The tiers at which at least one experiment runs.
    pub fn tiers(&self) -> Vec<Tier> {
        Tier::ALL.into_iter().filter(|tier| self.experiments.iter().any(|e| e.tiers.contains(tier))).collect()
    }
}

impl Plot {
    fn check(&self, experiment: &str) -> Result<(), String> {
        let family = matches!(self.kind, PlotKind::Bars | PlotKind::Scatter);
        let wrong = if family == self.of.is_empty() {
            "`of` names the metrics of a family, for `bars` and `scatter` alone, which need it"
        } else if (self.kind == PlotKind::Scatter) != self.against.is_some() {
            "`against` names the horizontal family of `scatter` alone, which needs it"
        } else {
            return Ok(());
        };
        Err(format!("plot `{}` of experiment `{experiment}`: {wrong}", self.title))
    }
}

impl Claim {
    /// What the method is compared with, where it is.
    pub fn baseline(&self) -> Option<&str> {
        match &self.kind {
            ClaimKind::Direction { baseline, .. } => Some(baseline),
            ClaimKind::Value { .. } => None,
            ClaimKind::Threshold { baseline, .. } => baseline.as_deref(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOML: &str = r#"
name = "sam"
title = "t"
authors = "a"
venue = "ICLR 2021"
url = "u"
summary = "s"

[[experiment]]
name = "moons"
title = "Moons"
tiers = ["smoke"]

[[experiment.metric]]
name = "accuracy"
title = "Accuracy"
better = "higher"

[[claim]]
id = "c"
kind = "direction"
statement = "better"
place = "Table 4"
experiment = "moons"
setting = "30 %"
metric = "accuracy"
method = "sam"
baseline = "sgd"
better = "higher"
source = "read"
comparable = ["paper"]
"#;

    #[test]
    fn a_paper_is_read_whole() {
        let paper = Paper::parse(TOML).unwrap();
        assert_eq!(paper.tiers(), [Tier::Smoke]);
        assert_eq!(paper.claims[0].baseline(), Some("sgd"));
    }

    #[test]
    fn a_plot_of_a_family_needs_its_members_and_others_have_none() {
        let with = |plot: &str| {
            let plot = format!("[[experiment.plot]]\nmetric = \"error_\"\ntitle = \"T\"\n{plot}\n[[claim]]");
            Paper::parse(&TOML.replace("[[claim]]", &plot))
        };
        let paper = with("kind = \"scatter\"\nof = [\"fog\"]\nagainst = \"entropy_\"").unwrap();
        assert_eq!(paper.experiments[0].plots[0].against.as_deref(), Some("entropy_"));
        assert!(with("kind = \"bars\"\nof = [\"fog\"]").is_ok() && with("kind = \"picture\"").is_ok());
        for (plot, field) in [
            ("kind = \"bars\"", "`of`"),
            ("kind = \"settings\"\nof = [\"fog\"]", "`of`"),
            ("kind = \"scatter\"\nof = [\"fog\"]", "`against`"),
            ("kind = \"bars\"\nof = [\"fog\"]\nagainst = \"entropy_\"", "`against`"),
        ] {
            let error = with(plot).unwrap_err();
            assert!(error.contains("plot `T` of experiment `moons`") && error.contains(field), "{error}");
        }
    }

    #[test]
    fn a_claim_that_points_nowhere_is_refused() {
        let error = Paper::parse(&TOML.replace("experiment = \"moons\"", "experiment = \"suns\"")).unwrap_err();
        assert!(error.contains("`suns`"), "{error}");
        let error = Paper::parse(&TOML.replace("metric = \"accuracy\"", "metric = \"error\"")).unwrap_err();
        assert!(error.contains("`error`"), "{error}");
    }
}
