//! What a layer's inputs span, gathered batch by batch, and what of it a memory does not hold yet.

use faer::linalg::matmul::triangular::{BlockStructure, matmul as triangular_matmul};
use faer::{Accum, Mat, MatRef, Side, get_global_parallelism};

use crate::basis::Basis;

/// R Rᵀ of a layer's inputs R, in `f64`; as long as they are few, R itself, whose decomposition is cheaper and sharper.
#[derive(Debug, Clone)]
pub(crate) struct Moments {
    dim: usize,
    held: Held,
    energy: f64,
}

#[derive(Debug, Clone)]
enum Held {
    /// Column by column.
    Inputs(Vec<f64>),
    /// Lower triangle.
    Gram(Mat<f64>),
}

/// The inputs beyond a basis, direction by direction.
#[derive(Debug)]
pub(crate) struct Residual {
    /// ‖R‖².
    pub(crate) total: f64,
    /// ‖M Mᵀ R‖², what the basis holds.
    pub(crate) covered: f64,
    /// Squared singular values of R − M Mᵀ R, descending.
    pub(crate) energies: Vec<f64>,
    /// Their left singular vectors, orthogonal to the basis, `[dim, energies]`.
    pub(crate) directions: Mat<f64>,
    /// ‖mᵀ R‖² for each direction m of the basis.
    pub(crate) along: Vec<f64>,
}

impl Moments {
    pub(crate) fn new(dim: usize) -> Self {
        Self { dim, held: Held::Inputs(Vec::new()), energy: 0.0 }
    }

    /// Adds inputs, `dim` finite numbers each.
    pub(crate) fn add(&mut self, inputs: &[f32]) {
        let inputs: Vec<f64> = inputs.iter().map(|&value| f64::from(value)).collect();
        self.energy += inputs.iter().map(|value| value * value).sum::<f64>();
        match &mut self.held {
            Held::Inputs(held) if held.len() + inputs.len() <= self.dim * self.dim => held.extend(inputs),
            Held::Inputs(held) => {
                let held = std::mem::take(held);
                let mut gram = Mat::zeros(self.dim, self.dim);
                accumulate(&mut gram, &held);
                accumulate(&mut gram, &inputs);
                self.held = Held::Gram(gram);
            }
            Held::Gram(gram) => accumulate(gram, &inputs),
        }
    }

    /// What these inputs have beyond `basis` (Eq. 8), and along it; none if the decomposition does not converge.
    pub(crate) fn beyond(&self, basis: &Basis) -> Option<Residual> {
        if basis.rank() == 0 {
            let (energies, directions) = match &self.held {
                Held::Inputs(inputs) => left_singular(self.columns(inputs))?,
                Held::Gram(lower) => eigen(lower.as_ref())?,
            };
            let (total, along) = (self.energy, Vec::new());
            return Some(Residual { total, covered: 0.0, energies, directions, along });
        }
        let held = basis.to_mat();
        let free = basis.complement();
        // In coordinates of the complement, so that new directions are orthogonal to the basis by construction.
        let (energies, vectors, along) = match &self.held {
            Held::Inputs(inputs) => {
                let inputs = self.columns(inputs);
                let (energies, vectors) = left_singular((free.transpose() * inputs).as_ref())?;
                (energies, vectors, row_energies((held.transpose() * inputs).as_ref()))
            }
            Held::Gram(lower) => {
                let gram = Mat::from_fn(self.dim, self.dim, |i, j| lower[(i.max(j), i.min(j))]);
                let along = held.transpose() * &gram;
                let along = (0..basis.rank()).map(|i| (along.row(i) * held.col(i)).max(0.0)).collect();
                let (energies, vectors) = eigen((free.transpose() * gram * &free).as_ref())?;
                (energies, vectors, along)
            }
        };
        let residual: f64 = energies.iter().sum();
        let directions = free * vectors;
        let covered = (self.energy - residual).max(0.0);
        Some(Residual { total: self.energy, covered, energies, directions, along })
    }

    fn columns<'a>(&self, inputs: &'a [f64]) -> MatRef<'a, f64> {
        MatRef::from_column_major_slice(inputs, self.dim, inputs.len() / self.dim.max(1))
    }
}

/// gram += inputs inputsᵀ, its lower triangle.
fn accumulate(gram: &mut Mat<f64>, inputs: &[f64]) {
    let dim = gram.nrows();
    let inputs = MatRef::from_column_major_slice(inputs, dim, inputs.len() / dim.max(1));
    triangular_matmul(
        gram.as_mut(),
        BlockStructure::TriangularLower,
        Accum::Add,
        inputs,
        BlockStructure::Rectangular,
        inputs.transpose(),
        BlockStructure::Rectangular,
        1.0,
        get_global_parallelism(),
    );
}

