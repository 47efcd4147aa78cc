use crate::IdError;

/// Unit roundoff of `f32` sums, to nearest, and one more for a unit that adds a little less well.
pub(super) const ROUNDED: f64 = 1.0 / (1u32 << 23) as f64;
/// The same where sums are truncated, and summands are where they are aligned.
pub(super) const TRUNCATED: f64 = 1.0 / (1u32 << 22) as f64;
/// The smallest normal number of `f32`: a device may take what is below for 0.
pub(super) const SMALLEST: f64 = f32::MIN_POSITIVE as f64;

/// How a device multiplies matrices of numbers between -1 and 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Arithmetic {
    /// Relative error of an input as it enters the multiplication.
    pub(crate) input: f64,
    /// Inputs below this may be off by as much, whatever their size.
    pub(crate) floor: f64,
    /// Unit roundoff of the sums.
    pub(crate) unit: f64,
}

impl Arithmetic {
    /// How far a product of rows a and b of length `dim` can be from the true one: (ε, t) of ε Σ |aᵢ bᵢ| + t.
    ///
    /// Factors (1 + u)² for two inputs and 1 + γ for sums in any order, γ = m u / (1 - m u) with m = `dim` + 2. A term is off
    /// by 3 `floor` where an input is small, and by two of the smallest numbers where it or its sum underflows.
    ///
    /// # Errors
    ///
    /// [`IdError::Products`] for rows so long that the bound says nothing.
    pub(crate) fn bound(&self, dim: usize) -> Result<(f64, f64), IdError> {
        let roundings = (dim as f64 + 2.0) * self.unit;
        if roundings > 0.5 {
            let at = "relative error of sums over all columns, which are too many for `f32`,";
            return Err(IdError::Products { at, expected: 0.5, found: roundings });
        }
        let relative = (1.0 + self.input).powi(2) * (1.0 + roundings / (1.0 - roundings)) - 1.0;
        Ok((relative, dim as f64 * (3.0 * self.floor + 2.0 * SMALLEST)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_are_too_long_are_refused() {
        let arithmetic = Arithmetic { input: 0.0, floor: SMALLEST, unit: TRUNCATED };
        assert!(arithmetic.bound(1 << 20).is_ok());
        assert!(matches!(arithmetic.bound(1 << 22), Err(IdError::Products { .. })));
    }
}
