use burn::tensor::{Device, Tensor, TensorData};
use faer::Mat;

use crate::basis::Basis;

/// What takes the protected directions out of a change of a layer's weight (Eqs. 6 and 7), in the cheapest form.
#[derive(Debug, Clone)]
pub(crate) enum Projector {
    /// Nothing is protected.
    Free,
    /// Everything is: the layer does not move any more.
    Full,
    /// G − M (Λ Mᵀ G), by M and Λ Mᵀ, which are stored apart: `[groups, dim, rank]` and `[groups, rank, dim]`.
    Factored(Tensor<3>, Tensor<3>),
    /// N (Nᵀ G), N an orthonormal basis of the complement: where more than half of the directions are held.
    Complement(Tensor<3>, Tensor<3>),
    /// P G with P = I − M Λ Mᵀ, `[groups, dim, dim]`: the same where Λ is not the identity.
    Dense(Tensor<3>),
}

impl Projector {
    /// For the bases of the groups of a layer.
    pub(crate) fn new(bases: &[Basis], device: &Device) -> Self {
        let Some(dim) = bases.first().map(|basis| basis.dim) else { return Self::Free };
        let rank = bases.iter().map(Basis::rank).max().unwrap_or(0);
        let least = bases.iter().map(Basis::rank).min().unwrap_or(0);
        let scaled = bases.iter().flat_map(|basis| &basis.importance).any(|importance| *importance != 1.0);
        match (rank, least) {
            (0, _) => Self::Free,
            (_, least) if least == dim && !scaled => Self::Full,
            (rank, least) if scaled && 2 * rank > dim && least > 0 => Self::dense(bases, dim, device),
            (rank, least) if !scaled && rank > dim - least => Self::complement(bases, dim, dim - least, device),
            _ => Self::factored(bases, dim, rank, scaled, device),
        }
    }

    // Groups that hold fewer directions than others are filled up with zeros, which change nothing.

    fn factored(bases: &[Basis], dim: usize, rank: usize, scaled: bool, device: &Device) -> Self {
        let rows = |weigh: bool| {
            let mut rows = vec![0.0_f32; bases.len() * rank * dim];
            for (basis, rows) in bases.iter().zip(rows.chunks_mut(rank * dim)) {
                let weighted = basis.vectors.chunks(dim).zip(&basis.importance);
                let values = weighted.flat_map(|(vector, &importance)| {
                    vector.iter().map(move |value| if weigh { value * importance } else { *value })
                });
                rows.iter_mut().zip(values).for_each(|(to, value)| *to = value);
            }
            rows
        };
        let plain = columns(rows(false), [bases.len(), rank, dim], device);
        Self::Factored(plain, tensor(rows(scaled), [bases.len(), rank, dim], device))
    }

    fn complement(bases: &[Basis], dim: usize, width: usize, device: &Device) -> Self {
        let mut rows = vec![0.0_f32; bases.len() * width * dim];
        for (basis, rows) in bases.iter().zip(rows.chunks_mut((width * dim).max(1))) {
            let free = basis.complement();
            let values = (0..free.ncols()).flat_map(|column| free.col(column).iter().copied().collect::<Vec<_>>());
            rows.iter_mut().zip(values).for_each(|(to, value)| *to = value as f32);
        }
        let shape = [bases.len(), width, dim];
        Self::Complement(columns(rows.clone(), shape, device), tensor(rows, shape, device))
    }

    fn dense(bases: &[Basis], dim: usize, device: &Device) -> Self {
        let mut values = Vec::with_capacity(bases.len() * dim * dim);
        for basis in bases {
            let held = basis.to_mat();
            let weighted = Mat::from_fn(dim, basis.rank(), |i, k| held[(i, k)] * f64::from(basis.importance[k]));
            let protected = held * weighted.transpose();
            values.extend((0..dim * dim).map(|at| {
                let (i, j) = (at / dim, at % dim);
                (f64::from(u8::from(i == j)) - protected[(i, j)]) as f32
            }));
        }
        Self::Dense(tensor(values, [bases.len(), dim, dim], device))
    }