/// Squared singular values, descending, and left singular vectors.
fn left_singular(matrix: MatRef<'_, f64>) -> Option<(Vec<f64>, Mat<f64>)> {
    if matrix.nrows() == 0 || matrix.ncols() == 0 {
        return Some((Vec::new(), Mat::zeros(matrix.nrows(), 0)));
    }
    let svd = matrix.thin_svd().ok()?;
    let energies = svd.S().column_vector().iter().map(|value| value * value).collect();
    Some((energies, svd.U().to_owned()))
}

/// Eigenvalues of a positive semidefinite matrix, descending, and their vectors.
fn eigen(matrix: MatRef<'_, f64>) -> Option<(Vec<f64>, Mat<f64>)> {
    if matrix.nrows() == 0 {
        return Some((Vec::new(), Mat::zeros(0, 0)));
    }
    let eigen = matrix.self_adjoint_eigen(Side::Lower).ok()?;
    let energies = eigen.S().column_vector().iter().rev().map(|value| value.max(0.0)).collect();
    Some((energies, eigen.U().reverse_cols().to_owned()))
}

fn row_energies(matrix: MatRef<'_, f64>) -> Vec<f64> {
    (0..matrix.nrows()).map(|row| matrix.row(row).squared_norm_l2()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn basis(dim: usize, vectors: &[f32]) -> Basis {
        Basis { dim, vectors: vectors.to_vec(), importance: vec![1.0; vectors.len() / dim] }
    }

    fn moments(dim: usize, inputs: &[f32]) -> Moments {
        let mut moments = Moments::new(dim);
        moments.add(inputs);
        moments
    }

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() <= 1e-9 * (1.0 + a.abs())
    }

    #[test]
    fn inputs_split_into_what_is_held_and_what_is_new() {
        // M = e1, R = [[3, 0], [0, 1]].
        let residual = moments(2, &[3.0, 0.0, 0.0, 1.0]).beyond(&basis(2, &[1.0, 0.0])).unwrap();
        assert!(close(residual.total, 10.0) && close(residual.covered, 9.0), "{residual:?}");
        assert!(residual.energies.len() == 1 && close(residual.energies[0], 1.0), "{residual:?}");
        assert!(close(residual.along[0], 9.0) && close(residual.directions[(1, 0)].abs(), 1.0), "{residual:?}");
    }

    #[test]
    fn many_inputs_give_what_few_give() {
        let dim = 5;
        let inputs: Vec<f32> = (0..dim * 40).map(|i| ((i * 7919 % 101) as f32 - 50.0) / 50.0).collect();
        let held = basis(dim, &[0.6, 0.8, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0]);
        let gram = moments(dim, &inputs);
        assert!(matches!(gram.held, Held::Gram(_)));
        let mut columns = Moments::new(dim);
        columns.held = Held::Inputs(inputs.iter().map(|&value| f64::from(value)).collect());
        columns.energy = gram.energy;
        let mut pieces = Moments::new(dim);
        inputs.chunks(dim * 3).for_each(|piece| pieces.add(piece));
        let expected = columns.beyond(&held).unwrap();
        for actual in [gram.beyond(&held).unwrap(), pieces.beyond(&held).unwrap()] {
            assert!(close(actual.total, expected.total) && close(actual.covered, expected.covered));
            assert_eq!(actual.energies.len(), 3);
            assert!(actual.energies.iter().zip(&expected.energies).all(|(a, b)| close(*a, *b)));
            assert!(actual.along.iter().zip(&expected.along).all(|(a, b)| close(*a, *b)));
            for k in 0..3 {
                let dot = actual.directions.col(k).transpose() * expected.directions.col(k);
                assert!(close(dot.abs(), 1.0), "direction {k}: {dot}");
            }
        }
    }

    #[test]
    fn a_memory_that_is_full_leaves_nothing() {
        let full = basis(2, &[1.0, 0.0, 0.0, 1.0]);
        for inputs in [&[1.0, 2.0][..], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]] {
            let residual = moments(2, inputs).beyond(&full).unwrap();
            assert!(residual.energies.is_empty() && close(residual.covered, residual.total));
        }
    }

    #[test]
    fn silence_has_no_energy() {
        let residual = moments(3, &[0.0; 6]).beyond(&Basis::empty(3)).unwrap();
        assert!(residual.total == 0.0 && residual.energies.iter().all(|energy| *energy == 0.0));
    }
}
