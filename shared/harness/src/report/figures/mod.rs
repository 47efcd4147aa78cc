//! The plots that `paper.toml` asks for.

mod bars;
mod curves;
mod matrix;
mod methods;
mod pictures;
mod scatter;
mod settings;

use super::chart::{Chart, Mark, WIDTH};
use super::legend::Legend;
use super::scale::Scale;
use crate::stats::Summary;
use crate::table::number;
use crate::{Entry, Experiment, Interval, Metric, Plot, PlotKind, Runs, Scores};

pub(super) use pictures::Picture;

/// A drawn plot or a picture.
pub(super) struct Figure {
    /// The heading.
    pub(super) title: String,
    /// What lines, bands and points are.
    pub(super) caption: String,
    /// The drawing: an SVG, image or table element.
    pub(super) body: String,
    /// It needs the page's whole width.
    pub(super) wide: bool,
}

/// A plot with what it needs of its experiment.
struct Drawing<'a> {
    plot: &'a Plot,
    experiment: &'a Experiment,
    runs: &'a Runs,
    /// Columns and rows that it shows, the latter with the numbers of their colors.
    settings: Vec<String>,
    methods: Vec<(usize, String)>,
}

/// Draws a plot; a kind that shows one setting makes a figure for each. Figures without a number are left away.
pub(super) fn draw(plot: &Plot, experiment: &Experiment, runs: &Runs) -> Vec<Figure> {
    let drawing = Drawing::new(plot, experiment, runs);
    let each = |draw: &dyn Fn(&str) -> Option<Figure>| drawing.settings.iter().filter_map(|s| draw(s)).collect();
    match plot.kind {
        PlotKind::Settings => drawing.over_settings().into_iter().collect(),
        PlotKind::Methods => each(&|setting| drawing.over_methods(setting)),
        PlotKind::Curves => each(&|setting| drawing.curves(setting)),
        PlotKind::Bars => each(&|setting| drawing.bars(setting)),
        PlotKind::Matrix => drawing.settings.iter().flat_map(|setting| drawing.matrices(setting)).collect(),
        PlotKind::Scatter => each(&|setting| drawing.scatter(setting)),
        PlotKind::Picture => drawing.pictures().iter().filter_map(Picture::figure).collect(),
    }
}

/// The pictures that an experiment's plots show, as far as their files are there.
pub(super) fn pictures(experiment: &Experiment, runs: &Runs) -> Vec<Picture> {
    let plots = experiment.plots.iter().filter(|plot| plot.kind == PlotKind::Picture);
    plots.flat_map(|plot| Drawing::new(plot, experiment, runs).pictures()).collect()
}

impl<'a> Drawing<'a> {
    fn new(plot: &'a Plot, experiment: &'a Experiment, runs: &'a Runs) -> Self {
        let chosen = |only: &[String], name: &String| only.is_empty() || only.contains(name);
        let settings = runs.settings(&experiment.name).into_iter();
        let settings = settings.filter(|name| chosen(&plot.settings, name)).collect();
        // Colors go by the row among all rows, so that a method has one color in every plot of its experiment.
        let methods = runs.methods(&experiment.name).into_iter().enumerate();
        let methods = methods.filter(|(_, name)| chosen(&plot.methods, name)).collect();
        Self { plot, experiment, runs, settings, methods }
    }

    /// A chart with these axes and marks, labeled as the plot says.
    fn chart(&self, title: String, x: Scale, y: Scale, marks: Vec<Mark>, legend: Legend) -> Chart {
        Chart {
            title,
            width: WIDTH,
            x,
            y,
            x_label: self.plot.x.clone(),
            y_label: self.plot.y.clone(),
            names: matches!(self.plot.kind, PlotKind::Methods | PlotKind::Bars),
            marks,
            legend,
        }
    }

    /// What of an interval the vertical axis must show. On a logarithmic one its lower end may be anywhere, down to
    /// zero: it is cut at the end of the axis.
    fn span(&self, lo: f64, hi: f64) -> impl Iterator<Item = f64> {
        let lo = if self.plot.log { None } else { Some(lo) };
        lo.into_iter().chain([hi])
    }

    fn title(&self, setting: &str) -> String {
        if self.settings.len() > 1 { format!("{}: {setting}", self.plot.title) } else { self.plot.title.clone() }
    }

    fn entry(&self, setting: &str, method: &str) -> Option<&Entry> {
        self.runs.entry(&self.experiment.name, setting, method)
    }

    /// A metric by seed, as the records have it; one that no table lists needs no more than its name.
    fn scores(&self, name: &str, setting: &str, method: &str) -> Scores {
        let listed = self.experiment.metrics.iter().find(|metric| metric.name == name);
        let metric = listed.cloned().unwrap_or_else(|| Metric {
            name: name.into(),
            title: name.into(),
            unit: String::new(),
            scale: 1.0,
            digits: 2,
            better: None,
            measured: false,
        });
        let scores = self.entry(setting, method).map(|entry| self.runs.scores(entry, &metric, metric.better));
        scores.unwrap_or_default()
    }

    /// A metric over seeds, as it is shown.
    fn summary(&self, name: &str, setting: &str, method: &str) -> Option<Summary> {
        Some(self.scores(name, setting, method).summary()?.scaled(self.plot.scale))
    }

    /// The plotted metric by seed, as it is shown.
    fn shown(&self, setting: &str, method: &str) -> Vec<f64> {
        let scores = self.scores(&self.plot.metric, setting, method);
        scores.by_seed.into_values().map(|value| value * self.plot.scale).collect()
    }
}

impl Figure {
    fn of(chart: Chart, caption: &str) -> Self {
        let (body, wide) = (chart.svg(), chart.width > WIDTH);
        Self { title: chart.title, caption: caption.into(), body, wide }
    }
}

/// The name of one of a family's metrics, as a reader sees it.
fn item_name(item: &str) -> String {
    item.replace('_', " ")
}

/// A mean with its interval in three significant digits: `12.3 [11.1, 13.5]`.
fn estimate(summary: &Summary) -> String {
    let size = summary.mean.abs().max(f64::MIN_POSITIVE).log10().floor();
    let digits = (2.0 - size).clamp(0.0, 6.0) as usize;
    let interval = summary
        .interval
        .map_or(String::new(), |Interval { lo, hi }| format!(" [{}, {}]", number(lo, digits), number(hi, digits)));
    format!("{}{interval}, n = {}", number(summary.mean, digits), summary.n)
}

#[cfg(test)]
mod tests;
