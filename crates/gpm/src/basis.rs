use faer::Mat;

/// Vectors of a space held column by column, in `f32`: what a memory keeps of a layer (M in the paper).
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Basis {
    pub(crate) dim: usize,
    /// `dim` numbers for each direction.
    pub(crate) vectors: Vec<f32>,
    /// How strongly each direction is protected, in [0, 1]: 1 in GPM, less in SGP.
    pub(crate) importance: Vec<f32>,
}

impl Basis {
    pub(crate) fn empty(dim: usize) -> Self {
        Self { dim, vectors: Vec::new(), importance: Vec::new() }
    }

    pub(crate) fn rank(&self) -> usize {
        self.importance.len()
    }

    pub(crate) fn to_mat(&self) -> Mat<f64> {
        Mat::from_fn(self.dim, self.rank(), |row, column| f64::from(self.vectors[column * self.dim + row]))
    }

    /// An orthonormal basis of everything orthogonal to this one, `[dim, dim - rank]`.
    pub(crate) fn complement(&self) -> Mat<f64> {
        let rank = self.rank();
        match rank {
            0 => Mat::identity(self.dim, self.dim),
            _ => self.to_mat().qr().compute_Q().get(.., rank..).to_owned(),
        }
    }
}
