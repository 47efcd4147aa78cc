//! A chart: two axes, marks, and names of the series at the right end or above.

use super::legend::{self, Legend};
use super::scale::Scale;
use super::svg::{self, Align, Canvas, Ink, Place};

/// The width of a chart that lies in a column of the page.
pub(super) const WIDTH: f64 = 520.0;
const HEIGHT: f64 = 340.0;
pub(super) const FONT: f64 = 14.0;
/// A character of the page's fonts is about this wide, in units of its size.
pub(super) const CHARACTER: f64 = 0.56;
pub(super) const LINE: f64 = 17.0;
/// How steep names rise that have no room side by side.
const DEGREES: f64 = 40.0;
/// The most lines of a name below its tick.
const NAME_LINES: usize = 3;

/// What is drawn.
pub(super) struct Chart {
    /// What a screen reader says.
    pub(super) title: String,
    /// In logical pixels.
    pub(super) width: f64,
    /// The horizontal axis.
    pub(super) x: Scale,
    /// The vertical axis.
    pub(super) y: Scale,
    /// The horizontal axis's label, below it.
    pub(super) x_label: String,
    /// The vertical axis's label, above it.
    pub(super) y_label: String,
    /// The ticks of the horizontal axis are names: wrapped or slanted, and without lines.
    pub(super) names: bool,
    /// Bands, lines and points, the lowest first.
    pub(super) marks: Vec<Mark>,
    /// Names of the series.
    pub(super) legend: Legend,
}

/// Something drawn in the numbers of the axes, mostly in a series' color.
pub(super) enum Mark {
    /// A line of some width and opacity.
    Line(usize, Vec<Place>, f64, f64),
    /// The area between lower and upper numbers `(x, lo, hi)`.
    Band(usize, Vec<(f64, f64, f64)>),
    /// A faint point: one seed.
    Seed(usize, Place),
    /// A point that stands out: a mean.
    Mean(usize, Place),
    /// A bar from one horizontal place to another, between two numbers.
    Bar(usize, (f64, f64), (f64, f64)),
    /// The interval of a bar, at a horizontal place: seen on the bar and above it.
    Whisker(f64, (f64, f64)),
    /// What a reader sees who points at a place or near it.
    Tip(Place, String),
    /// What a reader sees who points between two horizontal places, at any height.
    ColumnTip((f64, f64), String),
}

/// The inner rectangle, and the height of all.
struct Frame {
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
    height: f64,
}

/// How the names of the horizontal axis stand.
enum Names {
    Level(Vec<Vec<String>>),
    Slanted(Vec<String>),
}

impl Chart {
    /// The chart as SVG.
    pub(super) fn svg(&self) -> String {
        let names = self.names();
        let frame = self.frame(&names);
        svg::draw(self.width, frame.height, &self.title, |canvas| {
            self.axes(canvas, &frame, &names);
            self.marks.iter().for_each(|mark| self.mark(canvas, &frame, mark));
            let height = |value: f64| self.at(&frame, (0.0, value)).1;
            self.legend.draw(canvas, (frame.right, frame.top, frame.bottom), self.width, height);
        })
    }

    fn frame(&self, names: &Names) -> Frame {
        let ticks = self.y.ticks.iter().map(|(_, label)| width(label)).fold(12.0, f64::max);
        let (below, overhang) = match names {
            Names::Level(names) => (names.iter().map(Vec::len).max().unwrap_or(1) as f64 * LINE, 0.0),
            Names::Slanted(names) => {
                let longest = names.iter().map(|name| width(name)).fold(0.0, f64::max);
                let first = names.first().map_or(0.0, |name| width(name));
                let (sin, cos) = DEGREES.to_radians().sin_cos();
                (longest * sin + 8.0, first * cos - self.room() / 2.0)
            }
        };
        let below = below + if self.x_label.is_empty() { 8.0 } else { 28.0 };
        let label = if self.y_label.is_empty() { 12.0 } else { 30.0 };
        let above = self.legend.height(self.width);
        // Names in rows or at a slant take their height from the page, not from the plot.
        let wide = if self.width > WIDTH { 60.0 } else { 0.0 };
        let height = HEIGHT + wide + above + (below - NAME_LINES as f64 * LINE - 28.0).max(0.0);
        Frame {
            left: (ticks + 14.0).max(overhang),
            right: self.width - self.legend.width().max(8.0),
            top: label + above,
            bottom: height - below,
            height,
        }
    }

    /// The width that a name has to itself.
    fn room(&self) -> f64 {
        (self.width - 60.0) / self.x.ticks.len().max(1) as f64 - 8.0
    }

    fn names(&self) -> Names {
        let labels = || self.x.ticks.iter().map(|(_, label)| label);
        if !self.names {
            return Names::Level(labels().map(|label| vec![label.clone()]).collect());
        }
        let room = self.room();
        let level: Vec<Vec<String>> = labels().map(|label| wrap(label, room)).collect();
        let fits =
            |lines: &Vec<String>| lines.len() <= NAME_LINES && lines.iter().all(|line| width(line) <= room + 6.0);
        if level.iter().all(fits) { Names::Level(level) } else { Names::Slanted(labels().map(legend::cut).collect()) }
    }

