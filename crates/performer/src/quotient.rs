//! Numerator by denominator.

use burn::tensor::Tensor;

/// Divides the sums, and guards denominators of features that may be negative.
#[derive(Debug)]
pub(crate) struct Quotient {
    stabilizer: Option<f64>,
    /// Numbers of changed denominators, where they are counted.
    changed: Option<Vec<Tensor<1>>>,
}

impl Quotient {
    pub(crate) fn new(stabilizer: Option<f64>) -> Self {
        Self { stabilizer, changed: None }
    }

    pub(crate) fn counting(self) -> Self {
        Self { changed: Some(Vec::new()), ..self }
    }

    /// The first columns by the last; 0 where that is 0.
    ///
    /// # Shapes
    ///
    /// - `sums`: `[rows, length, width + 1]`
    /// - `unit`: `[rows, length, 1]` or one that can be expanded to it: what the features are in units of, for the stabilizer
    /// - output: `[rows, length, width]`
    pub(crate) fn divide(&mut self, sums: Tensor<3>, unit: impl FnOnce() -> Tensor<3>) -> Tensor<3> {
        let width = sums.dims()[2] - 1;
        let mut denominator = sums.clone().narrow(2, width, 1);
        if let Some(stabilizer) = self.stabilizer {
            let threshold = unit().mul_scalar(stabilizer).expand(denominator.dims());
            let seen = denominator.clone().inner();
            let small = seen.clone().abs().lower_equal(threshold.clone());
            if let Some(changed) = &mut self.changed {
                // Where nothing was seen there is nothing to guard.
                changed.push(small.clone().bool_and(seen.not_equal_elem(0.0)).float().sum());
            }
            denominator = denominator + threshold.mul_scalar(2.0).mask_fill(small.bool_not(), 0.0);
        }
        let nothing = denominator.clone().inner().equal_elem(0.0);
        let (numerator, denominator) = (sums.narrow(2, 0, width), denominator.mask_fill(nothing, 1.0));
        if !numerator.is_autodiff() {
            return numerator / denominator;
        }
        // The gradient of a quotient divides by the square of the denominator, which for one of e⁻⁶⁰ is 0 in f32.
        let unit = denominator.clone().inner();
        (numerator / unit.clone()) / (denominator / unit)
    }

    pub(crate) fn n_changed(self) -> usize {
        let changed = self.changed.unwrap_or_default();
        changed.into_iter().map(|number| number.into_scalar::<f64>() as usize).sum()
    }
}
