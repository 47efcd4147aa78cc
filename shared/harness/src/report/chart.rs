//! A chart: two axes, marks, and names of the series at the right end.

use super::scale::Scale;
use super::svg::{self, Align, Canvas, Ink, Place};

const WIDTH: f64 = 520.0;
const HEIGHT: f64 = 340.0;
const FONT: f64 = 14.0;
/// A character of the page's fonts is about this wide, in units of its size.
const CHARACTER: f64 = 0.56;
const LINE: f64 = 17.0;
/// The longest name beside the chart, in characters; longer ones are cut.
const LONGEST: usize = 26;

/// What is drawn.
pub(super) struct Chart {
    /// What a screen reader says.
    pub(super) title: String,
    /// The horizontal axis.
    pub(super) x: Scale,
    /// The vertical axis.
    pub(super) y: Scale,
    /// The horizontal axis's label, below it.
    pub(super) x_label: String,
    /// The vertical axis's label, above it.
    pub(super) y_label: String,
    /// The ticks of the horizontal axis are names: wrapped, and without lines.
    pub(super) names: bool,
    /// Bands, lines and points, the lowest first.
    pub(super) marks: Vec<Mark>,
    /// Names of series with the number at whose height they stand.
    pub(super) legend: Vec<(usize, String, f64)>,
}

/// Something drawn in a series' color, in the numbers of the axes.
pub(super) enum Mark {
    /// A line of some width and opacity.
    Line(usize, Vec<Place>, f64, f64),
    /// The area between lower and upper numbers `(x, lo, hi)`.
    Band(usize, Vec<(f64, f64, f64)>),
    /// A faint point: one seed.
    Seed(usize, Place),
    /// A point that stands out: a mean.
    Mean(usize, Place),
}

/// The inner rectangle.
struct Frame {
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
}

impl Chart {
    /// The chart as SVG.
    pub(super) fn svg(&self) -> String {
        let frame = self.frame();
        svg::draw(WIDTH, HEIGHT, &self.title, |canvas| {
            self.axes(canvas, &frame);
            self.marks.iter().for_each(|mark| self.mark(canvas, &frame, mark));
            self.legend(canvas, &frame);
        })
    }

    fn frame(&self) -> Frame {
        let longest = |texts: &mut dyn Iterator<Item = &String>| texts.map(|t| width(t)).fold(0.0, f64::max);
        let legend = longest(&mut self.legend.iter().map(|(_, name, _)| name)).min(LONGEST as f64 * CHARACTER * FONT);
        let lines = if self.names { self.x.ticks.iter().map(|(_, name)| self.wrap(name).len()).max() } else { None };
        let below = lines.unwrap_or(1) as f64 * LINE + if self.x_label.is_empty() { 8.0 } else { 28.0 };
        Frame {
            left: longest(&mut self.y.ticks.iter().map(|(_, label)| label)).max(12.0) + 14.0,
            right: WIDTH - if self.legend.is_empty() { 8.0 } else { legend + 30.0 },
            top: if self.y_label.is_empty() { 12.0 } else { 30.0 },
            bottom: HEIGHT - below,
        }
    }

    fn axes(&self, canvas: &mut Canvas<'_>, frame: &Frame) {
        for (value, label) in &self.y.ticks {
            let (_, y) = self.at(frame, (0.0, *value));
            canvas.line([(frame.left, y), (frame.right, y)], Ink::Grid, 1.0, 1.0);
            canvas.text(label, (frame.left - 8.0, y), FONT, Ink::Muted, Align::End);
        }
        canvas.line([(frame.left, frame.bottom), (frame.right, frame.bottom)], Ink::Muted, 1.0, 1.0);
        let mut free = f64::NEG_INFINITY;
        for (value, label) in &self.x.ticks {
            let x = frame.left + self.x.place(*value) * (frame.right - frame.left);
            let lines = if self.names { self.wrap(label) } else { vec![label.clone()] };
            let half = lines.iter().map(|line| width(line) / 2.0).fold(0.0, f64::max);
            if !self.names {
                canvas.line([(x, frame.bottom), (x, frame.bottom + 4.0)], Ink::Muted, 1.0, 1.0);
            }
            // A label that would touch the one before it is left away; its tick stays.
            if x - half >= free {
                free = x + half + 6.0;
                for (line, y) in lines.iter().zip(0..) {
                    let place = (x, frame.bottom + 14.0 + f64::from(y) * LINE);
                    canvas.text(line, place, FONT, if self.names { Ink::Text } else { Ink::Muted }, Align::Middle);
                }
            }
        }
        canvas.text(&self.y_label, (0.0, 10.0), FONT, Ink::Muted, Align::Start);
        let middle = (frame.left + frame.right) / 2.0;
        canvas.text(&self.x_label, (middle, HEIGHT - 9.0), FONT, Ink::Muted, Align::Middle);
    }

    fn mark(&self, canvas: &mut Canvas<'_>, frame: &Frame, mark: &Mark) {
        match mark {
            Mark::Line(series, places, width, opacity) => {
                canvas.line(places.iter().map(|&at| self.at(frame, at)), Ink::Series(*series), *width, *opacity);
            }
            Mark::Band(series, band) => {
                let below = band.iter().map(|&(x, lo, _)| self.at(frame, (x, lo)));
                let above = band.iter().rev().map(|&(x, _, hi)| self.at(frame, (x, hi)));
                canvas.area(below.chain(above), Ink::Series(*series), 0.16);
            }
            Mark::Seed(series, at) => canvas.dot(self.at(frame, *at), 3.0, Ink::Series(*series), 0.45),
            Mark::Mean(series, at) => {
                canvas.dot(self.at(frame, *at), 5.5, Ink::Ground, 1.0);
                canvas.dot(self.at(frame, *at), 4.0, Ink::Series(*series), 1.0);
            }
        }
    }

    /// Names at the heights of their series, moved apart where they would touch.
    fn legend(&self, canvas: &mut Canvas<'_>, frame: &Frame) {
        let heights: Vec<f64> = self.legend.iter().map(|&(_, _, value)| self.at(frame, (0.0, value)).1).collect();
        let heights = apart(&heights, frame.top, frame.bottom);
        for ((series, name, _), y) in self.legend.iter().zip(heights) {
            canvas.dot((frame.right + 14.0, y), 4.0, Ink::Series(*series), 1.0);
            canvas.text(&cut(name), (frame.right + 24.0, y), FONT, Ink::Text, Align::Start);
        }
    }

    fn at(&self, frame: &Frame, (x, y): Place) -> Place {
        let (x, y) = (self.x.place(x), self.y.place(y));
        (frame.left + x * (frame.right - frame.left), frame.bottom - y * (frame.bottom - frame.top))
    }

    /// The words of a name in lines that fit between its neighbors.
    fn wrap(&self, name: &str) -> Vec<String> {
        let room = (WIDTH - 60.0) / self.x.ticks.len().max(1) as f64 - 8.0;
        let mut lines: Vec<String> = Vec::new();
        for word in name.split_whitespace() {
            match lines.last_mut() {
                Some(line) if width(line) + width(word) + FONT * CHARACTER <= room => {
                    line.push(' ');
                    line.push_str(word);
                }
                _ => lines.push(word.into()),
            }
        }
        lines
    }
}

fn width(text: &str) -> f64 {
    text.chars().count() as f64 * CHARACTER * FONT
}

fn cut(name: &str) -> String {
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
        assert_eq!(cut(&"x".repeat(40)).chars().count(), LONGEST);
    }
}
