use std::f32::consts::PI;

use burn::prelude::*;
use rand::{Rng, RngExt};
use rand_distr::{Distribution, Normal};

use super::DatasetError;
use super::host::labels_tensor;
use super::images::check_labels;

/// Vectors with one label each, on the host: all values are finite, and every label is below the number of classes.
#[derive(Debug, Clone, PartialEq)]
pub struct LabeledPoints {
    values: Vec<f32>,
    labels: Vec<usize>,
    n_dims: usize,
    n_classes: usize,
}

impl LabeledPoints {
    /// Points from their values.
    ///
    /// # Shapes
    ///
    /// - `values`: `[n, n_dims]`
    /// - `labels`: `[n]`
    ///
    /// # Errors
    ///
    /// [`DatasetError::Empty`] without points, dimensions or classes, [`DatasetError::Size`] if values and labels don't
    /// fit, [`DatasetError::Value`] for a value that is not finite, [`DatasetError::LabelOutOfRange`] for a label that is
    /// no class.
    pub fn new(values: Vec<f32>, labels: Vec<usize>, n_dims: usize, n_classes: usize) -> Result<Self, DatasetError> {
        if labels.is_empty() || n_dims == 0 || n_classes == 0 {
            return Err(DatasetError::Empty("points".into()));
        }
        let expected = labels.len() * n_dims;
        if values.len() != expected {
            return Err(DatasetError::Size { name: "points".into(), what: "values", expected, found: values.len() });
        }
        if let Some(index) = values.iter().position(|value| !value.is_finite()) {
            return Err(DatasetError::Value { index, value: values[index], rule: "a finite number" });
        }
        check_labels(&labels, n_classes)?;
        Ok(Self { values, labels, n_dims, n_classes })
    }

    /// The number of points.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Never: there is at least one point.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The number of dimensions.
    pub fn n_dims(&self) -> usize {
        self.n_dims
    }

    /// The number of classes.
    pub fn n_classes(&self) -> usize {
        self.n_classes
    }

    /// Every value, `[n, n_dims]`.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// Every label, `[n]`.
    pub fn labels(&self) -> &[usize] {
        &self.labels
    }

    /// The same points with other labels, `[n]`.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn with_labels(self, labels: Vec<usize>) -> Result<Self, DatasetError> {
        if labels.len() != self.len() {
            let (expected, found) = (self.len(), labels.len());
            return Err(DatasetError::Size { name: "points".into(), what: "labels", expected, found });
        }
        Self::new(self.values, labels, self.n_dims, self.n_classes)
    }

    /// All points and labels on a device: `[n, n_dims]` and `[n]`.
    pub fn to_tensors(&self, device: &Device) -> (Tensor<2>, Tensor<1, Int>) {
        let points = TensorData::new(self.values.clone(), [self.len(), self.n_dims]);
        (Tensor::from_data(points, device), labels_tensor(self.labels.iter().copied(), device))
    }
}

/// Two half circles of radius 1 that reach into each other: the upper half around (0, 0), class 0, and the lower half
/// around (1, 0.5), class 1. Angles are uniform, `noise` is the standard deviation of what is added to each
/// coordinate, classes alternate.
///
/// # Errors
///
/// [`DatasetError::Empty`] for `n` = 0, [`DatasetError::Config`] if `noise` is negative or not finite.
pub fn two_moons(n: usize, noise: f32, rng: &mut impl Rng) -> Result<LabeledPoints, DatasetError> {
    planar(n, noise, rng, |class, t| {
        let (sin, cos) = (PI * t).sin_cos();
        if class == 0 { [cos, sin] } else { [1.0 - cos, 0.5 - sin] }
    })
}

/// Two spirals around (0, 0), one the other turned by half a turn: one and a half turns up to radius 1. `noise` is
/// the standard deviation of what is added to each coordinate, classes alternate.
///
/// # Errors
///
/// As [`two_moons`].
pub fn spirals(n: usize, noise: f32, rng: &mut impl Rng) -> Result<LabeledPoints, DatasetError> {
    planar(n, noise, rng, |class, t| {
        // The root spreads the points evenly along the arc rather than along the angle.
        let radius = t.sqrt();
        let (sin, cos) = (PI * (3.0 * radius + class as f32)).sin_cos();
        [radius * cos, radius * sin]
    })
}

