//! The plots that `paper.toml` asks for.

use super::chart::{Chart, Mark};
use super::scale::Scale;
use crate::stats::{self, Interval, Summary};
use crate::{Entry, Experiment, Metric, Plot, PlotKind, Runs};

/// A drawn plot.
pub(super) struct Figure {
    /// The heading.
    pub(super) title: String,
    /// What lines, bands and points are.
    pub(super) caption: &'static str,
    /// The drawing.
    pub(super) svg: String,
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
    let chosen = |only: &[String], name: &String| only.is_empty() || only.contains(name);
    let settings = runs.settings(&experiment.name).into_iter().filter(|name| chosen(&plot.settings, name)).collect();
    // Colors go by the row among all rows, so that a method has one color in every plot of its experiment.
    let methods = runs.methods(&experiment.name).into_iter().enumerate();
    let methods = methods.filter(|(_, name)| chosen(&plot.methods, name)).collect();
    let drawing = Drawing { plot, experiment, runs, settings, methods };
    match plot.kind {
        PlotKind::Settings => drawing.over_settings().into_iter().collect(),
        PlotKind::Methods => drawing.settings.iter().filter_map(|setting| drawing.over_methods(setting)).collect(),
        PlotKind::Curves => drawing.settings.iter().filter_map(|setting| drawing.curves(setting)).collect(),
    }
}

