//! A metric of every method.

use super::super::chart::Mark;
use super::super::legend::Legend;
use super::super::scale::Scale;
use super::{Drawing, Figure};
use crate::Interval;

impl Drawing<'_> {
    /// The metric of every method in one setting.
    pub(super) fn over_methods(&self, setting: &str) -> Option<Figure> {
        let (mut marks, mut numbers, mut names) = (Vec::new(), Vec::new(), Vec::new());
        for (color, method) in &self.methods {
            let values = self.shown(setting, method);
            let Some(summary) = self.summary(&self.plot.metric, setting, method) else { continue };
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
        let caption = "Faint points: seeds. Point and bar: their mean and its 95 % interval.";
        let y = Scale::around(numbers, self.plot.log)?;
        Some(Figure::of(self.chart(self.title(setting), x, y, marks, Legend::Beside(Vec::new())), caption))
    }
}