    fn axes(&self, canvas: &mut Canvas<'_>, frame: &Frame, names: &Names) {
        for (value, label) in &self.y.ticks {
            let (_, y) = self.at(frame, (0.0, *value));
            canvas.line([(frame.left, y), (frame.right, y)], Ink::Grid, 1.0, 1.0);
            canvas.text(label, (frame.left - 8.0, y), FONT, Ink::Muted, Align::End);
        }
        canvas.line([(frame.left, frame.bottom), (frame.right, frame.bottom)], Ink::Muted, 1.0, 1.0);
        let places =
            self.x.ticks.iter().map(|(value, _)| frame.left + self.x.place(*value) * (frame.right - frame.left));
        match names {
            Names::Level(names) => self.level(canvas, frame, places.zip(names)),
            Names::Slanted(names) => {
                for (x, name) in places.zip(names) {
                    canvas.slanted(name, (x + 4.0, frame.bottom + 10.0), FONT, DEGREES);
                }
            }
        }
        canvas.text(&self.y_label, (0.0, 10.0), FONT, Ink::Muted, Align::Start);
        let middle = (frame.left + frame.right) / 2.0;
        canvas.text(&self.x_label, (middle, frame.height - 9.0), FONT, Ink::Muted, Align::Middle);
    }

    fn level<'a>(&self, canvas: &mut Canvas<'_>, frame: &Frame, names: impl Iterator<Item = (f64, &'a Vec<String>)>) {
        let mut free = f64::NEG_INFINITY;
        for (x, lines) in names {
            let half = lines.iter().map(|line| width(line) / 2.0).fold(0.0, f64::max);
            if !self.names {
                canvas.line([(x, frame.bottom), (x, frame.bottom + 4.0)], Ink::Muted, 1.0, 1.0);
            }
            // A number that would touch the one before it is left away; its tick stays.
            if self.names || x - half >= free {
                free = x + half + 6.0;
                for (line, y) in lines.iter().zip(0..) {
                    let place = (x, frame.bottom + 14.0 + f64::from(y) * LINE);
                    canvas.text(line, place, FONT, if self.names { Ink::Text } else { Ink::Muted }, Align::Middle);
                }
            }
        }
    }

    fn mark(&self, canvas: &mut Canvas<'_>, frame: &Frame, mark: &Mark) {
        let at = |place: Place| self.at(frame, place);
        match mark {
            Mark::Line(series, places, width, opacity) => {
                canvas.line(places.iter().map(|&place| at(place)), Ink::Series(*series), *width, *opacity);
            }
            Mark::Band(series, band) => {
                let below = band.iter().map(|&(x, lo, _)| at((x, lo)));
                let above = band.iter().rev().map(|&(x, _, hi)| at((x, hi)));
                canvas.area(below.chain(above), Ink::Series(*series), 0.16);
            }
            Mark::Seed(series, place) => canvas.dot(at(*place), 3.0, Ink::Series(*series), 0.45),
            Mark::Mean(series, place) => {
                canvas.dot(at(*place), 5.5, Ink::Ground, 1.0);
                canvas.dot(at(*place), 4.0, Ink::Series(*series), 1.0);
            }
            Mark::Bar(series, (left, right), (from, to)) => {
                let corners = [(*left, *from), (*right, *from), (*right, *to), (*left, *to)];
                canvas.area(corners.map(at), Ink::Series(*series), 0.85);
            }
            Mark::Whisker(x, (lo, hi)) => canvas.line([at((*x, *lo)), at((*x, *hi))], Ink::Text, 1.2, 0.8),
            Mark::Tip(place, text) => canvas.tip_dot(at(*place), 8.0, text),
            Mark::ColumnTip((left, right), text) => {
                let ((left, _), (right, _)) = (at((*left, 0.0)), at((*right, 0.0)));
                canvas.tip_box((left, frame.top), (right, frame.bottom), text);
            }
        }
    }

    fn at(&self, frame: &Frame, (x, y): Place) -> Place {
        let (x, y) = (self.x.place(x), self.y.place(y));
        (frame.left + x * (frame.right - frame.left), frame.bottom - y * (frame.bottom - frame.top))
    }
}

/// The words of a name in lines as wide as the room, where words are no wider.
fn wrap(name: &str, room: f64) -> Vec<String> {
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

/// About how wide a text is.
pub(super) fn width(text: &str) -> f64 {
    text.chars().count() as f64 * CHARACTER * FONT
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(names: &[&str], legend: Legend) -> String {
        let ticks = names.iter().enumerate().map(|(index, &name)| (index as f64, name.to_owned())).collect();
        let chart = Chart {
            title: "T".into(),
            width: WIDTH,
            x: Scale::with_ticks(-0.5, names.len() as f64 - 0.5, ticks),
            y: Scale::around([0.0, 1.0], false).unwrap(),
            x_label: String::new(),
            y_label: "y".into(),
            names: true,
            marks: vec![],
            legend,
        };
        chart.svg()
    }

    #[test]
    fn names_wrap_where_they_have_room_and_slant_where_they_have_none() {
        let few = chart(&["gaussian noise", "fog", "snow"], Legend::Beside(vec![]));
        assert!(!few.contains("rotate") && few.contains(">\ngaussian noise\n<"), "{few}");
        let names: Vec<String> = (0..15).map(|index| format!("corruption-{index}")).collect();
        let many = chart(&names.iter().map(String::as_str).collect::<Vec<_>>(), Legend::Beside(vec![]));
        assert_eq!(many.matches("rotate(-40)").count(), 15, "every name is there: {many}");
    }

    #[test]
    fn rows_of_names_above_make_the_chart_higher() {
        let rows = |count: usize| Legend::Above((0..count).map(|index| (index, "a method of a name".into())).collect());
        let height = |svg: String| -> f64 {
            let box_ = svg.split_once("viewBox=\"0 0 ").unwrap().1.split_once('"').unwrap().0;
            box_.split_once(' ').unwrap().1.parse().unwrap()
        };
        let (one, six) = (height(chart(&["a"], rows(1))), height(chart(&["a"], rows(6))));
        assert!(six > one && one > height(chart(&["a"], Legend::Beside(vec![]))), "{one} {six}");
    }
}
