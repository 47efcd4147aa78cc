//! A canvas that draws SVG whose colors are those of the page, light or dark.
//!
//! Plotters writes plain colors. We draw with sentinels, and replace each by a class that the style sheet colors.

use std::fmt::Write;

use plotters::prelude::{DrawingBackend, SVGBackend};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, IntoFont, RGBColor, ShapeStyle, TextStyle};

/// Plotters places everything on whole pixels: we draw tenfold and let the view box shrink it.
const FINE: f64 = 10.0;

/// Plotters divides font sizes by this before it writes them.
const FONT_FACTOR: f64 = 1.24;

/// How many colors the style sheet has for series.
pub(super) const SERIES_COLORS: usize = 8;

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
}

/// Draws on a canvas of that size; `title` is what a screen reader says.
pub(super) fn draw(width: f64, height: f64, title: &str, paint: impl FnOnce(&mut Canvas<'_>)) -> String {
    let mut text = String::new();
    let size = ((width * FINE) as u32, (height * FINE) as u32);
    let mut canvas = Canvas { backend: SVGBackend::with_string(&mut text, size) };
    paint(&mut canvas);
    canvas.backend.present().ok();
    drop(canvas);
    finish(&text, width, height, title)
}

/// Gives the drawing a view box, a title and the page's colors.
fn finish(text: &str, width: f64, height: f64, title: &str) -> String {
    let body = text.split_once('>').map_or("", |(_, body)| body);
    let mut svg = format!(
        "<svg class=\"plot\" role=\"img\" viewBox=\"0 0 {} {}\" style=\"max-width:{width}px\"><title>{}</title>",
        width * FINE,
        height * FINE,
        super::html::escape(title)
    );
    svg.push_str(body.trim_end());
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
    [" opacity=\"1\"", " stroke=\"none\"", " font-family=\"sans-serif\""]
        .iter()
        .fold(svg, |svg, it| svg.replace(it, ""))
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
            canvas.dot((5.0, 5.0), 3.0, Ink::Series(9), 0.5);
            canvas.area([(0.0, 0.0), (1.0, 0.0), (0.0, 1.0)], Ink::Series(0), 0.2);
            canvas.text("<script>\" fill=\"#5EED00\"", (50.0, 10.0), 12.0, Ink::Text, Align::Middle);
        });
        assert!(svg.starts_with("<svg class=\"plot\" role=\"img\" viewBox=\"0 0 1000 500\""), "{svg}");
        assert!(svg.contains("<title>a &lt; b</title>") && svg.ends_with("</svg>"));
        assert!(svg.contains("class=\"stroke-grid\"") && svg.contains("0,0 13,20"));
        assert!(svg.contains("class=\"fill-series-1\"") && svg.contains("class=\"fill-series-0\""));
        assert!(svg.contains("font-size=\"120") && svg.contains("class=\"fill-text\""));
        assert!(!svg.contains("<script") && !svg.contains("=\"#5EED"), "{svg}");
    }
}