    /// Whether it changes nothing, or leaves nothing.
    pub(crate) fn is_trivial(&self) -> bool {
        matches!(self, Self::Free | Self::Full)
    }

    /// Whether to project `rows` inputs of a linear layer is less work than to project its gradient, by multiplications.
    ///
    /// The inputs cost the layer's product with them beside their projection.
    pub(crate) fn suits_inputs(&self, rows: usize, outputs: usize) -> bool {
        let (dim, for_each_row) = match self {
            Self::Free | Self::Full => return false,
            Self::Factored(basis, _) | Self::Complement(basis, _) => {
                let [_, dim, width] = basis.dims();
                (dim, 2 * dim * width)
            }
            Self::Dense(projection) => {
                let dim = projection.dims()[1];
                (dim, dim * dim)
            }
        };
        rows * (for_each_row + dim * outputs) < for_each_row * outputs
    }

    /// `inputs` of a linear layer, `[rows, in]`, without the protected directions: their product with the gradients of
    /// its outputs is the gradient of its weight without them.
    pub(crate) fn apply_to_inputs(&self, inputs: Tensor<2>) -> Tensor<2> {
        let here = |factor: &Tensor<3>| factor.clone().to_device(&inputs.device()).cast(inputs.dtype()).squeeze_dim(0);
        match self {
            Self::Free => inputs,
            Self::Full => inputs.zeros_like(),
            Self::Factored(basis, rows) => {
                let protected = inputs.clone().matmul(here(basis)).matmul(here(rows));
                inputs - protected
            }
            Self::Complement(basis, rows) => inputs.clone().matmul(here(basis)).matmul(here(rows)),
            Self::Dense(projection) => inputs.clone().matmul(here(projection).transpose()),
        }
    }

    /// `change` without the protected directions; of a weight `[in, out]`, or of a kernel `[out, in / groups, ..]`.
    pub(crate) fn apply<const D: usize>(&self, change: Tensor<D>) -> Tensor<D> {
        let groups = match self {
            Self::Free => return change,
            Self::Full => return change.zeros_like(),
            Self::Factored(basis, _) | Self::Complement(basis, _) | Self::Dense(basis) => basis.dims()[0],
        };
        let shape = change.shape();
        // Directions are rows of the change seen as `[groups, dim, outputs]`.
        let kernel = D > 2;
        let directions = match kernel {
            false => change.reshape([1, shape[0] as i64, -1]),
            true => change.reshape([groups as i64, (shape[0] / groups) as i64, -1]).swap_dims(1, 2),
        };
        let here = |factor: &Tensor<3>| factor.clone().to_device(&directions.device()).cast(directions.dtype());
        let free = match self {
            Self::Factored(basis, rows) => {
                let protected = here(basis).matmul(here(rows).matmul(directions.clone()));
                directions - protected
            }
            Self::Complement(basis, rows) => here(basis).matmul(here(rows).matmul(directions)),
            Self::Dense(projection) => here(projection).matmul(directions),
            Self::Free | Self::Full => directions,
        };
        if kernel { free.swap_dims(1, 2).reshape(shape) } else { free.reshape(shape) }
    }
}

/// Rows `[groups, rank, dim]` as columns `[groups, dim, rank]`, contiguous: products with a few rows take half the time.
fn columns(rows: Vec<f32>, [groups, rank, dim]: [usize; 3], device: &Device) -> Tensor<3> {
    let of_a_group = |rows: &[f32]| (0..dim * rank).map(|at| rows[at % rank * dim + at / rank]).collect::<Vec<_>>();
    let values = rows.chunks((rank * dim).max(1)).flat_map(of_a_group).collect();
    tensor(values, [groups, dim, rank], device)
}

fn tensor(values: Vec<f32>, shape: [usize; 3], device: &Device) -> Tensor<3> {
    Tensor::from_data(TensorData::new(values, shape), device)
}
