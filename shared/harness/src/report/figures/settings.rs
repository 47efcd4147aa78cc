//! A metric against the setting.

use super::super::chart::{Chart, Mark};
use super::super::legend::Legend;
use super::super::scale::Scale;
use super::{Drawing, Figure};
use crate::Interval;
use crate::stats::Summary;

impl Drawing<'_> {
    /// The metric against the setting.
    pub(super) fn over_settings(&self) -> Option<Figure> {
        // Settings that differ in one number alone lie at it, others side by side.
        let numbers_of = numbers_of(&self.settings);
        let names = numbers_of.is_none();
        let side_by_side = || ((0..self.settings.len()).map(|x| x as f64).collect(), self.settings.clone());
        let (places, labels) = numbers_of.unwrap_or_else(side_by_side);
        let (mut marks, mut points, mut legend, mut numbers) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (color, method) in &self.methods {
            let mut summaries: Vec<(f64, Summary)> = self
                .settings
                .iter()
                .zip(&places)
                .filter_map(|(setting, x)| Some((*x, self.summary(&self.plot.metric, setting, method)?)))
                .collect();
            summaries.sort_by(|a, b| a.0.total_cmp(&b.0));
            let Some((_, last)) = summaries.last() else { continue };
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
        let mut ticks: Vec<(f64, String)> = places.into_iter().zip(labels).collect();
        ticks.sort_by(|a, b| a.0.total_cmp(&b.0));
        let x = Scale::of_ticks(ticks, self.plot.x_log && !names);
        let y = Scale::around(numbers, self.plot.log)?;
        let caption = "Line: mean over seeds. Band: its 95 % interval.";
        let chart = Chart { names, ..self.chart(self.plot.title.clone(), x, y, marks, Legend::Beside(legend)) };
        Some(Figure::of(chart, caption))
    }
}

/// Where settings lie that differ in one number alone, with labels; none where they differ otherwise.
fn numbers_of(settings: &[String]) -> Option<(Vec<f64>, Vec<String>)> {
    let (head, tail) = (common(settings, false), common(settings, true));
    let number = |setting: &String| setting.get(head..setting.len() - tail)?.trim().parse::<f64>().ok();
    let numbers: Vec<f64> = settings.iter().map(number).collect::<Option<_>>()?;
    let distinct = (1..numbers.len()).all(|index| !numbers[..index].contains(&numbers[index]));
    // The number and the word behind it: `40 %` of `noise 40 % flipped`.
    let label = |setting: &String| {
        let rest = setting.get(head..).unwrap_or_default();
        rest.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
    };
    let differ = settings.len() > 1 && distinct && numbers.iter().all(|number| number.is_finite());
    differ.then(|| (numbers, settings.iter().map(label).collect()))
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

    fn numbers(settings: &[&str]) -> Option<(Vec<f64>, Vec<String>)> {
        numbers_of(&settings.iter().map(|&setting| setting.into()).collect::<Vec<_>>())
    }

    #[test]
    fn settings_that_differ_in_a_number_lie_at_it() {
        let at = |places: &[f64], labels: &[&str]| {
            Some((places.to_vec(), labels.iter().map(|&label| label.to_owned()).collect()))
        };
        assert_eq!(numbers(&["0 %", "40 %", "80 %"]), at(&[0.0, 40.0, 80.0], &["0 %", "40 %", "80 %"]));
        assert_eq!(numbers(&["m = 4", "m = 64"]), at(&[4.0, 64.0], &["4", "64"]));
        assert_eq!(numbers(&["rho 0.05", "rho 0.1"]), at(&[0.05, 0.1], &["0.05", "0.1"]));
        assert_eq!(numbers(&["noise 5 % flipped", "noise 15 % flipped"]), at(&[5.0, 15.0], &["5 %", "15 %"]));
        let batches = ["batch 1", "batch 4", "batch 16", "batch 64", "batch 200"];
        assert_eq!(numbers(&batches), at(&[1.0, 4.0, 16.0, 64.0, 200.0], &["1", "4", "16", "64", "200"]));
        for others in [&["moons", "spirals"][..], &["x 40 %"], &["CIFAR-10, 40 %", "MNIST, 40 %"], &[]] {
            assert_eq!(numbers(others), None);
        }
    }
}
