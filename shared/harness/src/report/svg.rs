//! A canvas that draws SVG whose colors are those of the page, light or dark.
//!
//! Plotters writes plain colors. We draw with sentinels, and replace each by a class that the style sheet colors.

use std::fmt::Write;

use plotters::prelude::{DrawingBackend, SVGBackend};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, IntoFont, RGBColor, ShapeStyle, TextStyle};

use super::html::escape;

/// Plotters places everything on whole pixels: we draw tenfold and let the view box shrink it.
const FINE: f64 = 10.0;

/// Plotters divides font sizes by this before it writes them.
const FONT_FACTOR: f64 = 1.24;

/// How many colors the style sheet has for series.
pub(super) const SERIES_COLORS: usize = 12;

/// What something is, from which the style sheet takes its color.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ink {
    /// Text that names series.
    Text,
    /// Text of the axes.
    Muted,
    /// Grid lines.
    Grid,
    /// The page itself, around points that must stand out.
    Ground,
    /// A method.
    Series(usize),
}

impl Ink {
    const NAMED: [(Self, &'static str); 4] =
        [(Self::Text, "text"), (Self::Muted, "muted"), (Self::Grid, "grid"), (Self::Ground, "ground")];

    fn code(self) -> u8 {
        match self {
            Self::Text => 0,
            Self::Muted => 1,
            Self::Grid => 2,
            Self::Ground => 3,
            Self::Series(index) => 16 + (index % SERIES_COLORS) as u8,
        }
    }

    fn color(self) -> RGBColor {
        RGBColor(0x5E, 0xED, self.code())
    }
}

/// A place in logical pixels, the origin at the top left.
pub(super) type Place = (f64, f64);

/// Where a text's anchor is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Align {
    /// The text begins there.
    Start,
    /// Its middle is there.
    Middle,
    /// It ends there.
    End,
}

/// A drawing in the making.
pub(super) struct Canvas<'a> {
    backend: SVGBackend<'a>,
    /// Elements that Plotters does not know, above its own.
    over: String,
}

/// Draws on a canvas of that size; `title` is what a screen reader says.
pub(super) fn draw(width: f64, height: f64, title: &str, paint: impl FnOnce(&mut Canvas<'_>)) -> String {
    let mut text = String::new();
    let size = ((width * FINE) as u32, (height * FINE) as u32);
    let mut canvas = Canvas { backend: SVGBackend::with_string(&mut text, size), over: String::new() };
    paint(&mut canvas);
    canvas.backend.present().ok();
    let over = std::mem::take(&mut canvas.over);
    drop(canvas);
    finish(&text, &over, width, height, title)
}

/// Gives the drawing a view box, a title and the page's colors.
fn finish(text: &str, over: &str, width: f64, height: f64, title: &str) -> String {
    let body = text.split_once('>').map_or("", |(_, body)| body);
    let mut svg = format!(
        "<svg class=\"plot\" role=\"img\" viewBox=\"0 0 {} {}\" style=\"max-width:{width}px\"><title>{}</title>",
        width * FINE,
        height * FINE,
        escape(title)
    );
    svg.push_str(body.trim_end().trim_end_matches("</svg>"));
    let series = (0..SERIES_COLORS).map(|index| (Ink::Series(index), format!("series-{index}")));
    let named = Ink::NAMED.into_iter().map(|(ink, name)| (ink, name.to_owned()));
    for (ink, name) in named.chain(series) {
        let mut sentinel = String::new();
        let RGBColor(r, g, b) = ink.color();
        let _ = write!(sentinel, "#{r:02X}{g:02X}{b:02X}");
        svg = svg.replace(&format!("fill=\"{sentinel}\""), &format!("class=\"fill-{name}\""));
        svg = svg.replace(&format!("stroke=\"{sentinel}\""), &format!("class=\"stroke-{name}\""));
    }
    // What every element has anyway, or the style sheet says.
    let svg = [" opacity=\"1\"", " stroke=\"none\"", " font-family=\"sans-serif\""]
        .iter()
        .fold(svg, |svg, it| svg.replace(it, ""));
    format!("{svg}{over}</svg>")
}

// Drawing into a string cannot fail: the results are dropped.
impl Canvas<'_> {
    /// A line through the places.
    pub(super) fn line(&mut self, places: impl IntoIterator<Item = Place>, ink: Ink, width: f64, opacity: f64) {
        let style = ShapeStyle { stroke_width: (width * FINE) as u32, ..shape(ink, opacity) };
        self.backend.draw_path(places.into_iter().map(fine), &style).ok();
    }

    /// A filled area.
    pub(super) fn area(&mut self, places: impl IntoIterator<Item = Place>, ink: Ink, opacity: f64) {
        self.backend.fill_polygon(places.into_iter().map(fine), &shape(ink, opacity)).ok();
    }

    /// A filled circle.
    pub(super) fn dot(&mut self, place: Place, radius: f64, ink: Ink, opacity: f64) {
        self.backend.draw_circle(fine(place), (radius * FINE) as u32, &shape(ink, opacity), true).ok();
    }

    /// A line of text, centered vertically at the place.
    pub(super) fn text(&mut self, text: &str, place: Place, size: f64, ink: Ink, align: Align) {
        let horizontal = match align {
            Align::Start => HPos::Left,
            Align::Middle => HPos::Center,
            Align::End => HPos::Right,
        };
        let font = ("sans-serif", size * FINE * FONT_FACTOR).into_font();
        let color = ink.color();
        let style = TextStyle::from(font).color(&color).pos(Pos::new(horizontal, VPos::Center));
        self.backend.draw_text(text, &style, fine(place)).ok();
    }

    /// A line of text that rises by `degrees` and ends at the place.
    pub(super) fn slanted(&mut self, text: &str, place: Place, size: f64, degrees: f64) {
        let ((x, y), size, text) = (fine(place), size * FINE, escape(text));
        let _ = write!(
            self.over,
            "<text class=\"fill-text\" font-size=\"{size}\" text-anchor=\"end\" dy=\"0.35em\" \
             transform=\"translate({x} {y}) rotate(-{degrees})\">{text}</text>"
        );
    }

    /// What a reader sees who points at the box between two corners.
    pub(super) fn tip_box(&mut self, (left, top): Place, (right, bottom): Place, text: &str) {
        let ((x, y), (width, height)) = (fine((left, top)), fine((right - left, bottom - top)));
        let text = escape(text);
        let _ = write!(
            self.over,
            "<rect class=\"tip\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\"><title>{text}</title></rect>"
        );
    }

    /// What a reader sees who points at or near the place.
    pub(super) fn tip_dot(&mut self, place: Place, radius: f64, text: &str) {
        let ((x, y), radius, text) = (fine(place), (radius * FINE).round(), escape(text));
        let _ = write!(
            self.over,
            "<circle class=\"tip\" cx=\"{x}\" cy=\"{y}\" r=\"{radius}\"><title>{text}</title></circle>"
        );
    }
}

