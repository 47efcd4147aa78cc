//! A family of metrics, side by side.

use super::super::chart::{CHARACTER, FONT, Mark, WIDTH};
use super::super::legend::Legend;
use super::super::scale::Scale;
use super::{Drawing, Figure, estimate, item_name};
use crate::Interval;
use crate::stats::Summary;

/// The part of a group's room that its bars take.
const GROUP: f64 = 0.8;
/// The narrowest bar, in logical pixels.
const BAR: f64 = 9.0;
/// The widest chart: that of the page.
const PAGE: f64 = 1232.0;

/// The methods' numbers of one item, with the numbers of the methods' colors.
type Group<'a> = (&'a str, Vec<(usize, &'a str, Summary)>);

impl Drawing<'_> {
    /// A group of bars an item, in it a bar a method.
    pub(super) fn bars(&self, setting: &str) -> Option<Figure> {
        let groups = self.groups(setting);
        // Every method with a bar somewhere has its place in every group.
        let has = |color: usize| groups.iter().any(|(_, bars)| bars.iter().any(|bar| bar.0 == color));
        let methods: Vec<(usize, String)> = self.methods.iter().filter(|(color, _)| has(*color)).cloned().collect();
        let wide = GROUP / methods.len().max(1) as f64;
        let (mut marks, mut whiskers, mut tips) = (Vec::new(), Vec::new(), Vec::new());
        for (x, (item, bars)) in groups.iter().enumerate() {
            for (color, method, summary) in bars {
                let place = methods.iter().position(|(other, _)| other == color).unwrap_or_default();
                let left = x as f64 - GROUP / 2.0 + place as f64 * wide;
                marks.push(Mark::Bar(*color, (left + 0.04 * wide, left + 0.96 * wide), (0.0, summary.mean)));
                if let Some(Interval { lo, hi }) = summary.interval {
                    whiskers.push(Mark::Whisker(left + wide / 2.0, (lo, hi)));
                }
                let text = format!("{}, {method}: {}", item_name(item), estimate(summary));
                tips.push(Mark::ColumnTip((left, left + wide), text));
            }
        }
        marks.extend(whiskers.into_iter().chain(tips));
        let y = Scale::from_zero(self.heights(&groups), self.plot.log)?;
        let names = groups.iter().enumerate().map(|(x, (item, _))| (x as f64, item_name(item))).collect();
        let x = Scale::with_ticks(-0.5, groups.len() as f64 - 0.5, names);
        let mut chart = self.chart(self.title(setting), x, y, marks, Legend::Above(methods.clone()));
        chart.width = width(groups.len(), methods.len());
        Some(Figure::of(chart, "Bar: mean over seeds. Line: its 95 % interval."))
    }

    /// The items that have a number.
    fn groups(&self, setting: &str) -> Vec<Group<'_>> {
        let bars = |item: &String| {
            let name = format!("{}{item}", self.plot.metric);
            let bar = |(color, method): &'_ (usize, String)| Some((*color, self.summary(&name, setting, method)?));
            self.methods
                .iter()
                .filter_map(|row| bar(row).map(|(color, summary)| (color, row.1.as_str(), summary)))
                .collect()
        };
        let groups = self.plot.of.iter().map(|item| (item.as_str(), bars(item)));
        groups.filter(|(_, bars): &Group<'_>| !bars.is_empty()).collect()
    }

    /// What the vertical axis must show: every bar, and of an interval that is much higher than the bars no more than helps.
    fn heights(&self, groups: &[Group<'_>]) -> Vec<f64> {
        let bars = || groups.iter().flat_map(|(_, bars)| bars).map(|(_, _, summary)| summary);
        let largest = bars().map(|summary| summary.mean.abs()).fold(0.0, f64::max);
        let ends = bars().filter_map(|summary| summary.interval).flat_map(|Interval { lo, hi }| self.span(lo, hi));
        // What stands on zero hides what of its interval lies on the other side.
        let (below, above) = (bars().any(|summary| summary.mean < 0.0), bars().any(|summary| summary.mean > 0.0));
        let lowest = if below { -1.3 * largest } else { 0.0 };
        let highest = if above { 1.3 * largest } else { 0.0 };
        let ends = ends.map(|end| end.clamp(lowest, highest));
        bars().map(|summary| summary.mean).chain(ends).collect()
    }
}

/// The width of a chart with so many groups: a column of the page where bars and names have room in it.
fn width(groups: usize, methods: usize) -> f64 {
    let group = (methods as f64 * BAR / GROUP).max(9.0 * CHARACTER * FONT + 8.0);
    let needed = 60.0 + groups as f64 * group;
    if needed <= 1.2 * WIDTH { WIDTH } else { needed.min(PAGE) }
}
