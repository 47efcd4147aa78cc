use serde::{Deserialize, Serialize};

use crate::data::{DatasetError, ImageShape, LabeledImages};

/// Tasks that see the same images, each turned by a fixed angle (Lopez-Paz and Ranzato, 2017).
///
/// Images turn counterclockwise around their center. Between pixels values are interpolated bilinearly and rounded;
/// outside of the image they are 0.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RotatedTasks {
    /// The angle of each task, in degrees.
    pub degrees: Vec<f64>,
}

impl RotatedTasks {
    /// A task for each of these angles, in degrees.
    pub fn new(degrees: Vec<f64>) -> Self {
        Self { degrees }
    }

    pub(super) fn validate(&self) -> Result<(), DatasetError> {
        match self.degrees.iter().find(|degrees| !degrees.is_finite()) {
            Some(&value) => Err(DatasetError::Config { name: "the angle of a task", rule: "finite", value }),
            None => Ok(()),
        }
    }

    pub(super) fn name(&self, task: usize) -> String {
        format!("{} degrees", self.degrees[task])
    }

    pub(super) fn shown(&self, task: usize, images: LabeledImages) -> Result<LabeledImages, DatasetError> {
        let plan = plan(self.degrees[task], images.shape());
        let planes = images.pixels().chunks_exact(plan.len());
        let pixels = planes.flat_map(|plane| plan.iter().map(|source| source.of(plane))).collect();
        images.with_pixels(pixels)
    }
}

/// Where a pixel comes from: four neighbors and their shares. Those outside of the image have the share 0.
#[derive(Debug, Clone, Copy)]
struct Source([(usize, f32); 4]);

impl Source {
    fn of(&self, plane: &[u8]) -> u8 {
        let value: f32 = self.0.iter().map(|&(place, share)| share * f32::from(plane[place])).sum();
        value.round() as u8
    }
}

/// The source of every pixel of a plane.
fn plan(degrees: f64, ImageShape { height, width, .. }: ImageShape) -> Vec<Source> {
    let (sin, cos) = degrees.to_radians().sin_cos();
    let center = [(height - 1) as f64 / 2.0, (width - 1) as f64 / 2.0];
    let source = |index: usize| {
        // Rows count downwards, so that this turns the picture counterclockwise.
        let (dy, dx) = ((index / width) as f64 - center[0], (index % width) as f64 - center[1]);
        let (y, x) = (center[0] + dx * sin + dy * cos, center[1] + dx * cos - dy * sin);
        let (down, right) = (y - y.floor(), x - x.floor());
        let neighbor = |row: f64, column: f64, share: f64| {
            let inside = (0.0..height as f64).contains(&row) && (0.0..width as f64).contains(&column);
            if inside { (row as usize * width + column as usize, share as f32) } else { (0, 0.0) }
        };
        Source([
            neighbor(y.floor(), x.floor(), (1.0 - down) * (1.0 - right)),
            neighbor(y.floor(), x.floor() + 1.0, (1.0 - down) * right),
            neighbor(y.floor() + 1.0, x.floor(), down * (1.0 - right)),
            neighbor(y.floor() + 1.0, x.floor() + 1.0, down * right),
        ])
    };
    (0..height * width).map(source).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turned(degrees: f64, side: usize, pixels: Vec<u8>) -> Vec<u8> {
        let shape = ImageShape { channels: 1, height: side, width: side };
        let images = LabeledImages::new("x", shape, pixels, vec![0], 1).unwrap();
        RotatedTasks::new(vec![degrees]).shown(0, images).unwrap().pixels().to_vec()
    }

    #[test]
    fn quarter_turns_are_exact_and_counterclockwise() {
        #[rustfmt::skip]
        let image = vec![
            1, 2, 3,
            4, 5, 6,
            7, 8, 255,
        ];
        #[rustfmt::skip]
        let quarter = [
            3, 6, 255,
            2, 5, 8,
            1, 4, 7,
        ];
        assert_eq!(turned(0.0, 3, image.clone()), image);
        assert_eq!(turned(90.0, 3, image.clone()), quarter);
        assert_eq!(turned(-270.0, 3, image.clone()), quarter);
        assert_eq!(turned(180.0, 3, image), [255, 8, 7, 6, 5, 4, 3, 2, 1]);
        assert_eq!(turned(90.0, 2, vec![1, 2, 3, 4]), [2, 4, 1, 3]);
    }

    /// By 45 degrees the corner (0, 0) looks at 1 - √2 = -0.41 in one direction: 0.59 of the pixel in the middle of an edge.
    #[test]
    fn values_are_interpolated_and_black_outside() {
        let image = turned(45.0, 3, vec![100; 9]);
        assert_eq!(image, [59, 100, 59, 100, 100, 100, 59, 100, 59]);
        // The middle of the upper edge lies 1 from the center, its source at 1 ± √½ in both directions: each neighbor
        // along an axis has (1 - 0.707) of 0.707, the corner 0.5.
        let image = turned(45.0, 3, vec![0, 0, 200, 0, 0, 0, 0, 0, 0]);
        assert_eq!(image[1], 100);
    }

    #[test]
    fn an_angle_has_to_be_finite() {
        let error = RotatedTasks::new(vec![0.0, f64::NAN]).validate().unwrap_err();
        assert_eq!(error.to_string(), "the angle of a task has to be finite, got NaN");
        assert_eq!(RotatedTasks::new(vec![22.5]).name(0), "22.5 degrees");
    }
}