fn shape(ink: Ink, opacity: f64) -> ShapeStyle {
    ShapeStyle { color: ink.color().mix(opacity), filled: true, stroke_width: 0 }
}

fn fine((x, y): Place) -> (i32, i32) {
    ((x * FINE).round() as i32, (y * FINE).round() as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colors_are_classes_and_text_is_escaped() {
        let svg = draw(100.0, 50.0, "a < b", |canvas| {
            canvas.line([(0.0, 0.0), (1.25, 2.0)], Ink::Grid, 1.5, 1.0);
            canvas.dot((5.0, 5.0), 3.0, Ink::Series(SERIES_COLORS + 1), 0.5);
            canvas.area([(0.0, 0.0), (1.0, 0.0), (0.0, 1.0)], Ink::Series(0), 0.2);
            canvas.text("<script>\" fill=\"#5EED00\"", (50.0, 10.0), 12.0, Ink::Text, Align::Middle);
        });
        assert!(svg.starts_with("<svg class=\"plot\" role=\"img\" viewBox=\"0 0 1000 500\""), "{svg}");
        assert!(svg.contains("<title>a &lt; b</title>") && svg.ends_with("</svg>"));
        assert!(svg.contains("class=\"stroke-grid\"") && svg.contains("0,0 13,20"));
        assert!(svg.contains("class=\"fill-series-1\"") && svg.contains("class=\"fill-series-0\""));
        assert!(svg.contains("font-size=\"120") && svg.contains("class=\"fill-text\""));
        assert!(svg.contains("<text") && svg.contains("&lt;script"), "{svg}");
        assert!(!svg.contains("<script") && !svg.contains("=\"#5EED"), "{svg}");
    }
    #[test]
    fn what_plotters_cannot_draw_lies_above_the_rest_and_is_escaped() {
        let svg = draw(100.0, 50.0, "t", |canvas| {
            canvas.tip_dot((5.0, 6.0), 2.5, "a < b");
            canvas.tip_box((1.0, 2.0), (4.0, 8.0), "\"box\"");
            canvas.slanted("<i>", (10.0, 20.0), 14.0, 40.0);
            canvas.dot((5.0, 6.0), 3.0, Ink::Text, 1.0);
        });
        let (below, over) = svg.split_once("<circle class=\"tip\"").unwrap();
        assert!(below.contains("<circle cx=\"50\" cy=\"60\""), "{below}");
        assert!(over.starts_with(" cx=\"50\" cy=\"60\" r=\"25\"><title>a &lt; b</title></circle>"), "{over}");
        assert!(over.contains("x=\"10\" y=\"20\" width=\"30\" height=\"60\"><title>&quot;box&quot;</title>"), "{over}");
        assert!(over.contains("translate(100 200) rotate(-40)\">&lt;i&gt;</text></svg>"), "{over}");
    }
}
