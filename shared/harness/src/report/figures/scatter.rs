//! One family of metrics against another.

use super::super::chart::Mark;
use super::super::legend::Legend;
use super::super::scale::Scale;
use super::{Drawing, Figure, estimate, item_name};
use crate::Interval;
use crate::stats::Summary;

impl Drawing<'_> {
    /// A point for each method and item.
    pub(super) fn scatter(&self, setting: &str) -> Option<Figure> {
        let (mut intervals, mut points, mut tips, mut names) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let (mut across, mut up) = (Vec::new(), Vec::new());
        for (color, method) in &self.methods {
            let before = points.len();
            for item in &self.plot.of {
                let Some((x, y)) = self.pair(item, setting, method) else { continue };
                let place = (x.mean, y.mean);
                points.push(Mark::Mean(*color, place));
                if let Some(Interval { lo, hi }) = x.interval {
                    intervals.push(Mark::Line(*color, vec![(lo, y.mean), (hi, y.mean)], 1.0, 0.35));
                }
                if let Some(Interval { lo, hi }) = y.interval {
                    intervals.push(Mark::Line(*color, vec![(x.mean, lo), (x.mean, hi)], 1.0, 0.35));
                }
                let text = format!("{}, {method}: x {}; y {}", item_name(item), estimate(&x), estimate(&y));
                tips.push(Mark::Tip(place, text));
                across.push(x.mean);
                up.push(y.mean);
            }
            if points.len() > before {
                names.push((*color, method.clone()));
            }
        }
        let x = Scale::around(across, self.plot.x_log)?;
        let y = Scale::around(up, self.plot.log)?;
        let marks = intervals.into_iter().chain(points).chain(tips).collect();
        let chart = self.chart(self.title(setting), x, y, marks, Legend::Above(names));
        Some(Figure::of(chart, "Point: means over seeds, named when pointed at. Lines: their 95 % intervals."))
    }

    /// An item's two numbers as they are shown, where records have both.
    fn pair(&self, item: &str, setting: &str, method: &str) -> Option<(Summary, Summary)> {
        let of = |family: &str, scale: f64| {
            let summary = self.scores(&format!("{family}{item}"), setting, method).summary()?;
            Some(summary.scaled(scale))
        };
        Some((of(self.plot.against.as_deref()?, self.plot.x_scale)?, of(&self.plot.metric, self.plot.scale)?))
    }
}
