//! A family of curves as the rows of a table of shades.

use std::fmt::Write;

use super::super::html::escape;
use super::{Drawing, Figure};
use crate::stats;
use crate::table::number;

/// How much of the color the highest number gets, in percent: the number over it stays readable.
const DEEPEST: f64 = 60.0;

impl Drawing<'_> {
    /// A table for each method in one setting: a row for each curve of the family, a column for each of its points.
    pub(super) fn matrices(&self, setting: &str) -> Vec<Figure> {
        let tables: Vec<_> = self
            .methods
            .iter()
            .map(|(_, method)| (method, self.rows(setting, method)))
            .filter(|(_, rows)| !rows.is_empty())
            .collect();
        // One scale for all, so that shades of different methods can be compared.
        let all = || tables.iter().flat_map(|(_, rows)| rows).flat_map(|(_, values)| values.iter().copied());
        let lowest = all().fold(f64::INFINITY, f64::min);
        let spread = all().fold(f64::NEG_INFINITY, f64::max) - lowest;
        let figure = |(method, rows): &(&String, Vec<(String, Vec<f64>)>)| Figure {
            title: format!("{}, {method}", self.title(setting)),
            caption: "Mean over seeds; more color is higher.".into(),
            body: table(rows, &self.plot.x, &self.plot.y, lowest, spread),
            wide: false,
        };
        tables.iter().map(figure).collect()
    }

    /// The curves whose names begin with the metric's name, in the order of their names, each its mean over seeds.
    fn rows(&self, setting: &str, method: &str) -> Vec<(String, Vec<f64>)> {
        let records: Vec<_> =
            self.entry(setting, method).into_iter().flat_map(|entry| entry.records.values()).collect();
        let Some(first) = records.first() else { return Vec::new() };
        let names = first.results.curves.keys().filter_map(|name| name.strip_prefix(&self.plot.metric));
        let row = |item: &str| {
            let name = format!("{}{item}", self.plot.metric);
            let curves: Vec<_> = records.iter().filter_map(|record| record.results.curves.get(&name)).collect();
            let length = curves.iter().map(|curve| curve.len()).min().unwrap_or_default();
            let mean = |step: usize| stats::mean(&curves.iter().map(|curve| curve[step]).collect::<Vec<_>>());
            let values = (0..length).map_while(mean).map(|value| value * self.plot.scale).collect();
            // Counted from 1, as a reader does.
            let label = item.parse::<usize>().map_or_else(|_| item.to_owned(), |index| (index + 1).to_string());
            (label, values)
        };
        names.map(row).collect()
    }
}

fn table(rows: &[(String, Vec<f64>)], x: &str, y: &str, lowest: f64, spread: f64) -> String {
    let columns = rows.iter().map(|(_, values)| values.len()).max().unwrap_or_default();
    let mut html = format!("<table class=\"matrix\"><thead><tr><th scope=\"row\">{} \\ {}</th>", escape(y), escape(x));
    for column in 1..=columns {
        let _ = write!(html, "<th scope=\"col\">{column}</th>");
    }
    html.push_str("</tr></thead><tbody>");
    for (label, values) in rows {
        let _ = write!(html, "<tr><th scope=\"row\">{}</th>", escape(label));
        for value in values {
            let share = if spread > 0.0 { DEEPEST * (value - lowest) / spread } else { 0.0 };
            let shade = format!("color-mix(in srgb, var(--series-0) {share:.0}%, transparent)");
            let _ = write!(html, "<td style=\"background:{shade}\">{}</td>", number(*value, 0));
        }
        html.push_str(&"<td></td>".repeat(columns - values.len()));
        html.push_str("</tr>");
    }
    html.push_str("</tbody></table>");
    html
}