impl Drawing<'_> {
    /// The metric against the setting.
    fn over_settings(&self) -> Option<Figure> {
        let (places, labels) = axis_of(&self.settings);
        let (mut marks, mut points, mut legend, mut numbers) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (color, method) in &self.methods {
            let summaries: Vec<(f64, Summary)> = self
                .settings
                .iter()
                .zip(&places)
                .filter_map(|(setting, x)| Some((*x, Summary::of(&self.values(setting, method))?)))
                .collect();
            let Some((_, last)) = summaries.iter().max_by(|a, b| a.0.total_cmp(&b.0)) else { continue };
            legend.push((*color, method.clone(), last.mean));
            let band = |(x, summary): &(f64, Summary)| summary.interval.map(|Interval { lo, hi }| (*x, lo, hi));
            let band: Vec<_> = summaries.iter().filter_map(band).collect();
            let means: Vec<_> = summaries.iter().map(|(x, summary)| (*x, summary.mean)).collect();
            numbers.extend(means.iter().map(|(_, mean)| *mean));
            numbers.extend(band.iter().flat_map(|&(_, lo, hi)| self.span(lo, hi)));
            marks.push(Mark::Band(*color, band));
            points.extend(means.iter().map(|&place| Mark::Mean(*color, place)));
            points.insert(0, Mark::Line(*color, means, 2.0, 1.0));
        }
        marks.extend(points);
        let lo = places.iter().copied().fold(f64::INFINITY, f64::min);
        let hi = places.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let room = if hi > lo { 0.04 * (hi - lo) } else { 0.5 };
        let x = Scale::with_ticks(lo - room, hi + room, places.into_iter().zip(labels).collect());
        let caption = "Line: mean over seeds. Band: its 95 % t interval.";
        self.figure(&self.plot.title, caption, x, &numbers, marks, legend)
    }

    /// The metric of every method in one setting.
    fn over_methods(&self, setting: &str) -> Option<Figure> {
        let (mut marks, mut numbers, mut names) = (Vec::new(), Vec::new(), Vec::new());
        for (color, method) in &self.methods {
            let values = self.values(setting, method);
            let Some(summary) = Summary::of(&values) else { continue };
            let x = names.len() as f64;
            names.push((x, method.clone()));
            for (index, value) in values.iter().enumerate() {
                // Seeds side by side, to the left of their mean.
                let spread = (index as f64 + 0.5) / values.len() as f64;
                marks.push(Mark::Seed(*color, (x - 0.3 + 0.36 * spread, *value)));
            }
            if let Some(Interval { lo, hi }) = summary.interval {
                marks.push(Mark::Line(*color, vec![(x + 0.18, lo), (x + 0.18, hi)], 2.5, 1.0));
                numbers.extend(self.span(lo, hi));
            }
            marks.push(Mark::Mean(*color, (x + 0.18, summary.mean)));
            numbers.extend(values);
        }
        let x = Scale::with_ticks(-0.5, names.len() as f64 - 0.5, names);
        let caption = "Faint points: seeds. Point and bar: their mean and its 95 % t interval.";
        self.figure(&self.title(setting), caption, x, &numbers, marks, Vec::new())
    }

    /// A curve of every method in one setting.
    fn curves(&self, setting: &str) -> Option<Figure> {
        let (mut marks, mut means, mut legend, mut numbers) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut longest = 0;
        for (color, method) in &self.methods {
            let curves: Vec<Vec<f64>> = self
                .entry(setting, method)
                .into_iter()
                .flat_map(|entry| entry.records.values())
                .filter_map(|record| record.results.curves.get(&self.plot.metric))
                .map(|curve| curve.iter().map(|value| value * self.plot.scale).collect())
                .collect();
            let length = curves.iter().map(Vec::len).max().unwrap_or_default();
            // The mean goes as far as every seed has a number.
            let at = |step: usize| curves.iter().map(|curve| curve.get(step).copied()).collect::<Option<Vec<f64>>>();
            let mean: Vec<(f64, f64)> =
                (0..length).map_while(|step| Some(((step + 1) as f64, stats::mean(&at(step)?)?))).collect();
            for curve in &curves {
                let finite = curve.iter().enumerate().map(|(step, value)| ((step + 1) as f64, *value));
                let finite: Vec<_> = finite.take_while(|(_, value)| value.is_finite()).collect();
                numbers.extend(finite.iter().map(|(_, value)| *value));
                marks.push(Mark::Line(*color, finite, 1.0, 0.3));
            }
            if let Some(&(_, last)) = mean.last() {
                legend.push((*color, method.clone(), last));
                means.push(Mark::Line(*color, mean, 2.5, 1.0));
            }
            longest = longest.max(length);
        }
        marks.extend(means);
        let (first, last) = (1.0, (longest as f64).max(2.0));
        let mut x = Scale::around([first, last], false)?;
        x.ticks.retain(|(value, _)| value.fract() == 0.0 && (first..=last).contains(value));
        let x = Scale::with_ticks(first, last, x.ticks);
        let caption = "Thin lines: seeds. Thick line: their mean.";
        self.figure(&self.title(setting), caption, x, &numbers, marks, legend)
    }

    fn figure(
        &self,
        title: &str,
        caption: &'static str,
        x: Scale,
        numbers: &[f64],
        marks: Vec<Mark>,
        legend: Vec<(usize, String, f64)>,
    ) -> Option<Figure> {
        let chart = Chart {
            title: title.to_owned(),
            y: Scale::around(numbers.iter().copied(), self.plot.log)?,
            x,
            x_label: self.plot.x.clone(),
            y_label: self.plot.y.clone(),
            names: self.plot.kind == PlotKind::Methods,
            marks,
            legend,
        };
        Some(Figure { title: title.into(), caption, svg: chart.svg() })
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

    /// The plotted metric by seed, as it is shown.
    fn values(&self, setting: &str, method: &str) -> Vec<f64> {
        let listed = self.experiment.metrics.iter().find(|metric| metric.name == self.plot.metric);
        let metric = listed.cloned().unwrap_or_else(|| Metric {
            name: self.plot.metric.clone(),
            title: self.plot.title.clone(),
            unit: String::new(),
            scale: 1.0,
            digits: 2,
            better: None,
            measured: false,
        });
        let scores = self.entry(setting, method).map(|entry| self.runs.scores(entry, &metric, metric.better));
        scores.unwrap_or_default().by_seed.into_values().map(|value| value * self.plot.scale).collect()
    }
}

/// Where settings lie on their axis, with labels: at their numbers where they differ in one number alone, else side by
/// side.
fn axis_of(settings: &[String]) -> (Vec<f64>, Vec<String>) {
    let numbers = || -> Option<Vec<f64>> {
        let (head, tail) = (common(settings, false), common(settings, true));
        let number = |setting: &String| setting.get(head..setting.len() - tail)?.trim().parse::<f64>().ok();
        let numbers: Vec<f64> = settings.iter().map(number).collect::<Option<_>>()?;
        let distinct = (1..numbers.len()).all(|index| !numbers[..index].contains(&numbers[index]));
        (settings.len() > 1 && distinct && numbers.iter().all(|number| number.is_finite())).then_some(numbers)
    };
    match numbers() {
        Some(numbers) => {
            // The number and the word behind it: `40 %` of `noise 40 % flipped`.
            let label = |setting: &String| {
                let rest = setting.get(common(settings, false)..).unwrap_or_default();
                rest.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
            };
            (numbers, settings.iter().map(label).collect())
        }
        None => ((0..settings.len()).map(|index| index as f64).collect(), settings.to_vec()),
    }
}

