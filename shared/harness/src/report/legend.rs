//! The names of a chart's series.

use super::chart::{FONT, LINE, width};
use super::svg::{Align, Canvas, Ink};

/// The longest name, in characters; longer ones are cut.
const LONGEST: usize = 26;

/// Names of series by the numbers of their colors, and where they stand.
pub(super) enum Legend {
    /// To the right of the plot, each at the height of a number.
    Beside(Vec<(usize, String, f64)>),
    /// In rows above the plot.
    Above(Vec<(usize, String)>),
}

impl Legend {
    /// What it takes of the chart's width.
    pub(super) fn width(&self) -> f64 {
        match self {
            Self::Beside(names) => names.iter().map(|(_, name, _)| 30.0 + width(&cut(name))).fold(0.0, f64::max),
            Self::Above(_) => 0.0,
        }
    }

    /// What it takes of the height of a chart of that width.
    pub(super) fn height(&self, chart: f64) -> f64 {
        match self {
            Self::Beside(_) => 0.0,
            Self::Above(names) => rows(names, chart).last().map_or(0.0, |(_, y)| y + LINE + 8.0),
        }
    }

    /// Draws it around the plot, whose right end, top and bottom are given; `height` is where a number lies.
    pub(super) fn draw(
        &self,
        canvas: &mut Canvas<'_>,
        (right, top, bottom): (f64, f64, f64),
        chart: f64,
        height: impl Fn(f64) -> f64,
    ) {
        match self {
            Self::Beside(names) => {
                let heights: Vec<f64> = names.iter().map(|&(_, _, value)| height(value)).collect();
                for ((series, name, _), y) in names.iter().zip(apart(&heights, top, bottom)) {
                    canvas.dot((right + 14.0, y), 4.0, Ink::Series(*series), 1.0);
                    canvas.text(&cut(name), (right + 24.0, y), FONT, Ink::Text, Align::Start);
                }
            }
            Self::Above(names) => {
                let first = top - self.height(chart) + LINE / 2.0;
                for ((series, name), (x, y)) in names.iter().zip(rows(names, chart)) {
                    canvas.dot((x + 5.0, first + y), 5.0, Ink::Series(*series), 1.0);
                    canvas.text(&cut(name), (x + 16.0, first + y), FONT, Ink::Text, Align::Start);
                }
            }
        }
    }
}

/// Where the names of the rows begin, the first at the origin.
fn rows(names: &[(usize, String)], chart: f64) -> Vec<(f64, f64)> {
    let (mut x, mut y) = (0.0, 0.0);
    let place = |(_, name): &(usize, String)| {
        let wide = width(&cut(name)) + 34.0;
        if x > 0.0 && x + wide > chart {
            (x, y) = (0.0, y + LINE + 3.0);
        }
        let place = (x, y);
        x += wide;
        place
    };
    names.iter().map(place).collect()
}

pub(super) fn cut(name: impl AsRef<str>) -> String {
    let name = name.as_ref();
    if name.chars().count() <= LONGEST {
        return name.into();
    }
    name.chars().take(LONGEST - 1).chain(['…']).collect()
}

/// The heights moved as little as needed to lie a line apart, within `top` and `bottom` as long as there is room.
fn apart(heights: &[f64], top: f64, bottom: f64) -> Vec<f64> {
    let mut order: Vec<usize> = (0..heights.len()).collect();
    order.sort_by(|&a, &b| heights[a].total_cmp(&heights[b]));
    let mut moved = heights.to_vec();
    let mut free = top;
    for &index in &order {
        moved[index] = moved[index].max(free);
        free = moved[index] + LINE;
    }
    let mut free = bottom;
    for &index in order.iter().rev() {
        moved[index] = moved[index].min(free);
        free = moved[index] - LINE;
    }
    moved
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_a_line_between_them_and_their_order() {
        assert_eq!(apart(&[10.0, 100.0], 0.0, 200.0), [10.0, 100.0]);
        assert_eq!(apart(&[50.0, 52.0, 48.0], 0.0, 200.0), [65.0, 82.0, 48.0]);
        assert_eq!(apart(&[199.0, 198.0], 0.0, 200.0), [200.0, 183.0]);
    }

    #[test]
    fn long_names_are_cut() {
        assert_eq!(cut("SAM"), "SAM");
        assert_eq!(cut("x".repeat(40)).chars().count(), LONGEST);
    }

    #[test]
    fn rows_break_at_the_charts_width() {
        let names: Vec<(usize, String)> = ["one", "two", "three"].map(|name| (0, name.to_owned())).into();
        let places = rows(&names, 2.2 * (width("one") + 34.0));
        assert_eq!((places[0], places[1].1, places[2].0), ((0.0, 0.0), 0.0, 0.0));
        assert!(places[2].1 >= LINE);
        // A name wider than the chart has a row to itself.
        assert_eq!(rows(&names, 1.0).iter().filter(|(x, _)| *x == 0.0).count(), 3);
    }
}