/// Points of two classes on curves with a parameter from 0 to 1.
fn planar(
    n: usize,
    noise: f32,
    rng: &mut impl Rng,
    curve: impl Fn(usize, f32) -> [f32; 2],
) -> Result<LabeledPoints, DatasetError> {
    if !(noise >= 0.0 && noise.is_finite()) {
        let value = f64::from(noise);
        return Err(DatasetError::Config { name: "noise", rule: "a finite number of at least 0", value });
    }
    let normal = Normal::new(0.0, noise).expect("a standard deviation that was checked");
    let labels: Vec<_> = (0..n).map(|i| i % 2).collect();
    let mut values = Vec::with_capacity(2 * n);
    for &class in &labels {
        let point = curve(class, rng.random());
        values.extend(point.map(|coordinate| coordinate + normal.sample(rng)));
    }
    LabeledPoints::new(values, labels, 2, 2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Stream, Streams};

    fn stream(seed: u64) -> rand_chacha::ChaCha8Rng {
        Streams::new(seed).stream(Stream::Data)
    }

    #[test]
    fn points_that_do_not_fit_are_refused() {
        assert_eq!(LabeledPoints::new(vec![], vec![], 2, 2), Err(DatasetError::Empty("points".into())));
        assert!(matches!(LabeledPoints::new(vec![1.0; 3], vec![0, 1], 2, 2), Err(DatasetError::Size { .. })));
        let nan = LabeledPoints::new(vec![1.0, f32::NAN], vec![0], 2, 2);
        assert!(matches!(nan, Err(DatasetError::Value { index: 1, .. })));
        let label = LabeledPoints::new(vec![1.0, 2.0], vec![2], 2, 2);
        assert_eq!(label, Err(DatasetError::LabelOutOfRange { index: 0, label: 2, n_classes: 2 }));
    }

    #[test]
    fn moons_without_noise_lie_on_their_circles() {
        let moons = two_moons(100, 0.0, &mut stream(1)).unwrap();
        for (point, &class) in moons.values().chunks(2).zip(moons.labels()) {
            let (x, y) = if class == 0 { (point[0], point[1]) } else { (1.0 - point[0], 0.5 - point[1]) };
            assert!((x.hypot(y) - 1.0).abs() < 1e-6 && y >= -1e-6, "{point:?}");
        }
        assert_eq!(moons.labels().iter().sum::<usize>(), 50);
    }

    #[test]
    fn spirals_stay_apart() {
        let spirals = spirals(400, 0.0, &mut stream(1)).unwrap();
        let points: Vec<_> = spirals.values().chunks(2).zip(spirals.labels()).collect();
        for (a, _) in points.iter().filter(|(point, class)| **class == 0 && point[0].hypot(point[1]) > 0.25) {
            let distances = points.iter().filter(|(_, class)| **class == 1);
            let nearest = distances.map(|(b, _)| (a[0] - b[0]).hypot(a[1] - b[1])).fold(f32::INFINITY, f32::min);
            assert!(nearest > 0.2, "{nearest}");
        }
    }

    #[test]
    fn a_seed_decides_the_points_and_noise_is_checked() {
        assert_eq!(two_moons(50, 0.2, &mut stream(1)), two_moons(50, 0.2, &mut stream(1)));
        assert_ne!(two_moons(50, 0.2, &mut stream(1)), two_moons(50, 0.2, &mut stream(2)));
        for noise in [-0.1, f32::NAN, f32::INFINITY] {
            assert!(matches!(spirals(5, noise, &mut stream(1)), Err(DatasetError::Config { name: "noise", .. })));
        }
        assert_eq!(two_moons(0, 0.1, &mut stream(1)), Err(DatasetError::Empty("points".into())));
    }

    #[test]
    fn noise_has_its_standard_deviation() {
        let clean = two_moons(4000, 0.0, &mut stream(1)).unwrap();
        let mut square = 0.0;
        let noisy = two_moons(4000, 0.1, &mut stream(1)).unwrap();
        // Every point draws the same numbers, with noise or without.
        for (a, b) in clean.values().iter().zip(noisy.values()) {
            square += f64::from(a - b).powi(2);
        }
        let sd = (square / 8000.0).sqrt();
        assert!((sd - 0.1).abs() < 0.004, "{sd}");
    }

    #[test]
    fn tensors_have_the_shapes_of_the_points() {
        let (points, labels) = two_moons(7, 0.1, &mut stream(1)).unwrap().to_tensors(&Device::flex());
        assert_eq!((points.dims(), labels.dims()), ([7, 2], [7]));
    }
}
