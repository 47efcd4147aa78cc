//! A curve over time.

use super::super::chart::Mark;
use super::super::legend::Legend;
use super::super::scale::Scale;
use super::{Drawing, Figure};
use crate::stats;

impl Drawing<'_> {
    /// A curve of every method in one setting.
    pub(super) fn curves(&self, setting: &str) -> Option<Figure> {
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
        let y = Scale::around(numbers, self.plot.log)?;
        Some(Figure::of(self.chart(self.title(setting), x, y, marks, Legend::Beside(legend)), caption))
    }
}