/// The length in bytes of the start (or end) that all texts share, without digits and what belongs to a number.
fn common(texts: &[String], end: bool) -> usize {
    let characters =
        |text: &String| -> Vec<char> { if end { text.chars().rev().collect() } else { text.chars().collect() } };
    let Some(first) = texts.first().map(characters) else { return 0 };
    let shared = |index: usize| texts.iter().all(|text| characters(text).get(index) == first.get(index));
    let mut length = (0..first.len()).take_while(|&index| shared(index)).count();
    while length > 0 && (first[length - 1].is_ascii_digit() || matches!(first[length - 1], '.' | '-')) {
        length -= 1;
    }
    first[..length].iter().map(|c| c.len_utf8()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Tier;
    use crate::testing::{metric, record};

    fn axis(settings: &[&str]) -> (Vec<f64>, Vec<String>) {
        axis_of(&settings.iter().map(|&setting| setting.into()).collect::<Vec<_>>())
    }

    #[test]
    fn settings_that_differ_in_a_number_lie_at_it() {
        let labels = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
        assert_eq!(axis(&["0 %", "40 %", "80 %"]), (vec![0.0, 40.0, 80.0], labels(&["0 %", "40 %", "80 %"])));
        assert_eq!(axis(&["m = 4", "m = 64"]), (vec![4.0, 64.0], labels(&["4", "64"])));
        assert_eq!(axis(&["rho 0.05", "rho 0.1"]).0, [0.05, 0.1]);
        assert_eq!(axis(&["noise 5 % flipped", "noise 15 % flipped"]), (vec![5.0, 15.0], labels(&["5 %", "15 %"])));
        assert_eq!(axis(&["moons", "spirals"]), (vec![0.0, 1.0], labels(&["moons", "spirals"])));
        assert_eq!(axis(&["x 40 %"]).0, [0.0]);
        assert_eq!(axis(&["CIFAR-10, 40 %", "MNIST, 40 %"]).0, [0.0, 1.0]);
        assert_eq!(axis(&[]).0, Vec::<f64>::new());
    }

    fn plot(kind: PlotKind) -> Plot {
        Plot {
            kind,
            metric: if kind == PlotKind::Curves { "loss".into() } else { "accuracy".into() },
            title: "T".into(),
            x: "x".into(),
            y: "y".into(),
            log: false,
            scale: 1.0,
            settings: vec![],
            methods: vec![],
        }
    }

    fn drawn(plot: &Plot) -> Vec<Figure> {
        let experiment = Experiment {
            name: "e".into(),
            title: String::new(),
            description: String::new(),
            tiers: vec![],
            data: vec![],
            metrics: vec![metric()],
            plots: vec![],
        };
        let mut records = Vec::new();
        for (setting, method, accuracy) in [("0 %", "sgd", 0.9), ("0 %", "sam", 0.8), ("40 %", "sgd", 0.5)] {
            for seed in 1..=3 {
                let mut record = record(setting, method, seed, accuracy + seed as f64 / 100.0);
                record.results.curves.insert("loss".into(), vec![1.0, 0.5, if seed == 3 { f64::NAN } else { 0.2 }]);
                records.push(record);
            }
        }
        draw(plot, &experiment, &Runs::new(Tier::Smoke, "flex", records, None))
    }

    #[test]
    fn every_kind_draws_what_it_has() {
        let settings = drawn(&plot(PlotKind::Settings));
        assert_eq!(settings.len(), 1);
        assert_eq!(settings[0].svg.matches("<polygon").count(), 2, "a band a method");
        let methods = drawn(&plot(PlotKind::Methods));
        assert_eq!(methods.iter().map(|f| f.title.as_str()).collect::<Vec<_>>(), ["T: 0 %", "T: 40 %"]);
        assert_eq!(methods[0].svg.matches("opacity=\"0.45\"").count(), 6, "a point a seed");
        let curves = drawn(&plot(PlotKind::Curves));
        assert_eq!(curves[0].svg.matches("opacity=\"0.3\"").count(), 6, "a thin line a seed");
        let one =
            drawn(&Plot { settings: vec!["40 %".into()], methods: vec!["sgd".into()], ..plot(PlotKind::Methods) });
        assert_eq!((one.len(), one[0].title.as_str()), (1, "T"));
        assert!(one[0].svg.contains("series-1"), "the method keeps its color");
    }

    #[test]
    fn a_plot_of_what_no_record_has_is_left_away() {
        for kind in [PlotKind::Settings, PlotKind::Methods, PlotKind::Curves] {
            assert!(drawn(&Plot { metric: "other".into(), ..plot(kind) }).is_empty());
        }
        assert!(drawn(&Plot { settings: vec!["none".into()], ..plot(PlotKind::Settings) }).is_empty());
    }
}
